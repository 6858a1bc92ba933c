// Package pgtest gives tests and generators a Postgres of their own: a throw-away cluster made from the local
// binaries, or the server that TIDINGS_TEST_POSTGRES names. It imports nothing of ours, so that everything can use it.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"database/sql"

	_ "github.com/lib/pq" // the driver that Start waits with
)

// ErrNoBinaries says that there is no Postgres to start: no initdb and postgres on the PATH or under
// /usr/lib/postgresql.
var ErrNoBinaries = errors.New("no Postgres binaries found on the PATH or under /usr/lib/postgresql")

// startTimeout bounds initdb and start together.
const startTimeout = time.Minute

// Cluster is a running Postgres that nobody else uses. It is made for speed, not for keeps: it survives neither a crash
// of the machine nor the process that started it.
type Cluster struct {
	dir   string
	stdin io.Closer // the supervisor stops the server when this closes
	done  <-chan struct{}
}

// supervise runs the server until its standard input ends, which it does when the process at the other end closes it
// or dies, however it dies; then it removes the directory. $1 is the directory, $2 the server, the rest its arguments.
const supervise = `dir=$1; shift
"$@" </dev/null & pid=$!
cat >/dev/null
kill -INT $pid; wait $pid
cd /; rm -rf "$dir"`

// Start makes a cluster in a temporary directory and starts it. It listens only on a unix socket in that directory,
// takes up to 200 connections, trusts everyone who can reach the socket, and never waits for the disk. The caller
// may Stop it; when the process ends without that, by a signal too, the server stops and its directory goes. As root
// the server runs as the user postgres (nobody where there is none), for Postgres refuses to run as root.
func Start(ctx context.Context) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tidings-postgres-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for Postgres: %w", err)
	}
	c, err := start(ctx, bin, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

func start(ctx context.Context, bin, dir string) (*Cluster, error) {
	as, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	logPath := filepath.Join(dir, "log")
	log, err := os.Create(logPath)
	if err != nil {
		return nil, fmt.Errorf("making a log for Postgres: %w", err)
	}
	defer log.Close()
	server := exec.Command("/bin/sh", "-c", supervise, "sh", dir, filepath.Join(bin, "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "fsync=off", "-c", "synchronous_commit=on",
		"-c", "full_page_writes=off", "-c", "shared_buffers=64MB", "-c", "max_wal_size=1GB")
	server.Dir, server.Stdout, server.Stderr = dir, log, log
	server.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true} // a group of its own: ^C is for the test
	stdin, err := server.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting Postgres: %w", err)
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("starting Postgres: %w", err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Wait() }() // its exit says nothing that the log does not
	c := &Cluster{dir: dir, stdin: stdin, done: done}
	if err := c.await(ctx); err != nil {
		out, _ := os.ReadFile(logPath)
		c.Stop()
		return nil, fmt.Errorf("starting Postgres: %w\n%s", err, bytes.TrimSpace(out))
	}
	return c, nil
}

// URL is that of the cluster's maintenance database.
func (c *Cluster) URL() string {
	return "postgres:///postgres?" + url.Values{"host": {c.dir}, "user": {"postgres"}, "sslmode": {"disable"}}.Encode()
}

// Stop stops the server, removes its directory and waits for both. Its databases' connections break.
func (c *Cluster) Stop() {
	_ = c.stdin.Close()
	<-c.done
}

// await polls until the server answers.
func (c *Cluster) await(ctx context.Context) error {
	db, err := sql.Open("postgres", c.URL())
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// unprivileged gives dir to the user that the server will run as. It returns nil, the process's own, unless that is root.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("finding a user for Postgres, which refuses to run as root: %w", err)
		}
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2, os.Chown(dir, int(uid), int(gid))); err != nil {
		return nil, fmt.Errorf("giving %s to the user %s: %w", dir, u.Username, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// binaries returns the directory of initdb and postgres: that of the PATH, else the newest of Debian's.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && executable(filepath.Join(filepath.Dir(path), "postgres")) {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	version := func(dir string) int {
		n, _ := strconv.Atoi(strings.Split(dir, string(filepath.Separator))[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range found {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", ErrNoBinaries
}

func executable(path string) bool {
	_, err := exec.LookPath(path)
	return err == nil
}
