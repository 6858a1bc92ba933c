package web

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// write writes what the queue holds, all of it in one write, until the queue
// has ended.
func (c *conn) write() {
	ping := time.NewTicker(c.server.limits.Ping)
	defer ping.Stop()
	var (
		items   []item
		frames  [][]byte
		pinging = controlFrame(websocket.PingMessage, nil)
	)
	for {
		frames = frames[:0]
		select {
		case <-c.out.ready:
		case <-ping.C:
			frames = append(frames, pinging)
		}
		var last []byte
		var ended bool
		items, last, ended = c.out.take(items)
		size := 0
		for i := range items {
			size += len(items[i].frame)
			if c.goesOut(items[i]) {
				frames = append(frames, items[i].frame)
			}
			items[i] = item{}
		}
		if last != nil {
			frames = append(frames, last)
		}
		if !c.flush(frames) || ended {
			c.out.end(nil, true)
			return
		}
		clear(frames)
		c.out.release(size)
		if cap(items) > 1<<10 { // a burst is over; don't keep its room
			items = nil
		}
	}
}

// goesOut tells whether a frame may still go out. That of an operation that its
// client has completed may not. That which ends one frees its id, before the
// client can know.
func (c *conn) goesOut(it item) bool {
	if it.op == nil {
		return true
	}
	muted := it.op.muted.Load()
	if it.final {
		c.forget(it.op)
	}
	return !muted
}

// flush writes frames. It reports whether it could.
//
// Each write has a deadline. If the peer took something by then, however
// little, it gets another one. If it took nothing, it is told to try again
// later: behind the frame that it has begun to take, all others are dropped.
// Its subscriptions resume behind what it has seen.
func (c *conn) flush(frames [][]byte) bool {
	rest := append(net.Buffers(nil), frames...)
	for len(rest) > 0 {
		n, err := c.writeSome(&rest)
		if err == nil {
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.cut()
			return false
		}
		if n == 0 {
			begun := rest[0]
			if len(begun) == len(frames[len(frames)-len(rest)]) {
				begun = nil
			}
			c.shut(closeTryAgainLater, "Too slow")
			// Whether it gets that is beyond us.
			_, _ = c.writeSome(&net.Buffers{begun, closeFrame(closeTryAgainLater, "Too slow")})
			return false
		}
	}
	return true
}

// writeSome writes as much of b as the peer takes before the deadline, and
// takes that off b.
func (c *conn) writeSome(b *net.Buffers) (int64, error) {
	if err := c.net.SetWriteDeadline(time.Now().Add(c.server.limits.Write)); err != nil {
		return 0, err
	}
	return b.WriteTo(c.net)
}
