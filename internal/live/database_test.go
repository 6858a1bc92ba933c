package live_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/live"
	"tidings/internal/store"
	"tidings/internal/testkit"
	"tidings/internal/wake"
)

var _ live.Log = (*eventlog.Log)(nil)

// node is everything that one process has between its database and its subscribers.
type node struct {
	store *store.Store
	log   *eventlog.Log
	hub   *live.Hub
	stop  func()
}

func start(t testing.TB, s *store.Store, o live.Options) *node {
	t.Helper()
	return startNode(t, s, o, true)
}

// startNode starts a node that tells others on its Postgres, and hears of them, or doesn't.
func startNode(t testing.TB, s *store.Store, o live.Options, notifies bool) *node {
	t.Helper()
	var moved wake.Signal
	quiet := slog.New(slog.DiscardHandler)
	lo := eventlog.Options{Wake: moved.Wake, Logger: quiet}
	var listener *wake.Postgres
	if notifies && s.Dialect() == dialect.Postgres {
		var err error
		if listener, err = wake.NewPostgres(s.DSN(), s.Client(), quiet); err != nil {
			t.Fatal(err)
		}
		lo.Notify = listener.Notify
	}
	log := eventlog.New(s.Client(), s.Dialect(), lo)
	woken, giveBack := moved.Wait()
	o.Logger = quiet
	hub := live.New(log, woken, o)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) })
	running.Go(func() { _ = hub.Run(ctx) })
	if listener != nil {
		running.Go(func() { _ = listener.Run(ctx, moved.Wake) })
	}
	stop := func() { cancel(); running.Wait(); giveBack() }
	t.Cleanup(stop)
	return &node{s, log, hub, stop}
}

func openStore(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var post = gid.NewPost()

func (n *node) write(t testing.TB, count int) []event.Event {
	t.Helper()
	es := make([]event.Event, count)
	for i := range es {
		es[i] = event.NewCommentAdded(gid.NewComment(), post)
	}
	if err := n.log.Write(t.Context(), func(context.Context, *ent.Client) ([]event.Event, error) { return es, nil }); err != nil {
		t.Fatal(err)
	}
	return es
}

func (n *node) subscribe(t testing.TB, after string) *live.Subscription {
	t.Helper()
	r := live.Request{Topic: event.CommentsOn(post)}
	if after != "" {
		r.After = &after
	}
	s, err := n.hub.Subscribe(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s *live.Subscription) event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	e, err := s.Next(ctx)
	if err != nil {
		t.Fatal("Next: ", err)
	}
	return e
}

// Every place of a stream, by cursor and by the item's id, while writes go on: the exact suffix.
func TestResumeOnADatabase(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		n := start(t, s, live.Options{Page: testkit.Of(32, 256), Pending: 8})
		before := testkit.Of(100, 10_000)
		first := n.subscribe(t, "")
		var places []string
		var behind []int64 // which event each place is
		for i, e := range n.write(t, before) {
			got := next(t, first)
			if got.ID != e.ID {
				t.Fatalf("event %d is another one", got.Position)
			}
			places, behind = append(places, first.Cursor(got)), append(behind, got.Position)
			if i%testkit.Of(1, 10) == 0 {
				places, behind = append(places, gid.CommentOf(e.Subject).String()), append(behind, got.Position)
			}
		}
		var written atomic.Int64 // all of these are in the log, or will be
		written.Store(int64(before))
		done, writing := make(chan struct{}), sync.WaitGroup{}
		writing.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(testkit.Of(2*time.Millisecond, 20*time.Millisecond)):
				}
				n.write(t, 1)
				written.Add(1)
			}
		})
		resume := func(i int) error {
			last := written.Load() + 5 // some of which are not written yet
			s, err := n.hub.Subscribe(t.Context(), live.Request{Topic: event.CommentsOn(post), After: &places[i]})
			if err != nil {
				return err
			}
			defer s.Close()
			for position := behind[i] + 1; position <= last; position++ {
				if e, err := s.Next(t.Context()); err != nil || e.Position != position {
					return fmt.Errorf("event %d, %w; want %d", e.Position, err, position)
				}
			}
			return nil
		}
		var all sync.WaitGroup
		var taken atomic.Int64
		for range 16 {
			all.Go(func() {
				for i := int(taken.Add(1)) - 1; i < len(places); i = int(taken.Add(1)) - 1 {
					if err := resume(i); err != nil {
						t.Errorf("behind %d: %v", behind[i], err)
					}
				}
			})
		}
		all.Wait()
		close(done)
		writing.Wait()
		t.Logf("resumed at %d places, while %d events were written", len(places), written.Load()-int64(before))
	})
}

// A subscription that was acknowledged misses nothing that is committed from then on.
func TestFromNowOnADatabase(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		n := start(t, s, live.Options{})
		for range 50 {
			s := n.subscribe(t, "")
			e := n.write(t, 1)[0]
			for next(t, s).ID != e.ID { // on Postgres the commit before may still have been on its way
			}
			s.Close()
		}
	})
}

// A restore under a running node: those who were subscribed are told.
func TestRestoreUnderANode(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		n := start(t, s, live.Options{})
		sub := n.subscribe(t, "")
		n.write(t, 10)
		var last event.Event
		for range 10 {
			last = next(t, sub)
		}
		if _, err := s.Client().ExecContext(t.Context(), `DELETE FROM log WHERE pos > 5`); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if e, err := sub.Next(ctx); !errors.Is(err, event.ErrExpired) {
			t.Errorf("Next: event %d, %v", e.Position, err)
		}
		n.write(t, 10)
		after := sub.Cursor(last)
		if _, err := n.hub.Subscribe(t.Context(), live.Request{Topic: event.CommentsOn(post), After: &after}); !errors.Is(err, event.ErrExpired) {
			t.Errorf("resuming: %v", err)
		}
	})
}

// What is written through one node reaches the other's subscribers: at once while notifications work, by polling while
// they don't.
func TestTwoNodes(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	a, b := start(t, openStore(t, dsn), live.Options{}), start(t, openStore(t, dsn), live.Options{})
	subs := []*live.Subscription{a.subscribe(t, ""), b.subscribe(t, "")}
	through := func(n *node) (slowest time.Duration) {
		begin := time.Now()
		e := n.write(t, 1)[0]
		for _, s := range subs {
			if got := next(t, s); got.ID != e.ID {
				t.Fatalf("event %d is another one", got.Position)
			}
		}
		return time.Since(begin)
	}
	var fast []time.Duration
	for range 20 {
		fast = append(fast, through(a), through(b))
	}
	slices.Sort(fast)
	if fast[len(fast)/2] > 150*time.Millisecond {
		t.Errorf("half of the events took more than %s: that is polling", fast[len(fast)/2])
	}
	for range 10 {
		_, err := a.store.Client().ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
		if err != nil {
			t.Fatal(err)
		}
		if late := through(b); late > 3*time.Second {
			t.Errorf("with its listeners killed it took %s", late)
		}
	}
	a.stop()
	if _, err := subs[0].Next(t.Context()); !errors.Is(err, live.ErrStopped) {
		t.Errorf("a subscriber of the node that stopped: %v", err)
	}
	subs = subs[1:]
	through(b)
}

// TestNobodyNotifies: where NOTIFY is never sent, what is written through one node comes to the other's subscribers all the
// same, at the pace of polling.
func TestNobodyNotifies(t *testing.T) {
	dsn := testkit.MigratedPostgres(t)
	a, b := startNode(t, openStore(t, dsn), live.Options{}, false), startNode(t, openStore(t, dsn), live.Options{}, false)
	near, far := a.subscribe(t, ""), b.subscribe(t, "")
	var slowest time.Duration
	for range 20 {
		es := a.write(t, 5)
		begin := time.Now()
		for _, s := range []*live.Subscription{near, far} {
			for _, e := range es {
				if got := next(t, s); got.ID != e.ID {
					t.Fatalf("event %d is another one", got.Position)
				}
			}
		}
		slowest = max(slowest, time.Since(begin))
	}
	if slowest > 3*time.Second {
		t.Errorf("it took %s, which is not polling", slowest)
	}
	t.Logf("without notifications it takes %s at most", slowest)
}

// What is printed is the time from before the commit to the return of Next, on an idle machine.
func BenchmarkCommitToNext(b *testing.B) {
	stores := map[string]func() *store.Store{
		"sqlite": func() *store.Store {
			s, err := store.Open(b.Context(), store.Target{Dialect: dialect.SQLite, DSN: b.TempDir() + "/tidings.db"})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = s.Close() })
			return s
		},
		"postgres":       func() *store.Store { return openStore(b, testkit.MigratedPostgres(b)) },
		"postgres-other": func() *store.Store { return openStore(b, testkit.MigratedPostgres(b)) },
	}
	for _, name := range []string{"sqlite", "postgres", "postgres-other"} {
		b.Run(name, func(b *testing.B) {
			s := stores[name]()
			writer := start(b, s, live.Options{})
			reader := writer
			if name == "postgres-other" {
				reader = start(b, openStore(b, s.DSN()), live.Options{})
			}
			sub := reader.subscribe(b, "")
			var commits, total []time.Duration
			for b.Loop() {
				time.Sleep(25 * time.Millisecond) // idle: notifications come at most once in 15 ms
				begin := time.Now()
				writer.write(b, 1)
				commits = append(commits, time.Since(begin))
				next(b, sub)
				total = append(total, time.Since(begin)-commits[len(commits)-1])
			}
			slices.Sort(total)
			slices.Sort(commits)
			b.ReportMetric(float64(total[len(total)/2].Microseconds()), "p50-µs-after-commit")
			b.ReportMetric(float64(total[len(total)*99/100].Microseconds()), "p99-µs-after-commit")
			b.ReportMetric(float64(commits[len(commits)/2].Microseconds()), "p50-µs-commit")
		})
	}
}
