package graph_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/gid"
	"tidings/internal/live"
	"tidings/internal/testkit"
)

// readings counts how often ent's debugging client reads the log from which place.
type readings struct {
	mu   sync.Mutex
	from map[int]int
}

var aReading = regexp.MustCompile(`FROM log WHERE pos >= \$1 ORDER BY pos LIMIT \$2 args=\[(\d+) `)

func (r *readings) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m := aReading.FindSubmatch(b); m != nil {
		from, _ := strconv.Atoi(string(m[1]))
		r.from[from]++
	}
	return len(b), nil
}

// TestManyResumeOverSockets: a thousand clients that resume at once, as all do after a restart, read the log about once,
// and most of what they are told is rendered for many of them.
func TestManyResumeOverSockets(t *testing.T) {
	const clients, page = 1000, 32
	pages := testkit.Of(3, 10)
	everywhere(t, func(w *world) {
		author := w.user("ada")
		post, err := gid.ParsePost(w.post(author, "A post", true))
		if err != nil {
			w.t.Fatal(err)
		}
		events, _, end := w.serve(w.store.Client(), live.Options{})
		head, err := events.Head(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		var comments []string
		for range pages * page {
			comments = append(comments, w.announce(events, post, author))
		}
		last := int(head.Position) + len(comments)
		testkit.Eventually(w.t, func() error { // on Postgres they have to get there
			now, err := events.Head(w.t.Context())
			if err == nil && int(now.Position) < last {
				err = fmt.Errorf("the log stands at %d, want %d", now.Position, last)
			}
			return err
		})
		end()

		// Now it begins, and knows nothing of the log.
		read, asked := &readings{from: map[int]int{}}, new(statements)
		log.SetOutput(io.MultiWriter(read, asked))
		defer log.SetOutput(io.Discard)
		_, url, end := w.serve(w.store.Client().Debug(), live.Options{Page: page})
		defer end()
		perSocket := testkit.Of(20, 1)
		var sockets []*websocket.Conn
		for range clients / perSocket {
			sockets = append(sockets, w.connect(url))
		}
		var reading sync.WaitGroup
		for _, c := range sockets {
			w.subscribe(c, post, head.String(), perSocket)
			reading.Go(func() {
				if err := takeAll(c, comments, perSocket); err != nil {
					w.t.Error(err)
				}
			})
		}
		reading.Wait()
		read.mu.Lock()
		defer read.mu.Unlock()
		n := 0
		for from, times := range read.from {
			if from < last-1 { // the tail looks from there
				n += times
			}
		}
		renders := asked.take()
		w.t.Logf("%d clients were each told of %d comments: %d pages of the log were read, of %d, and %d statements asked for comments, posts and users", clients, len(comments), n, pages, renders)
		if n == 0 || n > 3*pages+5 {
			w.t.Errorf("%d pages were read %d times: %v", pages, n, read.from)
		}
		if most := clients * len(comments); renders == 0 || renders > most { // it is four for each rendering
			w.t.Errorf("%d statements were asked to render what %d clients were told, want %d at most", renders, clients, most)
		}
	})
}

// takeAll reads a socket until each of its subscriptions was told of all comments, in order.
func takeAll(c *websocket.Conn, comments []string, subscriptions int) error {
	told := map[string]int{}
	for left := subscriptions * len(comments); left > 0; left-- {
		_ = c.SetReadDeadline(time.Now().Add(3 * testkit.Wait))
		var m struct {
			ID, Type string
			Payload  struct {
				Data struct{ CommentAdded struct{ ID string } }
			}
		}
		_, text, err := c.ReadMessage()
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &m); err != nil || m.Type != "next" {
			return fmt.Errorf("%s, %w", text, err)
		}
		if want := comments[told[m.ID]]; m.Payload.Data.CommentAdded.ID != want {
			return fmt.Errorf("subscription %s: %s comes at place %d, want %s", m.ID, m.Payload.Data.CommentAdded.ID, told[m.ID], want)
		}
		told[m.ID]++
	}
	return nil
}
