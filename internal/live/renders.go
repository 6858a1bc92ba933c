package live

import (
	"context"
	"errors"
	"sync"
	"time"
)

// renders are the renderings under way. Those who ask for the same event at the same time share one that begins after
// they asked: what they are told was permitted then, and is no older. So nothing is kept: a post
// may have been hidden, or shown again, since it was rendered for somebody else.
type renders struct {
	spawn func(func()) bool

	mu      sync.Mutex
	running map[renderKey]*rendering
	next    map[renderKey]*rendering // each begins when the running one has ended, or in a moment
}

type renderKey struct {
	group    *Group
	position int64
}

type rendering struct {
	render func() (*Payload, error)
	done   chan struct{} // closed when p or err is there
	p      *Payload
	err    error
}

// errPanicked is the end of a rendering that has none.
var errPanicked = errors.New("rendering an event panicked")

func newRenders(spawn func(func()) bool) *renders {
	return &renders{spawn: spawn, running: map[renderKey]*rendering{}, next: map[renderKey]*rendering{}}
}

// gather is how long the first of a crowd waits for the others, who would each render for themselves otherwise.
const gather = time.Millisecond

// get renders an event. crowd says that others will ask for it in a moment. The error is render's, ErrStopped, or ctx's
// if somebody else renders.
func (c *renders) get(ctx context.Context, key renderKey, crowd bool, render func() (*Payload, error)) (*Payload, error) {
	c.mu.Lock()
	r, lead := c.next[key], false
	if r == nil {
		r, lead = &rendering{render: render, done: make(chan struct{})}, c.running[key] == nil
		c.next[key] = r
	}
	c.mu.Unlock()
	if lead {
		if crowd {
			time.Sleep(gather)
		}
		c.mu.Lock()
		delete(c.next, key)
		c.running[key] = r
		c.mu.Unlock()
		c.run(key, r)
		return r.p, r.err
	}
	select {
	case <-r.done:
		return r.p, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run renders, and has the next one begin.
func (c *renders) run(key renderKey, r *rendering) {
	r.err = errPanicked // unless it returns
	defer func() {
		c.mu.Lock()
		delete(c.running, key)
		next := c.next[key]
		if next != nil {
			delete(c.next, key)
			c.running[key] = next
		}
		c.mu.Unlock()
		close(r.done)
		if next != nil && !c.spawn(func() { c.run(key, next) }) {
			next.render = func() (*Payload, error) { return nil, ErrStopped }
			c.run(key, next)
		}
	}()
	r.p, r.err = r.render()
}
