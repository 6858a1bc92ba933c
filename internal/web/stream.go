package web

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/auth"
	"tidings/internal/fault"
)

// stream is a response that carries one subscription, as server-sent events. It
// has the goroutine of its request, which writes, and one more until the
// subscription is a member of its group.
//
// It ends with complete if its subscription does. It ends without, so that the
// client comes back, when the viewer's session or access token ends, when the
// server goes away, or when the peer takes nothing for Limits.Write.
type stream struct {
	line
	w     http.ResponseWriter
	op    *operation
	seats []func()      // to leave in the end
	woken chan struct{} // cap 1: something is to be written
	said  atomic.Int64  // when something was written last, or put there by beat; in nanoseconds

	// Under line.mu.
	control *http.ResponseController // nil once no deadline may be set any more
}

type lastEventKey struct{}

// withLastEvent makes a subscription resume behind the event with an id, whatever its document says: an EventSource that
// comes back asks for the same address again.
func withLastEvent(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, lastEventKey{}, id)
}

func lastEvent(ctx context.Context) (id string, ok bool) {
	id, ok = ctx.Value(lastEventKey{}).(string)
	return id, ok
}

// stream answers a subscription, for as long as it lasts.
//
// While the server drains, a GET is answered with a stream that has ended: an
// EventSource comes back on that, and on no other status than 200.
func (s *Server) stream(a answer, viewer auth.Viewer, oc *graphql.OperationContext, points int) {
	if s.sockets.isDraining() && a.r.Method == http.MethodGet {
		eventHeaders(a.w.Header())
		_, _ = a.w.Write(append(comeBack(), '\n')) // the client may be gone: nobody to tell
		return
	}
	if s.sockets.isDraining() || !s.sockets.expect() {
		plain(a.w, http.StatusServiceUnavailable, "draining")
		return
	}
	c, err := s.newStream(a, viewer, oc, points)
	if err != nil {
		s.sockets.add(nil)
		s.report(a.r.Context(), "sockets")
		a.refuse(http.StatusTooManyRequests, err)
		return
	}
	s.sockets.add(c)
	defer s.sockets.remove(c)
	if s.sockets.isDraining() { // and may have been looking for whom to end before this one was there
		c.end()
	}
	note(a.w, viewer, oc, "stream")
	a.meter.headers(a.w.Header())
	c.serve(viewer)
}

// newStream takes the seats of a stream. The error says that there are none.
func (s *Server) newStream(a answer, viewer auth.Viewer, oc *graphql.OperationContext, points int) (*stream, error) {
	ofAddress, ok := s.addressSeat(a.meter)
	if !ok {
		return nil, fault.RateLimited(retrySocket, "There are too many connections from this address.")
	}
	ofViewer, ok := s.viewerSeat(a.meter)
	if !ok {
		ofAddress()
		return nil, fault.RateLimited(retrySocket, "There are too many connections of this viewer.")
	}
	client := auth.ClientFrom(a.r.Context())
	c := &stream{
		line: line{
			server: s, id: client.Request, meter: a.meter,
			out:   out{limit: s.limits.Queue, finished: make(chan struct{})},
			slots: make(chan struct{}, 1),
		},
		w: a.w, control: http.NewResponseController(a.w),
		seats: []func(){ofAddress, ofViewer}, woken: make(chan struct{}, 1),
	}
	c.transport = c
	c.ctx, c.cancel = context.WithCancel(withMeter(a.r.Context(), a.meter))
	c.values = withLastEvent(auth.WithViewer(c.ctx, viewer), a.r.Header.Get(lastEventID))
	c.op = &operation{conn: &c.line, start: time.Now(), busy: 1, oc: oc, points: points, name: operationName(oc), kind: operationType(oc)}
	return c, nil
}

// serve runs the stream until it has ended. It returns when nothing of it is left.
func (c *stream) serve(viewer auth.Viewer) {
	eventHeaders(c.w.Header())
	if !viewer.Expires.IsZero() {
		defer time.AfterFunc(time.Until(viewer.Expires), c.end).Stop()
	}
	if viewer.SignedIn() {
		defer c.server.guard.Watch(viewer.Session, c.end)()
	}
	c.spawn(func() { c.op.work(c.begin) })
	c.writeAll()

	c.cancel()
	c.out.end(nil, true)
	c.deadline(time.Now().Add(c.server.limits.Write)) // of the last bytes, which are net/http's
	c.mu.Lock()
	c.over = true
	c.control = nil
	c.mu.Unlock()
	c.running.Wait()
	c.op.end("closed")
	for _, leave := range c.seats {
		leave()
	}
}

// begin makes the subscription a member of its group. It returns as operation.work wants it. The response begins when it
// is known where the subscription does: what is open can be resumed.
func (c *stream) begin(ctx context.Context) string {
	at, err := c.op.open(ctx)
	if err == nil {
		err = c.put(ctx, item{frame: openingEvent(at.String())})
	}
	if err == nil {
		err = c.op.follow(ctx, at)
	}
	return c.op.followed(ctx, err)
}

// writeAll writes what waits until the stream has ended, or its client is gone.
func (c *stream) writeAll() {
	for {
		select {
		case <-c.woken:
			if !c.writeWaiting() {
				c.out.abandon()
				return
			}
		case <-c.out.finished:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// writeWaiting writes what waits until nothing does. It reports whether it could.
func (c *stream) writeWaiting() (ok bool) {
	s := scratches.Get().(*scratch)
	defer s.free()
	for ok = true; ok; {
		if s.items, _ = c.out.take(s.items[:0], writeAtOnce); len(s.items) == 0 {
			return true
		}
		size := c.fill(s)
		clear(s.items)
		ok = c.send(s.b)
		c.out.release(size)
	}
	return false
}

// sendAtOnce is for how many bytes there is one Limits.Write: a peer that takes less in that time takes nothing.
const sendAtOnce = 16 << 10

// send writes and flushes. It reports whether it could.
func (c *stream) send(b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), sendAtOnce)
		if !c.deadline(time.Now().Add(c.server.limits.Write)) {
			return false
		}
		if _, err := c.w.Write(b[:n]); err != nil {
			return false
		}
		b = b[n:]
	}
	if !c.deadline(time.Now().Add(c.server.limits.Write)) || http.NewResponseController(c.w).Flush() != nil {
		return false
	}
	c.said.Store(time.Now().UnixNano())
	// HTTP/2 would end the stream when the time has come, whether something is being written or not.
	return c.deadline(time.Time{})
}

// deadline sets the time by which what is being written is to be taken. It reports whether there still is something to
// write to.
func (c *stream) deadline(t time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control == nil {
		return false
	}
	_ = c.control.SetWriteDeadline(t) // it fails only where there is no connection to set it on
	return true
}

// end ends the stream without complete. It doesn't block.
func (c *stream) end() {
	c.op.stop()
	c.op.endIdle()
	if c.out.end(nil, true) {
		c.write()
	}
}

// leave implements peer, as do cut and beat.
func (c *stream) leave(goodbye) { c.end() }

func (c *stream) cut() {
	c.cancel()
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control != nil {
		_ = c.control.SetWriteDeadline(time.Unix(1, 0)) // who writes has no time left
		c.control = nil
	}
}

// beat says something if nothing was said for long, so that nobody in between takes the connection for dead.
func (c *stream) beat(now time.Time) {
	if now.UnixNano()-c.said.Load() < int64(c.server.limits.Ping) {
		return
	}
	c.said.Store(now.UnixNano())
	if _, write, _ := c.out.tryPut(item{frame: heartbeat}, false); write {
		c.write()
	}
}

// write implements transport, as does what follows.
func (c *stream) write() { signal(c.woken) }

func (c *stream) prefix(string) []byte { return nil }

func (c *stream) completion(string) []byte { return []byte(completeEvent) }

func (c *stream) failure(_ string, errs gqlerror.List) []byte { return failureEvents(errs) }

func (c *stream) countSubscription(*operation) error { return nil }

// forget ends the stream when what waits is written: there is nothing else on it.
func (c *stream) forget(*operation) {
	if c.out.end(nil, false) {
		c.write()
	}
}

func (c *stream) current(v auth.Viewer) (auth.Viewer, error) { return c.server.current(v) }

func (c *stream) shutOut(error) { c.end() }

func (c *stream) goAway() { c.end() }
