package web

import "sync"

// census counts the open sockets of each address and of each viewer, and what their open subscriptions cost. It holds no
// more than there are of these.
type census struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts n more for a key, unless it had more than most then. Call leave once when they are gone.
func (c *census) enter(key string, n, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]+n > most {
		return nil, false
	}
	if c.open == nil {
		c.open = map[string]int{}
	}
	c.open[key] += n
	return func() { c.leave(key, n) }, true
}

func (c *census) leave(key string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key] -= n; c.open[key] == 0 {
		delete(c.open, key)
	}
}
