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
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/relay"
	"tidings/internal/testkit/leak"
)

// Node is one running server.
type Node struct {
	t    testing.TB
	URL  string // http://…
	Log  *Buffer
	app  *app.App // nil: somebody else's
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
	n.URL, n.app = a.URL(), a
	go func() {
		defer close(n.done)
		n.err = a.Run(ctx)
	}()
	t.Cleanup(n.Stop)
	return n
}

// Within returns the same server at another address, where change makes the context of each request over HTTP. Sockets
// make theirs themselves.
func (n *Node) Within(change func(context.Context) context.Context) *Node {
	n.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.app.Handler().ServeHTTP(w, r.WithContext(change(r.Context())))
	}))
	n.t.Cleanup(server.Close)
	other := At(n.t, server.URL)
	other.app, other.Log = n.app, n.Log
	return other
}

// Reads counts how the server has answered reads, over all its addresses.
func (n *Node) Reads() relay.Counts { return n.app.Reads() }

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

// Send sends a request and gives the response, read whole. Like all that the clients of this package are told, it is
// looked at for leaks.
func (n *Node) Send(req *http.Request) (*http.Response, []byte, error) {
	n.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	leak.Header(n.t, resp.Header)
	leak.Body(n.t, resp.StatusCode, b)
	return resp, b, err
}

// Post runs an operation over HTTP; token may be empty.
func (n *Node) Post(token, query string, variables map[string]any) (Response, error) {
	n.t.Helper()
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
	resp, b, err := n.Send(req)
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
