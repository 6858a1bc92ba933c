package web

import (
	"context"
	"errors"
	"sync"

	"tidings/internal/live"
)

// errEnded says that a queue takes no more: its connection is being closed.
var errEnded = errors.New("the connection is being closed")

// An item is one frame for a socket, or one event for a stream.
type item struct {
	frame []byte        // finished bytes, shared and not changed any more; nil for an event
	event *live.Payload // of op, shared
	op    *operation    // whose it is; nil for none
	final bool          // it ends op
}

// size is what an item counts for in the queue, and at least what it has on the wire.
func (it item) size() int {
	switch {
	case it.frame != nil:
		return len(it.frame)
	case it.op.prefix == nil:
		return nextEventSize(it.event)
	}
	return maxHeader + len(it.op.prefix) + len(it.event.Data) + len(nextEnd)
}

// append appends the item as it goes over the wire.
func (it item) append(b []byte) []byte {
	switch {
	case it.frame != nil:
		return append(b, it.frame...)
	case it.op.prefix == nil:
		return appendNextEvent(b, it.event)
	}
	b = appendHeader(b, opText, len(it.op.prefix)+len(it.event.Data)+len(nextEnd))
	b = append(b, it.op.prefix...)
	b = append(b, it.event.Data...)
	return append(b, nextEnd...)
}

// out is what goes out of one socket or stream, in order and bounded in bytes, what is being written included. Many put;
// one at a time writes: whoever finds a socket idle writes at once as much as the kernel takes, and what is left is
// written by a goroutine that is there for as long as something waits. A stream is written by the goroutine of its request.
//
// Who finds it full waits, and others behind them in the order they came, so that a large frame is not overtaken for ever
// by small ones. Nothing that was taken in is dropped, but by end.
type out struct {
	// What delivering needs comes first, in one line of the processor's cache.
	mu      sync.Mutex
	limit   int
	size    int  // bytes in items, and of what is being written
	writing bool // somebody writes, and will look at items again
	ended   bool
	done    bool          // finished is closed
	turn    chan struct{} // cap 1: held by who waits for room; made when somebody has to
	items   []item

	last     []byte        // to be written after items when it has ended
	finished chan struct{} // closed when it has ended and nobody writes any more
	room     chan struct{} // cap 1: size fell, or it has ended; made with turn
}

// put adds an item when there is room for it, which for one larger than the limit is when nothing else is there. write
// reports whether it is for the caller to write. The error is ctx's, or errEnded.
func (o *out) put(ctx context.Context, it item) (write bool, err error) {
	done, write, err := o.tryPut(it, false)
	if done {
		return write, err
	}
	turn, room := o.waiting()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-turn }()
	for {
		if done, write, err := o.tryPut(it, true); done {
			return write, err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (o *out) waiting() (turn, room chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.turn == nil {
		o.turn, o.room = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	return o.turn, o.room
}

// tryPut adds an item if there is room. Unless it is the caller's turn, nobody may be waiting for room either.
func (o *out) tryPut(it item, turn bool) (done, write bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.ended:
		return true, false, errEnded
	case !turn && len(o.turn) > 0, !o.fits(it.size()):
		return false, false, nil
	}
	o.add(it)
	return true, o.begin(), nil
}

// fits says whether there is room. It is called with the lock held, as are add, begin and wake.
func (o *out) fits(size int) bool { return o.size == 0 || o.size+size <= o.limit }

func (o *out) add(it item) {
	o.items = append(o.items, it)
	o.size += it.size()
}

// begin reports whether nobody writes yet, and makes that the caller.
func (o *out) begin() bool {
	was := o.writing
	o.writing = true
	return !was
}

func (o *out) wake() {
	if o.room != nil {
		signal(o.room)
	}
}

// take returns what to write next, up to most bytes but one item at least, or last, which is what comes behind all items
// when the queue has ended. With neither, nobody writes any more. It is for who writes.
func (o *out) take(into []item, most int) (items []item, last []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, size := 0, 0
	for n < len(o.items) && (n == 0 || size+o.items[n].size() <= most) {
		size += o.items[n].size()
		n++
	}
	if n > 0 {
		items = append(into, o.items[:n]...)
		rest := copy(o.items, o.items[n:])
		clear(o.items[rest:])
		o.items = o.items[:rest]
		if rest == 0 && cap(o.items) > 64 {
			o.items = nil // a burst is over; don't keep its room
		}
		return items, nil
	}
	if o.ended && o.last != nil {
		last, o.last = o.last, nil
		return into, last
	}
	o.writing = false
	o.finish()
	return into, nil
}

// release says that so many bytes that were taken are no longer held.
func (o *out) release(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= n
	o.wake()
}

// written is release for who has written all it took. It reports whether there is more to write; if not, nobody writes
// any more.
func (o *out) written(n int) (more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= n
	o.wake()
	if len(o.items) > 0 || o.ended && o.last != nil {
		return true
	}
	o.writing = false
	o.finish()
	return false
}

// end makes the queue take no more. What waits may still be taken, and last after it, unless drop is set. Only the first
// last counts; a later call may still drop what is in front of it. write reports whether it is for the caller to write
// what is left.
func (o *out) end(last []byte, drop bool) (write bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.ended, o.last = true, last
	}
	if drop {
		for _, it := range o.items {
			o.size -= it.size()
		}
		o.items = nil
	}
	o.wake()
	if len(o.items) > 0 || o.last != nil {
		return o.begin()
	}
	o.finish()
	return false
}

// abandon is end for who writes and can't.
func (o *out) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.items, o.size, o.last = nil, 0, nil
	o.ended, o.writing = true, false
	o.wake()
	o.finish()
}

// finish is called with the lock held when something may have been the last.
func (o *out) finish() {
	if o.ended && !o.writing && !o.done {
		o.done = true
		close(o.finished)
	}
}

// signal wakes who waits on c, now or when it next does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
