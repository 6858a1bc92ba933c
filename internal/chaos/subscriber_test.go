package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
)

var queries = map[checker.Kind]string{
	checker.PostCreated:  `subscription($scope: ID, $after: Cursor) { it: postCreated(authorId: $scope, after: $after) { id } }`,
	checker.CommentAdded: `subscription($scope: ID!, $after: Cursor) { it: commentAdded(postId: $scope, after: $after) { id } }`,
}

// silence is for how long a subscriber waits for a server that says nothing: longer than that pings.
const silence = time.Minute

// subscriber follows one topic and always comes back, behind the last payload it got, to the next of its servers. Every
// other one resumes by the item's id, and every third one follows by server-sent events.
type subscriber struct {
	urls  []string
	token string
	start string // a cursor
	byID  bool
	sse   bool
	late  bool // it is not one of those that are to get all at once

	mu     sync.Mutex
	stream checker.Stream
	codes  map[int]int            // how often its connections were closed with which code; 0: without one
	last   map[string]int         // how often it got each item
	closed map[string][]time.Time // when each server closed its connections
	dials  int

	failures int // of a program that says so
}

// follow runs until ctx is done.
func (s *subscriber) follow(ctx context.Context) {
	for ctx.Err() == nil {
		s.once(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(10*time.Millisecond + rand.N(90*time.Millisecond)): // as clients do
		}
	}
}

// once is one connection with one subscription.
func (s *subscriber) once(ctx context.Context) {
	s.mu.Lock()
	url := s.urls[s.dials%len(s.urls)]
	s.dials++
	get := s.dials%4 < 2
	s.mu.Unlock()
	if s.sse {
		s.onceStreaming(ctx, url, get)
		return
	}
	ws, err := dial(ctx, url, s.token)
	if err != nil {
		return
	}
	defer ws.Close()
	defer context.AfterFunc(ctx, func() { _ = ws.Close() })()
	run := s.begin()
	variables := map[string]any{"after": run.After}
	if s.stream.Scope != "" {
		variables["scope"] = s.stream.Scope
	}
	if err := write(ws, "subscribe", map[string]any{"query": queries[s.stream.Kind], "variables": variables}); err != nil {
		s.cut(closeCode(err))
		return
	}
	for {
		m, err := read(ws)
		switch {
		case err != nil && ctx.Err() != nil: // the end of the test: what is to come has come
			return
		case err != nil:
			s.cut(closeCode(err))
			s.mu.Lock()
			s.closed[url] = append(s.closed[url], time.Now())
			s.mu.Unlock()
			return
		case m.Type == "complete":
			s.end(checker.Completed)
			return
		case m.Type == "error":
			s.end(checker.End(codeOf(m.Payload)))
			return
		}
		var p payload
		if err := json.Unmarshal(m.Payload, &p); err != nil || len(p.Errors) > 0 || p.Data.It.ID == "" {
			s.end(checker.End("payload: " + string(m.Payload)))
			return
		}
		s.got(checker.Delivery{Item: p.Data.It.ID, Cursor: p.Extensions.Cursor, At: time.Now()})
	}
}

type payload struct {
	Data       struct{ It struct{ ID string } }
	Errors     []testkit.Error
	Extensions struct{ Cursor string }
}

// begin starts a run where the one before it ended.
func (s *subscriber) begin() checker.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := checker.Run{After: s.start, Begun: time.Now()}
	if n := len(s.stream.Runs); n > 0 {
		last := s.stream.Runs[n-1]
		next.After = last.After
		if n := len(last.Got); n > 0 {
			if next.After = last.Got[n-1].Cursor; s.byID {
				next.After = last.Got[n-1].Item
			}
		}
	}
	s.stream.Runs = append(s.stream.Runs, next)
	return next
}

func (s *subscriber) got(d checker.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run := &s.stream.Runs[len(s.stream.Runs)-1]
	run.Got = append(run.Got, d)
	s.last[d.Item]++
}

func (s *subscriber) end(how checker.End) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.stream.Runs); n > 0 {
		s.stream.Runs[n-1].End = how
	}
}

// cut is the end of the connection, with a code or 0.
func (s *subscriber) cut(code int) {
	s.end(checker.Cut)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[code]++
}

// String tells how it stands.
func (s *subscriber) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var runs []string
	for _, r := range s.stream.Runs {
		runs = append(runs, fmt.Sprintf("%d payloads, end %q", len(r.Got), r.End))
	}
	return fmt.Sprintf("%s, of %s, closed with %v: %v", s.stream.Name, s.stream.Scope, s.codes, runs)
}

func (s *subscriber) has(item string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[item] > 0
}

// The protocol, as little of it as is needed here.

var dialer = websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: testkit.Wait, ReadBufferSize: 2048, WriteBufferSize: 512}

// dial opens a connection that is acknowledged.
func dial(ctx context.Context, url, token string) (*websocket.Conn, error) {
	ws, _, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/graphql", http.Header{})
	if err != nil {
		return nil, err
	}
	hello := map[string]any{}
	if token != "" {
		hello["authorization"] = "Bearer " + token
	}
	if err = write(ws, "connection_init", hello); err == nil {
		var m testkit.Message
		if m, err = read(ws); err == nil && m.Type != "connection_ack" {
			err = errors.New("not acknowledged: " + m.Type)
		}
	}
	if err != nil {
		ws.Close()
		return nil, err
	}
	return ws, nil
}

func write(ws *websocket.Conn, kind string, payload any) error {
	b, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	m := testkit.Message{Type: kind, Payload: b}
	if kind == "subscribe" {
		m.ID = "1"
	}
	_ = ws.SetWriteDeadline(time.Now().Add(testkit.Wait))
	return ws.WriteJSON(m)
}

// read gives the next message but pings, which it answers.
func read(ws *websocket.Conn) (m testkit.Message, err error) {
	for {
		_ = ws.SetReadDeadline(time.Now().Add(silence))
		_, text, err := ws.ReadMessage()
		if err != nil {
			return m, err
		}
		m = testkit.Message{}
		if err := json.Unmarshal(text, &m); err != nil {
			return m, err
		}
		switch m.Type {
		case "ping":
			if err := ws.WriteJSON(testkit.Message{Type: "pong"}); err != nil {
				return m, err
			}
		case "pong":
		default:
			return m, nil
		}
	}
}

func closeCode(err error) int {
	if closed, ok := errors.AsType[*websocket.CloseError](err); ok && closed.Code != websocket.CloseAbnormalClosure {
		return closed.Code
	}
	return 0
}

func codeOf(payload json.RawMessage) string {
	var errs []testkit.Error
	if err := json.Unmarshal(payload, &errs); err != nil || len(errs) == 0 {
		return "error: " + string(payload)
	}
	code, _ := errs[0].Extensions["code"].(string)
	return code
}
