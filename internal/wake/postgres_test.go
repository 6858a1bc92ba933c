package wake_test

import (
	"bytes"
	"context"
	"database/sql"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/internal/testkit"
	"tidings/internal/wake"
)

func database(t *testing.T, dsn string) *sql.DB {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// listen runs a listener until stop is called, and returns what it is woken through and what it logs.
func listen(t *testing.T, p *wake.Postgres) (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := p.Run(ctx, func() {
			select {
			case c <- struct{}{}:
			default:
			}
		}); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return c, stop
}

func receive(t *testing.T, c <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatal("not woken: ", why)
	}
}

// terminate ends every listening connection to the database.
func terminate(t *testing.T, db *sql.DB) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		var n int
		err := db.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("nobody listens")
}

func TestPostgres(t *testing.T) {
	dsn := testkit.Postgres(t)
	db := database(t, dsn)
	var printed lockedBuffer
	node := func() *wake.Postgres {
		p, err := wake.NewPostgres(dsn, db, slog.New(slog.NewTextHandler(&printed, nil)))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a, b := node(), node()
	wokenA, _ := listen(t, a)
	wokenB, stopB := listen(t, b)
	receive(t, wokenA, "it has connected")
	receive(t, wokenB, "it has connected")
	notify := func() {
		t.Helper()
		if err := a.Notify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	notify()
	receive(t, wokenA, "it has notified itself")
	receive(t, wokenB, "it was notified")

	for range 3 {
		terminate(t, db)
		receive(t, wokenA, "it has connected again")
		receive(t, wokenB, "it has connected again")
	}
	for len(wokenA)+len(wokenB) > 0 {
		drain(wokenA)
		drain(wokenB)
	}
	notify()
	receive(t, wokenA, "it listens again")
	receive(t, wokenB, "it listens again")

	stopB()
	drain(wokenB)
	notify()
	receive(t, wokenA, "the other one has stopped")
	if len(wokenB) != 0 {
		t.Error("it was woken after it had stopped")
	}
	if !strings.Contains(printed.String(), "found by polling") || !strings.Contains(printed.String(), "listening to the database again") {
		t.Errorf("logged: %s", printed.String())
	}
}

func drain(c <-chan struct{}) {
	for len(c) > 0 {
		<-c
	}
}

// More notifications than any buffer holds come while the listener is busy; all are taken, none blocks anybody.
func TestPostgresTakesAFlood(t *testing.T) {
	dsn := testkit.Postgres(t)
	db := database(t, dsn)
	p, err := wake.NewPostgres(dsn, db, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	woken, _ := listen(t, p)
	receive(t, woken, "it has connected")
	for range 500 {
		if err := p.Notify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		receive(t, woken, "one of the flood")
	}
}

func TestPostgresAway(t *testing.T) {
	u, err := url.Parse(testkit.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/there_is_no_such_database"
	var printed lockedBuffer
	p, err := wake.NewPostgres(u.String(), database(t, u.String()), slog.New(slog.NewTextHandler(&printed, nil)))
	if err != nil {
		t.Fatal(err)
	}
	woken, stop := listen(t, p)
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(printed.String(), "does not exist"); {
		if time.Now().After(deadline) {
			t.Fatal("the outage is not logged")
		}
		<-time.After(time.Millisecond)
	}
	if err := p.Notify(t.Context()); err == nil {
		t.Error("notified nobody without an error")
	}
	stop()
	if len(woken) != 0 || strings.Count(printed.String(), "\n") != 1 {
		t.Errorf("woken %d times; logged: %s", len(woken), printed.String())
	}
	for _, dsn := range []string{"", "host=/tmp user=me password=secret", "postgres://a:secret@b:c:d/"} {
		if _, err := wake.NewPostgres(dsn, nil, slog.Default()); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
