// Package chaos runs whole servers in processes of their own under load, kills, drains, stalls and churns them, and holds
// what their subscribers were told against the database (package checker).
package chaos_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// of is how much a test does: the long form by request.
func of[T any](short, long T) T { return testkit.Of(short, long) }

// built is the server's binary, as people run it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func binary(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "tidings-chaos-"); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", built.dir, "tidings")
		cmd.Env = append(os.Environ(), "GOFLAGS=") // as fast as it is in earnest: without the race detector
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "tidings")
}

// server is a node in a process of its own, which always has the same address.
type server struct {
	t    testing.TB
	URL  string // http://…
	args []string

	mu  sync.Mutex
	cmd *exec.Cmd // nil while it doesn't run
	log bytes.Buffer
}

// newServer starts a server until the test ends.
func newServer(t testing.TB, d config.Database, flags ...string) *server {
	t.Helper()
	address := freeAddress(t)
	database := d.URL
	if d.Dialect == config.SQLite {
		database = "sqlite:" + d.Path
	}
	s := &server{t: t, URL: "http://" + address, args: append([]string{"-addr", address, "-database", database, "-rates", "off", "-drain", "4s", "-log", "warn"}, flags...)}
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			said := s.log.String()
			t.Logf("%s said last: %s", s.URL, said[max(0, len(said)-4000):])
		}
	})
	return s
}

// freeAddress is one outside of the range from which systems take the ports of outgoing connections, so that nobody has
// it when the server comes back.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// start starts it, and waits until it is ready.
func (s *server) start() {
	s.t.Helper()
	cmd := exec.Command(binary(s.t), s.args...)
	cmd.Env = append(os.Environ(), "TIDINGS_SECRET="+strings.Repeat("test", 8), "TIDINGS_LOG_FORMAT=text")
	cmd.Stdout, cmd.Stderr = s, s
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	s.cmd = cmd
	s.mu.Unlock()
	testkit.Eventually(s.t, func() error {
		resp, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s, %w", resp.Status, err)
		}
		return nil
	})
}

// Write takes what the server says.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// kill ends it by SIGKILL. It may be called again.
func (s *server) kill() { _ = s.end(syscall.SIGKILL) }

// drain ends it by SIGTERM, and waits until it has gone by itself.
func (s *server) drain() {
	s.t.Helper()
	if err := s.end(syscall.SIGTERM); err != nil {
		s.t.Errorf("draining: %v", err)
	}
}

func (s *server) end(by syscall.Signal) error {
	s.mu.Lock()
	cmd := s.cmd
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(by); err != nil {
		return err
	}
	hanging := time.AfterFunc(testkit.Wait, func() { _ = cmd.Process.Kill() })
	defer hanging.Stop()
	err := cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); ended && by == syscall.SIGKILL {
		return nil
	}
	return err
}
