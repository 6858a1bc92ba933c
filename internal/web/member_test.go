package web

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/live"
)

// shortLog is a log in memory.
type shortLog struct {
	mu     sync.Mutex
	events []event.Event
}

func (l *shortLog) add(post gid.Post) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := event.NewCommentAdded(gid.NewComment(), post)
	e.Position = int64(len(l.events)) + 1
	l.events = append(l.events, e)
}

func (l *shortLog) Head(context.Context) (event.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return event.Cursor{}, nil
	}
	return event.After(l.events[len(l.events)-1], event.Epoch{}), nil
}

func (l *shortLog) Read(_ context.Context, after int64, limit int) ([]event.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[after:min(int(after)+limit, len(l.events))]), nil
}

func (l *shortLog) Resolve(_ context.Context, _ event.Topic, after string) (event.Cursor, error) {
	return event.ParseCursor(after)
}

// heard is a member that says what it is handed.
type heard chan *live.Payload

func (h heard) Put(_ context.Context, p *live.Payload) error { h <- p; return nil }
func (h heard) Deliver(ps []*live.Payload) int {
	for _, p := range ps {
		h <- p
	}
	return len(ps)
}
func (h heard) Behind(event.Cursor) {}
func (h heard) End(error)           {}

// TestWhoHasEndedIsNoMember: an operation that ends while its group finds it without room is not the group's any more,
// which would keep it, and its socket, for as long as there are others.
func TestWhoHasEndedIsNoMember(t *testing.T) {
	log, post := new(shortLog), gid.NewPost()
	hub := live.New(log, nil, live.Options{Poll: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx) })
	defer running.Wait()
	defer stop()
	join := func() *live.Group {
		g, err := hub.Group(ctx, live.Key{1}, event.CommentsOn(post), func(context.Context, event.Event, string) ([]byte, bool, error) { return []byte("{}"), false, nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	other := make(heard, 10)
	others := join()
	defer others.Release()
	if _, err := others.Follow(ctx, event.Cursor{}, other, nil); err != nil {
		t.Fatal(err)
	}

	c := &conn{line: line{
		server: &Server{log: slog.New(slog.DiscardHandler), hub: hub}, values: ctx,
		out: out{limit: 1 << 20, writing: true, finished: make(chan struct{})}, // nothing of it is written
	}}
	c.transport = c
	op := &operation{id: "1", conn: &c.line, group: join()}
	op.end("completed")
	op.Behind(event.Cursor{}) // it was found without room a moment before
	c.running.Wait()
	for range 2 { // what comes first has been handed to all when the other comes
		log.add(post)
		<-other
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if n := len(c.out.items); n > 0 {
		t.Errorf("it was told of %d events", n)
	}
}

// TestBehindASocketThatHasEnded: an operation that its client has completed, and that its group finds without room just
// when the socket ends, has nobody left to give back what it holds but who finds it.
func TestBehindASocketThatHasEnded(t *testing.T) {
	hub := live.New(new(shortLog), nil, live.Options{Poll: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = hub.Run(ctx) })
	defer running.Wait()
	defer stop()
	c := &conn{line: line{
		server: &Server{log: slog.New(slog.DiscardHandler), hub: hub}, values: ctx, cancel: stop,
		out: out{limit: 1 << 20, finished: make(chan struct{})},
	}}
	c.transport = c
	group, err := hub.Group(ctx, live.Key{1}, event.CommentsOn(gid.NewPost()), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	left := false
	op := &operation{id: "1", conn: &c.line, group: group, leave: func() { left = true }}
	op.completed.Store(true)
	c.settle()
	op.Behind(event.Cursor{})
	c.running.Wait()
	if !left {
		t.Error("its points stand for ever")
	}
}
