package web

import "sync"

// census counts the open sockets of each address and of each viewer. It holds no more than there are sockets.
type census struct {
	mu   sync.Mutex
	open map[string]int
}

// enter counts one more for a key, unless it has most already. Call leave once when that one is gone.
func (c *census) enter(key string, most int) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key] >= most {
		return nil, false
	}
	if c.open == nil {
		c.open = map[string]int{}
	}
	c.open[key]++
	return func() { c.leave(key) }, true
}

func (c *census) leave(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[key]--; c.open[key] == 0 {
		delete(c.open, key)
	}
}
