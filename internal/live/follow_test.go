package live_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"tidings/internal/event"
	"tidings/internal/live"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// strict is a member that takes its payloads only if each follows the one before it, and now and then has no room.
type strict struct {
	g    *live.Group
	ctx  context.Context
	last int64 // the position of the last one that is to come
	over chan error
	all  *sync.WaitGroup

	mu sync.Mutex
	at int64
}

func (s *strict) take(p *live.Payload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.At.Position != s.at+1 || string(p.Data) != fmt.Sprint(p.At.Position) {
		err := fmt.Errorf("event %d, %q, follows %d", p.At.Position, p.Data, s.at)
		s.end(err)
		return err
	}
	if s.at++; s.at == s.last {
		s.end(nil)
	}
	return nil
}

func (s *strict) end(err error) {
	select {
	case s.over <- err:
	default: // it is not the first
	}
}

func (s *strict) Put(_ context.Context, p *live.Payload) error { return s.take(p) }

func (s *strict) Deliver(ps []*live.Payload) int {
	if rand.N(20) == 0 {
		ps = ps[:rand.N(len(ps)+1)]
	}
	for i, p := range ps {
		if s.take(p) != nil {
			return i
		}
	}
	return len(ps)
}

func (s *strict) Behind(at event.Cursor) { s.follow(at) }
func (s *strict) End(err error)          { s.end(fmt.Errorf("ended: %w", err)) }

func (s *strict) follow(at event.Cursor) {
	s.all.Go(func() {
		if _, err := s.g.Follow(s.ctx, at, s, nil); err != nil && s.ctx.Err() == nil {
			s.end(err)
		}
	})
}

// TestFollowFromEveryCursor: what clients go through. Subscribers of one group resume at once at every cursor of a stream
// while writes go on, fall behind now and then, and are each told exactly what follows.
func TestFollowFromEveryCursor(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		n := start(t, s, live.Options{Page: testkit.Of(32, 256), Recent: testkit.Of(64, 1024), Pending: 8})
		before, during := testkit.Of(300, 10_000), testkit.Of(100, 2_000)
		first := n.subscribe(t, "")
		var places []event.Cursor
		for range n.write(t, before) {
			c, err := event.ParseCursor(first.Cursor(next(t, first)))
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, c)
		}
		g, err := n.hub.Group(t.Context(), live.Key{1}, event.CommentsOn(post), func(_ context.Context, e event.Event, _ string) ([]byte, bool, error) {
			if e.Position > int64(before) {
				time.Sleep(rand.N(2 * time.Millisecond)) // so that the log, the hub, the group and who follows are each elsewhere
			}
			return fmt.Append(nil, e.Position), false, nil
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Release()
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		defer all.Wait()
		defer stop()
		var sinks []*strict
		for _, at := range places {
			s := &strict{g: g, ctx: ctx, last: int64(before + during), over: make(chan error, 1), all: &all, at: at.Position}
			s.follow(at)
			sinks = append(sinks, s)
		}
		for left := during; left > 0; {
			burst := 1 + rand.N(min(left, 12))
			n.write(t, burst)
			left -= burst
			time.Sleep(rand.N(testkit.Of(10*time.Millisecond, 2*time.Second))) // the writes last about as long as the readers
		}
		patience := time.After(testkit.Of(time.Minute, 20*time.Minute))
		for i, s := range sinks {
			select {
			case err := <-s.over:
				if err != nil {
					t.Fatalf("behind %d: %v", i+1, err)
				}
			case <-patience:
				s.mu.Lock()
				defer s.mu.Unlock()
				t.Fatalf("behind %d it has come to %d", i+1, s.at)
			}
		}
	})
}
