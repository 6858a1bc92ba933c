package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/internal/store/migrations"
	"tidings/internal/testkit/pgtest"
	"tidings/internal/testkit/require"
)

const here = "../migrations"

// needs skips a test on a database that is not there.
func needs(t *testing.T, d string) {
	t.Helper()
	if d != dialect.Postgres {
		return
	}
	if _, err := pgtest.Server(); errors.Is(err, pgtest.ErrNoBinaries) {
		require.Missing(t, "postgres", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// copied is a directory of migrations to write to.
func copied(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What package ent needs and what the migrations make are the same.
func TestNothingIsMissing(t *testing.T) {
	for _, d := range dialects {
		t.Run(d, func(t *testing.T) {
			needs(t, d)
			path, err := write(t.Context(), d, copied(t, filepath.Join(here, migrations.Path(d, "schema"))), "99990101000000", "missing")
			if err != nil {
				t.Fatal(err)
			}
			if path == "" {
				return
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Errorf("package ent has changed; go run ./internal/store/migrate NAME would write\n%s", text)
		})
	}
}

// The command finds what is missing, writes it under one version that is the newest, and sums it.
func TestRun(t *testing.T) {
	for _, d := range dialects {
		needs(t, d)
	}
	root := copied(t, here)
	for _, d := range dialects { // ent without its index for the order by title
		path := filepath.Join(root, migrations.Path(d, "schema"), "20261121000000_init.sql")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "CREATE INDEX") || !strings.Contains(line, "post_title_id") {
				kept = append(kept, line)
			}
		}
		if err := os.WriteFile(path, []byte(strings.Join(kept, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), root, "title", false, false); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("with a wrong sum it says %v", err)
	}
	if err := run(t.Context(), root, "", false, true); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), root, "notes", true, false); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), root, "title", false, false); err != nil {
		t.Fatal(err)
	}
	for _, d := range dialects {
		log := only(t, filepath.Join(root, migrations.Path(d, "manual"), "*_notes.sql"))
		title := only(t, filepath.Join(root, migrations.Path(d, "schema"), "*_title.sql"))
		if filepath.Base(title) <= filepath.Base(log) {
			t.Errorf("%s is not newer than %s", title, log)
		}
		if text, err := os.ReadFile(title); err != nil || strings.Count(string(text), ";") != 1 || !strings.Contains(string(text), "post_title_id") {
			t.Errorf("it wrote %s, %v", text, err)
		}
		if path, err := write(t.Context(), d, filepath.Dir(title), "99990101000000", "again"); path != "" || err != nil {
			t.Errorf("there is still something missing: %s, %v", path, err)
		}
	}
	for _, name := range []string{"", "a b", "../x", "Title", "x.sql"} {
		if err := run(context.Background(), root, name, false, false); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s is %q, %v", pattern, found, err)
	}
	return found[0]
}
