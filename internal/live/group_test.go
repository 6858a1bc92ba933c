package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tidings/internal/event"
)

// sink is a member that keeps what it is handed, and can be made to have no room.
type sink struct {
	t *testing.T
	g *Group
	// room says how many payloads Deliver takes; nil: all of them.
	room func(offered int) int

	mu      sync.Mutex
	got     []int64
	over    error
	members int
	all     sync.WaitGroup
	ctx     context.Context
	stalled bool // Put waits for ever
}

func (s *sink) take(p *Payload) {
	if want := fmt.Sprint(p.At.Position); string(p.Data) != want {
		s.t.Errorf("at %s stands %s", want, p.Data)
	}
	s.got = append(s.got, p.At.Position)
}

func (s *sink) Put(ctx context.Context, p *Payload) error {
	if s.stalled {
		<-ctx.Done()
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(p)
	return nil
}

func (s *sink) Deliver(ps []*Payload) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(ps)
	if s.room != nil {
		n = s.room(n)
	}
	for _, p := range ps[:n] {
		s.take(p)
	}
	return n
}

func (s *sink) Behind(at event.Cursor) { s.follow(at) }

func (s *sink) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = err
}

// follow follows in a goroutine of its own.
func (s *sink) follow(at event.Cursor) {
	s.all.Go(func() {
		m, err := s.g.Follow(s.ctx, at, s, nil)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.over = err
		} else if m != nil {
			s.members++
		}
	})
}

func (s *sink) positions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *sink) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// rendered is a Render that tells positions, and counts.
type rendered struct {
	times atomic.Int64
	err   func(e event.Event) error
	over  func(e event.Event) bool
	delay func()
}

func (r *rendered) render(_ context.Context, e event.Event, _ string) ([]byte, bool, error) {
	r.times.Add(1)
	if r.delay != nil {
		r.delay()
	}
	if r.err != nil {
		if err := r.err(e); err != nil {
			return nil, false, err
		}
	}
	if r.over != nil && r.over(e) {
		return nil, true, nil
	}
	return fmt.Append(nil, e.Position), false, nil
}

func group(t *testing.T, h *Hub, r *rendered) *Group {
	t.Helper()
	g, err := h.Group(t.Context(), Key{1}, event.CommentsOn(posts[0]), r.render, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func newSink(t *testing.T, g *Group, at event.Cursor) *sink {
	s := &sink{t: t, g: g, ctx: t.Context()}
	s.follow(at)
	return s
}

// upTo is 1 to n.
func upTo(from, n int64) (all []int64) {
	for i := from; i <= n; i++ {
		all = append(all, i)
	}
	return all
}

// TestGroupsRenderOnce: each event is rendered once, however many members there are, and told to each of them once and in
// order, wherever they come from.
func TestGroupsRenderOnce(t *testing.T) {
	const members, before, during = 300, 40, 60
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 16, Pending: 8})
		defer stop()
		synctest.Wait()
		var all []event.Event
		all = append(all, log.append(commentsN(before)...)...)
		log.wake()
		synctest.Wait()
		r := new(rendered)
		var sinks []*sink
		for i := range members {
			at := event.Cursor{Epoch: log.epoch}
			if i := i % (before + 1); i > 0 {
				at = event.After(all[i-1], log.epoch)
			}
			s := newSink(t, group(t, h, r), at)
			sinks = append(sinks, s)
		}
		time.Sleep(time.Second)
		r.times.Store(0) // all are members now
		for range during {
			log.append(comment(), event.NewPostCreated(posts[1], author))
			if rand.N(2) == 0 {
				log.wake()
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i, s := range sinks {
			var want []int64
			for p := int64(i%(before+1)) + 1; p <= before+2*during; p++ {
				if p <= before || (p-before)%2 == 1 {
					want = append(want, p)
				}
			}
			if got := s.positions(); !slices.Equal(got, want) {
				t.Fatalf("member %d was told %v, want %v", i, got, want)
			}
			if s.members != 1 || s.ended() != nil {
				t.Errorf("member %d: %d times, %v", i, s.members, s.ended())
			}
			s.g.Release()
		}
		if n := r.times.Load(); n != during {
			t.Errorf("%d events were rendered %d times", during, n)
		}
		if len(h.groups.known) != 0 {
			t.Error("a group that nobody holds is kept")
		}
	})
}

// TestMembersWithoutRoom: whoever has no room for a while falls behind and follows again, over and over, and is told
// everything once and in order all the same.
func TestMembersWithoutRoom(t *testing.T) {
	const members, events = 30, 400
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 16, Pending: 8, Recent: 32})
		defer stop()
		synctest.Wait()
		r := &rendered{delay: func() { time.Sleep(rand.N(time.Millisecond)) }}
		var sinks []*sink
		for range members {
			s := &sink{t: t, g: group(t, h, r), ctx: t.Context()}
			s.room = func(offered int) int { return rand.N(offered + 1) }
			s.follow(event.Cursor{Epoch: log.epoch})
			sinks = append(sinks, s)
		}
		for range events {
			log.append(comment())
			log.wake()
			time.Sleep(rand.N(2 * time.Millisecond))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		again := 0
		for i, s := range sinks {
			if got := s.positions(); !slices.Equal(got, upTo(1, events)) {
				t.Fatalf("member %d was told %d events: %v", i, len(got), got)
			}
			again += s.members - 1
			s.g.Release()
		}
		if again < members {
			t.Errorf("only %d times was somebody behind", again)
		}
	})
}

// TestWhoPaysHoldsUpNobody: a group that waits to pay for an event takes no turn at rendering from another.
func TestWhoPaysHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Renders: 1})
		defer stop()
		synctest.Wait()
		paid := make(chan struct{})
		pay := func(ctx context.Context) error {
			select {
			case <-paid:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		poor, err := h.Group(t.Context(), Key{2}, event.CommentsOn(posts[0]), new(rendered).render, pay)
		if err != nil {
			t.Fatal(err)
		}
		start := event.Cursor{Epoch: log.epoch}
		waits, other := newSink(t, poor, start), newSink(t, group(t, h, new(rendered)), start)
		synctest.Wait()
		for range 3 {
			log.append(comment())
			log.wake()
			time.Sleep(time.Second)
		}
		if got := other.positions(); !slices.Equal(got, upTo(1, 3)) {
			t.Errorf("the others were told of %v", got)
		}
		if got := waits.positions(); len(got) > 0 {
			t.Errorf("not paid for: %v", got)
		}
		close(paid)
		time.Sleep(time.Second)
		if got := waits.positions(); !slices.Equal(got, upTo(1, 3)) {
			t.Errorf("paid for, and told of %v", got)
		}
	})
}

// TestManyResume: those who resume at the same time read the log about once, wherever they begin; and those who
// begin at the same place, as all do after a restart, render each event about once.
func TestManyResume(t *testing.T) {
	const followers, events = 1000, 1000
	for name, from := range map[string]func(i int) int{"everywhere": func(i int) int { return i % events }, "the same place": func(int) int { return 500 }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newMemLog()
				all := log.append(commentsN(events)...)
				h, stop := running(t, log, Options{Page: 100})
				defer stop()
				synctest.Wait()
				r := new(rendered)
				if name != "everywhere" {
					r.delay = func() { time.Sleep(time.Millisecond) }
				}
				log.mu.Lock()
				log.reads = 0
				log.mu.Unlock()
				var sinks []*sink
				for i := range followers {
					sinks = append(sinks, newSink(t, group(t, h, r), event.After(all[from(i)], log.epoch)))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for i, s := range sinks {
					if got := s.positions(); !slices.Equal(got, upTo(int64(from(i))+2, events)) {
						t.Fatalf("follower %d was told %d events", i, len(got))
					}
					s.g.Release()
				}
				log.mu.Lock()
				reads := log.reads
				log.mu.Unlock()
				if polls := 60 * 4; reads > polls+3*events/100 {
					t.Errorf("the log was read %d times beside its tail", reads-polls)
				}
				if n := r.times.Load(); name != "everywhere" && n > 3*events {
					t.Errorf("%d events were rendered %d times", events, n)
				}
			})
		})
	}
}

// TestGroupsEnd: how a group ends, and what its members and those who follow are told.
func TestGroupsEnd(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]*struct {
		render rendered
		do     func(log *memLog, stop func())
		want   error
		told   int64
	}{
		"over":        {render: rendered{over: func(e event.Event) bool { return e.Position == 5 }}, want: ErrOver, told: 4},
		"broken":      {render: rendered{err: func(e event.Event) error { return map[bool]error{true: broken}[e.Position == 5] }}, want: broken, told: 4},
		"unavailable": {render: rendered{err: func(e event.Event) error { return map[bool]error{true: ErrUnavailable}[e.Position == 5] }}, want: ErrUnavailable, told: 4},
		"stopped":     {do: func(_ *memLog, stop func()) { stop() }, want: ErrStopped, told: 6},
		"another log": {do: func(log *memLog, _ func()) { log.rewind(2); log.wake() }, want: event.ErrExpired, told: 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newMemLog()
				log.append(commentsN(2)...)
				h, stop := running(t, log, Options{})
				defer stop()
				synctest.Wait()
				s := newSink(t, group(t, h, &c.render), event.Cursor{Epoch: log.epoch})
				synctest.Wait()
				log.append(commentsN(4)...)
				log.wake()
				time.Sleep(time.Minute)
				if c.do != nil {
					c.do(log, stop)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if err := s.ended(); !errors.Is(err, c.want) {
					t.Errorf("the member was told %v", err)
				}
				if got := s.positions(); !slices.Equal(got, upTo(1, c.told)) {
					t.Errorf("it was told %v", got)
				}
				if c.want == ErrOver && OverAt(s.ended()).Position != 4 {
					t.Errorf("over at %v", OverAt(s.ended()))
				}
				s.g.Release()
				if name == "over" || name == "broken" {
					late := newSink(t, group(t, h, &c.render), event.Cursor{Epoch: log.epoch})
					synctest.Wait()
					if err := late.ended(); !errors.Is(err, c.want) {
						t.Errorf("who follows is told %v", err)
					}
					late.g.Release()
				}
			})
		})
	}
}

// TestAnEventIsTriedAgain: what can't be rendered for a moment is late, and nobody notices.
func TestAnEventIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{})
		defer stop()
		synctest.Wait()
		var failures atomic.Int64
		r := &rendered{err: func(event.Event) error {
			if failures.Add(1) < 5 {
				return fmt.Errorf("%w: for a moment", ErrUnavailable)
			}
			return nil
		}}
		s := newSink(t, group(t, h, r), event.Cursor{Epoch: log.epoch})
		synctest.Wait()
		log.append(comment())
		log.wake()
		time.Sleep(2 * time.Second)
		if got := s.positions(); len(got) != 1 || s.ended() != nil {
			t.Errorf("%v, %v", got, s.ended())
		}
		failures.Store(0)
		late := newSink(t, s.g, event.Cursor{Epoch: log.epoch})
		time.Sleep(2 * time.Second)
		if got := late.positions(); len(got) != 1 || late.ended() != nil {
			t.Errorf("who resumes: %v, %v", got, late.ended())
		}
		s.g.Release()
	})
}

// TestLeaving: who leaves is told nothing more, and the others are.
func TestLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{})
		defer stop()
		synctest.Wait()
		r := new(rendered)
		g := group(t, h, r)
		stays := newSink(t, g, event.Cursor{Epoch: log.epoch})
		leaves := &sink{t: t, g: g, ctx: t.Context()}
		m, err := g.Follow(t.Context(), event.Cursor{Epoch: log.epoch}, leaves, nil)
		if err != nil {
			t.Fatal(err)
		}
		log.append(comment())
		log.wake()
		synctest.Wait()
		g.Leave(m)
		log.append(comment())
		log.wake()
		synctest.Wait()
		if a, b := stays.positions(), leaves.positions(); len(a) != 2 || len(b) != 1 {
			t.Errorf("%v and %v", a, b)
		}
		g.Release()
	})
}

// TestFollowersWithoutRoom: those who can't take what they follow slow nobody else down, neither members nor who resumes.
func TestFollowersWithoutRoom(t *testing.T) {
	const events = 200
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		log.append(commentsN(events)...)
		h, stop := running(t, log, Options{})
		defer stop()
		synctest.Wait()
		g := group(t, h, new(rendered))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 10 * crowd {
			s := &sink{t: t, g: g, ctx: ctx, stalled: true}
			s.follow(event.Cursor{Epoch: log.epoch})
		}
		time.Sleep(time.Second)
		begin := time.Now()
		resumes := newSink(t, g, event.Cursor{Epoch: log.epoch})
		synctest.Wait()
		if got := resumes.positions(); len(got) != events {
			t.Errorf("who resumes was told %d events at once", len(got))
		}
		log.append(commentsN(events)...)
		log.wake()
		synctest.Wait()
		if got := resumes.positions(); len(got) != 2*events {
			t.Errorf("the member was told %d events at once", len(got)-events)
		}
		if late := time.Since(begin); late > 0 {
			t.Errorf("it took %s", late)
		}
		cancel()
		g.Release()
	})
}

// lagging is a log of which a read of its first page takes as long as the test likes, and gives what was there when it
// began.
type lagging struct {
	*memLog
	begun, end chan struct{}
}

func (l *lagging) Read(ctx context.Context, after int64, limit int) ([]event.Event, error) {
	page, err := l.memLog.Read(ctx, after, limit)
	if after == 0 {
		select {
		case l.begun <- struct{}{}:
			<-l.end
		default: // a later one
		}
	}
	return page, err
}

// TestAPageThatIsOlderThanThePlace: who resumes at what a page that somebody else reads can't have yet is not told that
// it has expired.
func TestAPageThatIsOlderThanThePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lagging{newMemLog(), make(chan struct{}, 1), make(chan struct{})}
		all := log.append(commentsN(8)...)
		h := New(log, log.signal, Options{Page: 16, Recent: 4, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = h.Run(ctx) })
		defer run.Wait()
		defer cancel()
		synctest.Wait()
		g := group(t, h, new(rendered))
		first := newSink(t, g, event.Cursor{Epoch: log.epoch}) // reads the page
		synctest.Wait()
		all = append(all, log.append(commentsN(6)...)...)
		log.wake()
		synctest.Wait()
		second := newSink(t, g, event.After(all[8], log.epoch))
		synctest.Wait()
		close(log.end)
		time.Sleep(time.Second)
		for from, s := range map[int64]*sink{1: first, 10: second} {
			if got := s.positions(); s.ended() != nil || !slices.Equal(got, upTo(from, 14)) {
				t.Errorf("from %d it was told %v, %v", from, got, s.ended())
			}
		}
		g.Release()
	})
}
