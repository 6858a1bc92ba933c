package live

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"tidings/internal/event"
)

// ring keeps the newest events that were published, up to a limit.
type ring struct {
	limit  int
	before event.Cursor // the place in front of events
	events []event.Event
	first  int // of events; what is before it has left
}

// add adds an event that follows the place before.
func (r *ring) add(before event.Cursor, e event.Event) {
	if len(r.events) == 0 {
		r.before = before
	}
	if len(r.events)-r.first == r.limit {
		r.before = event.After(r.events[r.first], before.Epoch)
		r.first++
	}
	if r.first > 0 && len(r.events) == cap(r.events) {
		r.events = r.events[:copy(r.events, r.events[r.first:])]
		r.first = 0
	}
	r.events = append(r.events, e)
}

// after returns up to limit events behind a place, if that is one in the ring.
func (r *ring) after(at event.Cursor, limit int) (page []event.Event, ok bool) {
	all := r.events[r.first:]
	i := int(at.Position - r.before.Position)
	switch {
	case at.Epoch != r.before.Epoch, i < 0, i > len(all):
		return nil, false
	case i == 0 && at != r.before, i > 0 && at.Tag != all[i-1].Tag():
		return nil, false
	}
	return all[i:min(i+limit, len(all))], true
}

// recent returns events behind a place for those who resume, one at least unless there are none: from memory if it can,
// and else from a page of the log that is read once for all who ask for one of its events. event.ErrExpired says that
// there is no such place.
func (h *Hub) recent(ctx context.Context, at event.Cursor) ([]event.Event, error) {
	h.mu.Lock()
	page, ok := h.newest.after(at, h.o.Page)
	if ok {
		page = append([]event.Event(nil), page...) // the ring moves
	}
	h.mu.Unlock()
	if ok && len(page) > 0 {
		return page, nil
	}
	return h.pages.after(ctx, h, at)
}

// keptPages is how many whole pages are kept of what those who resume have read lately.
const keptPages = 64

// pages are those of the log, Options.Page events each, from the first one on.
type pages struct {
	mu      sync.Mutex
	reading map[int64]*reading // by the position in front of the page
	kept    []*reading         // whole ones; the one read last is the last
}

// reading is a page, with the event in front of it if there is one.
type reading struct {
	start  int64
	done   chan struct{} // closed when the rest is there
	epoch  event.Epoch
	events []event.Event // not changed
	err    error
}

// after returns the events of the page in which a place is, behind it. A page that somebody else began to read earlier may
// not have the place yet, or nothing behind it: then it is read again.
func (p *pages) after(ctx context.Context, h *Hub, at event.Cursor) ([]event.Event, error) {
	events, shared, err := p.share(ctx, h, at)
	if shared && (err == nil && len(events) == 0 || errors.Is(err, event.ErrExpired)) {
		events, _, err = p.share(ctx, h, at) // one that began since
	}
	return events, err
}

// share returns what a page has behind a place. shared says that the page may be older than the question.
func (p *pages) share(ctx context.Context, h *Hub, at event.Cursor) (events []event.Event, shared bool, err error) {
	start := at.Position - at.Position%int64(h.o.Page)
	r, is := p.at(start)
	if !is && !h.spawn(func() { p.fill(r, h) }) {
		return nil, false, ErrStopped
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return nil, is, ctx.Err()
	}
	if r.err != nil {
		return nil, is, r.err
	}
	if r.epoch != at.Epoch {
		return nil, is, event.ErrExpired
	}
	events, i := r.events, int(at.Position-start)
	if start > 0 {
		i++ // for the event in front
	}
	if i > len(events) || i > 0 && events[i-1].Tag() != at.Tag {
		return nil, is, event.ErrExpired
	}
	return events[i:], is, nil
}

// at returns a page, which may be on its way. If not, it is for the caller to fill.
func (p *pages) at(start int64) (r *reading, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.kept {
		if r.start == start {
			return r, true
		}
	}
	if r := p.reading[start]; r != nil {
		return r, true
	}
	r = &reading{start: start, done: make(chan struct{})}
	if p.reading == nil {
		p.reading = map[int64]*reading{}
	}
	p.reading[start] = r
	return r, false
}

// fill reads a page. Only a whole one is kept: another may have more the next time.
func (p *pages) fill(r *reading, h *Hub) {
	r.epoch, r.events, r.err = h.pageAt(h.ctx, r.start)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer close(r.done)
	if p.reading[r.start] != r {
		return // forgotten meanwhile
	}
	delete(p.reading, r.start)
	if whole := min(r.start, 1) + int64(h.o.Page); r.err == nil && int64(len(r.events)) == whole {
		if len(p.kept) == keptPages {
			p.kept = append(p.kept[:0], p.kept[1:]...)
		}
		p.kept = append(p.kept, r)
	}
}

// forget drops all, for the log is another one.
func (p *pages) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept, p.reading = nil, nil
}

// pageAt reads the page behind start, and the event at start if there is one. The epoch is that of the log now.
func (h *Hub) pageAt(ctx context.Context, start int64) (event.Epoch, []event.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	head, err := h.log.Head(ctx)
	if err != nil {
		return event.Epoch{}, nil, fmt.Errorf("reading the event log: %w", err)
	}
	first := max(0, start-1)
	events, err := h.read(ctx, first, h.o.Page+int(start-first))
	return head.Epoch, events, err
}
