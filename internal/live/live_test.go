package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"tidings/internal/event"
	"tidings/internal/gid"
)

func TestMain(m *testing.M) {
	// The throw-away Postgres of the test process ends with the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

// running runs a hub over log for as long as the test's bubble lives; stop ends it and waits for it.
func running(t *testing.T, log *memLog, o Options) (h *Hub, stop func()) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h = New(log, log.signal, o)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := h.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return h, func() { cancel(); run.Wait() }
}

func subscribe(t *testing.T, h *Hub, topic event.Topic, after string) *Subscription {
	t.Helper()
	r := Request{Topic: topic}
	if after != "" {
		r.After = &after
	}
	s, err := h.Subscribe(t.Context(), r)
	if err != nil {
		t.Fatal("subscribing: ", err)
	}
	return s
}

// want takes the events from s, which must be these.
func want(t *testing.T, s *Subscription, es ...event.Event) {
	t.Helper()
	for _, e := range es {
		got, err := s.Next(t.Context())
		if err != nil || got != e {
			t.Fatalf("Next: event %d, %v; want event %d", got.Position, err, e.Position)
		}
	}
}

// wantNone makes sure that nothing waits and nothing comes.
func wantNone(t *testing.T, s *Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if e, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Next: event %d, %v; want nothing", e.Position, err)
	}
}

// state is what the hub sees of s: its place, how many events wait, and whether it is live.
func (s *Subscription) state() (at event.Cursor, waiting int, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at, s.pending.len(), s.live
}

func wantErr(t *testing.T, s *Subscription, target error) {
	t.Helper()
	for range 2 { // an end is final
		if e, err := s.Next(t.Context()); !errors.Is(err, target) {
			t.Fatalf("Next: event %d, %v; want %v", e.Position, err, target)
		}
	}
}

func TestFromNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		log.append(commentsN(3)...)
		h, stop := running(t, log, Options{})
		defer stop()
		synctest.Wait()
		log.append(commentsN(2)...) // the hub has not seen these, but they are older than the subscription
		s := subscribe(t, h, event.CommentsOn(posts[0]), "")
		other := subscribe(t, h, event.CommentsOn(posts[1]), "")
		all := subscribe(t, h, event.Posts(), "")
		by := subscribe(t, h, event.PostsBy(author), "")
		es := log.append(comment(), event.NewPostCreated(posts[1], author), comment(), event.NewPostCreated(posts[2], gid.NewUser()))
		begin := time.Now()
		log.wake()
		want(t, s, es[0], es[2])
		want(t, all, es[1], es[3])
		want(t, by, es[1])
		if late := time.Since(begin); late != 0 {
			t.Errorf("%s late though the hub was woken", late)
		}
		for _, s := range []*Subscription{s, other, all, by} {
			wantNone(t, s)
		}
	})
}

func TestLostWakeUpsCostTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{})
		defer stop()
		s := subscribe(t, h, event.CommentsOn(posts[0]), "")
		begin := time.Now()
		want(t, s, log.append(comment())...)
		if late := time.Since(begin); late > 250*time.Millisecond {
			t.Errorf("%s late", late)
		}
	})
}

// Whatever place a client resumes from, while others write: it gets what follows, all of it, in order, once.
func TestResumeAtEveryCursor(t *testing.T) {
	const before, during = 1000, 300
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 16, Pending: 8})
		defer stop()
		es := log.append(commentsN(before)...)
		var all sync.WaitGroup
		subs := []*Subscription{subscribe(t, h, event.CommentsOn(posts[0]), event.Cursor{Epoch: log.epoch}.String())}
		for _, e := range es {
			subs = append(subs, subscribe(t, h, event.CommentsOn(posts[0]), event.After(e, log.epoch).String()))
		}
		all.Go(func() {
			for range during {
				log.append(comment())
				log.wake()
				time.Sleep(time.Millisecond)
			}
		})
		for i, s := range subs {
			all.Go(func() {
				for position := int64(i) + 1; position <= before+during; position++ {
					e, err := s.Next(t.Context())
					if err != nil || e.Position != position {
						t.Errorf("behind %d: event %d, %v; want event %d", i, e.Position, err, position)
						return
					}
					if i%7 == 0 {
						time.Sleep(time.Duration(i%5) * time.Millisecond)
					}
				}
				s.Close()
			})
		}
		all.Wait()
	})
}

func TestReplayAfterOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 4, Pending: 3})
		defer stop()
		slow := subscribe(t, h, event.CommentsOn(posts[0]), "")
		fast := subscribe(t, h, event.CommentsOn(posts[0]), "")
		first := log.append(event.NewPostCreated(posts[0], author), comment(), comment(), comment())
		log.wake()
		want(t, fast, first[1:]...)
		synctest.Wait()
		if _, waiting, live := slow.state(); waiting != 3 || !live {
			t.Fatalf("%d events wait, live: %v", waiting, live)
		}
		want(t, slow, first[1])
		more := log.append(commentsN(7)...)
		log.wake()
		want(t, fast, more...)
		synctest.Wait()
		if _, waiting, live := slow.state(); live || waiting != 0 {
			t.Fatalf("after the overflow %d events wait, live: %v", waiting, live)
		}
		if _, member := h.topics[slow.topic][slow]; member {
			t.Fatal("it has overflowed, but the hub still hands it events")
		}
		want(t, slow, first[2:]...)
		want(t, slow, more...)
		wantNone(t, slow)
		if _, _, live := slow.state(); !live || slow.page != nil {
			t.Error("it has caught up, but is not live")
		}
		last := log.append(comment())
		log.wake()
		want(t, slow, last...)
		want(t, fast, last...)
	})
}

// A subscription of a quiet topic moves on with the hub: when it overflows long after, it reads from where its events
// began, not from where it last got one, which may be deleted by then.
func TestQuietTopicOutlivesRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 4, Pending: 2})
		defer stop()
		quiet := subscribe(t, h, event.Posts(), "")
		log.append(commentsN(50)...)
		synctest.Wait()
		time.Sleep(time.Second)
		log.trim(1)
		es := log.append(event.NewPostCreated(posts[0], author), event.NewPostCreated(posts[1], author), event.NewPostCreated(posts[2], author))
		time.Sleep(time.Second)
		if _, _, live := quiet.state(); live {
			t.Fatal("it has not overflowed")
		}
		want(t, quiet, es...)
		wantNone(t, quiet)
	})
}

func TestSlowerThanRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 4, Pending: 2})
		defer stop()
		topic := event.CommentsOn(posts[0])
		start := event.Cursor{Epoch: log.epoch}.String()
		es := log.append(commentsN(20)...)
		reading, overflown, fine := subscribe(t, h, topic, start), subscribe(t, h, topic, ""), subscribe(t, h, topic, "")
		want(t, reading, es[0]) // and has three more at hand
		more := log.append(commentsN(10)...)
		log.wake()
		want(t, fine, more...)
		log.trim(3)
		want(t, reading, es[1:4]...)
		wantErr(t, reading, event.ErrExpired)
		wantErr(t, overflown, event.ErrExpired)
		want(t, fine, log.append(comment())...)
		if _, err := h.Subscribe(t.Context(), Request{Topic: topic, After: &start}); !errors.Is(err, event.ErrExpired) {
			t.Errorf("resuming from before what is kept: %v", err)
		}
	})
}

// Each of these puts another log under a running hub. Nobody may be left with a gap, or with events of two histories.
func TestAnotherLogUnderTheHub(t *testing.T) {
	for name, replace := range map[string]func(*memLog){
		"rewound":                      func(l *memLog) { l.rewind(5) },
		"rewound and grown":            func(l *memLog) { l.rewind(5); l.append(commentsN(20)...) },
		"rewound to the same position": func(l *memLog) { l.rewind(9); l.append(comment()) },
		"replaced":                     func(l *memLog) { l.epoch = event.Epoch{2}; l.rewind(0); l.append(commentsN(20)...) },
		"replaced by an empty one":     func(l *memLog) { l.epoch = event.Epoch{2}; l.rewind(0) },
		"trimmed past the hub":         func(l *memLog) { l.append(commentsN(20)...); l.trim(3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newMemLog()
				var printed bytes.Buffer
				h, stop := running(t, log, Options{Page: 3, Logger: slog.New(slog.NewTextHandler(&printed, nil))})
				defer stop()
				topic := event.CommentsOn(posts[0])
				es := log.append(commentsN(10)...)
				log.wake()
				synctest.Wait()
				live := subscribe(t, h, topic, "")
				reading := subscribe(t, h, topic, event.After(es[6], log.epoch).String())
				replace(log)
				log.wake()
				synctest.Wait()
				wantErr(t, live, event.ErrExpired)
				wantErr(t, reading, event.ErrExpired)
				time.Sleep(time.Second)
				fresh := subscribe(t, h, topic, "")
				more := log.append(commentsN(3)...)
				want(t, fresh, more...)
				if c, err := event.ParseCursor(fresh.Cursor(more[2])); err != nil || c != event.After(more[2], log.epoch) {
					t.Errorf("its cursor: %+v, %v", c, err)
				}
				if n := strings.Count(printed.String(), "\n"); n != 1 || !strings.Contains(printed.String(), "not the one it was") {
					t.Errorf("logged: %s", printed.String())
				}
				stop()
				if len(h.topics) != 0 || len(h.all) != 0 {
					t.Error("the hub still knows subscriptions")
				}
			})
		})
	}
	t.Run("replaced and not yet noticed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := newMemLog()
			es := log.append(commentsN(2)...)
			h, stop := running(t, log, Options{})
			defer stop()
			synctest.Wait()
			topic := event.CommentsOn(posts[0])
			after := event.After(es[0], event.Epoch{2}).String()
			log.epoch = event.Epoch{2}
			for _, r := range []Request{{Topic: topic}, {Topic: topic, After: &after}} {
				if _, err := h.Subscribe(t.Context(), r); !errors.Is(err, event.ErrExpired) {
					t.Errorf("subscribing: %v", err)
				}
			}
		})
	})
	t.Run("replaced while empty", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := newMemLog()
			h, stop := running(t, log, Options{})
			defer stop()
			s := subscribe(t, h, event.CommentsOn(posts[0]), "")
			log.epoch = event.Epoch{2}
			log.append(commentsN(3)...)
			log.wake()
			wantErr(t, s, event.ErrExpired)
		})
	})
}

// A subscription that reads and finds the log shorter than the hub knows it must not wait for ever.
func TestReaderFindsTheLogShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{})
		defer stop()
		es := log.append(commentsN(10)...)
		log.wake()
		synctest.Wait()
		reading := subscribe(t, h, event.CommentsOn(posts[0]), event.After(es[6], log.epoch).String())
		log.rewind(7)
		wantErr(t, reading, event.ErrExpired)
	})
}

func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		var printed bytes.Buffer
		log.set(errBroken)
		h, stop := running(t, log, Options{Page: 4, Pending: 2, Logger: slog.New(slog.NewTextHandler(&printed, nil))})
		defer stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.Subscribe(ctx, Request{Topic: event.Posts()}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("subscribing to a hub that has never seen the log: %v", err)
		}
		log.set(nil)
		topic := event.CommentsOn(posts[0])
		es := log.append(commentsN(10)...)
		live, reading := subscribe(t, h, topic, ""), subscribe(t, h, topic, event.Cursor{Epoch: log.epoch}.String())
		want(t, reading, es[0])
		time.Sleep(2 * time.Second)
		for range 2 { // two outages
			log.set(errBroken)
			es = append(es, log.append(commentsN(5)...)...)
			if _, err := h.Subscribe(t.Context(), Request{Topic: topic}); !errors.Is(err, errBroken) {
				t.Errorf("subscribing while the log is away: %v", err)
			}
			wantNone(t, live)
			log.set(nil)
			want(t, live, es[len(es)-5:]...)
		}
		want(t, reading, es[1:]...)
		lines := strings.Split(strings.TrimSpace(printed.String()), "\n")
		if len(lines) != 6 {
			t.Errorf("three outages were logged as\n%s", printed.String())
		}
		for i, line := range lines {
			if text := [...]string{"can't be read", "can be read again"}[i%2]; !strings.Contains(line, text) {
				t.Errorf("line %d: %s", i, line)
			}
		}
	})
}

// A reader for whom the log is away waits, and goes on where it was.
func TestOutageWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		es := log.append(commentsN(10)...) // before the hub is there, which would have them in memory
		h, stop := running(t, log, Options{Page: 4})
		defer stop()
		s := subscribe(t, h, event.CommentsOn(posts[0]), event.Cursor{Epoch: log.epoch}.String())
		want(t, s, es[:3]...)
		log.set(errBroken)
		want(t, s, es[3])
		wantNone(t, s)
		time.AfterFunc(time.Minute, func() { log.set(nil) })
		want(t, s, es[4:]...)
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		es := log.append(commentsN(300)...)
		h, stop := running(t, log, Options{})
		topic := event.CommentsOn(posts[0])
		waiting, queued := subscribe(t, h, topic, ""), subscribe(t, h, topic, "")
		reading := subscribe(t, h, topic, event.Cursor{Epoch: log.epoch}.String())
		want(t, reading, es[0])
		more := log.append(comment())
		want(t, waiting, more...)
		ended := make(chan error)
		go func() { _, err := waiting.Next(t.Context()); ended <- err }()
		synctest.Wait()
		stop()
		if err := <-ended; !errors.Is(err, ErrStopped) {
			t.Errorf("a Next that waited: %v", err)
		}
		for _, s := range []*Subscription{waiting, queued, reading} {
			wantErr(t, s, ErrStopped)
			s.Close()
			wantErr(t, s, ErrStopped)
		}
		for range 20 { // started and stopped are both closed: either may win in Subscribe
			if _, err := h.Subscribe(t.Context(), Request{Topic: topic}); !errors.Is(err, ErrStopped) {
				t.Errorf("subscribing afterwards: %v", err)
			}
		}
	})
}

func TestStopBeforeTheLogWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		log.set(errBroken)
		h, stop := running(t, log, Options{})
		time.AfterFunc(time.Minute, stop)
		if _, err := h.Subscribe(t.Context(), Request{Topic: event.Posts()}); !errors.Is(err, ErrStopped) {
			t.Errorf("subscribing: %v", err)
		}
		synctest.Wait()
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{})
		defer stop()
		es := log.append(commentsN(3)...)
		topic := event.CommentsOn(posts[0])
		stays := subscribe(t, h, topic, "")
		live, reading := subscribe(t, h, topic, ""), subscribe(t, h, topic, event.Cursor{Epoch: log.epoch}.String())
		want(t, reading, es[0])
		ended := make(chan error)
		go func() { _, err := live.Next(t.Context()); ended <- err }()
		synctest.Wait()
		for range 2 {
			live.Close()
			reading.Close()
		}
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Errorf("a Next that waited: %v", err)
		}
		wantErr(t, live, ErrClosed)
		wantErr(t, reading, ErrClosed)
		if len(h.all) != 1 || len(h.topics) != 1 || len(h.topics[topic]) != 1 {
			t.Errorf("the hub knows %d subscriptions, %d topics", len(h.all), len(h.topics))
		}
		want(t, stays, log.append(comment())...)
		stays.Close()
		if len(h.all) != 0 || len(h.topics) != 0 {
			t.Errorf("the hub knows %d subscriptions, %d topics", len(h.all), len(h.topics))
		}
	})
}

func TestNextAfterItsContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{})
		defer stop()
		s := subscribe(t, h, event.CommentsOn(posts[0]), "")
		wantNone(t, s)
		es := log.append(commentsN(2)...)
		time.Sleep(time.Second)
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Next(done); !errors.Is(err, context.Canceled) {
			t.Errorf("Next: %v", err)
		}
		want(t, s, es...)
	})
}

// Any mix of topics, resumptions, pauses, overflows, lost wake-ups, failing reads and reconnects: every subscriber
// ends up with exactly what followed its start. The sizes are tiny so that every boundary is met.
func TestRandomSubscribers(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomSubscribers(t, seed) })
		})
	}
}

func randomSubscribers(t *testing.T, seed uint64) {
	const subscribers, rounds = 30, 60
	dice := rand.New(rand.NewPCG(seed, 0))
	log := newMemLog()
	failing := rand.New(rand.NewPCG(seed, 1))
	log.flaky = func() bool { return failing.IntN(20) == 0 }
	log.delay = time.Duration(dice.IntN(3)) * time.Millisecond
	h, stop := running(t, log, Options{Page: 1 + dice.IntN(5), Pending: 1 + dice.IntN(4), Poll: 20 * time.Millisecond})
	defer stop()

	var all sync.WaitGroup
	written := make(chan struct{})
	all.Go(func() {
		defer close(written)
		dice := rand.New(rand.NewPCG(seed, 2))
		for range rounds {
			for range dice.IntN(12) {
				if dice.IntN(3) == 0 {
					log.append(event.NewPostCreated(gid.NewPost(), []gid.User{author, gid.NewUser()}[dice.IntN(2)]))
				} else {
					log.append(event.NewCommentAdded(gid.NewComment(), posts[dice.IntN(3)]))
				}
			}
			if dice.IntN(2) == 0 {
				log.wake()
			}
			time.Sleep(time.Duration(dice.IntN(30)) * time.Millisecond)
		}
	})
	for i := range subscribers {
		all.Go(func() {
			dice := rand.New(rand.NewPCG(seed, 3+uint64(i)))
			time.Sleep(time.Duration(dice.IntN(800)) * time.Millisecond)
			topic := topics[dice.IntN(len(topics))]
			var start event.Cursor
			var got []event.Event
			for after, done := "", false; !done; {
				s := subscribeThroughFaults(t, h, topic, after)
				if after == "" {
					start, _, _ = s.state()
					after = start.String()
				}
				for {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					e, err := s.Next(ctx)
					cancel()
					if errors.Is(err, context.DeadlineExceeded) {
						done = true // a minute of silence: all was written long ago
						break
					}
					if err != nil {
						t.Errorf("Next: %v", err)
						return
					}
					got, after = append(got, e), s.Cursor(e)
					if _, waiting, live := s.state(); waiting > h.o.Pending || waiting > 0 && !live {
						t.Errorf("%d events wait, live: %v", waiting, live)
					}
					if dice.IntN(30) == 0 {
						break // and resume
					}
					if dice.IntN(4) == 0 {
						time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
					}
				}
				s.Close()
			}
			<-written
			var wanted []event.Event
			for _, e := range log.kept[start.Position:] {
				if topic.Covers(e) {
					wanted = append(wanted, e)
				}
			}
			if !slices.Equal(got, wanted) {
				t.Errorf("subscriber %d of %v from %d: got %d events, want %d", i, topic, start.Position, len(got), len(wanted))
			}
		})
	}
	all.Wait()
}

func subscribeThroughFaults(t *testing.T, h *Hub, topic event.Topic, after string) *Subscription {
	r := Request{Topic: topic}
	if after != "" {
		r.After = &after
	}
	for {
		s, err := h.Subscribe(t.Context(), r)
		if err == nil {
			return s
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("subscribing: %v", err)
			panic(err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestStream(t *testing.T) {
	errDenied := errors.New("denied")
	after := "x"
	var opened, loaded, asked int
	lasts := true
	source := Source[string]{
		Topic: event.CommentsOn(posts[0]), After: &after,
		Open: func(context.Context) error { opened++; return nil },
		Load: func(_ context.Context, e event.Event) (string, bool, error) {
			loaded++
			return fmt.Sprint(e.Position), e.Position != 2, nil
		},
		Lasts: func(context.Context) (bool, error) { asked++; return lasts, nil },
	}
	deliver := func(e event.Event) (context.Context, *Delivery) { return WithEvent(t.Context(), e) }
	take := func(c <-chan string, err error) (items []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for item := range c {
			items = append(items, item)
		}
		return items
	}
	hub := New(newMemLog(), nil, Options{})
	close(hub.started) // it does not run
	ctx, r := hub.Prepare(t.Context())
	if items := take(Stream(ctx, source)); items != nil || opened != 1 || loaded != 0 || r.Topic != source.Topic || *r.After != after {
		t.Errorf("prepared: %v, opened %d, loaded %d, %+v", items, opened, loaded, r)
	}
	e := comment()
	for e.Position = 1; e.Position <= 2; e.Position++ {
		ctx, d := deliver(e)
		items := take(Stream(ctx, source))
		if skipped := e.Position == 2; skipped != (items == nil) || !skipped && items[0] != "1" || d.Over {
			t.Errorf("event %d gave %q, over: %t", e.Position, items, d.Over)
		}
	}
	if opened != 1 || loaded != 2 || asked != 1 {
		t.Errorf("opened %d, loaded %d, asked whether it lasts %d times", opened, loaded, asked)
	}
	for _, lasts = range []bool{true, false} { // asked at what delivers nothing, whatever its kind
		passed, hidden := comment(), event.NewPostHidden(posts[0])
		passed.Position = 2
		for _, e := range []event.Event{passed, hidden} {
			ctx, d := deliver(e)
			if items := take(Stream(ctx, source)); items != nil || d.Over == lasts {
				t.Errorf("%s, lasting %t: gave %q, over: %t", e.Kind, lasts, items, d.Over)
			}
		}
		passed.Position = 3
		ctx, d := deliver(passed)
		if items := take(Stream(ctx, source)); len(items) != 1 || d.Over {
			t.Errorf("what can be delivered gave %q, over: %t", items, d.Over)
		}
	}
	if loaded != 6 || asked != 5 {
		t.Errorf("loaded %d, asked %d", loaded, asked)
	}
	ctx, _ = deliver(event.NewPostHidden(posts[0]))
	source.Lasts = func(context.Context) (bool, error) { return true, errDenied }
	if c, err := Stream(ctx, source); c != nil || err != errDenied {
		t.Errorf("with a Lasts that fails: %v", err)
	}
	source.Lasts = nil
	ctx, d := deliver(event.NewPostHidden(posts[0]))
	if items := take(Stream(ctx, source)); items != nil || d.Over {
		t.Errorf("without a Lasts: %q, over: %t", items, d.Over)
	}
	if c, err := Stream(t.Context(), source); c != nil || err == nil {
		t.Error("it streams over any transport")
	}
	for _, e := range []event.Event{event.NewPostCreated(posts[0], author), event.NewPostHidden(posts[1])} {
		ctx, _ := deliver(e)
		if c, err := Stream(ctx, source); c != nil || err == nil {
			t.Errorf("it takes a %s of another topic", e.Kind)
		}
	}
	source.Load = func(context.Context, event.Event) (string, bool, error) { return "", true, errDenied }
	ctx, _ = deliver(comment())
	if c, err := Stream(ctx, source); c != nil || err != errDenied {
		t.Errorf("with a Load that fails: %v", err)
	}
	source.Open = func(context.Context) error { return errDenied }
	ctx, r = hub.Prepare(t.Context())
	if c, err := Stream(ctx, source); c != nil || err != errDenied || r.Topic != (event.Topic{}) {
		t.Errorf("with an Open that denies: %v, %+v", err, r)
	}
	if _, err := New(newMemLog(), nil, Options{}).Subscribe(t.Context(), *r); err == nil {
		t.Error("one can subscribe to what was not prepared")
	}
}
