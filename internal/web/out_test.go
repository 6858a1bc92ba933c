package web

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func bytesOf(n int) item { return item{frame: make([]byte, n)} }

func newOut(limit int) *out { return &out{limit: limit, finished: make(chan struct{})} }

// mustPut puts an item, for a writer who is there already.
func (o *out) mustPut(t *testing.T, it item) {
	t.Helper()
	if _, err := o.put(t.Context(), it); err != nil {
		t.Fatal(err)
	}
}

// sizes takes what waits and returns how large each is.
func sizes(o *out) (all []int) {
	items, _ := o.take(nil, 1<<20)
	for _, it := range items {
		all = append(all, len(it.frame))
	}
	return all
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		q := newOut(100)
		var order []int
		put := func(n int) {
			go func() {
				if _, err := q.put(ctx, bytesOf(n)); err != nil {
					t.Error(err)
				}
				order = append(order, n) // one at a time: the bubble waits between them
			}()
			synctest.Wait()
		}
		put(60)
		put(40)
		put(500) // waits until all is gone
		put(1)   // waits behind it, though there were room
		if got := sizes(q); !equal(got, []int{60, 40}) {
			t.Errorf("took %v", got)
		}
		q.release(60)
		synctest.Wait()
		if got := sizes(q); got != nil {
			t.Errorf("took %v while 40 bytes were still being written", got)
		}
		q.release(40)
		synctest.Wait()
		if got := sizes(q); !equal(got, []int{500}) {
			t.Errorf("took %v", got)
		}
		q.release(500)
		synctest.Wait()
		if got := sizes(q); !equal(got, []int{1}) {
			t.Errorf("took %v", got)
		}
		if !equal(order, []int{60, 40, 500, 1}) {
			t.Errorf("put in the order %v", order)
		}
	})
}

func TestQueueWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newOut(100)
		q.mustPut(t, bytesOf(100))
		ctx, cancel := context.WithCancel(t.Context())
		var first, second, third error
		go func() { _, first = q.put(ctx, bytesOf(1)) }()
		synctest.Wait()
		go func() { _, second = q.put(ctx, bytesOf(1)) }() // behind the first
		go func() { _, third = q.put(t.Context(), bytesOf(1)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first, context.Canceled) || !errors.Is(second, context.Canceled) || third != nil {
			t.Errorf("%v, %v, %v", first, second, third)
		}
		q.end([]byte("last"), false)
		synctest.Wait()
		if !errors.Is(third, errEnded) {
			t.Error(third)
		}
		q.end([]byte("another"), false)
		wantEnd(t, q, 1)
		if _, err := q.put(t.Context(), bytesOf(1)); !errors.Is(err, errEnded) {
			t.Error(err)
		}
	})
}

func TestQueueDrop(t *testing.T) {
	q := newOut(100)
	q.mustPut(t, bytesOf(100))
	q.end([]byte("last"), false)
	q.end(nil, true)
	wantEnd(t, q, 0)
}

// wantEnd takes n items and the last frame, behind which the queue is finished.
func wantEnd(t *testing.T, q *out, n int) {
	t.Helper()
	if n > 0 {
		if items, last := q.take(nil, 1<<20); len(items) != n || last != nil {
			t.Errorf("%d items, then %q", len(items), last)
		}
	}
	if items, last := q.take(nil, 1<<20); len(items) != 0 || string(last) != "last" {
		t.Errorf("%d items, then %q", len(items), last)
	}
	select {
	case <-q.finished:
		t.Error("finished while somebody writes")
	default:
	}
	if items, last := q.take(nil, 1<<20); len(items) != 0 || last != nil {
		t.Errorf("at the end %d items and %q", len(items), last)
	}
	<-q.finished
}

// TestOneWrites: of all who put, one is told to write, until it has found that nothing is left.
func TestOneWrites(t *testing.T) {
	q := newOut(100)
	for i, want := range []bool{true, false, false} {
		if write, err := q.put(t.Context(), bytesOf(10)); write != want || err != nil {
			t.Errorf("put %d: %t, %v", i, write, err)
		}
	}
	if items, _ := q.take(nil, 25); len(items) != 2 {
		t.Errorf("%d items of 10 bytes in 25", len(items))
	}
	if write, _ := q.put(t.Context(), bytesOf(10)); write {
		t.Error("another one writes")
	}
	if items, _ := q.take(nil, 5); len(items) != 1 {
		t.Errorf("%d items of 10 bytes in 5", len(items))
	}
	if q.end([]byte("last"), false) {
		t.Error("another one writes the end")
	}
	wantEnd(t, q, 1)

	idle := newOut(100)
	if !idle.end([]byte("last"), false) {
		t.Error("nobody writes the end")
	}
	wantEnd(t, idle, 0)

	silent := newOut(100)
	if silent.end(nil, true) {
		t.Error("there is nothing to write")
	}
	<-silent.finished

	failing := newOut(100)
	failing.mustPut(t, bytesOf(50))
	_, _ = failing.take(nil, 100)
	failing.mustPut(t, bytesOf(50))
	failing.abandon()
	<-failing.finished
	if _, err := failing.put(t.Context(), bytesOf(1)); !errors.Is(err, errEnded) {
		t.Error(err)
	}
}
