package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tidings/internal/event"
)

// How long to wait before the log is read again after a failure: doubled each time, with jitter.
const (
	minRetry = 20 * time.Millisecond
	maxRetry = time.Second
)

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Run follows the log until ctx is done, and then returns nil; it is called once. Every subscription ends with
// ErrStopped at once: what waits in it is not delivered any more, for its client resumes from the last cursor it got.
//
// When the log can't be read, Run says so once and tries again for as long as it takes; nobody's place is lost
// meanwhile. When the log is not the one it was (the database was restored or replaced, or all that follows was
// deleted), every subscription ends with event.ErrExpired, and the tail starts anew from the head.
func (h *Hub) Run(ctx context.Context) error {
	defer h.workers.Wait()
	defer h.stop()
	defer h.cancel()
	failing, retry := false, minRetry
	for {
		more, err := h.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wake, wait := h.wake, h.o.Poll
		switch {
		case errors.Is(err, event.ErrExpired):
			h.o.Logger.WarnContext(ctx, "the event log is not the one it was: ending all subscriptions", "position", h.at.Position)
			h.known, wake, wait = false, nil, jitter(minRetry)
		case err != nil:
			if !failing {
				h.o.Logger.ErrorContext(ctx, "events are delayed: the event log can't be read", "err", err)
			}
			failing, wake, wait = true, nil, jitter(retry)
			retry = min(2*retry, maxRetry)
		case failing:
			h.o.Logger.InfoContext(ctx, "the event log can be read again")
			failing, retry = false, minRetry
		}
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		case <-time.After(wait):
		}
	}
}

// look publishes what is new, a page at most; more says that it was a full one.
func (h *Hub) look(ctx context.Context) (more bool, err error) {
	if !h.known {
		if err := h.startOver(ctx); err != nil {
			return false, err
		}
	}
	page, err := h.page(ctx, h.at) // only this goroutine changes h.at
	for _, e := range page {
		h.publish(e)
	}
	return len(page) == h.o.Page, err
}

// startOver ends all subscriptions, of which there are none at first, and takes the log's head as the hub's place.
func (h *Hub) startOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	head, err := h.log.Head(ctx)
	if err != nil {
		return fmt.Errorf("finding the head of the event log: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endAll(event.ErrExpired)
	h.newest = ring{limit: h.o.Recent}
	h.pages.forget()
	h.at, h.known = head, true
	select {
	case <-h.started:
	default:
		close(h.started)
	}
	return nil
}

// page reads up to Options.Page events behind at. It reads the event at that place once more and compares its tag, so
// that a log that went back and grew past the place again is told from the one that was read before. At position 0
// only the epoch can tell.
func (h *Hub) page(ctx context.Context, at event.Cursor) ([]event.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Timeout)
	defer cancel()
	if at.Position == 0 {
		head, err := h.log.Head(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the event log: %w", err)
		}
		if head.Epoch != at.Epoch {
			return nil, event.ErrExpired
		}
		return h.read(ctx, 0, h.o.Page)
	}
	page, err := h.read(ctx, at.Position-1, h.o.Page+1)
	if err != nil {
		return nil, err
	}
	if len(page) == 0 || page[0].Tag() != at.Tag {
		return nil, event.ErrExpired
	}
	return page[1:], nil
}

func (h *Hub) read(ctx context.Context, after int64, limit int) ([]event.Event, error) {
	page, err := h.log.Read(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the event log: %w", err)
	}
	return page, nil
}

func (h *Hub) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.endAll(ErrStopped)
	h.all = nil
	close(h.stopped)
}
