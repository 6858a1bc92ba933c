//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync"

	"github.com/gorilla/websocket"
)

// The controls run in processes of their own, by this program again: its first argument says which, the second is the
// address.
var controls = map[string]func() http.Handler{
	"control-gorilla": newGorilla,
	"control-gqlgen":  newGqlgen,
}

// control runs a control if the arguments ask for one, and then doesn't return.
func control(args []string) {
	if len(args) != 3 || controls[args[1]] == nil {
		return
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(args[2], controls[args[1]]()))
	os.Exit(1)
}

// gorilla is a plain broadcast with gorilla/websocket: the stock upgrader, the handler's goroutine reads, and what is
// published is prepared once (websocket.PreparedMessage) and written to one connection after another, each message by
// itself. A single message is written by one goroutine, which takes the least CPU time; several by as many as there are
// processors, each with its share of the connections, which is the fastest.
type gorilla struct {
	mu     sync.Mutex
	shards [][]*websocket.Conn
	next   int
}

func newGorilla() http.Handler {
	g := &gorilla{shards: make([][]*websocket.Conn, runtime.GOMAXPROCS(0))}
	mux := controlMux(g.publish)
	mux.HandleFunc("GET /graphql", g.serve)
	return mux
}

// controlMux answers what every control is asked: whether it is ready, to publish (messages, a line each), and to read
// something (rig.Process.Collect).
func controlMux(publish func(messages [][]byte) error) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /graphql", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = publish(bytes.Split(body, []byte("\n")))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

func (g *gorilla) serve(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"graphql-transport-ws"}}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has been told
	}
	defer c.Close()
	for _, answer := range []string{`{"type":"connection_ack"}`, ""} { // to connection_init, and to subscribe
		if _, _, err := c.ReadMessage(); err != nil {
			return
		}
		if answer != "" && c.WriteMessage(websocket.TextMessage, []byte(answer)) != nil {
			return
		}
	}
	g.mu.Lock()
	g.shards[g.next%len(g.shards)] = append(g.shards[g.next%len(g.shards)], c)
	g.next++
	g.mu.Unlock()
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return // who has left is written to in vain, for the rest of the run
		}
	}
}

func (g *gorilla) publish(messages [][]byte) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	prepared := make([]*websocket.PreparedMessage, len(messages))
	for i, m := range messages {
		var err error
		if prepared[i], err = websocket.NewPreparedMessage(websocket.TextMessage, m); err != nil {
			return err
		}
	}
	if len(prepared) == 1 {
		for _, shard := range g.shards {
			broadcast(prepared, shard)
		}
		return nil
	}
	var all sync.WaitGroup
	for _, shard := range g.shards {
		all.Go(func() { broadcast(prepared, shard) })
	}
	all.Wait()
	return nil
}

func broadcast(messages []*websocket.PreparedMessage, to []*websocket.Conn) {
	for _, m := range messages {
		for _, c := range to {
			_ = c.WritePreparedMessage(m) // the subscribers notice what is missing
		}
	}
}
