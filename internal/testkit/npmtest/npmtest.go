// Package npmtest runs real clients from npm against a server.
package npmtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tidings/internal/testkit/require"
)

// Program is a running node program that is told things line by line and answers so.
type Program struct {
	t     testing.TB
	in    io.WriteCloser
	lines chan string
}

// wait bounds the wait for a line.
const wait = 60 * time.Second

// Start installs the packages of a folder (package.json, package-lock.json) and builds what it has to build (its script
// "build"), once a process, and runs one of its programs until the test ends. Where there is no npm the test is skipped
// (package require).
func Start(t testing.TB, folder, program string, args ...string) *Program {
	t.Helper()
	dir, err := installed(folder)
	if err != nil {
		require.Missing(t, "npm", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "node", append([]string{program}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
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
	p := &Program{t, in, make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = cmd.Wait() // it was killed
	})
	return p
}

// Tell sends a line.
func (p *Program) Tell(line string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatal(err)
	}
}

// Line is the next line that the program says.
func (p *Program) Line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the program has ended")
		}
		return line
	case <-time.After(wait):
		p.t.Fatalf("nothing said in %s", wait)
		return ""
	}
}

// Said is the next line, if one has been said.
func (p *Program) Said() (line string, ok bool) {
	select {
	case line, ok = <-p.lines:
		return line, ok
	default:
		return "", false
	}
}

var (
	mu      sync.Mutex
	folders = map[string]func() (string, error){}
)

func installed(folder string) (string, error) {
	mu.Lock()
	once, ok := folders[folder]
	if !ok {
		once = sync.OnceValues(func() (string, error) { return install(folder) })
		folders[folder] = once
	}
	mu.Unlock()
	return once()
}

// install copies a folder and installs its packages there. The copy goes with the next cleaning of the system's
// temporary folder at the latest.
func install(folder string) (string, error) {
	if _, err := exec.LookPath("npm"); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "tidings-npm-")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		return "", err
	}
	for _, args := range [][]string{
		{"ci", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"},
		{"run", "build", "--if-present", "--silent"},
	} {
		cmd := exec.Command("npm", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm %s in %s: %w: %s", args[0], filepath.Base(folder), err, out)
		}
	}
	return dir, nil
}
