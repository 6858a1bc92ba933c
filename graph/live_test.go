package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/ent"
	"tidings/graph"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/live"
	"tidings/internal/testkit"
	"tidings/internal/wake"
	"tidings/internal/web"
)

// statements counts what ent's debugging client says that it asks of the tables of posts, comments and users.
type statements struct {
	mu sync.Mutex
	n  int
}

func (s *statements) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, table := range []string{`"posts"`, `"comments"`, `"users"`, "`posts`", "`comments`", "`users`"} {
		if bytes.Contains(b, []byte("driver.Query")) && bytes.Contains(b, []byte("FROM "+table)) {
			s.n++
		}
	}
	return len(b), nil
}

func (s *statements) take() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.n
	s.n = 0
	return n
}

// serve serves subscriptions until end. The log asks by client.
func (w *world) serve(client *ent.Client, o live.Options) (events *eventlog.Log, url string, end func()) {
	w.t.Helper()
	moved := new(wake.Signal)
	quiet := slog.New(slog.DiscardHandler)
	events = eventlog.New(client, w.store.Dialect(), eventlog.Options{Wake: moved.Wake, Logger: quiet})
	woken, _ := moved.Wait()
	o.Logger = quiet
	hub := live.New(events, woken, o)
	schema := graph.NewExecutableSchema(graph.Config{Resolvers: &graph.Resolver{Ent: w.store.Client().Debug(), Log: events}})
	server, err := web.New(web.Options{Schema: schema, Hub: hub, Guard: w.guard, Log: quiet, Presenter: graph.Presenter(quiet)})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{events.Run, hub.Run} {
		parts.Go(func() { _ = run(ctx) })
	}
	served := httptest.NewServer(server)
	return events, served.URL, func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Drain(over)
		served.Close()
		stop()
		parts.Wait()
	}
}

// announce writes a comment and its event.
func (w *world) announce(events *eventlog.Log, post gid.Post, author gid.User) string {
	w.t.Helper()
	id := gid.NewComment()
	err := events.Write(auth.AsSystem(w.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		err := tx.Comment.Create().SetID(id).SetAuthorID(author).SetPostID(post).SetContent("a comment").Exec(ctx)
		return []event.Event{event.NewCommentAdded(id, post)}, err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id.String()
}

// TestStatementsOfAnEvent: what an event asks of the database does not depend on how many are told of it: 2,000 at most, or
// 10,000 with TIDINGS_TEST_LONG.
func TestStatementsOfAnEvent(t *testing.T) {
	most := testkit.Of(2_000, 10_000)
	everywhere(t, func(w *world) {
		events, url, end := w.serve(w.store.Client(), live.Options{})
		defer end()
		asked := new(statements)
		log.SetOutput(asked)
		defer log.SetOutput(io.Discard)

		author := w.user("ada")
		post, err := gid.ParsePost(w.post(author, "A post", true))
		if err != nil {
			w.t.Fatal(err)
		}
		// From here on, so that none is told too late to be told at all.
		head, err := events.Head(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		const perSocket = 125
		open := 0
		sockets := map[*websocket.Conn]int{} // how many subscriptions each has
		var counts []int
		for _, n := range []int{1, 100, most} {
			for open < n {
				more := min(n-open, perSocket)
				sockets[w.listen(url, post, head.String(), more)] = more
				open += more
			}
			// Those who have just come read what they missed, each at their own pace: that is another matter, and over after an
			// event or two.
			asks := 0
			for range 5 {
				asked.take()
				id := w.announce(events, post, author)
				for c, subscriptions := range sockets {
					drain(w.t, c, id, subscriptions)
				}
				if asks = asked.take(); len(counts) > 0 && asks == counts[0] {
					break
				}
			}
			counts = append(counts, asks)
		}
		if counts[0] == 0 || counts[1] != counts[0] || counts[2] != counts[0] {
			w.t.Errorf("with 1, 100 and %d subscribers an event asked %v times", most, counts)
		}
		w.t.Logf("with 1, 100 and %d subscribers an event asked %v times", most, counts)
	})
}

// listen opens a socket with subscriptions to a post's comments.
func (w *world) listen(url string, post gid.Post, after string, subscriptions int) *websocket.Conn {
	w.t.Helper()
	c := w.connect(url)
	w.subscribe(c, post, after, subscriptions)
	return c
}

// connect opens a socket that is acknowledged.
func (w *world) connect(url string) *websocket.Conn {
	w.t.Helper()
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}
	c, _, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http")+"/graphql", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if err := c.WriteJSON(map[string]any{"type": "connection_init"}); err != nil {
		w.t.Fatal(err)
	}
	if _, _, err := c.ReadMessage(); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) subscribe(c *websocket.Conn, post gid.Post, after string, subscriptions int) {
	w.t.Helper()
	for i := range subscriptions {
		err := c.WriteJSON(map[string]any{"id": fmt.Sprint(i), "type": "subscribe", "payload": map[string]any{
			"query": `subscription($p: ID!, $c: Cursor) { commentAdded(postId: $p, after: $c) { id content author { username } post { title } } }`, "variables": map[string]any{"p": post.String(), "c": after}}})
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// drain reads a socket until so many were told of a comment; others that they are told of don't count.
func drain(t testing.TB, c *websocket.Conn, id string, subscriptions int) {
	t.Helper()
	for told := 0; told < subscriptions; {
		_ = c.SetReadDeadline(time.Now().Add(testkit.Wait))
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := c.ReadJSON(&m); err != nil {
			t.Fatal(err)
		}
		if m.Type == "next" && bytes.Contains(m.Payload, []byte(id)) {
			told++
		} else if m.Type != "next" && m.Type != "ping" {
			t.Fatalf("%s %s", m.Type, m.Payload)
		}
	}
}
