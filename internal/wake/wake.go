// Package wake says "look again" to those who wait for the log to move: within the process (Signal) and, on Postgres,
// to the other nodes (Postgres). A wake-up carries no data, may come without a reason, and any number of them may be
// taken for one. Whoever waits also looks now and then by itself, so that a lost one costs time and nothing else.
package wake

import "sync"

// Signal carries wake-ups from any number of wakers to any number of waiters. Its zero value is ready for use.
type Signal struct {
	mu      sync.Mutex
	waiters map[chan struct{}]struct{}
}

// Wake wakes every waiter. It never blocks. Whoever receives from its channel after Wake was called sees all that the
// caller did before.
func (s *Signal) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.waiters {
		select {
		case c <- struct{}{}:
		default: // one waits there already, and says the same
		}
	}
}

// Wait returns a channel that receives once for all wake-ups since the last receive, and a function that gives it
// back. The channel is never closed.
func (s *Signal) Wait() (woken <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiters == nil {
		s.waiters = map[chan struct{}]struct{}{}
	}
	s.waiters[c] = struct{}{}
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiters, c)
	}
}
