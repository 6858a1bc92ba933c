package web

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/live"
)

// writeAtOnce is how much is put into one write, in bytes, if it is made of several frames.
const writeAtOnce = 64 << 10

// scratch is what it takes to write: a buffer for frames, and where each of them ends.
type scratch struct {
	items []item
	b     []byte
	ends  []int

	try func(fd uintptr) // writes b at once, made once
	n   int              // so much of b
}

var scratches = sync.Pool{New: func() any {
	s := new(scratch)
	s.try = func(fd uintptr) { s.n = tryWrite(fd, s.b) }
	return s
}}

// keepScratch bounds the buffers that are kept for the next time.
const keepScratch = 4 * writeAtOnce

func (s *scratch) free() {
	clear(s.items)
	s.items, s.ends, s.b = s.items[:0], s.ends[:0], s.b[:0]
	if cap(s.b) <= keepScratch && cap(s.items) <= 1<<12 {
		scratches.Put(s)
	}
}

// write writes what waits. It is called by who was told to, and returns when nothing waits, or when the rest is written
// by a goroutine of its own: it never blocks.
func (c *conn) write() {
	if c.raw == nil {
		go c.writeAll(nil)
		return
	}
	s := scratches.Get().(*scratch)
	for range maxRounds {
		var last []byte
		if s.items, last = c.out.take(s.items[:0], writeAtOnce); len(s.items) == 0 && last == nil {
			s.free()
			return
		}
		size := c.fill(s)
		if last != nil {
			s.b, s.ends = append(s.b, last...), append(s.ends, len(s.b)+len(last))
		}
		n := c.writeNow(s)
		clear(s.items)
		if n < len(s.b) {
			go c.writeAll(&unwritten{s, n, size})
			return
		}
		c.out.release(size)
	}
	s.free()
	go c.writeAll(nil) // others have put as fast as this could write
}

// writeEvents is write for events of op, which count for size bytes, when nothing else waits: they needn't go through the
// queue's items.
func (c *conn) writeEvents(op *operation, ps []*live.Payload, size int) {
	s := scratches.Get().(*scratch)
	for _, p := range ps {
		s.b = item{event: p, op: op}.append(s.b)
		s.ends = append(s.ends, len(s.b))
	}
	n := c.writeNow(s)
	if n < len(s.b) {
		go c.writeAll(&unwritten{s, n, size})
		return
	}
	s.free()
	if c.out.written(size) {
		c.write()
	}
}

// maxRounds bounds how much is written for others by who came to write.
const maxRounds = 8

// unwritten is a buffer of which n bytes are written already, and what it counts for.
type unwritten struct {
	s       *scratch
	n, size int
}

// writeAll writes what is left of a buffer, and then what waits until nothing does. It blocks, and is the only one that
// writes.
func (c *conn) writeAll(rest *unwritten) {
	if rest == nil {
		rest = &unwritten{s: scratches.Get().(*scratch)}
	}
	s := rest.s
	defer s.free()
	ok := c.flush(s, rest.n)
	c.out.release(rest.size)
	for ok {
		var last []byte
		if s.items, last = c.out.take(s.items[:0], writeAtOnce); len(s.items) == 0 && last == nil {
			return
		}
		size := c.fill(s)
		if last != nil {
			s.b, s.ends = append(s.b, last...), append(s.ends, len(s.b)+len(last))
		}
		clear(s.items)
		ok = c.flush(s, 0)
		c.out.release(size)
	}
	c.out.abandon()
	c.cut() // nobody reads what it is told
}

// flush writes a buffer of which n bytes are written already. It reports whether it could.
//
// It is looked twice in Limits.Write whether the peer takes something. If it took
// nothing since the last time, it is told to try again later, as far as there is
// room for that behind the frame that it has begun to take; all others are
// dropped, and the socket is closed: at most Limits.Write after the last byte.
// Its subscriptions resume behind what it has seen.
func (c *conn) flush(s *scratch, n int) bool {
	for n < len(s.b) {
		m, err := c.writeSome(s.b[n:])
		n += m
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			c.cut()
			return false
		case m == 0:
			c.shut(closeTryAgainLater, "Too slow")
			// Whether it gets that is beyond us.
			begun, start := 0, 0
			for _, end := range s.ends {
				if start < n && n < end {
					begun = end
				}
				start = end
			}
			_ = c.net.SetWriteDeadline(time.Now().Add(writeLast))
			_, _ = c.net.Write(append(append([]byte(nil), s.b[n:max(n, begun)]...), closeFrame(closeTryAgainLater, "Too slow")...))
			return false
		}
	}
	return true
}

// writeLast is how long the last words to a peer that takes nothing may take.
const writeLast = 100 * time.Millisecond

// writeSome writes as much of b as the peer takes in half of Limits.Write.
func (c *conn) writeSome(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := c.net.SetWriteDeadline(time.Now().Add(c.server.limits.Write / 2)); err != nil {
		return 0, err
	}
	return c.net.Write(b)
}

// rawConn gives the descriptor to write to without waiting; nil if that can't be.
func rawConn(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || !canTryWrite {
		return nil // TLS, say
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return rc
}

// writeNow writes as much of s.b as the kernel takes at once. What failed will fail again when it is written in earnest.
//
// RawConn.Write would do, too, but prepares to wait, which costs a tenth of a delivery. That nobody else writes, which it
// would see to, is the queue's doing; and Control, like it, keeps the descriptor from being closed meanwhile.
func (c *conn) writeNow(s *scratch) int {
	s.n = 0
	if err := c.raw.Control(s.try); err != nil {
		return 0
	}
	return s.n
}

// beat implements peer.
func (c *conn) beat(now time.Time) {
	if now.Sub(c.pinged) >= c.server.limits.Ping {
		c.pinged = now
		c.ping()
	}
}

// ping asks the client whether it is there. Who has no room for that is asked by what fills it.
func (c *conn) ping() {
	if _, write, _ := c.out.tryPut(item{frame: pingFrame}, false); write {
		c.write()
	}
}

var pingFrame = controlFrame(websocket.PingMessage, nil)
