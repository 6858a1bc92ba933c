package pgtest_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/internal/testkit/pgtest"
	"tidings/internal/testkit/require"
)

// childEnv makes a process of this test binary use Postgres and wait instead of testing.
const childEnv = "TIDINGS_PGTEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		u, err := pgtest.Server()
		fmt.Println(u, err)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until it is killed, or its standard input ends
		return
	}
	os.Exit(m.Run())
}

// need skips the test where there is no Postgres.
func need(t *testing.T) string {
	t.Helper()
	server, err := pgtest.Server()
	if errors.Is(err, pgtest.ErrNoBinaries) {
		require.Missing(t, "postgres", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

func query[T any](t *testing.T, url, query string) (v T) {
	t.Helper()
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// within polls until cond holds.
func within(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func gone(path string) func() bool {
	return func() bool { _, err := os.Stat(path); return os.IsNotExist(err) }
}

func TestScratchIsEmptyAndDropped(t *testing.T) {
	server := need(t)
	ctx := t.Context()
	u, drop, err := pgtest.Scratch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, u, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"); n != 0 {
		t.Errorf("it holds %d things", n)
	}
	name := query[string](t, u, "SELECT current_database()")
	db, err := sql.Open("postgres", u)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(); err != nil { // who is still connected does not keep it
		t.Fatal(err)
	}
	if err := drop(); err != nil {
		t.Fatal(err)
	}
	if query[bool](t, server, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = '"+name+"')") {
		t.Error("it is still there")
	}
}

func TestCopyPreparesOnce(t *testing.T) {
	need(t)
	key := fmt.Sprint(time.Now())
	var mu sync.Mutex
	prepared := 0
	prepare := func(u string) error {
		mu.Lock()
		defer mu.Unlock()
		if prepared++; prepared == 1 {
			return errors.New("not yet")
		}
		db, err := sql.Open("postgres", u)
		if err != nil {
			return err
		}
		defer db.Close()
		_, err = db.Exec("CREATE TABLE ready (id int)")
		return err
	}
	if _, _, err := pgtest.Copy(t.Context(), key, prepare); err == nil {
		t.Error("a copy of what could not be prepared")
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			u, drop, err := pgtest.Copy(t.Context(), key, prepare)
			if err != nil {
				t.Error(err)
				return
			}
			if query[int](t, u, "SELECT count(*) FROM ready") != 0 {
				t.Error("it is not empty")
			}
			if err := drop(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if prepared != 2 {
		t.Errorf("prepared %d times, want 2", prepared)
	}
}

// However a test process ends, its server and its directory go.
func TestTheServerEndsWithItsProcess(t *testing.T) {
	need(t)
	for _, how := range []string{"exit", "kill"} {
		t.Run(how, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			child := exec.CommandContext(ctx, os.Args[0])
			child.Env = append(os.Environ(), childEnv+"=1", pgtest.Env+"=")
			in, err := child.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = child.Wait() }() // killed, it says so
			line, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			server, problem, _ := strings.Cut(strings.TrimSpace(line), " ")
			u, err := url.Parse(server)
			if err != nil || problem != "<nil>" {
				t.Fatal(line, err)
			}
			dir := u.Query().Get("host")
			if query[int](t, server, "SELECT 1") != 1 || gone(dir)() {
				t.Fatal("it does not run")
			}
			if how == "kill" {
				err = child.Process.Kill()
			} else {
				err = in.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			within(t, 20*time.Second, dir+" is removed", gone(dir))
		})
	}
}

func TestStop(t *testing.T) {
	c, err := pgtest.Start(t.Context())
	if errors.Is(err, pgtest.ErrNoBinaries) {
		require.Missing(t, "postgres", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	c.Stop()
	if !gone(u.Query().Get("host"))() {
		t.Error("its directory is still there")
	}
}

// TestGivenServer uses a server by its URL, and sweeps what killed processes left there long ago.
func TestGivenServer(t *testing.T) {
	c, err := pgtest.Start(t.Context())
	if errors.Is(err, pgtest.ErrNoBinaries) {
		require.Missing(t, "postgres", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	db, err := sql.Open("postgres", c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	old, fresh := "tidings_test_20200101t000000_abcdefgh", "tidings_test_"+time.Now().UTC().Format("20060102t150405")+"_abcdefgh"
	for _, name := range []string{old, fresh, "somebodys_own"} {
		if _, err := db.Exec("CREATE DATABASE " + name); err != nil {
			t.Fatal(err)
		}
	}
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childEnv+"=1", pgtest.Env+"="+c.URL())
	out, err := child.Output()
	if err != nil || strings.TrimSpace(string(out)) != c.URL()+" <nil>" {
		t.Fatalf("it uses %s, %v", out, err)
	}
	var left string
	if err := db.QueryRow("SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname IN ($1, $2, 'somebodys_own')", old, fresh).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != "somebodys_own "+fresh {
		t.Errorf("it left %s", left)
	}
}
