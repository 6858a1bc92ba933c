// Package testkit starts a whole Tidings for a test, on a database of its own, and speaks to it as clients do.
package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/app"
	"tidings/internal/config"
)

// Node is one running server.
type Node struct {
	t    testing.TB
	URL  string // http://…
	Log  *Buffer
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// Databases runs a test once on a new SQLite file and once on a new Postgres database.
func Databases(t *testing.T, test func(t *testing.T, d config.Database)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, config.Database{Dialect: config.Postgres, URL: Postgres(t)})
	})
}

// Everywhere runs a test against a server on each database.
func Everywhere(t *testing.T, test func(t *testing.T, n *Node)) {
	Databases(t, func(t *testing.T, d config.Database) { test(t, Start(t, d)) })
}

// Config is what a test's server runs with: a free port, limits by rate off, a short drain.
func Config(d config.Database) config.Config {
	return config.Config{
		Addr: "127.0.0.1:0", Database: d, Secrets: config.Secrets{[]byte(strings.Repeat("test", 8))},
		MaxBody: 256 << 10, Retention: 168 * time.Hour, Drain: 5 * time.Second,
	}
}

// Start runs a server until the test ends or Stop.
func Start(t testing.TB, d config.Database) *Node {
	t.Helper()
	return StartWith(t, Config(d))
}

// StartWith is Start with another configuration.
func StartWith(t testing.TB, cfg config.Config) *Node {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	n := &Node{t: t, Log: new(Buffer), stop: stop, done: make(chan struct{})}
	a, err := app.New(ctx, cfg, slog.New(slog.NewJSONHandler(n.Log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		stop()
		t.Fatal(err)
	}
	n.URL = a.URL()
	go func() {
		defer close(n.done)
		n.err = a.Run(ctx)
	}()
	t.Cleanup(n.Stop)
	return n
}

// At speaks to a server that somebody else runs.
func At(t testing.TB, url string) *Node {
	n := &Node{t: t, URL: url, Log: new(Buffer), stop: func() {}, done: make(chan struct{})}
	close(n.done)
	return n
}

// Stop drains the server and waits for its end. It may be called again.
func (n *Node) Stop() {
	n.stop()
	<-n.done
	if n.err != nil {
		n.t.Errorf("the server ended with: %v", n.err)
	}
}

// Response is what an operation gives.
type Response struct {
	Data       map[string]any `json:"data"`
	Errors     []Error        `json:"errors"`
	Extensions map[string]any `json:"extensions"`
}

// Error is a GraphQL error.
type Error struct {
	Message    string         `json:"message"`
	Path       []any          `json:"path"`
	Extensions map[string]any `json:"extensions"`
}

// Post runs an operation over HTTP; token may be empty.
func (n *Node) Post(token, query string, variables map[string]any) (Response, error) {
	var r Response
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return r, err
	}
	req, err := http.NewRequest(http.MethodPost, n.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%s: %s: %w", resp.Status, b, err)
	}
	return r, nil
}

// Must is Post, and fails the test on any error.
func (n *Node) Must(token, query string, variables map[string]any) Response {
	n.t.Helper()
	r, err := n.Post(token, query, variables)
	if err != nil || len(r.Errors) > 0 {
		n.t.Fatalf("%s: %v %v", query, err, r.Errors)
	}
	return r
}

// Text follows names through the data to a string.
func (r Response) Text(path ...string) string {
	var v any = r.Data
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// SignUp makes a user and gives an access token of theirs.
func (n *Node) SignUp(username string) (token string) {
	n.t.Helper()
	const password = "Sesame-123"
	n.Must("", `mutation($i: CreateUserInput!) { createUser(input: $i) { id } }`, map[string]any{"i": map[string]any{
		"username": username, "email": username + "@example.org", "fullName": "Name of " + username, "password": password}})
	return n.Must("", `mutation($i: LogInInput!) { logIn(input: $i) { accessToken } }`, map[string]any{"i": map[string]any{
		"login": username, "password": password}}).Text("logIn", "accessToken")
}

// CreatePost publishes a post and gives its id.
func (n *Node) CreatePost(token, title string) string {
	n.t.Helper()
	return n.Must(token, `mutation($i: CreatePostInput!) { createPost(input: $i) { id } }`, map[string]any{"i": map[string]any{
		"title": title, "content": "text of " + title, "published": true}}).Text("createPost", "id")
}

// AddComment comments on a post and gives the comment's id.
func (n *Node) AddComment(token, post, content string) string {
	n.t.Helper()
	return n.Must(token, `mutation($i: AddCommentInput!) { addComment(input: $i) { id } }`, map[string]any{"i": map[string]any{
		"postId": post, "content": content}}).Text("addComment", "id")
}

// Socket is a graphql-transport-ws connection, acknowledged, with one subscription at a time.
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

// Subscribe opens a socket and subscribes on it. The subscription runs when the server has taken it up, which a ping
// behind it tells.
func (n *Node) Subscribe(token, query string, variables map[string]any) *Socket {
	n.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: Wait}
	conn, _, err := dialer.Dial("ws"+strings.TrimPrefix(n.URL, "http")+"/graphql", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	s := &Socket{n.t, conn}
	n.t.Cleanup(s.Close)
	hello := map[string]any{}
	if token != "" {
		hello["authorization"] = "Bearer " + token
	}
	s.send("connection_init", hello)
	if m := s.receive(); m.Type != "connection_ack" {
		n.t.Fatalf("%s instead of the acknowledgement: %s", m.Type, m.Payload)
	}
	s.send("subscribe", map[string]any{"query": query, "variables": variables})
	return s
}

func (s *Socket) send(typ string, payload any) {
	b, err := json.Marshal(payload)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.conn.WriteJSON(Message{ID: "1", Type: typ, Payload: b}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Socket) receive() Message {
	s.t.Helper()
	for {
		var m Message
		_ = s.conn.SetReadDeadline(time.Now().Add(Wait))
		if err := s.conn.ReadJSON(&m); err != nil {
			s.t.Fatal("reading from the socket: ", err)
		}
		if m.Type != "ping" && m.Type != "pong" {
			return m
		}
	}
}

// Next is the subscription's next payload. Anything else fails the test.
func (s *Socket) Next() Response {
	s.t.Helper()
	m := s.receive()
	var r Response
	if err := json.Unmarshal(m.Payload, &r); m.Type != "next" || err != nil {
		s.t.Fatalf("%s instead of a payload: %s", m.Type, m.Payload)
	}
	return r
}

// Error is the error with which the subscription ends.
func (s *Socket) Error() []Error {
	s.t.Helper()
	m := s.receive()
	var errs []Error
	if err := json.Unmarshal(m.Payload, &errs); m.Type != "error" || err != nil {
		s.t.Fatalf("%s instead of an error: %s", m.Type, m.Payload)
	}
	return errs
}

// More takes the subscription's next payload, or its completion: then it is false. Anything else fails the test.
func (s *Socket) More() bool {
	s.t.Helper()
	m := s.receive()
	if m.Type != "next" && m.Type != "complete" {
		s.t.Fatalf("%s instead of a payload or the completion: %s", m.Type, m.Payload)
	}
	return m.Type == "next"
}

// Complete takes the subscription's end by the server, which must be the next that comes.
func (s *Socket) Complete() {
	s.t.Helper()
	if m := s.receive(); m.Type != "complete" {
		s.t.Fatalf("%s instead of the completion: %s", m.Type, m.Payload)
	}
}

// Ended takes the end of a subscription of which nothing else is to come, and gives the code of its error; "" is a
// completion.
func (s *Socket) Ended() (code string) {
	s.t.Helper()
	m := s.receive()
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
		var m Message
		_ = s.conn.SetReadDeadline(time.Now().Add(Wait))
		err := s.conn.ReadJSON(&m)
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closed.Code, closed.Text
		}
		if err != nil {
			s.t.Fatal("reading from the socket: ", err)
		}
		if m.Type != "ping" && m.Type != "pong" && m.Type != "complete" {
			s.t.Fatalf("%s instead of a close frame: %s", m.Type, m.Payload)
		}
	}
}

// Close cuts the connection off. It may be called again.
func (s *Socket) Close() { _ = s.conn.Close() }

// Buffer is a writer that can be read while it is written.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Eventually polls until done says nil, and fails the test with its last error otherwise.
func Eventually(t testing.TB, done func() error) {
	t.Helper()
	err := errors.New("never tried")
	for deadline := time.Now().Add(Wait); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = done(); err == nil {
			return
		}
	}
	t.Fatal(err)
}
