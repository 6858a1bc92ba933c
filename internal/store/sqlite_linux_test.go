package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs f with the file permissions of the user nobody, which matters when the tests run as root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	if err := syscall.Setfsuid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setfsuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func TestSQLiteRefusesWhatItCannotWrite(t *testing.T) {
	dir, err := os.MkdirTemp("", "tidings-store-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "x.db")
	s, err := openSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	refused := func(path, want string) {
		t.Helper()
		asNobody(t, func() {
			s, err := openSQLite(t.Context(), path)
			if err == nil {
				_ = s.Close()
				t.Errorf("%s was opened, not %s", path, want)
				return
			}
			if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v\nwant %s", err, want)
			}
		})
	}
	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { mode(dir, 0o700) })
	cannot := "the database " + path + " can't be written"
	mode(path, 0o444)
	mode(dir, 0o777)
	refused(path, cannot)
	mode(path, 0o666)
	mode(dir, 0o555)
	refused(path, cannot)
	refused(filepath.Join(dir, "new.db"), "the database file "+filepath.Join(dir, "new.db")+" can't be made: permission denied")
	mode(dir, 0o000)
	refused(path, "the database file "+path+" can't be used: permission denied")
}
