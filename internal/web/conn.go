package web

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/auth"
	"tidings/internal/fault"
)

// conn is one socket. It has one goroutine, which reads, while nothing happens: what
// goes out is written by whoever puts it into the queue, or by a goroutine that
// lasts as long as the peer is slow; operations have one until they have been
// answered, and subscriptions until they are members of their group.
//
// The reader, which is serve at first and then idle and attend by turns, owns
// the others: it ends with finish, and the connection is closed, when all of
// them are done.
//
// A conn ends in one of two ways, whichever comes first:
//
//   - shut: operations stop, what waits is written, then a close frame; then
//     the reader waits for the peer's, for at most Limits.Close.
//   - cut: operations stop and the connection is closed, with nothing said.
type conn struct {
	raw syscall.RawConn // for writing without waiting; nil if that can't be
	line
	ws      *websocket.Conn // for reading
	in      *bufio.Reader   // what ws reads from
	net     net.Conn        // for writing
	headers []string        // Authorization, as the upgrade had it
	opened  time.Time
	pinged  time.Time // last; beat's own

	// The reader's own.
	inited, acknowledged bool
	viewer               auth.Viewer
	unwatch              func()   // its session; nil if nothing is watched
	seats                []func() // to leave in the end

	// Under line.mu.
	operations    []*operation
	subscriptions int       // of operations, those known to be subscriptions
	leaving       *goodbye  // set once it ends as soon as its operations have
	closed        int       // the code it was shut with; 0: it wasn't, or not yet
	expires       time.Time // the viewer's access token; zero: never
	initTimer     *time.Timer
	expiryTimer   *time.Timer
	revokeTimer   *time.Timer
	closeTimer    *time.Timer
}

func newConn(s *Server, ws *websocket.Conn, in *bufio.Reader, nc net.Conn, client auth.Client, meter *meter, authorization []string) *conn {
	c := &conn{
		line: line{
			server: s, id: client.Request, meter: meter,
			out:   out{limit: s.limits.Queue, finished: make(chan struct{})},
			slots: make(chan struct{}, s.limits.Executions),
		},
		raw: rawConn(nc), ws: ws, in: in, net: nc, headers: authorization, opened: time.Now(), pinged: time.Now(),
	}
	c.transport = c
	if c.raw != nil {
		c.direct = c
	}
	client.Cookie = nil // none can be set any more
	c.values = withMeter(auth.WithClient(context.Background(), client), meter)
	c.ctx, c.cancel = context.WithCancel(c.values)
	return c
}

// serve begins the socket.
func (c *conn) serve() {
	switch {
	case c.server.sockets.isDraining():
		c.shut(closeGoingAway, goingAway)
	case c.ws.Subprotocol() != subprotocol:
		c.shut(closeNoSubprotocol, "Subprotocol not acceptable")
	default:
		c.mu.Lock()
		c.initTimer = time.AfterFunc(c.server.limits.Init, func() {
			c.shut(closeInitTimeout, "Connection initialisation timeout")
		})
		c.mu.Unlock()
	}

	c.ws.SetPongHandler(func(string) error { c.alive(); return nil })
	c.ws.SetPingHandler(func(payload string) error { c.answerPing([]byte(payload)); return nil })
	c.ws.SetCloseHandler(func(int, string) error { return nil }) // reading sees the code, too
	c.alive()
	c.attend()
}

// finish is the end of a socket that is read no more. The peer closed it with code.
func (c *conn) finish(code int) {
	defer c.server.sockets.remove(c)

	<-c.out.finished
	c.cut()
	c.settle()
	for _, leave := range c.seats {
		leave()
	}

	if c.unwatch != nil {
		c.unwatch()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, timer := range []*time.Timer{c.initTimer, c.expiryTimer, c.revokeTimer, c.closeTimer} {
		if timer != nil {
			timer.Stop()
		}
	}
	c.server.log.LogAttrs(c.ctx, slog.LevelDebug, "socket closed",
		slog.String("request", c.id), slog.Int("code", c.closed), slog.Int("peer_code", code),
		slog.Duration("duration", time.Since(c.opened)))
}

// shut ends the socket with a close frame, after what waits already. Only the
// first call counts. It doesn't block.
func (c *conn) shut(code int, reason string) {
	var last []byte
	if code == closeNoStatus {
		last = controlFrame(websocket.CloseMessage, nil)
	} else {
		last = closeFrame(code, reason)
	}
	c.mu.Lock()
	if c.closed != 0 {
		c.mu.Unlock()
		return
	}
	c.closed = code
	c.halt()
	c.closeTimer = time.AfterFunc(c.server.limits.Close, c.cut)
	c.mu.Unlock()
	if c.out.end(last, false) {
		c.write()
	}
}

// halt stops whatever the socket does. It is called with the lock held. (The operations' contexts aren't made of the
// socket's, which would take a map for them.)
func (c *conn) halt() {
	c.cancel()
	for _, op := range c.operations {
		op.halt()
	}
}

// settle ends what is left of the operations, and waits for their goroutines.
func (c *conn) settle() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.running.Wait()
	c.mu.Lock()
	left := slices.Clone(c.operations)
	c.mu.Unlock()
	for _, op := range left {
		op.end("closed")
	}
}

// cut ends the socket at once. It may be called more than once.
func (c *conn) cut() {
	c.mu.Lock()
	c.halt()
	c.mu.Unlock()
	c.net.Close() // it fails if it is closed already; who writes then ends
	if c.out.end(nil, true) {
		c.write()
	}
}

func (c *conn) isShut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed != 0
}

// handle does what one message asks for.
func (c *conn) handle(kind int, text []byte) {
	switch {
	case int64(len(text)) > c.server.limits.Message:
		c.shut(closeTooLarge, "The message is too large")
		return
	case kind != websocket.TextMessage:
		c.shut(closeInvalid, "Messages are text")
		return
	case !utf8.Valid(text):
		c.shut(closeNotUTF8, "")
		return
	}
	m, err := decodeMessage(text)
	if err != nil {
		c.shut(closeInvalid, err.Error())
		return
	}
	if m.kind != "subscribe" { // which is charged for what it asks
		// The client isn't read from meanwhile: there is nothing that could be refused.
		_ = pace(c.ctx, 1+len(text)/messageCost) // it fails only if the socket ends
	}
	switch m.kind {
	case "connection_init":
		c.init(m)
	case "ping":
		c.pong(m.payload)
	case "subscribe":
		if !c.acknowledged {
			c.shut(closeUnauthorized, "Unauthorized")
			return
		}
		c.subscribe(m)
	case "complete":
		c.complete(m.id)
	}
}

// init lets the client in, or not.
func (c *conn) init(m message) {
	if c.inited {
		c.shut(closeTooManyInits, "Too many initialisation requests")
		return
	}
	c.inited = true
	c.initTimer.Stop()
	var err error
	if c.viewer, err = c.server.socketViewer(m.payload, c.headers); err != nil {
		c.shut(closeForbidden, "Forbidden")
		return
	}
	c.headers = nil
	c.meter.count(c.viewer)
	leave, ok := c.server.viewerSeat(c.meter)
	if !ok {
		c.server.report(auth.WithViewer(c.ctx, c.viewer), "sockets")
		c.shut(closeTryAgainLater, "Try again later") // of the codes on which clients come back, that for overload
		return
	}
	c.seats = append(c.seats, leave)
	c.expireAt(c.viewer.Expires)
	c.viewer.Expires = time.Time{} // it may be renewed
	c.mu.Lock()
	c.initTimer = nil
	c.values = auth.WithViewer(c.values, c.viewer)
	c.mu.Unlock()
	if c.viewer.SignedIn() {
		c.unwatch = c.server.guard.Watch(c.viewer.Session, func() { c.shutOut(errNoViewer) })
	}
	c.acknowledged = true
	c.send(ackFrame())
}

// messageCost is for how many bytes of a message that starts no operation a point is due, beside the first.
const messageCost = 32 << 10

// send puts a frame of no operation into the queue, and waits for room there:
// a client that reads nothing is not read from. It fails only if the socket
// ends, and then nobody needs to know.
func (c *conn) send(frame []byte) { _ = c.put(c.ctx, item{frame: frame}) }

// subscribe starts an operation.
func (c *conn) subscribe(m message) {
	limits := c.server.limits
	c.mu.Lock()
	op := &operation{id: m.id, conn: &c.line, start: time.Now(), busy: 1}
	switch {
	case c.ctx.Err() != nil || c.leaving != nil:
		// The client asks again when it has come back.
		c.mu.Unlock()
		return
	case c.operation(m.id) != nil:
		c.mu.Unlock()
		c.shut(closeDuplicate, "Subscriber for "+m.id+" already exists")
		return
	case len(c.operations) >= limits.Subscriptions+8*limits.Executions:
		c.mu.Unlock()
		_ = pace(c.ctx, refusedCost) // it fails only if the socket ends
		refused := c.server.engine.refuse(c.ctx, fault.RateLimited(0, "Too many operations wait on this connection."))
		c.send(errorFrame(m.id, refused.Errors))
		return
	}
	c.operations = append(c.operations, op)
	c.running.Go(func() { op.serve(m.operation) })
	c.mu.Unlock()
}

// operation returns what runs under an id, or nil. It is called with the lock held.
func (c *conn) operation(id string) *operation {
	for _, op := range c.operations { // a few, mostly one: a map would take more
		if op.id == id {
			return op
		}
	}
	return nil
}

// complete ends an operation by the client's wish: nothing is sent of it any
// more. Ids that are not known belong to operations that have ended already.
func (c *conn) complete(id string) {
	c.mu.Lock()
	op := c.operation(id)
	c.mu.Unlock()
	if op != nil {
		op.completed.Store(true)
		op.stop()
		c.forget(op)
		op.endIdle()
	}
}

// forget makes room for the id of an operation that has ended.
func (c *conn) forget(op *operation) {
	c.mu.Lock()
	if i := slices.Index(c.operations, op); i >= 0 {
		c.operations = slices.Delete(c.operations, i, i+1)
		if op.subscribed {
			c.subscriptions--
		}
	}
	bye, left := c.leaving, len(c.operations) == c.subscriptions
	c.mu.Unlock()
	if bye != nil && left {
		c.shut(bye.code, bye.reason)
	}
}

// countSubscription notes that op is a subscription, if one more may be. If the
// socket is leaving, it is over at once. So it is while the server drains: the
// socket then leaves before its turn, and its client asks the next server.
func (c *conn) countSubscription(op *operation) error {
	if c.server.sockets.isDraining() {
		c.leave(goodbye{closeGoingAway, "The server is going away"})
		return errEnded
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving != nil {
		op.halt()
	}
	if c.subscriptions >= c.server.limits.Subscriptions {
		return fault.RateLimited(0, "There are too many subscriptions on this connection.")
	}
	if slices.Contains(c.operations, op) && !op.subscribed {
		op.subscribed = true
		c.subscriptions++
	}
	return nil
}

// prefix and what follows implement transport, with the messages of graphql-transport-ws.
func (c *conn) prefix(id string) []byte { return nextPrefix(id) }

func (c *conn) completion(id string) []byte { return completeFrame(id) }

func (c *conn) failure(id string, errs gqlerror.List) []byte { return errorFrame(id, errs) }

func (c *conn) goAway() { c.leave(goodbye{closeGoingAway, goingAway}) }

// goingAway is the reason of closeGoingAway.
const goingAway = "The server is going away"

// goodbye is what a socket is closed with.
type goodbye struct {
	code   int
	reason string
}

// leave ends subscriptions now and the socket, with bye, when the queries and
// mutations that run have been answered. It doesn't block. The first call
// decides.
func (c *conn) leave(bye goodbye) {
	c.mu.Lock()
	if c.leaving == nil {
		c.leaving = &bye
	}
	bye = *c.leaving
	var subscriptions []*operation
	for _, op := range c.operations {
		if op.subscribed {
			subscriptions = append(subscriptions, op)
		}
	}
	left := len(c.operations) == c.subscriptions
	c.mu.Unlock()
	for _, op := range subscriptions {
		op.stop()
		op.endIdle()
	}
	if left {
		c.shut(bye.code, bye.reason)
	}
}
