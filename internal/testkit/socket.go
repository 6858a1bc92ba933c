package testkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/testkit/leak"
)

// Socket is a graphql-transport-ws connection. All that it is told is looked at for leaks.
type Socket struct {
	t    testing.TB
	conn *websocket.Conn
}

// Message is a message of the protocol.
type Message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Wait bounds every wait for something that must come.
const Wait = 20 * time.Second

// Dial opens a socket, and says nothing yet.
func (n *Node) Dial() *Socket {
	n.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: Wait}
	conn, resp, err := dialer.Dial("ws"+strings.TrimPrefix(n.URL, "http")+"/graphql", nil)
	if err != nil {
		if resp != nil {
			b, _ := io.ReadAll(resp.Body) // the start of it is kept
			leak.Body(n.t, resp.StatusCode, b)
		}
		n.t.Fatal(err)
	}
	s := &Socket{n.t, conn}
	n.t.Cleanup(s.Close)
	return s
}

// Open opens a socket that has been acknowledged; token may be empty.
func (n *Node) Open(token string) *Socket {
	n.t.Helper()
	s := n.Dial()
	hello := map[string]any{}
	if token != "" {
		hello["authorization"] = "Bearer " + token
	}
	s.Send("", "connection_init", hello)
	if m := s.Receive(); m.Type != "connection_ack" {
		n.t.Fatalf("%s instead of the acknowledgement: %s", m.Type, m.Payload)
	}
	return s
}

// Subscribe opens a socket and subscribes on it, as "1".
func (n *Node) Subscribe(token, query string, variables map[string]any) *Socket {
	n.t.Helper()
	s := n.Open(token)
	s.Subscribe("1", query, variables)
	return s
}

// Subscribe starts an operation.
func (s *Socket) Subscribe(id, query string, variables map[string]any) {
	s.t.Helper()
	s.Send(id, "subscribe", map[string]any{"query": query, "variables": variables})
}

// Send sends a message.
func (s *Socket) Send(id, typ string, payload any) {
	s.t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.conn.WriteJSON(Message{ID: id, Type: typ, Payload: b}); err != nil {
		s.t.Fatal(err)
	}
}

// Receive is the next message but pings and pongs.
func (s *Socket) Receive() Message {
	s.t.Helper()
	m, err := s.receive()
	if err != nil {
		s.t.Fatal("reading from the socket: ", err)
	}
	return m
}

func (s *Socket) receive() (Message, error) {
	s.t.Helper()
	for {
		var m Message
		_ = s.conn.SetReadDeadline(time.Now().Add(Wait))
		_, text, err := s.conn.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure { // 1006 is the client's own word
			leak.Closed(s.t, closed.Text)
		}
		if err != nil {
			return m, err
		}
		leak.Message(s.t, text)
		if err := json.Unmarshal(text, &m); err != nil {
			return m, fmt.Errorf("%s: %w", text, err)
		}
		if m.Type != "ping" && m.Type != "pong" {
			return m, nil
		}
	}
}

// More takes the subscription's next payload, or its completion: then it is false. Anything else fails the test.
func (s *Socket) More() bool {
	s.t.Helper()
	m := s.Receive()
	if m.Type != "next" && m.Type != "complete" {
		s.t.Fatalf("%s instead of a payload or the completion: %s", m.Type, m.Payload)
	}
	return m.Type == "next"
}

// Complete takes the subscription's end by the server, which must be the next that comes.
func (s *Socket) Complete() {
	s.t.Helper()
	if m := s.Receive(); m.Type != "complete" {
		s.t.Fatalf("%s instead of the completion: %s", m.Type, m.Payload)
	}
}

// Ended takes the end of a subscription of which nothing else is to come, and gives the code of its error; "" is a
// completion.
func (s *Socket) Ended() (code string) {
	s.t.Helper()
	m := s.Receive()
	if m.Type == "complete" {
		return ""
	}
	var errs []Error
	if err := json.Unmarshal(m.Payload, &errs); m.Type != "error" || err != nil || len(errs) != 1 {
		s.t.Fatalf("%s instead of an end: %s", m.Type, m.Payload)
	}
	code, _ = errs[0].Extensions["code"].(string)
	return code
}

// Closed waits until the server closes the socket, and gives its code and reason. Completions may come before that; any
// other message fails the test.
func (s *Socket) Closed() (code int, reason string) {
	s.t.Helper()
	for {
		m, err := s.receive()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closed.Code, closed.Text
		}
		if err != nil {
			s.t.Fatal("reading from the socket: ", err)
		}
		if m.Type != "complete" {
			s.t.Fatalf("%s instead of a close frame: %s", m.Type, m.Payload)
		}
	}
}

// Next is the subscription's next payload. Anything else fails the test.
func (s *Socket) Next() Response {
	s.t.Helper()
	m := s.Receive()
	var r Response
	if err := json.Unmarshal(m.Payload, &r); m.Type != "next" || err != nil {
		s.t.Fatalf("%s instead of a payload: %s", m.Type, m.Payload)
	}
	return r
}

// Error is the error with which the subscription ends.
func (s *Socket) Error() []Error {
	s.t.Helper()
	m := s.Receive()
	var errs []Error
	if err := json.Unmarshal(m.Payload, &errs); m.Type != "error" || err != nil {
		s.t.Fatalf("%s instead of an error: %s", m.Type, m.Payload)
	}
	return errs
}

// Close cuts the connection off. It may be called again.
func (s *Socket) Close() { _ = s.conn.Close() }
