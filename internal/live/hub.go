// Package live brings the events of the log to those who subscribed to them: each event of a topic once, in the log's
// order, none left out, from the place where the subscription starts for as long as it lasts.
//
// One tail a node (Hub.Run) reads the log whenever it is woken, or every Options.Poll, and publishes to the hub. A
// subscription is in one of two states. It is live when it has all that the hub has published: then the hub hands it
// references to new events. Else it reads the log itself, in pages, at the pace at which Next is called, until it has
// got as far as the hub and becomes live. It starts out reading when it resumes from a cursor, and goes back to
// reading when more events wait for it than it may hold (replay after overflow): its references are dropped, its
// events are still in the log. So nothing is lost by being slow, no live event is held for a reader, and the hub
// never waits for anybody.
//
// A subscription has no goroutine; its events are pulled by the one that calls Next. Those of clients are pulled by a
// Group, which renders each event once for all of its members.
//
// Lock order: Hub.groups.mu, then Hub.mu, then Subscription.mu or pages.mu; Group.mu behind none of them and before none. None is held
// while anything outside of this package is called.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"tidings/internal/event"
)

// Log is what live needs of the event log.
type Log interface {
	// Head returns the place behind the newest event.
	Head(ctx context.Context) (event.Cursor, error)
	// Read returns up to limit events behind position after, in order and without a gap: the first one is at
	// after+1. It returns none when there are none, and event.ErrExpired when there is no telling: those that
	// follow after are not all kept, or after lies beyond the head.
	Read(ctx context.Context, after int64, limit int) ([]event.Event, error)
	// Resolve returns the place that a client names to resume a topic from: by a cursor's text, or by the id of an
	// item of the topic. The error is event.ErrBadCursor, ErrWrongKind or ErrExpired where the client is to blame.
	Resolve(ctx context.Context, t event.Topic, after string) (event.Cursor, error)
}

// Options of a Hub. What is zero gets the default.
type Options struct {
	Poll    time.Duration // the tail looks at least so often, in case a wake-up was lost; 250 ms
	Page    int           // the most events that are read from the log at a time; 256
	Pending int           // the most events that wait in a live subscription; 256
	Recent  int           // the newest events, which are kept in memory for those who resume; 4096
	Renders int           // the most events that are rendered at once; 64
	Timeout time.Duration // of one reading of the log; 10 s
	Logger  *slog.Logger  // slog.Default()
}

func (o Options) withDefaults() Options {
	if o.Poll == 0 {
		o.Poll = 250 * time.Millisecond
	}
	if o.Page == 0 {
		o.Page = 256
	}
	if o.Pending == 0 {
		o.Pending = 256
	}
	if o.Recent == 0 {
		o.Recent = 4096
	}
	if o.Renders == 0 {
		o.Renders = 64
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// How a subscription ends on this side, other than by event.ErrExpired.
var (
	// ErrStopped says that the hub has stopped: this node goes away. A client resumes, at another one, from its
	// last cursor.
	ErrStopped = errors.New("the server is going away")
	// ErrClosed says that the subscription was closed here.
	ErrClosed = errors.New("this subscription is closed")
)

// Hub knows the subscriptions of this node.
type Hub struct {
	log  Log
	wake <-chan struct{}
	o    Options

	started chan struct{} // closed when at is known
	stopped chan struct{} // closed when Run is about to return
	known   bool          // whether at is a place in the log as it is now; Run's own

	ctx       context.Context // over when the hub stops
	cancel    context.CancelFunc
	workers   sync.WaitGroup // of groups
	groups    groups
	renders   *renders
	rendering chan struct{} // held by who renders
	pages     pages

	mu     sync.Mutex
	at     event.Cursor                               // all up to here is published
	topics map[event.Topic]map[*Subscription]struct{} // the live ones
	all    map[*Subscription]struct{}                 // nil when stopped
	newest ring                                       // of what was published
}

// New returns a hub over log. Wake says that the log may have moved; it carries no data and may lose wake-ups.
// Nothing happens until Run.
func New(log Log, wake <-chan struct{}, o Options) *Hub {
	o = o.withDefaults()
	h := &Hub{
		log: log, wake: wake, o: o,
		started: make(chan struct{}), stopped: make(chan struct{}),
		groups:    groups{known: map[Key]*Group{}},
		rendering: make(chan struct{}, o.Renders),
		topics:    map[event.Topic]map[*Subscription]struct{}{},
		all:       map[*Subscription]struct{}{},
		newest:    ring{limit: o.Recent},
	}
	h.renders = newRenders(h.spawn)
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Subscribe starts a subscription to what Prepare has noted in r. Without r.After it starts at the head that the log
// had when r was prepared, or has now if it was not, rather than at the hub's place, which may lag behind: what was in
// the log before is not delivered, and whatever is committed after Subscribe has returned is. (On Postgres, a commit
// of the last moments may still be on its way into the log; that one is delivered too.)
//
// The errors are the Log's, ErrStopped and ctx's. Until the tail has found the log for the first time, Subscribe waits.
func (h *Hub) Subscribe(ctx context.Context, r Request) (*Subscription, error) {
	if r.Topic == (event.Topic{}) {
		return nil, errors.New("subscribing: no subscription was prepared")
	}
	select {
	case <-h.started:
	case <-h.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	at, err := h.Start(ctx, r)
	if err != nil {
		return nil, err
	}
	s := &Subscription{hub: h, topic: r.Topic, epoch: at.Epoch, at: at, woken: make(chan struct{}, 1), pending: queue{limit: h.o.Pending}}
	h.mu.Lock()
	if h.all == nil {
		h.mu.Unlock()
		return nil, ErrStopped
	}
	h.all[s] = struct{}{}
	h.mu.Unlock()
	if _, err := h.join(s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Start returns the place where a subscription to what Prepare has noted in r begins: see Subscribe.
func (h *Hub) Start(ctx context.Context, r Request) (event.Cursor, error) {
	switch {
	case r.After != nil:
		return h.log.Resolve(ctx, r.Topic, *r.After)
	case r.from != nil:
		return *r.from, nil
	}
	return h.log.Head(ctx)
}

// join makes s live if it is as far as the hub, or further: what it has already it then passes over. Both places are
// compared, and s registered, under the lock under which events are published, so that none falls in between.
func (h *Hub) join(s *Subscription) (joined bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return false, s.err
	case s.at.Epoch != h.at.Epoch, s.at.Position == h.at.Position && s.at.Tag != h.at.Tag:
		return false, event.ErrExpired // one of the two stands in a log that is no more
	case s.at.Position < h.at.Position:
		return false, nil
	}
	s.live = true
	h.enter(s)
	return true, nil
}

// publish hands e, which follows the last one, to the live subscriptions of its topics. Its cost for a subscription
// is bounded, and it waits for none.
func (h *Hub) publish(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var shared *event.Event // one copy for all who take it, so that waiting events don't hold whole pages
	for _, t := range e.Topics() {
		for s := range h.topics[t] {
			if shared == nil {
				c := e
				shared = &c
			}
			if !s.push(h.at, shared) {
				h.leave(s)
			}
		}
	}
	h.newest.add(h.at, e)
	h.at = event.After(e, h.at.Epoch)
}

// spawn runs f in a goroutine that Run waits for, unless the hub has stopped.
func (h *Hub) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		return false
	}
	h.workers.Go(f)
	return true
}

// feed starts a subscription at the hub's place, and hands over both before anything can come of it. notify is called
// when it has something; it must not block.
func (h *Hub) feed(t event.Topic, notify func(), hand func(*Subscription, event.Cursor)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		return ErrStopped
	}
	s := &Subscription{hub: h, topic: t, epoch: h.at.Epoch, at: h.at, live: true, notify: notify, pending: queue{limit: h.o.Pending}}
	hand(s, h.at)
	h.all[s] = struct{}{}
	h.enter(s)
	return nil
}

// enter makes s one of its topic's. The caller holds the lock.
func (h *Hub) enter(s *Subscription) {
	members := h.topics[s.topic]
	if members == nil {
		members = map[*Subscription]struct{}{}
		h.topics[s.topic] = members
	}
	members[s] = struct{}{}
}

// leave takes s out of its topic. The caller holds the lock.
func (h *Hub) leave(s *Subscription) {
	members := h.topics[s.topic]
	delete(members, s)
	if len(members) == 0 {
		delete(h.topics, s.topic)
	}
}

// endAll ends every subscription with err. The caller holds the lock.
func (h *Hub) endAll(err error) {
	for s := range h.all {
		s.end(err)
	}
	clear(h.topics)
	clear(h.all)
}
