package web

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// A socket is read by one goroutine at a time. While the client says nothing that is idle, whose stack is the smallest
// there is: what attend calls takes a larger one, which would stay, and thousands wait at once. (2 KiB a socket instead
// of 4 to 8.)

// idle waits until the client says something, and leaves that to attend. Pongs, and most clients say nothing else, are
// passed over here.
func (c *conn) idle() {
	for {
		c.alive()
		head, err := c.in.Peek(2)
		n, pong := control(head, websocket.PongMessage)
		if pong {
			_, err = c.in.Discard(n)
		}
		if err != nil {
			go c.attend() // which finds it, too: there is no more time
			return
		}
		if !pong {
			c.alive()
			go c.attend()
			return
		}
	}
}

// attend handles what the client sends, as long as more of it is there. Who calls it has given the client time.
func (c *conn) attend() {
	for {
		if err := c.next(); err != nil {
			c.finish(c.readEnded(err))
			return
		}
		if c.in.Buffered() == 0 && !c.isShut() {
			go c.idle()
			return
		}
		c.alive()
	}
}

// next reads one message, or one control frame that stands between messages: for those gorilla/websocket would not
// return. Once the socket is shut, what comes is thrown away, and only the end of it counts.
func (c *conn) next() error {
	if head, _ := c.in.Peek(2); !c.isShut() {
		if n, ok := control(head, websocket.PongMessage); ok {
			_, err := c.in.Discard(n)
			return err
		}
		if n, ok := control(head, websocket.PingMessage); ok {
			return c.nextPing(n)
		}
	}
	kind, r, err := c.ws.NextReader()
	if err != nil || c.isShut() {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r, c.server.limits.Message+1))
	if err == nil {
		c.handle(kind, text)
	}
	return err
}

// alive gives the client time, for it is there: until it is pinged, which beat may find a little later to be due, and to
// answer that.
func (c *conn) alive() {
	limits := &c.server.limits
	// It fails only on a closed connection, as reading then does.
	_ = c.net.SetReadDeadline(time.Now().Add(limits.Ping + limits.Ping/beatsAPing + limits.Pong))
}

// nextPing reads a ping, which has n bytes, and answers it.
func (c *conn) nextPing(n int) error {
	ping, err := c.in.Peek(n)
	if err != nil {
		return err
	}
	key, payload := ping[2:maskedHeader], ping[maskedHeader:]
	for i := range payload {
		payload[i] ^= key[i%len(key)]
	}
	c.answerPing(payload)
	_, err = c.in.Discard(n)
	return err
}

func (c *conn) answerPing(payload []byte) {
	c.alive()
	_ = pace(c.ctx, 1) // it fails only if the socket ends
	c.send(controlFrame(websocket.PongMessage, payload))
}

// readEnded does what is left to do when reading failed.
func (c *conn) readEnded(err error) (code int) {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != closeWithoutClosing {
		c.shut(closed.Code, "")   // the echo, if it is the peer who began
		if c.out.end(nil, true) { // it reads nothing else any more
			c.write()
		}
		return closed.Code
	}
	if _, ok := errors.AsType[net.Error](err); ok || websocket.IsCloseError(err, closeWithoutClosing) {
		c.cut() // gone, or silent for too long
		return closeWithoutClosing
	}
	// What is left is that the peer broke RFC 6455. Where the next frame begins
	// is not known any more, so what comes is thrown away until the peer, who is
	// told so, ends it. To close earlier could lose the close frame on its way.
	c.shut(closeProtocolError, "")
	_, _ = io.Copy(io.Discard, c.net)
	return closeWithoutClosing
}
