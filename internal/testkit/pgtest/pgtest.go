// Package pgtest gives tests databases of a real Postgres.
//
// It is the server that TIDINGS_TEST_POSTGRES names (a URL whose user may create databases), or else a throw-away one
// made of the local programs, one for each test process. Where there is neither, the test is skipped (package require).
package pgtest

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq"

	"tidings/internal/testkit/require"
)

// Database returns the URL of a new, empty database, which goes when the test ends.
func Database(t testing.TB) string {
	t.Helper()
	server, err := server()
	if err != nil {
		require.Missing(t, "postgres", err)
	}
	admin, err := sql.Open("postgres", server.String())
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	name := fmt.Sprintf("tidings_test_%d_%d", os.Getpid(), count.Add(1))
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		t.Fatal("creating a test database: ", err)
	}
	t.Cleanup(func() {
		admin, err := sql.Open("postgres", server.String())
		if err == nil {
			_, err = admin.Exec("DROP DATABASE " + name + " WITH (FORCE)")
			err = errors.Join(err, admin.Close())
		}
		if err != nil {
			t.Error("dropping a test database: ", err)
		}
	})
	u := *server.URL
	u.Path = "/" + name
	return u.String()
}

var count atomic.Int64

var server = sync.OnceValues(func() (*cluster, error) {
	if given := os.Getenv("TIDINGS_TEST_POSTGRES"); given != "" {
		u, err := url.Parse(given)
		return &cluster{URL: u}, err
	}
	return start()
})

// keeper runs the server for as long as its standard input is open, which is as long as the test process lives,
// however it ends, and then takes the data away.
const keeper = `"$1/postgres" -D "$2" -p "$3" -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \
	-c fsync=off -c shared_buffers=64MB -c log_min_messages=fatal >"$2.log" 2>&1 &
read -r _
kill -INT $!
wait $!
rm -rf "${2%/*}"`

// cluster is a server. Its keeper's input is never closed by us, nor by the garbage collector for as long as it is here.
type cluster struct {
	*url.URL
	keeper io.WriteCloser
}

func start() (*cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp("", "tidings-postgres-")
	if err != nil {
		return nil, err
	}
	attr := &syscall.SysProcAttr{Setpgid: true} // an interrupt of the test run is not for the server
	if os.Geteuid() == 0 {                      // which Postgres refuses to be
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, fmt.Errorf("we are root, and there is no user postgres to run the server as: %w", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(root, uid, gid); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(root, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
	initdb.SysProcAttr, initdb.Dir = attr, root
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", bin, data, strconv.Itoa(port))
	cmd.SysProcAttr, cmd.Dir = attr, root
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: "postgres", User: url.User("postgres"), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/postgres", RawQuery: "sslmode=disable"}
	db, err := sql.Open("postgres", u.String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return &cluster{u, input}, nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(data + ".log")
			return nil, fmt.Errorf("the server does not start: %w: %s", err, log)
		}
	}
}

func programs() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return "", errors.New("no program postgres in PATH or /usr/lib/postgresql, and no TIDINGS_TEST_POSTGRES")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
