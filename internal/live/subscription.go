package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"tidings/internal/event"
)

// Subscription is one subscriber's way through a topic. Next is called by one goroutine at a time; Close by any.
type Subscription struct {
	hub   *Hub
	topic event.Topic
	epoch event.Epoch
	woken chan struct{} // receives when something has changed for a Next that waits

	notify func() // called instead, if there is no Next that could wait

	page []event.Event // read from the log and not yet looked at; Next's own

	mu      sync.Mutex
	err     error        // why it has ended
	live    bool         // whether the hub hands it events; while it does not, at is Next's own
	at      event.Cursor // all of the topic up to here was returned
	pending queue        // what the hub has handed over, behind at
}

// Next returns the next event of the topic, and waits for it if there is none. It returns event.ErrExpired when what
// follows is no longer kept, ErrStopped when the hub stops, ErrClosed after Close, and ctx's error when ctx is done,
// after which Next may be called again. The other errors are final. While the log can't be read, Next waits.
func (s *Subscription) Next(ctx context.Context) (event.Event, error) {
	for retry := minRetry; ; {
		if err := ctx.Err(); err != nil {
			return event.Event{}, err
		}
		e, live, err := s.take()
		if err != nil {
			return event.Event{}, err
		}
		if e != nil {
			return *e, nil
		}
		var again <-chan time.Time
		if !live {
			err := s.replay(ctx)
			if errors.Is(err, event.ErrExpired) {
				s.fail(err)
			}
			if err == nil || errors.Is(err, event.ErrExpired) {
				retry = minRetry
				continue
			}
			again = time.After(jitter(retry)) // the tail reports the outage, once for all
			retry = min(2*retry, maxRetry)
		}
		select {
		case <-ctx.Done():
		case <-s.woken:
		case <-again:
		}
	}
}

// take returns the next event of those at hand, if there is one.
func (s *Subscription) take() (e *event.Event, live bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, false, s.err
	}
	for len(s.page) > 0 {
		e := s.page[0]
		s.page = s.page[1:]
		s.at = event.After(e, s.epoch)
		if s.topic.Covers(e) {
			return &e, s.live, nil
		}
	}
	s.page = nil
	if e = s.pending.pop(); e != nil {
		s.at = event.After(*e, s.epoch)
	}
	return e, s.live, nil
}

// replay becomes live if there is nothing left to read, and else reads a page.
func (s *Subscription) replay(ctx context.Context) error {
	joined, err := s.hub.join(s)
	if joined || err != nil {
		return err
	}
	s.page, err = s.hub.page(ctx, s.at)
	if err == nil && len(s.page) == 0 {
		return fmt.Errorf("the event log has gone back: %w", event.ErrExpired) // the hub was further
	}
	return err
}

// push takes e from the hub, which was at before it. It reports false when there is no room: then s is no longer
// live, and will read from where it was. The caller holds the hub's lock.
func (s *Subscription) push(before event.Cursor, e *event.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Position <= s.at.Position:
		return true // it was ahead of the hub when it joined
	case s.pending.len() == 0:
		s.at = before // nothing waited: all up to the hub's place is done
		s.wake()
	case !s.pending.room():
		s.live, s.pending = false, queue{limit: s.pending.limit}
		return false
	}
	s.pending.push(e)
	return true
}

// Cursor returns the text of the cursor that resumes right behind e, an event that Next has returned.
func (s *Subscription) Cursor(e event.Event) string { return event.After(e, s.epoch).String() }

// Close ends the subscription. A Next that waits returns ErrClosed. It may be called more than once.
func (s *Subscription) Close() { s.fail(ErrClosed) }

// fail ends the subscription with err, and takes it out of the hub.
func (s *Subscription) fail(err error) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.leave(s)
	delete(s.hub.all, s)
	s.end(err)
}

// end makes every Next return err, if nothing else has ended it before. The caller holds the hub's lock and takes s
// out of the hub.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err, s.live, s.pending = err, false, queue{}
		s.wake()
	}
}

func (s *Subscription) wake() {
	if s.notify != nil {
		s.notify()
		return
	}
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// queue holds up to limit events, first in, first out.
type queue struct {
	limit int
	buf   []*event.Event
	first int // of those that wait; what is before it is nil
}

func (q *queue) len() int   { return len(q.buf) - q.first }
func (q *queue) room() bool { return q.len() < q.limit }

func (q *queue) push(e *event.Event) {
	if len(q.buf) == cap(q.buf) && q.first > 0 {
		n := copy(q.buf, q.buf[q.first:])
		clear(q.buf[n:])
		q.buf, q.first = q.buf[:n], 0
	}
	q.buf = append(q.buf, e)
}

func (q *queue) pop() *event.Event {
	if q.len() == 0 {
		return nil
	}
	e := q.buf[q.first]
	q.buf[q.first] = nil
	q.first++
	if q.len() == 0 {
		q.buf, q.first = q.buf[:0], 0
	}
	return e
}
