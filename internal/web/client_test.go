package web_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/testkit/leak"
)

// client is one end of a socket, that sends and expects bytes.
type client struct {
	t    testing.TB
	ws   *websocket.Conn
	resp *http.Response
}

// dial opens a socket. It offers the subprotocol unless the header says which.
func (w *world) dial(header ...string) *client {
	w.t.Helper()
	c, err := w.tryDial(header...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) tryDial(header ...string) (*client, error) {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	dialer := websocket.Dialer{
		HandshakeTimeout: patience,
		NetDial: func(network, addr string) (net.Conn, error) {
			nc, err := net.Dial(network, addr)
			if err == nil && w.readBuffer > 0 {
				err = nc.(*net.TCPConn).SetReadBuffer(w.readBuffer)
			}
			return nc, err
		},
	}
	if h.Get("Sec-Websocket-Protocol") == "" {
		dialer.Subprotocols = []string{"graphql-transport-ws"}
	}
	ws, resp, err := dialer.Dial("ws"+strings.TrimPrefix(w.http.URL, "http")+"/graphql", h)
	if err != nil {
		if resp != nil {
			text, _ := io.ReadAll(resp.Body) // the start of it is kept
			leak.Body(w.t, resp.StatusCode, text)
		}
		return &client{t: w.t, resp: resp}, err
	}
	w.t.Cleanup(func() { ws.Close() })
	return &client{w.t, ws, resp}, nil
}

// open opens a socket that has been let in. init is the payload, "" for none.
func (w *world) open(init string, header ...string) *client {
	w.t.Helper()
	c := w.dial(header...)
	if init != "" {
		init = `,"payload":` + init
	}
	c.send(`{"type":"connection_init"` + init + `}`)
	c.expect(`{"type":"connection_ack"}`)
	return c
}

func (c *client) send(text string) {
	c.t.Helper()
	if err := c.ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		c.t.Fatalf("send %s: %v", text, err)
	}
}

// pingFrame sends a ping of RFC 6455.
func (c *client) pingFrame() {
	c.t.Helper()
	if err := c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe sends a subscribe message. variables may be "".
func (c *client) subscribe(id, query, variables string) {
	c.t.Helper()
	text, err := json.Marshal(query)
	if err != nil {
		c.t.Fatal(err)
	}
	if variables != "" {
		variables = `,"variables":` + variables
	}
	c.send(`{"id":"` + id + `","type":"subscribe","payload":{"query":` + string(text) + variables + `}}`)
}

func (c *client) read() (string, error) {
	if err := c.ws.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	_, text, err := c.ws.ReadMessage()
	leak.Message(c.t, text)
	if closed, ok := err.(*websocket.CloseError); ok && closed.Code != websocket.CloseAbnormalClosure { // 1006 is the client's own word
		leak.Closed(c.t, closed.Text)
	}
	return string(text), err
}

// next returns the next message.
func (c *client) next() string {
	c.t.Helper()
	text, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	return text
}

// expect takes the next messages, which must be these to the byte.
func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, want := range want {
		if got := c.next(); got != want {
			c.t.Fatalf("\n got %s\nwant %s", got, want)
		}
	}
}

// quiet makes sure that nothing was sent: what comes next is the answer to a ping.
func (c *client) quiet() {
	c.t.Helper()
	c.send(`{"type":"ping","payload":{"quiet":1}}`)
	c.expect(`{"type":"pong","payload":{"quiet":1}}`)
}

// expectClose takes the end of the socket, which must be the next that comes.
func (c *client) expectClose(code int, reason string) {
	c.t.Helper()
	text, err := c.read()
	if err == nil {
		c.t.Fatalf("got %s, want a close with %d", text, code)
	}
	closed, ok := err.(*websocket.CloseError)
	if !ok || closed.Code != code || closed.Text != reason {
		c.t.Fatalf("closed with %v, want %d %q", err, code, reason)
	}
}
