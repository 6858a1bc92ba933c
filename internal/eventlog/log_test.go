package eventlog_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"go.uber.org/goleak"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

func TestMain(m *testing.M) {
	// The throw-away Postgres of the test process ends with the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

// run runs the log until the test ends, or stop is called.
func run(t testing.TB, l *eventlog.Log) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// open returns the log of s, running, and what counts its wake-ups.
func open(t testing.TB, s *store.Store, o eventlog.Options) *eventlog.Log {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := eventlog.New(s.Client(), s.Dialect(), o)
	run(t, l)
	return l
}

func write(t testing.TB, l *eventlog.Log, es ...event.Event) {
	t.Helper()
	if err := l.Write(t.Context(), func(context.Context, *ent.Client) ([]event.Event, error) { return es, nil }); err != nil {
		t.Fatal("writing: ", err)
	}
}

func comments(n int) []event.Event {
	es := make([]event.Event, n)
	for i := range es {
		es[i] = event.NewCommentAdded(gid.NewComment(), gid.NewPost())
	}
	return es
}

// eventually polls until ok, for a bounded time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it never came to this: ", what)
		}
	}
}

func head(t testing.TB, l *eventlog.Log) event.Cursor {
	t.Helper()
	c, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// await waits until the log has n events and returns them.
func await(t testing.TB, l *eventlog.Log, n int) []event.Event {
	t.Helper()
	eventually(t, "all events are in the log", func() bool { return head(t, l).Position >= int64(n) })
	es, err := l.Read(t.Context(), 0, n+1)
	if err != nil {
		t.Fatal(err)
	}
	if len(es) != n {
		t.Fatalf("the log holds %d events, want %d", len(es), n)
	}
	return es
}

// equal compares but for what the log has given: position and time.
func equal(a, b event.Event) bool {
	a.Position, a.At = b.Position, b.At
	return a == b
}

func newUser(ctx context.Context, tx *ent.Client, name string) error {
	return tx.User.Create().SetUsername(name).SetFullName(name).SetEmail(name + "@example.com").SetPasswordHash("x").Exec(auth.AsSystem(ctx))
}

func users(t *testing.T, s *store.Store) int {
	n, err := s.Client().User.Query().Count(auth.AsSystem(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWrite(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		now := time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.FixedZone("", 3600))
		l := open(t, s, eventlog.Options{Now: func() time.Time { return now }})
		if h := head(t, l); h.Position != 0 || h.Tag != 0 || h.Epoch == (event.Epoch{}) {
			t.Errorf("the head of an empty log: %+v", h)
		}
		es := comments(3)
		err := l.Write(t.Context(), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			return es, newUser(ctx, tx, "ada")
		})
		if err != nil {
			t.Fatal(err)
		}
		write(t, l) // no event at all
		got := await(t, l, 3)
		for i, e := range got {
			if !equal(e, es[i]) || e.Position != int64(i+1) || !e.At.Equal(now.Truncate(time.Microsecond)) || e.At.Location() != time.UTC {
				t.Errorf("event %d: %+v, want %+v", i+1, e, es[i])
			}
		}
		if h := head(t, l); h != event.After(got[2], h.Epoch) {
			t.Errorf("the head is %+v", h)
		}
		if n := users(t, s); n != 1 {
			t.Errorf("%d users", n)
		}
	})
}

// What does not commit leaves nothing behind: neither rows, nor events, nor a wake-up.
// What is appended in parts stands before what fn returns, and is there exactly if all is.
func TestAppendInParts(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		l := open(t, s, eventlog.Options{})
		parts := func(all []event.Event, err error) error {
			return l.Write(t.Context(), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				for part := range slices.Chunk(all[:len(all)-1], 2) {
					if err := l.Append(ctx, tx, part); err != nil {
						return nil, err
					}
				}
				return all[len(all)-1:], err
			})
		}
		refused, es := errors.New("refused"), comments(6)
		if err := parts(comments(6), refused); err != refused {
			t.Fatal(err)
		}
		if err := parts(es, nil); err != nil {
			t.Fatal(err)
		}
		for i, got := range await(t, l, len(es)) {
			if !equal(got, es[i]) {
				t.Errorf("at %d: %+v, want %+v", got.Position, got, es[i])
			}
		}
	})
}

func TestWriteFails(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		var mu sync.Mutex
		wakes := 0
		l := open(t, s, eventlog.Options{Wake: func() { mu.Lock(); defer mu.Unlock(); wakes++ }})
		errRefused := errors.New("refused")
		cancelled, cancel := context.WithCancel(t.Context())
		for name, fn := range map[string]func(context.Context, *ent.Client) ([]event.Event, error){
			"an error":  func(context.Context, *ent.Client) ([]event.Event, error) { return comments(1), errRefused },
			"a panic":   func(context.Context, *ent.Client) ([]event.Event, error) { panic("oh") },
			"cancelled": func(context.Context, *ent.Client) ([]event.Event, error) { cancel(); return comments(1), nil },
			"no id": func(context.Context, *ent.Client) ([]event.Event, error) {
				e := comments(2)
				e[1].ID[0] = 0
				e[1] = event.Event{}
				return e, nil
			},
			"no scope": func(context.Context, *ent.Client) ([]event.Event, error) {
				return []event.Event{event.NewPostCreated(gid.NewPost(), gid.User{})}, nil
			},
			"no subject": func(context.Context, *ent.Client) ([]event.Event, error) {
				return []event.Event{event.NewPostCreated(gid.Post{}, gid.NewUser())}, nil
			},
			"an old event": func(context.Context, *ent.Client) ([]event.Event, error) {
				e := comments(1)
				e[0].Position = 7
				return e, nil
			},
			"a second user": func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				return comments(1), newUser(ctx, tx, "ADA")
			},
		} {
			ctx := t.Context()
			if name == "cancelled" {
				ctx = cancelled
			}
			var err error
			panicked := func() (v any) {
				defer func() { v = recover() }()
				err = l.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
					if err := newUser(ctx, tx, "ada"); err != nil {
						return nil, err
					}
					return fn(ctx, tx)
				})
				return nil
			}()
			if (err == nil) != (name == "a panic") || (panicked == nil) == (name == "a panic") {
				t.Errorf("%s: %v, panic: %v", name, err, panicked)
			}
			if name == "an error" && err != errRefused {
				t.Errorf("%s: not returned as it is: %v", name, err)
			}
			if n := users(t, s); n != 0 {
				t.Errorf("%s: %d users", name, n)
			}
		}
		mu.Lock()
		if wakes != 0 {
			t.Errorf("%d wake-ups for nothing", wakes)
		}
		mu.Unlock()
		write(t, l, comments(1)...)
		await(t, l, 1)
	})
}

// Whoever is woken finds the event.
func TestWriteAnnounces(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		woken := make(chan struct{}, 100)
		var notified sync.Map
		var l *eventlog.Log
		l = open(t, s, eventlog.Options{
			Wake: func() { woken <- struct{}{} },
			Notify: func(ctx context.Context) error {
				h, err := l.Head(ctx)
				notified.Store(h.Position, true)
				return err
			},
		})
		for position := int64(1); position <= 5; position++ {
			write(t, l, comments(1)...)
			select {
			case <-woken:
			case <-time.After(10 * time.Second):
				t.Fatal("nobody was woken")
			}
			if h := head(t, l); h.Position != position {
				t.Fatalf("woken at %d, want %d", h.Position, position)
			}
		}
		if s.Dialect() == dialect.Postgres {
			eventually(t, "the other nodes are told of the last event", func() bool { _, ok := notified.Load(int64(5)); return ok })
		}
	})
}

// The caller may be gone once the commit is through: its event is announced all the same.
func TestWriteAnnouncesForACancelledCaller(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		woken := make(chan struct{}, 100)
		l := open(t, s, eventlog.Options{Wake: func() { woken <- struct{}{} }})
		committed := 0
		for range 50 {
			ctx, cancel := context.WithCancel(t.Context())
			err := l.Write(ctx, func(context.Context, *ent.Client) ([]event.Event, error) {
				time.AfterFunc(300*time.Microsecond, cancel) // somewhere around the commit
				return comments(1), nil
			})
			cancel()
			if err == nil {
				committed++
			}
		}
		await(t, l, max(committed, int(head(t, l).Position))) // a commit whose caller got an error may have taken place
		if s.Dialect() == dialect.SQLite && len(woken) != committed {
			t.Errorf("%d wake-ups for %d commits", len(woken), committed)
		}
	})
}

func TestWriteRunsVictimsAgain(t *testing.T) {
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: testkit.MigratedPostgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := open(t, s, eventlog.Options{})
	for _, c := range []struct {
		code        string
		times, runs int
	}{{"40001", 2, 3}, {"40P01", 1, 2}, {"40001", 9, 3}, {"22012", 1, 1}} {
		before, runs := head(t, l).Position, 0
		err := l.Write(t.Context(), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			if runs++; runs <= c.times {
				_, err := tx.ExecContext(ctx, "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '"+c.code+"'; END $$")
				return nil, err
			}
			return comments(1), nil
		})
		if runs != c.runs || (err == nil) != (c.times < c.runs) {
			t.Errorf("%s %d times: ran %d times, %v", c.code, c.times, runs, err)
		}
		if err == nil {
			await(t, l, int(before)+1)
		}
	}
}

// The database goes away under Run: it says so once, carries on when it is back, and leaves nothing out.
func TestOutage(t *testing.T) {
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: testkit.MigratedPostgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var printed lockedBuffer
	l := open(t, s, eventlog.Options{Logger: slog.New(slog.NewTextHandler(&printed, nil))})
	write(t, l, comments(1)...)
	await(t, l, 1)
	rename := func(from, to string) {
		if _, err := s.Client().ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("log", "away")
	write(t, l, comments(3)...)
	eventually(t, "the outage is logged", func() bool { return strings.Contains(printed.String(), "can't be moved") })
	rename("away", "log")
	await(t, l, 4)
	eventually(t, "its end is logged", func() bool { return strings.Contains(printed.String(), "again") })
	if n := strings.Count(printed.String(), "\n"); n != 2 {
		t.Errorf("logged as\n%s", printed.String())
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

// Under load the sequencer waits for some to come together.
func TestMovesArePaced(t *testing.T) {
	s := openWide(t, testkit.MigratedPostgres(t))
	var moves atomic.Int64
	l := open(t, s, eventlog.Options{Wake: func() { moves.Add(1) }})
	begin, n := time.Now(), 0
	for time.Since(begin) < 300*time.Millisecond || n < 40 {
		write(t, l, comments(2)...)
		n++
	}
	await(t, l, 2*n)
	most := int64(time.Since(begin)/eventlog.Pace) + 1
	t.Logf("%d writes of 2 events, %d moves, %d at most", n, moves.Load(), most)
	if m := moves.Load(); m > most {
		t.Errorf("%d moves, want %d at most", m, most)
	}
}
