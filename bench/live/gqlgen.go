//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/transport"

	"tidings/ent"
	"tidings/graph"
	"tidings/internal/gid"
)

// stock is the same subscription as gqlgen gives it to everybody: its own handler and WebSocket transport, a channel for
// each subscriber. Nothing is loaded: what is published comes with its author.
type stock struct {
	graph.ResolverRoot // nil: only subscriptions are asked for

	mu          sync.Mutex
	subscribers map[chan *ent.Post]context.Context
	cursors     sync.Map // by the number of the event
}

// waiting is how many events a subscriber's channel holds before its publisher waits.
const waiting = 64

func newGqlgen() http.Handler {
	s := &stock{subscribers: map[chan *ent.Post]context.Context{}}
	h := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: s}))
	h.AddTransport(transport.Websocket{})
	h.AroundResponses(s.addCursor)
	mux := controlMux(s.publish)
	mux.Handle("GET /graphql", h)
	return mux
}

func (s *stock) Subscription() graph.SubscriptionResolver { return s }

func (s *stock) PostCreated(ctx context.Context, _, _ *string) (<-chan *ent.Post, error) {
	c := make(chan *ent.Post, waiting)
	s.mu.Lock()
	s.subscribers[c] = ctx
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, c)
	})
	return c, nil
}

func (s *stock) CommentAdded(context.Context, string, *string) (<-chan *ent.Comment, error) {
	return nil, fmt.Errorf("nobody asks for comments here")
}

// addCursor makes the frames the same as Tidings'.
func (s *stock) addCursor(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	r := next(ctx)
	if r != nil {
		if n, ok := number(r.Data); ok {
			cursor, _ := s.cursors.Load(n)
			r.Extensions = map[string]any{"cursor": cursor}
		}
	}
	return r
}

func (s *stock) publish(messages [][]byte) error {
	for _, m := range messages {
		p, n, cursor, err := post(m)
		if err != nil {
			return err
		}
		s.cursors.Store(n, cursor)
		s.mu.Lock()
		for c, ctx := range s.subscribers {
			select {
			case c <- p:
			case <-ctx.Done():
			}
		}
		s.mu.Unlock()
	}
	return nil
}

// post takes a message apart into what it was made of.
func post(message []byte) (p *ent.Post, n int, cursor string, err error) {
	var m struct {
		Payload struct {
			Data struct {
				PostCreated struct {
					ID, Title string
					Author    struct{ Username string }
				}
			}
			Extensions struct{ Cursor string }
		}
	}
	if err := json.Unmarshal(message, &m); err != nil {
		return nil, 0, "", err
	}
	n, ok := number(message)
	if !ok {
		return nil, 0, "", fmt.Errorf("not an event: %s", message)
	}
	d := m.Payload.Data.PostCreated
	id, err := gid.ParsePost(d.ID)
	p = &ent.Post{ID: id, Title: d.Title}
	p.Edges.Author = &ent.User{Username: d.Author.Username}
	return p, n, m.Payload.Extensions.Cursor, err
}
