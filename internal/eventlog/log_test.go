package eventlog_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/config"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit/pgtest"
)

var (
	writers = flag.Int("writers", 64, "concurrent writers of the race tests")
	writes  = flag.Int("writes", 60, "transactions of each writer; 2000 is a long run")
)

const wait = 20 * time.Second

func sqlite(t testing.TB) config.Database {
	return config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")}
}

func postgres(t testing.TB) config.Database {
	return config.Database{Dialect: config.Postgres, URL: pgtest.Database(t)}
}

func both(t *testing.T, test func(t *testing.T, d config.Database)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, postgres(t)) })
}

// node is one process's log, running.
type node struct {
	*eventlog.Log
	client *ent.Client
	woken  chan struct{}
	stop   func()
}

func start(t testing.TB, d config.Database, o eventlog.Options) *node {
	t.Helper()
	n := opened(t, d, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	n.stop = func() { cancel(); <-done }
	t.Cleanup(n.stop)
	return n
}

// opened is a node whose log doesn't run.
func opened(t testing.TB, d config.Database, o eventlog.Options) *node {
	t.Helper()
	s, err := store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	n := &node{client: s.Client(), woken: make(chan struct{}, 1)}
	o.Wake = func() {
		select {
		case n.woken <- struct{}{}:
		default:
		}
	}
	n.Log = eventlog.New(s.Client(), s.Dialect(), o)
	return n
}

func (n *node) write(t testing.TB, events ...event.Event) {
	t.Helper()
	if err := n.Write(t.Context(), func(context.Context, *ent.Client) ([]event.Event, error) { return events, nil }); err != nil {
		t.Fatal(err)
	}
}

// all reads the log from its beginning until it has as many events.
func (n *node) all(t testing.TB, count int) (events []event.Event) {
	t.Helper()
	for deadline := time.Now().Add(wait); len(events) < count; {
		page, err := n.Read(t.Context(), int64(len(events)), 500)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, page...)
		if len(page) == 0 {
			select {
			case <-n.woken:
			case <-time.After(50 * time.Millisecond):
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d events after %s, want %d", len(events), wait, count)
			}
		}
	}
	for i, e := range events {
		if e.Position != int64(i+1) {
			t.Fatalf("event %d is at position %d", i, e.Position)
		}
	}
	return events
}

func comment() event.Event { return event.NewCommentAdded(gid.NewComment(), gid.NewPost()) }

func TestWriteIsAllOrNothing(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		n := start(t, d, eventlog.Options{})
		ctx := auth.AsSystem(t.Context())
		user := func(ctx context.Context, tx *ent.Client, name string) error {
			return tx.User.Create().SetUsername(name).SetFullName(name).SetEmail(name + "@example.org").SetPasswordHash("-").Exec(ctx)
		}
		broken := errors.New("broken")
		if err := n.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			return []event.Event{comment()}, errors.Join(user(ctx, tx, "ada"), broken)
		}); !errors.Is(err, broken) {
			t.Error(err)
		}
		func() {
			defer func() {
				if recover() != "panic" {
					t.Error("the panic got lost")
				}
			}()
			_ = n.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				if err := user(ctx, tx, "ada"); err != nil {
					t.Error(err)
				}
				panic("panic")
			})
		}()
		want := []event.Event{comment(), event.NewPostCreated(gid.NewPost(), gid.NewUser())}
		if err := n.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) { return want, user(ctx, tx, "ada") }); err != nil {
			t.Fatal(err)
		}
		for i, e := range n.all(t, 2) {
			w := want[i]
			if e.ID != w.ID || e.Kind != w.Kind || e.Subject != w.Subject || e.Scope != w.Scope || time.Since(e.At) > time.Minute || e.At.IsZero() {
				t.Errorf("got %+v, want %+v", e, w)
			}
		}
		if count := n.client.User.Query().CountX(ctx); count != 1 {
			t.Errorf("%d users", count)
		}
		head, err := n.Head(ctx)
		if err != nil || head.Position != 2 || head.Tag != want[1].Tag() {
			t.Errorf("head %+v, %v", head, err)
		}
	})
}

// history is what writers have committed, in the order in which they know it to have happened.
type history struct {
	mu        sync.Mutex
	committed map[uuid.UUID]span
	rolled    map[uuid.UUID]bool
}

// span is when a transaction began and when its commit had returned.
type span struct{ began, ended time.Time }

// race lets many writers commit at random moments after their last statement, and roll back now and then.
func race(t *testing.T, write func(ctx context.Context, e event.Event, delay time.Duration, fail error) error) *history {
	h := &history{committed: map[uuid.UUID]span{}, rolled: map[uuid.UUID]bool{}}
	rollback := errors.New("rollback")
	var wg sync.WaitGroup
	for w := range *writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range *writes {
				e := comment()
				delay := time.Duration(r.IntN(20)) * time.Millisecond
				var fail error
				if r.IntN(10) == 0 {
					fail = rollback
				}
				s := span{began: time.Now()}
				err := write(t.Context(), e, delay, fail)
				s.ended = time.Now()
				h.mu.Lock()
				switch {
				case err == nil:
					h.committed[e.ID] = s
				case errors.Is(err, rollback):
					h.rolled[e.ID] = true
				default:
					t.Error(err)
				}
				h.mu.Unlock()
			}
		})
	}
	wg.Wait()
	return h
}

// check holds what a reader saw against what was committed: each once, nothing else, and in causal order.
func (h *history) check(seen []event.Event) (problems []string) {
	count := map[uuid.UUID]int{}
	var latestBegan time.Time // of the events so far
	for _, e := range seen {
		count[e.ID]++
		s, ok := h.committed[e.ID]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s was seen and never committed", e.ID))
		}
		if s.ended.Before(latestBegan) {
			problems = append(problems, fmt.Sprintf("%s had committed before one began that stands in front of it", e.ID))
		}
		if s.began.After(latestBegan) {
			latestBegan = s.began
		}
	}
	for id := range h.committed {
		if count[id] != 1 {
			problems = append(problems, fmt.Sprintf("%s was seen %d times", id, count[id]))
		}
	}
	return problems
}

func TestManyWritersLoseNothing(t *testing.T) {
	d := postgres(t)
	n := start(t, d, eventlog.Options{})
	start(t, d, eventlog.Options{}) // another node, which sequences too
	h := race(t, func(ctx context.Context, e event.Event, delay time.Duration, fail error) error {
		return n.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			if fail != nil {
				return nil, fail
			}
			return []event.Event{e}, nil
		})
	})
	// Delays before the commit need a statement behind the append, which Write has none of: the other half of the
	// writers append by hand.
	slow := race(t, func(ctx context.Context, e event.Event, delay time.Duration, fail error) error {
		tx, err := n.client.Tx(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "INSERT INTO log_inbox (id, kind, subject, scope, at) VALUES ($1, $2, $3, $4, now())",
			e.ID.String(), string(e.Kind), e.Subject.String(), e.Scope.String()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT pg_sleep($1)", delay.Seconds()); err != nil {
			return err
		}
		if fail != nil {
			return fail
		}
		return tx.Commit()
	})
	for id, s := range slow.committed {
		h.committed[id] = s
	}
	seen := n.all(t, len(h.committed))
	for _, p := range h.check(seen) {
		t.Error(p)
	}
	if len(h.rolled)+len(slow.rolled) == 0 {
		t.Error("nobody rolled back")
	}
	t.Logf("%d events of %d writers", len(seen), *writers)
}

// The same race against a tail that reads "id > last" of a serial column: if the check can't see its losses, it can't
// see anything.
func TestANaiveTailLosesEvents(t *testing.T) {
	n := opened(t, postgres(t), eventlog.Options{})
	tx, err := n.client.Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "CREATE TABLE naive (pos bigserial PRIMARY KEY, id uuid NOT NULL)"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var seen []event.Event
	tail := func() error {
		last := int64(0)
		if len(seen) > 0 {
			last = seen[len(seen)-1].Position
		}
		rows, err := n.client.QueryContext(t.Context(), "SELECT pos, id FROM naive WHERE pos > $1 ORDER BY pos", last)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e event.Event
			if err := rows.Scan(&e.Position, &e.ID); err != nil {
				return err
			}
			seen = append(seen, e)
		}
		return rows.Err()
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			if err := tail(); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	h := race(t, func(ctx context.Context, e event.Event, delay time.Duration, fail error) error {
		tx, err := n.client.Tx(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "INSERT INTO naive (id) VALUES ($1)", e.ID.String()); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "SELECT pg_sleep($1)", delay.Seconds()); err != nil {
			return err
		}
		if fail != nil {
			return fail
		}
		return tx.Commit()
	})
	close(stop)
	<-stopped
	if err := tail(); err != nil {
		t.Fatal(err)
	}
	problems := h.check(seen)
	if len(problems) == 0 {
		t.Error("the naive tail lost nothing: the race is none")
	}
	t.Logf("%d of %d events went wrong", len(problems), len(h.committed))
}

func TestAnOpenTransactionDelaysOnlyItself(t *testing.T) {
	n := start(t, postgres(t), eventlog.Options{})
	open, entered := make(chan struct{}), make(chan struct{})
	late := comment()
	done := make(chan error, 1)
	go func() {
		tx, err := n.client.Tx(context.Background())
		if err == nil {
			_, err = tx.ExecContext(context.Background(), "INSERT INTO log_inbox (id, kind, subject, scope, at) VALUES ($1, $2, $3, $4, now())",
				late.ID.String(), string(late.Kind), late.Subject.String(), late.Scope.String())
			close(entered)
			<-open
			err = errors.Join(err, tx.Commit())
		}
		done <- err
	}()
	<-entered
	for i := range 20 {
		n.write(t, comment())
		n.all(t, i+1)
	}
	close(open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if events := n.all(t, 21); events[20].ID != late.ID {
		t.Error("the transaction that stayed open is not the last")
	}
}

func TestAnotherNodeSequencesOn(t *testing.T) {
	d := postgres(t)
	first, second := start(t, d, eventlog.Options{}), start(t, d, eventlog.Options{})
	first.write(t, comment())
	first.all(t, 1)
	first.stop()
	first.write(t, comment()) // committed by a node that will never move it
	second.all(t, 2)
}

func TestResolve(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		n := start(t, d, eventlog.Options{})
		post := gid.NewPost()
		comments := make([]gid.Comment, 3)
		beginning, err := n.Head(t.Context())
		if err != nil || beginning.Position != 0 || beginning.Tag != 0 {
			t.Fatal(beginning, err)
		}
		topic := event.CommentsOn(post)
		for i := range comments {
			comments[i] = gid.NewComment()
			n.write(t, event.NewCommentAdded(comments[i], post))
		}
		events := n.all(t, 3)
		for i, c := range comments {
			got, err := n.Resolve(t.Context(), topic, c.String())
			if want := event.After(events[i], beginning.Epoch); err != nil || got != want {
				t.Errorf("after comment %d: %+v, %v, want %+v", i, got, err, want)
			}
			if again, err := n.Resolve(t.Context(), topic, got.String()); err != nil || again != got {
				t.Errorf("after cursor %d: %+v, %v", i, again, err)
			}
		}
		if got, err := n.Resolve(t.Context(), topic, beginning.String()); err != nil || got != beginning {
			t.Errorf("the beginning: %+v, %v", got, err)
		}
		other, rewound, beyond := event.After(events[1], event.Epoch{1}), event.After(events[1], beginning.Epoch), event.After(events[2], beginning.Epoch)
		rewound.Tag++
		beyond.Position++
		for after, want := range map[string]error{
			other.String():            event.ErrExpired,
			rewound.String():          event.ErrExpired,
			beyond.String():           event.ErrExpired,
			gid.NewComment().String(): event.ErrExpired,
			post.String():             event.ErrWrongKind,
			gid.NewUser().String():    event.ErrWrongKind,
			"":                        event.ErrBadCursor,
			"x":                       event.ErrBadCursor,
		} {
			if _, err := n.Resolve(t.Context(), topic, after); !errors.Is(err, want) {
				t.Errorf("after %q: %v, want %v", after, err, want)
			}
		}
	})
}

func TestResolveWaitsForTheInbox(t *testing.T) {
	d := postgres(t)
	writer := opened(t, d, eventlog.Options{}) // sequences nothing
	post, c := gid.NewPost(), gid.NewComment()
	writer.write(t, event.NewCommentAdded(c, post))
	got := make(chan error, 1)
	go func() {
		_, err := writer.Resolve(context.Background(), event.CommentsOn(post), c.String())
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatal("did not wait: ", err)
	case <-time.After(100 * time.Millisecond):
	}
	start(t, d, eventlog.Options{})
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func TestRetention(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		now := time.Now()
		var mu sync.Mutex
		clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
		pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
		n := start(t, d, eventlog.Options{Retention: time.Hour, Now: clock})
		for range 5 {
			n.write(t, comment())
		}
		first := n.all(t, 5)
		head, _ := n.Head(t.Context())
		beginning := event.Cursor{Epoch: head.Epoch}
		pass(40 * time.Minute)
		for range 3 {
			n.write(t, comment())
		}
		n.all(t, 8)
		pass(30 * time.Minute)
		if deleted, err := n.Retain(t.Context()); err != nil || deleted != 5 {
			t.Fatalf("deleted %d, %v", deleted, err)
		}
		if events, err := n.Read(t.Context(), 5, 10); err != nil || len(events) != 3 {
			t.Errorf("after what is gone: %d events, %v", len(events), err)
		}
		if _, err := n.Read(t.Context(), 4, 10); !errors.Is(err, event.ErrExpired) {
			t.Errorf("a reader that would miss one: %v", err)
		}
		for _, c := range []event.Cursor{beginning, event.After(first[4], head.Epoch)} {
			if _, err := n.Resolve(t.Context(), event.Posts(), c.String()); !errors.Is(err, event.ErrExpired) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		pass(24 * time.Hour)
		if deleted, err := n.Retain(t.Context()); err != nil || deleted != 2 {
			t.Errorf("deleted %d, %v", deleted, err)
		}
		if head, err := n.Head(t.Context()); err != nil || head.Position != 8 {
			t.Errorf("%+v, %v", head, err)
		}
		n.write(t, comment())
	})
}

// BenchmarkWrite compares a write and its event with the same write and a plain insert into a serial table.
func BenchmarkWrite(b *testing.B) {
	for _, kind := range []string{"event", "naive"} {
		b.Run(kind, func(b *testing.B) {
			n := start(b, postgres(b), eventlog.Options{})
			ctx := auth.AsSystem(b.Context())
			author := gid.NewUser()
			if err := n.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				return nil, tx.User.Create().SetID(author).SetUsername("ada").SetFullName("A").SetEmail("ada@example.org").SetPasswordHash("-").Exec(ctx)
			}); err != nil {
				b.Fatal(err)
			}
			tx, err := n.client.Tx(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := tx.ExecContext(ctx, "CREATE TABLE naive (pos bigserial PRIMARY KEY, id uuid, kind text, subject uuid, scope uuid, at timestamptz)"); err != nil {
				b.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
			post := func(ctx context.Context, tx *ent.Client) (event.Event, error) {
				id := gid.NewPost()
				return event.NewPostCreated(id, author), tx.Post.Create().SetID(id).SetAuthorID(author).SetTitle("Title").SetContent("text").Exec(ctx)
			}
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					var err error
					if kind == "event" {
						err = n.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
							e, err := post(ctx, tx)
							return []event.Event{e}, err
						})
					} else {
						var tx *ent.Tx
						if tx, err = n.client.Tx(ctx); err == nil {
							var e event.Event
							if e, err = post(ctx, tx.Client()); err == nil {
								_, err = tx.ExecContext(ctx, "INSERT INTO naive (id, kind, subject, scope, at) VALUES ($1, $2, $3, $4, $5)", e.ID.String(), string(e.Kind), e.Subject.String(), e.Scope.String(), time.Now())
							}
							err = errors.Join(err, tx.Commit())
						}
					}
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
