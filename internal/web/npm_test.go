package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tidings/internal/gid"
	"tidings/internal/testkit/leak"
	"tidings/internal/testkit/require"
	"tidings/internal/web"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if npm.dir != "" {
			os.RemoveAll(npm.dir)
		}
		os.Exit(code)
	}))
}

// npm is the folder with the programs of testdata/npm and the packages they
// need, made once a run.
var npm struct {
	once sync.Once
	dir  string
	err  error
}

// node returns a command that runs one of the programs of testdata/npm. It
// skips the test where that can't be (package require).
func node(t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	npm.once.Do(func() {
		if npm.dir, npm.err = os.MkdirTemp("", "tidings-npm-"); npm.err == nil {
			npm.err = install(npm.dir)
		}
	})
	if npm.err != nil {
		require.Missing(t, "npm", npm.err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "node", append([]string{program}, args...)...)
	cmd.Dir = npm.dir
	cmd.WaitDelay = time.Second
	return cmd
}

func install(dir string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "npm"))); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--prefer-offline", "--no-audit", "--no-fund")
	cmd.Dir = dir
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, out)
	}
	return nil
}

// TestAudits runs all audits of graphql-http, of those that a server MUST pass
// and of those that it SHOULD or MAY.
func TestAudits(t *testing.T) {
	w := newWorld(t)
	var stderr strings.Builder
	cmd := node(t, "audits.mjs", leak.Proxy(t, w.http.URL)+"/graphql")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	passed := 0
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		var audit struct{ ID, Name, Status, Reason string }
		if err := json.Unmarshal([]byte(line), &audit); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if audit.Status != "ok" {
			t.Errorf("%s %s: %s: %s", audit.ID, audit.Name, audit.Status, audit.Reason)
			continue
		}
		passed++
	}
	if passed != 61 {
		t.Errorf("%d audits passed, want 61", passed)
	}
}

// talk starts a program that is told things and says what happens, a line each.
func talk(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, said *bufio.Scanner, stderr *strings.Builder) {
	t.Helper()
	stderr = new(strings.Builder)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return in, bufio.NewScanner(out), stderr
}

// TestGraphQLWS: the client of graphql-ws subscribes, is cut off twice, misses
// ten posts each time, and has every post once and in order.
func TestGraphQLWS(t *testing.T) {
	w := newWorld(t)
	token, user := w.token()
	line := newCable(t, strings.TrimPrefix(leak.Proxy(t, w.http.URL), "http://"))
	cmd := node(t, "subscribe.mjs", "ws://"+line.addr+"/graphql", w.log.cursor(0), token)
	in, said, stderr := talk(t, cmd)
	next := func() string {
		t.Helper()
		if !said.Scan() {
			t.Fatalf("it said no more: %v %s", said.Err(), stderr.String())
		}
		return said.Text()
	}
	expect := func(want string) {
		t.Helper()
		if got := next(); got != want {
			t.Fatalf("it said %s, want %s", got, want)
		}
	}
	expect(`{"hello":"hello world"}`)
	expect(`{"refused":"GRAPHQL_VALIDATION_FAILED"}`)
	n := 0
	post := func() {
		n++
		w.log.post(gid.NewUser(), fmt.Sprint("post ", n))
	}
	delivered := 0
	deliver := func() {
		t.Helper()
		for delivered < n {
			delivered++
			expect(fmt.Sprintf(`{"next":"post %d","viewer":"%s"}`, delivered, user))
		}
	}
	post()
	deliver()
	for range 2 {
		line.cut()
		if got := next(); !strings.HasPrefix(got, `{"closed":1006,`) {
			t.Fatalf("it said %s", got)
		}
		for range 10 {
			post()
		}
		line.mend()
		for {
			if got := next(); strings.HasPrefix(got, `{"next":`) {
				delivered++
				if want := fmt.Sprintf(`{"next":"post %d","viewer":"%s"}`, delivered, user); got != want {
					t.Fatalf("it said %s, want %s", got, want)
				}
				break
			} else if !strings.HasPrefix(got, `{"closed":`) { // of tries before the line was mended
				t.Fatalf("it said %s", got)
			}
		}
		deliver()
		post()
		deliver()
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	expect(`{"closed":1000,"reason":""}`)
	expect(`{"complete":true}`)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
}

// TestGraphQLWSWithoutRoom: the client of graphql-ws for which there is no room comes back until there is, whether it was
// refused before it had a socket or after.
func TestGraphQLWSWithoutRoom(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*web.Rates)
		closed string
	}{
		"for its address": {func(r *web.Rates) { r.AddressSockets = 1 }, `{"closed":1006,"reason":""}`},
		"for its viewer":  {func(r *web.Rates) { r.ViewerSockets = 1 }, `{"closed":1013,"reason":"Try again later"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newPurse().limits, func(o *web.Options) { c.change(o.Rates) })
			token, _ := w.token()
			first := w.open(`{"authorization":"Bearer ` + token + `"}`)
			cmd := node(t, "subscribe.mjs", "ws"+strings.TrimPrefix(w.http.URL, "http")+"/graphql", w.log.cursor(0), token)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			refused := 0
			for said := bufio.NewScanner(out); said.Scan(); {
				if said.Text() != c.closed {
					if want := `{"hello":"hello world"}`; refused < 3 || said.Text() != want {
						t.Errorf("after %d refusals it said %s, want %s", refused, said.Text(), want)
					}
					break
				}
				if refused++; refused == 3 {
					first.ws.Close()
				}
			}
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, out)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// cable carries connections to a server, and can be cut.
type cable struct {
	addr     string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	broken bool
	open   []net.Conn
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: l.Addr().String(), listener: l}
	c.running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil || !c.add(near, far) {
				near.Close()
				continue
			}
			for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
				c.running.Go(func() {
					_, _ = io.Copy(ends[0], ends[1]) // either way it is over
					near.Close()
					far.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.cut()
		c.running.Wait()
	})
	return c
}

func (c *cable) add(ends ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		ends[1].Close()
		return false
	}
	c.open = append(c.open, ends...)
	return true
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = true
	for _, end := range c.open {
		end.Close()
	}
	c.open = nil
}

func (c *cable) mend() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = false
}
