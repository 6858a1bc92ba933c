package eventlog_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// clock is a clock that stands still until it is set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func trim(t *testing.T, l *eventlog.Log, want int) {
	t.Helper()
	if n, err := eventlog.Trim(l, t.Context()); err != nil || n != want {
		t.Fatalf("deleted %d events, %v; want %d", n, err, want)
	}
}

func kept(t *testing.T, l *eventlog.Log, from, to int64) {
	t.Helper()
	es, err := l.Read(t.Context(), from-1, 10_000)
	if err != nil || len(es) == 0 || es[0].Position != from || es[len(es)-1].Position != to {
		t.Fatalf("from %d: %d events, %v; want those up to %d", from, len(es), err, to)
	}
	if from > 1 {
		if _, err := l.Read(t.Context(), from-2, 1); !errors.Is(err, event.ErrExpired) {
			t.Fatalf("reading what is deleted: %v", err)
		}
	}
}

func TestRetention(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		now := &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
		l := open(t, s, eventlog.Options{Retention: time.Hour, Now: now.Now})
		trim(t, l, 0)
		total := 0
		add := func(n int) {
			write(t, l, comments(n)...)
			total += n
			eventually(t, "they are in the log", func() bool { return head(t, l).Position == int64(total) })
		}
		add(3)
		now.add(30 * time.Minute)
		add(1)
		trim(t, l, 0)
		now.add(30*time.Minute + 500*time.Millisecond) // three are too old; a fraction of a second must count
		trim(t, l, 2)                                  // the third is where a client stands that has seen all but the young one
		kept(t, l, 3, 4)
		trim(t, l, 0)
		now.add(24 * time.Hour) // all are too old: the newest stays
		trim(t, l, 1)
		trim(t, l, 0)
		kept(t, l, 4, 4)
		if h := head(t, l); h.Position != 4 || h.Tag == 0 {
			t.Errorf("the head is %+v", h)
		}

		// A clock that was behind leaves an old time between younger ones: what is deleted stays a prefix.
		add(1)
		now.add(-2 * time.Hour)
		add(1)
		now.add(2 * time.Hour)
		add(1)
		now.add(30 * time.Minute)
		trim(t, l, 0)
		kept(t, l, 4, 7)
		now.add(31 * time.Minute)
		trim(t, l, 3)
		kept(t, l, 7, 7)

		// More than fits in one go.
		add(2*eventlog.Batch + 500)
		now.add(24 * time.Hour)
		trim(t, l, eventlog.Batch)
		trim(t, l, eventlog.Batch)
		trim(t, l, 500)
		kept(t, l, int64(total), int64(total))
		add(1)
		kept(t, l, int64(total)-1, int64(total))
	})
}

// A reader slower than the retention is told so; whatever it reads before that is whole.
func TestRetentionUnderAReader(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		now := &clock{now: time.Now()}
		l := open(t, s, eventlog.Options{Retention: time.Hour, Now: now.Now})
		const events = 3500
		write(t, l, comments(events)...)
		await(t, l, events)
		now.add(2 * time.Hour)
		var all sync.WaitGroup
		start := make(chan struct{})
		for range 4 {
			all.Go(func() {
				at := int64(0)
				<-start
				for at < events {
					page, err := l.Read(context.Background(), at, 50)
					if errors.Is(err, event.ErrExpired) {
						return
					}
					if err != nil || len(page) == 0 {
						t.Errorf("reading behind %d: %d events, %v", at, len(page), err)
						return
					}
					for _, e := range page {
						if at++; e.Position != at {
							t.Errorf("event %d stands at %d", at, e.Position)
							return
						}
					}
				}
			})
		}
		close(start)
		for n := eventlog.Batch; n == eventlog.Batch; {
			var err error
			if n, err = eventlog.Trim(l, t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all.Wait()
		kept(t, l, events, events)
	})
}
