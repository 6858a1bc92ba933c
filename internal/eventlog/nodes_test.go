package eventlog_test

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"tidings/ent"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// node is a log with connections of its own, which can be told from others' by name.
func node(t *testing.T, dsn, name string) (*store.Store, *eventlog.Log) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("application_name", name)
	u.RawQuery = q.Encode()
	s := openWide(t, u.String())
	return s, eventlog.New(s.Client(), s.Dialect(), eventlog.Options{})
}

// Of two nodes that sequence under load, one loses its connections again and again and then goes away for good: the
// other one carries on, and every event is there.
func TestSequencerDies(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	_, dying := node(t, dsn, "dying")
	s, other := node(t, dsn, "other")
	stopDying := run(t, dying)
	run(t, other)

	var writers sync.WaitGroup
	const each, n = 150, 8
	for range n {
		writers.Go(func() {
			for range each {
				write(t, other, comments(1)...)
			}
		})
	}
	kills := 0
	for head(t, other).Position < each*n*2/3 {
		if _, err := s.Client().ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dying' AND datname = current_database()`); err != nil {
			t.Fatal(err)
		}
		kills++
	}
	stopDying()
	writers.Wait()
	t.Logf("killed %d times", kills)
	es := await(t, other, each*n)
	ids := map[any]bool{}
	for _, e := range es {
		ids[e.ID] = true
	}
	if len(ids) != len(es) {
		t.Errorf("%d events, %d different ones", len(es), len(ids))
	}
}

// What a node has left in the inbox when it died is moved by another one, though nothing tells that one.
func TestInboxOfADeadNode(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	_, dead := node(t, dsn, "dead") // it never runs
	_, other := node(t, dsn, "other")
	write(t, dead, comments(2*eventlog.Batch+10)...)
	run(t, other)
	await(t, other, 2*eventlog.Batch+10)
	write(t, dead, comments(1)...)
	eventually(t, "the poll finds it", func() bool { return head(t, other).Position == 2*eventlog.Batch+11 })
}

// A node freezes while it holds the lock. The server ends its transaction, and the others go on.
func TestSequencerFreezes(t *testing.T) {
	t.Parallel()
	dsn := testkit.MigratedPostgres(t)
	s, l := node(t, dsn, "other")
	frozenStore, _ := node(t, dsn, "frozen")
	frozen, err := frozenStore.Client().Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := eventlog.Lock(t.Context(), frozen, eventlog.SequenceLock); err != nil || !got {
		t.Fatal(got, err)
	}
	begin := time.Now()
	if moved, got, err := eventlog.Move(l, t.Context()); moved != 0 || got || err != nil {
		t.Fatalf("it moved %d events though another one holds the lock: %v, %v", moved, got, err)
	}
	run(t, l)
	write(t, l, comments(1)...)
	await(t, l, 1)
	if late := time.Since(begin); late < 2*time.Second || late > 15*time.Second {
		t.Errorf("it went on after %s", late)
	}
	if err := frozen.Commit(); err == nil {
		t.Error("the frozen node still has its transaction")
	}
	sql(t, s, "SELECT 1")
}

// A transaction that stays open long, with an event of its own, holds up nobody else's; its own comes when it commits,
// behind those that were seen before.
func TestLongTransaction(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	_, l := node(t, dsn, "node")
	run(t, l)
	long, short := comments(1)[0], comments(200)
	appended, finish := make(chan struct{}), make(chan struct{})
	var waiting sync.WaitGroup
	s := openWide(t, dsn)
	waiting.Go(func() {
		tx, err := s.Client().Tx(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		_, err = tx.ExecContext(context.Background(), eventlog.AppendPostgres, long.ID, string(long.Kind), long.Subject, long.Scope, time.Now())
		if err != nil {
			t.Error(err)
		}
		close(appended)
		<-finish
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
	})
	<-appended
	var lates []time.Duration
	for i, e := range short {
		begin := time.Now()
		write(t, l, e)
		eventually(t, "it is in the log", func() bool { return head(t, l).Position == int64(i+1) })
		lates = append(lates, time.Since(begin))
	}
	slices.Sort(lates)
	if worst := lates[len(lates)-1]; worst > 2*time.Second {
		t.Errorf("an event took %s", worst)
	}
	t.Logf("write to head beside a long transaction: median %s, worst %s", lates[len(lates)/2], lates[len(lates)-1])
	close(finish)
	waiting.Wait()
	es := await(t, l, len(short)+1)
	if !equal(es[len(short)], long) {
		t.Error("the long transaction's event is not the last one")
	}
}

// Whatever the database's own default is, a writer that must be run again is, and events move.
func TestSerializableByDefault(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	s, _ := node(t, dsn, "first")
	sql(t, s, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', current_database()); END $$`)
	_, l := node(t, dsn, "second") // its connections get the new default
	run(t, l)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 50 {
				if err := l.Write(t.Context(), func(context.Context, *ent.Client) ([]event.Event, error) { return comments(1), nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	await(t, l, 200)
}
