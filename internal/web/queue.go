package web

import (
	"context"
	"errors"
	"sync"
)

// errEnded says that a queue takes no more: its socket is being closed.
var errEnded = errors.New("the socket is being closed")

// An item is one frame for a socket.
type item struct {
	frame []byte     // finished bytes, shared and not changed any more
	op    *operation // whose it is; nil for none
	final bool       // it ends op
}

// queue holds what waits for one socket, in order and bounded in bytes, what is
// being written included. Many put, one takes.
//
// Who finds it full waits, and others behind them in the order they came, so
// that a large frame is not overtaken for ever by small ones. Waiting ends with
// the context or with the queue. Nothing that was taken in is dropped, but by
// end.
type queue struct {
	limit int
	turn  chan struct{} // cap 1: held by who puts
	room  chan struct{} // cap 1: size fell, or the queue has ended
	ready chan struct{} // cap 1: there is something to take, or the queue has ended

	mu    sync.Mutex
	items []item
	size  int // bytes in items and in what was taken but not yet released
	last  []byte
	ended bool
}

func newQueue(limit int) *queue {
	return &queue{
		limit: limit,
		turn:  make(chan struct{}, 1), room: make(chan struct{}, 1), ready: make(chan struct{}, 1),
	}
}

// put adds an item when there is room for it, which for one larger than the
// limit is when nothing else is there. The error is ctx's, or errEnded.
func (q *queue) put(ctx context.Context, it item) error {
	select {
	case q.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-q.turn }()
	for {
		if done, err := q.tryPut(it); done {
			return err
		}
		select {
		case <-q.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *queue) tryPut(it item) (done bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return true, errEnded
	}
	if q.size > 0 && q.size+len(it.frame) > q.limit {
		return false, nil
	}
	q.items = append(q.items, it)
	q.size += len(it.frame)
	signal(q.ready)
	return true, nil
}

// take returns all that waits, in place of into, which the queue keeps for what
// comes next. After the last of it ended is true, and last is the frame to end
// with, nil for none.
func (q *queue) take(into []item) (items []item, last []byte, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, q.items = q.items, into[:0]
	return items, q.last, q.ended
}

// release says that n bytes that were taken are no longer held.
func (q *queue) release(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.size -= n
	signal(q.room)
}

// end makes the queue take no more. What waits may still be taken, and last
// after it, unless drop is set. Only the first last counts; a later call may
// still drop.
func (q *queue) end(last []byte, drop bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.ended {
		q.ended, q.last = true, last
	}
	if drop {
		for _, it := range q.items {
			q.size -= len(it.frame)
		}
		q.items = nil
	}
	signal(q.ready)
	signal(q.room)
}

// signal wakes who waits on c, now or when it next does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
