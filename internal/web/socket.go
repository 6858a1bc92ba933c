package web

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/auth"
	"tidings/internal/fault"
)

// peer is a client's connection: a conn or a stream.
type peer interface {
	// leave ends it soon, in the way on which clients come back. It doesn't block.
	leave(goodbye)
	// cut ends it at once.
	cut()
	// beat is called now and then, and asks the client whether it is there when that is due.
	beat(now time.Time)
}

// sockets are the open ones of a Server, and its streams. Its lock comes before a conn's.
type sockets struct {
	draining atomic.Bool

	mu        sync.Mutex
	arriving  int // in their handshake
	open      map[peer]struct{}
	empty     *sync.Cond // on mu: none is open, and none arrives
	drained   bool       // and so it stays
	beating   bool       // beat will be called
	beatLater func()
}

func (s *sockets) isDraining() bool { return s.draining.Load() }

// expect makes room for a socket whose handshake begins, unless none may come
// any more. It is followed by add.
func (s *sockets) expect() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.drained {
		s.arriving++
	}
	return !s.drained
}

// add takes in a socket that was expected; nil if its handshake failed.
func (s *sockets) add(c peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arriving--
	if c != nil {
		s.open[c] = struct{}{}
		if !s.beating {
			s.beating = true
			s.beatLater()
		}
	}
	s.tell()
}

func (s *sockets) remove(c peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
	s.tell()
}

// tell is called with the lock held.
func (s *sockets) tell() {
	if len(s.open) == 0 && s.arriving == 0 {
		s.empty.Broadcast()
	}
}

func (s *sockets) all() []peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]peer, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	return all
}

// wait returns when there is no socket left, and sees to it that none comes.
func (s *sockets) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.open) > 0 || s.arriving > 0 {
		s.empty.Wait()
	}
	s.drained = true
}

// beatsAPing is how many times in Limits.Ping it is looked whose ping is due.
const beatsAPing = 8

func (s *Server) beatLater() { time.AfterFunc(s.limits.Ping/beatsAPing, s.beat) }

// beat pings the sockets whose time has come, for as long as there are some.
func (s *Server) beat() {
	now := time.Now()
	for _, c := range s.sockets.all() {
		c.beat(now)
	}
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	if s.sockets.beating = len(s.sockets.open) > 0; s.sockets.beating {
		s.beatLater()
	}
}

// upgrade opens a socket. From there on it has goroutines of its own, and the
// request is over.
//
// While the server drains, a new socket is closed at once with 1001: the stock
// client comes back on that, and gives up on a handshake that was refused.
func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	meter := s.newMeter(r.Context())
	refuse := answer{engine: s.engine, w: w, r: r, media: typeJSON, meter: meter}.refuse
	if !s.origins.allowSocket(r) {
		s.report(r.Context(), "origin")
		refuse(http.StatusForbidden, fault.Forbidden("This origin may not use the server."))
		return
	}
	if !s.sockets.expect() {
		plain(w, http.StatusServiceUnavailable, "draining")
		return
	}
	var c *conn
	defer func() {
		if c == nil {
			s.sockets.add(nil)
			return
		}
		s.sockets.add(c)
		go c.serve()
	}()
	seat, ok := s.addressSeat(meter)
	if !ok {
		s.report(r.Context(), "sockets")
		refuse(http.StatusTooManyRequests, fault.RateLimited(retrySocket, "There are too many connections from this address."))
		return
	}
	h := &hijacker{ResponseWriter: w}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: s.limits.Write,
		WriteBufferPool:  unusedWriteBuffers,
		Subprotocols:     []string{subprotocol},
		CheckOrigin:      func(*http.Request) bool { return true }, // checked above
	}
	ws, err := upgrader.Upgrade(h, r, http.Header{requestIDHeader: {w.Header().Get(requestIDHeader)}})
	if err != nil {
		seat() // the client has been told
		return
	}
	h.conn.upgraded.Store(true)
	c = newConn(s, ws, h.in, h.conn.Conn, auth.ClientFrom(r.Context()), meter, r.Header.Values("Authorization"))
	c.seats = append(c.seats, seat)
}

// retrySocket is when to come back with a socket that there was no room for.
const retrySocket = 10 * time.Second

// addressSeat counts a socket for its address, if that may have one more. What it returns takes that back.
func (s *Server) addressSeat(m *meter) (leave func(), ok bool) {
	if m == nil {
		return func() {}, true
	}
	return s.census.enter("address "+m.address, 1, m.rates.AddressSockets)
}

// viewerSeat is addressSeat for the viewer.
func (s *Server) viewerSeat(m *meter) (leave func(), ok bool) {
	if m == nil || m.viewer == "" {
		return func() {}, true
	}
	return s.census.enter("viewer "+m.viewer, 1, m.rates.ViewerSockets)
}

// unusedWriteBuffers keeps gorilla/websocket from making a write buffer for
// each connection.
var unusedWriteBuffers = new(sync.Pool)

// hijacker gives gorilla/websocket a connection to read from.
type hijacker struct {
	http.ResponseWriter
	conn *readSide
	in   *bufio.Reader
}

// readBuffer is how much is read from a socket at once, in bytes, unless it is more of the same message. It holds any
// control frame, and is more than the 256 from which on gorilla/websocket takes it as it is.
const readBuffer = 288

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = &readSide{Conn: nc}
	if rw.Reader.Buffered() == 0 { // else gorilla/websocket is to refuse it
		h.in = bufio.NewReaderSize(h.conn, readBuffer)
		rw.Reader = h.in
	}
	return h.conn, rw, nil
}

// readSide is a connection on which, once upgraded, writes do nothing. The
// frames that gorilla/websocket would write of itself (on a protocol error) must
// not fall into those of the conn's writer.
type readSide struct {
	net.Conn
	upgraded atomic.Bool
}

func (c *readSide) Write(b []byte) (int, error) {
	if c.upgraded.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func (c *readSide) SetWriteDeadline(t time.Time) error {
	if c.upgraded.Load() {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// Drain ends the sockets and streams. First of all /readyz fails, so that nobody
// is sent here any more, new sockets are closed at once, and nothing new is
// subscribed to. Then the open ones leave one after the other, spread as
// Options.Spread says: the subscriptions stop, queries and mutations that run are
// waited for, and a socket is closed with 1001, a stream ends without complete,
// on which clients come back elsewhere and resume. What is left when ctx is over
// is cut off, and then the error is ctx's. In either case no goroutine of a socket
// is left, unless one hangs in a resolver that doesn't return when its context
// ends: that is waited for no longer than Limits.Close.
//
// Plain requests go on being answered meanwhile, with "Connection: close": they
// are for http.Server.Shutdown to wait for, after Drain.
func (s *Server) Drain(ctx context.Context) error {
	s.sockets.draining.Store(true)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.sockets.wait()
	}()
	s.leave(ctx, gone)
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	hung := time.After(s.limits.Close)
	for {
		for _, c := range s.sockets.all() {
			c.cut()
		}
		select {
		case <-gone:
			return ctx.Err()
		case <-hung:
			return ctx.Err()
		case <-time.After(10 * time.Millisecond): // one may have been opened meanwhile
		}
	}
}

// leave tells each socket to go, spread over time.
func (s *Server) leave(ctx context.Context, gone <-chan struct{}) {
	spread := s.spread
	if end, ok := ctx.Deadline(); ok {
		spread = max(0, min(spread, time.Until(end)/2))
	}
	all := s.sockets.all()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	start := time.Now()
	for i, c := range all {
		// Each has a slot of its own, and leaves somewhere in it.
		at := time.Duration((float64(i) + rand.Float64()) / float64(len(all)) * float64(spread))
		select {
		case <-time.After(time.Until(start.Add(at))):
			c.leave(goodbye{closeGoingAway, goingAway})
		case <-gone:
			return
		case <-ctx.Done():
			return
		}
	}
}
