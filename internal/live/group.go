package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tidings/internal/event"
)

// Key names a group: subscribers with the same key get the same bytes.
type Key [32]byte

// Render makes an event into what a group's members are told, as of now. Data is nil to pass over the event; over says
// that the group's viewers may see nothing more of the topic. It is called for several events at once, and again for one
// whenever somebody who resumes comes to it.
type Render func(ctx context.Context, e event.Event, cursor string) (data []byte, over bool, err error)

// Pay is called before an event is rendered for the members, and may wait for as long as it takes: that holds up its own
// group, and no other. Who follows pays by their Toll. An error ends the group.
type Pay func(ctx context.Context) error

// Payload is an event as a group's members are told of it. It is shared and not changed.
type Payload struct {
	At     event.Cursor // right behind the event
	Cursor string       // At's text
	Data   []byte       // nil: nothing is said of the event
	Over   bool         // nothing more is to come
}

var (
	// ErrOver says that a group is over: its viewers may see nothing more of its topic.
	ErrOver = errors.New("the subscription is over")
	// ErrUnavailable is what Render fails with if it may succeed a little later.
	ErrUnavailable = errors.New("the event can't be loaded at present")
)

// Sink is where a member's payloads go: its place in a connection's queue.
type Sink interface {
	// Put hands over a payload, and waits for room. The error is ctx's, or says that nothing more is taken.
	Put(ctx context.Context, p *Payload) error
	// Deliver hands over payloads as far as there is room, and returns how many it has taken. It never blocks. The slice
	// is the caller's.
	Deliver(ps []*Payload) int
	// Behind says that Deliver had no room for what follows at, and that the sink is no longer a member: it is to Follow
	// from there again. It must not block.
	Behind(at event.Cursor)
	// End says that the membership has ended: with ErrOver, event.ErrExpired, ErrStopped, or because an event can't be
	// rendered. It must not block.
	End(err error)
}

// Toll is asked while a subscriber follows, and may wait: before each event of the topic that it is handed, and with how
// many events of the log, of whichever topics, were read for it. An error ends the following.
type Toll interface {
	Event(ctx context.Context) error
	Page(ctx context.Context, events int) error
}

// Group is those subscribers of a topic on this node who get the same bytes. Each event is rendered once for all of
// them. A group has no goroutine while nothing happens.
//
// A group is as far as its place. A subscriber who is behind it follows (Follow): reads the log at the pace of its own
// sink, together with all who are at the same place. Once it is no longer behind it becomes a member, under the lock
// under which the group's place moves, and from there on the group delivers to it.
type Group struct {
	hub    *Hub
	key    Key
	topic  event.Topic
	render Render
	pay    Pay
	feed   *Subscription

	work      worker
	followers atomic.Int64 // those in Follow, but for who waits to hand on what they were told

	mu      sync.Mutex
	err     error        // why it has ended
	at      event.Cursor // all of the topic up to here was delivered, or is being delivered, to the members
	members []seat
	lent    bool // hand goes through what members were: these may be appended to, but not be changed
	refs    int  // under Hub.groups.mu
}

// Member is a subscriber's place in a group.
type Member struct {
	from  event.Cursor // it has got all up to here by itself
	index int          // in Group.members, or -1
}

// seat is what delivering needs to know of a member. Seats lie beside each other, in the order in which sockets were
// made mostly: with thousands of them, looking for what is not in the processor's cache is what takes the time.
type seat struct {
	sink   Sink
	from   int64 // the position of member.from
	member *Member
}

// groups are those of a hub.
type groups struct {
	mu    sync.Mutex
	known map[Key]*Group
}

// Group returns the group of a key, and makes it of the others if there is none; pay may be nil. The caller gives it back
// with Release. The error is ErrStopped or ctx's.
func (h *Hub) Group(ctx context.Context, key Key, topic event.Topic, render Render, pay Pay) (*Group, error) {
	select {
	case <-h.started:
	case <-h.stopped:
		return nil, ErrStopped
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.groups.mu.Lock()
	defer h.groups.mu.Unlock()
	if g := h.groups.known[key]; g != nil {
		g.refs++
		return g, nil
	}
	g := &Group{hub: h, key: key, topic: topic, render: render, pay: pay, refs: 1}
	g.work.do = g.run
	g.work.all = &h.workers
	if err := h.feed(topic, g.work.wake, func(s *Subscription, at event.Cursor) { g.feed, g.at = s, at }); err != nil {
		return nil, err
	}
	h.groups.known[key] = g
	return g, nil
}

// Release gives back what Hub.Group returned. A group that nobody holds is gone.
func (g *Group) Release() {
	g.hub.groups.mu.Lock()
	g.refs--
	last := g.refs == 0
	if last && g.hub.groups.known[g.key] == g {
		delete(g.hub.groups.known, g.key)
	}
	g.hub.groups.mu.Unlock()
	if last {
		g.feed.Close()
	}
}

// Follow brings a subscriber to the group: it is handed all of the topic that follows at, and is a member then. It
// returns when it is one, or with why not: ErrOver, event.ErrExpired, ErrStopped, the error of the sink or of Render, or
// ctx's. While the log can't be read, Follow waits. toll may be nil.
func (g *Group) Follow(ctx context.Context, at event.Cursor, sink Sink, toll Toll) (*Member, error) {
	g.followers.Add(1)
	defer g.followers.Add(-1)
	for retry := minRetry; ; {
		m, err := g.join(at, sink)
		if m != nil || err != nil {
			return m, err
		}
		page, err := g.hub.recent(ctx, at)
		switch {
		case err == nil && len(page) == 0:
			return nil, fmt.Errorf("the event log has gone back: %w", event.ErrExpired) // the group was further
		case errors.Is(err, event.ErrExpired):
			return nil, err
		case err != nil:
			select { // the tail reports the outage, once for all
			case <-time.After(jitter(retry)):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			retry = min(2*retry, maxRetry)
			continue
		}
		retry = minRetry
		if toll != nil {
			if err := toll.Page(ctx, len(page)); err != nil {
				return nil, err
			}
		}
		for _, e := range page {
			before := at
			at = event.After(e, at.Epoch)
			if !g.topic.Covers(e) {
				continue
			}
			if toll != nil {
				if err := toll.Event(ctx); err != nil {
					return nil, err
				}
			}
			p, err := g.patient(ctx, e, at, g.followers.Load() > crowd)
			if err != nil {
				return nil, err
			}
			if p.Over {
				return nil, overAt{before}
			}
			if p.Data == nil {
				continue
			}
			g.followers.Add(-1)
			err = sink.Put(ctx, p)
			g.followers.Add(1)
			if err != nil {
				return nil, err
			}
		}
	}
}

// overAt is ErrOver, and where.
type overAt struct{ at event.Cursor }

func (overAt) Error() string        { return ErrOver.Error() }
func (overAt) Is(target error) bool { return target == ErrOver }

// OverAt returns the place in front of the event at which an ErrOver of Follow or Sink.End was found: others, who may see
// more, go on there.
func OverAt(err error) event.Cursor {
	over, _ := errors.AsType[overAt](err)
	return over.at
}

// join makes a member of who is not behind the group.
func (g *Group) join(at event.Cursor, sink Sink) (*Member, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	final := errors.Is(g.err, event.ErrExpired) || errors.Is(g.err, ErrStopped)
	switch {
	case g.err != nil && !final && at.Position < g.at.Position:
		return nil, nil // what came before the end is to be told first
	case errors.Is(g.err, ErrOver):
		return nil, overAt{at}
	case g.err != nil:
		return nil, g.err
	case at.Epoch != g.at.Epoch, at.Position == g.at.Position && at.Tag != g.at.Tag:
		return nil, event.ErrExpired // one of the two stands in a log that is no more
	case at.Position < g.at.Position:
		return nil, nil
	}
	m := &Member{from: at, index: len(g.members)}
	g.members = append(g.members, seat{sink, at.Position, m})
	return m, nil
}

// Leave ends a membership. The sink may still be handed what is being delivered.
func (g *Group) Leave(m *Member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.index < 0 {
		return
	}
	if g.lent {
		g.members, g.lent = slices.Clone(g.members), false
	}
	last := len(g.members) - 1
	g.members[m.index] = g.members[last]
	g.members[m.index].member.index = m.index
	g.members[last] = seat{}
	g.members = g.members[:last]
	m.index = -1
}

// crowd is how many may follow at the same time before they wait for each other.
const crowd = 4

// payload renders an event, as it is when it is asked for or later. crowded says that others will ask for it in a moment.
func (g *Group) payload(ctx context.Context, e event.Event, at event.Cursor, crowded bool) (*Payload, error) {
	return g.hub.renders.get(ctx, renderKey{g, e.Position}, crowded, func() (*Payload, error) {
		select {
		case g.hub.rendering <- struct{}{}:
			defer func() { <-g.hub.rendering }()
		case <-g.hub.ctx.Done():
			return nil, ErrStopped
		}
		cursor := at.String()
		data, over, err := g.render(g.hub.ctx, e, cursor)
		if err != nil {
			return nil, err
		}
		return &Payload{At: at, Cursor: cursor, Data: data, Over: over}, nil
	})
}

// How much is delivered at once: what was rendered when so much of it is there, or nothing else waits.
const (
	batchEvents = 128
	batchBytes  = 64 << 10
)

// run delivers all that is there. It is called by one goroutine at a time, whenever the feed has something.
func (g *Group) run() {
	for retry := minRetry; ; {
		batch, live, err := g.take()
		switch {
		case err != nil:
			g.end(err)
			return
		case len(batch) > 0:
			if err := g.deliver(batch); err != nil {
				g.end(err)
				return
			}
			continue
		case live:
			return
		}
		err = g.feed.replay(g.hub.ctx)
		switch {
		case errors.Is(err, event.ErrExpired):
			g.end(err)
			return
		case err != nil:
			select {
			case <-time.After(jitter(retry)):
			case <-g.hub.ctx.Done():
			}
			retry = min(2*retry, maxRetry)
		default:
			retry = minRetry
		}
	}
}

func (g *Group) take() (batch []event.Event, live bool, err error) {
	for len(batch) < batchEvents {
		e, isLive, err := g.feed.take()
		if err != nil {
			if len(batch) > 0 {
				return batch, isLive, nil // the error is there the next time, too
			}
			return nil, false, err
		}
		if e == nil {
			return batch, isLive, nil
		}
		batch = append(batch, *e)
	}
	return batch, true, nil
}

// deliver renders events and hands them to the members, as many at once as batchBytes allow.
func (g *Group) deliver(events []event.Event) error {
	var ps []*Payload
	size, last := 0, g.place()
	for i, e := range events {
		at := event.After(e, g.feed.epoch)
		p, err := g.paid(e, at)
		if err != nil {
			g.hand(ps, last) // what comes before it
			return err
		}
		if p.Over {
			g.hand(ps, last)
			return overAt{last}
		}
		last = at
		if p.Data != nil {
			ps = append(ps, p)
			size += len(p.Data)
		}
		if size >= batchBytes || i == len(events)-1 {
			g.hand(ps, last)
			ps, size = ps[:0], 0
		}
	}
	return nil
}

// paid renders an event for the members.
func (g *Group) paid(e event.Event, at event.Cursor) (*Payload, error) {
	if g.pay != nil {
		if err := g.pay(g.hub.ctx); err != nil {
			if g.hub.ctx.Err() != nil {
				err = ErrStopped
			}
			return nil, err
		}
	}
	return g.patient(g.hub.ctx, e, at, false)
}

func (g *Group) place() event.Cursor {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at
}

// patience is for how long an event that can't be rendered is tried again before anybody is told.
const patience = 5 * time.Second

// patient is payload, tried again for a while: a database that is away for a moment is no reason to end what thousands
// are subscribed to.
func (g *Group) patient(ctx context.Context, e event.Event, at event.Cursor, crowded bool) (*Payload, error) {
	retry := minRetry
	for end := time.Now().Add(patience); ; retry = min(2*retry, maxRetry) {
		p, err := g.payload(ctx, e, at, crowded)
		switch {
		case err == nil:
			return p, nil
		case ctx.Err() != nil && g.hub.ctx.Err() == nil:
			return nil, ctx.Err()
		case g.hub.ctx.Err() != nil:
			return nil, ErrStopped
		case !errors.Is(err, ErrUnavailable), time.Now().After(end):
			return nil, err
		}
		select {
		case <-time.After(jitter(retry)):
		case <-ctx.Done():
		case <-g.hub.ctx.Done():
		}
	}
}

// hand moves the group's place, and hands payloads to those who were members then.
func (g *Group) hand(ps []*Payload, at event.Cursor) {
	g.mu.Lock()
	was := g.at
	g.at = at
	members := g.members
	g.lent = len(ps) > 0
	g.mu.Unlock()
	if len(ps) == 0 {
		return
	}
	defer g.restore()
	for i := range members {
		to := &members[i]
		mine := ps
		for len(mine) > 0 && mine[0].At.Position <= to.from {
			mine = mine[1:]
		}
		if n := to.sink.Deliver(mine); n < len(mine) {
			behind := was
			switch {
			case n > 0:
				behind = mine[n-1].At
			case to.from > was.Position:
				behind = to.member.from
			}
			g.Leave(to.member)
			to.sink.Behind(behind)
		}
	}
}

// restore says that nobody goes through the members any more.
func (g *Group) restore() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lent = false
}

// end ends the group and all memberships.
func (g *Group) end(err error) {
	g.hub.groups.mu.Lock()
	if g.hub.groups.known[g.key] == g {
		delete(g.hub.groups.known, g.key) // whoever comes now begins another one
	}
	g.hub.groups.mu.Unlock()
	g.mu.Lock()
	if g.err != nil {
		g.mu.Unlock()
		return
	}
	g.err = err
	at, members := g.at, g.members
	g.members = nil
	for i := range members {
		members[i].member.index = -1
	}
	g.mu.Unlock()
	for _, m := range members {
		if errors.Is(err, ErrOver) {
			if err = (overAt{at}); m.from > at.Position {
				err = overAt{m.member.from}
			}
		}
		m.sink.End(err)
	}
	g.feed.Close()
}
