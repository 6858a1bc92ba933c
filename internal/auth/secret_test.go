package auth

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestSecretIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tidings.db.secret")
	made, err := LoadOrCreateSecret(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateSecret(path)
	if err != nil || !bytes.Equal(made, again) || len(made) < MinSecret {
		t.Errorf("made %d bytes, loaded %d: %v", len(made), len(again), err)
	}
	if info, _ := os.Stat(path); info.Mode() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %s", info.Mode())
	}
	if other, _ := LoadOrCreateSecret(path + "2"); bytes.Equal(other, made) {
		t.Error("two secrets are the same")
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(files) != 2 {
		t.Errorf("left behind: %s", files)
	}
	if files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*-*")); len(files) != 0 {
		t.Errorf("left behind: %s", files)
	}
	if _, err := NewTokens([][]byte{made}, nil); err != nil {
		t.Error(err)
	}
}

// TestSecretRace starts many at once, again and again: all must return what the
// file holds in the end.
func TestSecretRace(t *testing.T) {
	for range 20 {
		path := filepath.Join(t.TempDir(), "secret")
		type result struct {
			secret []byte
			err    error
		}
		const racers = 16
		gun := make(chan struct{})
		results := make(chan result, racers)
		for range racers {
			go func() {
				<-gun
				secret, err := LoadOrCreateSecret(path)
				results <- result{secret, err}
			}()
		}
		close(gun)
		var first []byte
		for range racers {
			r := <-results
			if r.err != nil {
				t.Fatal(r.err)
			}
			if first == nil {
				first = r.secret
			}
			if !bytes.Equal(first, r.secret) {
				t.Fatal("two processes hold two secrets")
			}
		}
		if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
			t.Fatalf("left behind: %v", files)
		}
	}
}

func TestSecretRefused(t *testing.T) {
	good := strings.Repeat("s", MinSecret)
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string // "" to be taken
	}{
		"good":           {good, 0o600, ""},
		"read-only":      {good, 0o400, ""},
		"with a newline": {good + "\n", 0o600, ""},
		"group may read": {good, 0o640, "can be read by others (mode 0640)"},
		"all may read":   {good, 0o604, "can be read by others (mode 0604)"},
		"empty":          {"", 0o600, "holds 0 bytes"},
		"too short":      {good[1:] + "\n", 0o600, "holds 31 bytes, a secret takes at least 32"},
		"too long":       {strings.Repeat("s", maxSecretFile+1), 0o600, "longer than 4096 bytes"},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		secret, err := LoadOrCreateSecret(path)
		if c.want == "" {
			if err != nil || string(secret) != good {
				t.Errorf("%s: %q, %v", name, secret, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if b, _ := os.ReadFile(path); string(b) != c.content {
			t.Errorf("%s: the file was changed", name)
		}
	}
	dir := t.TempDir()
	if _, err := LoadOrCreateSecret(dir); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := LoadOrCreateSecret(filepath.Join(dir, "missing", "secret")); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("no directory: %v", err)
	}
}
