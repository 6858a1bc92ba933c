package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
	"tidings/internal/testkit/npmtest"
)

// clients are those of npm that testdata/npm/follow.mjs can be.
var clients = []string{"graphql-ws", "apollo", "urql"}

// streamers are those that testdata/npm/stream.mjs can be, over server-sent events.
var streamers = []string{"graphql-sse", "eventsource"}

// followBy makes a subscriber that is a program of its own: one of the clients that people use. A stubborn one comes
// back to nobody, too; the others have nothing set.
func (c *crowd) followBy(client, url string, stubborn bool, kind checker.Kind, scope string, viewer account, start string) *subscriber {
	c.t.Helper()
	s := &subscriber{token: viewer.token, start: start, codes: map[int]int{}, last: map[string]int{},
		stream: checker.Stream{Name: client + " on " + string(kind), Kind: kind, Scope: scope, Viewer: viewer.id}}
	c.subscribers = append(c.subscribers, s)
	variables := map[string]any{"after": start}
	if scope != "" {
		variables["scope"] = scope
	}
	what, err := json.Marshal(map[string]any{"query": queries[kind], "variables": variables, "token": viewer.token, "stubborn": stubborn})
	if err != nil {
		c.t.Fatal(err)
	}
	program, to := "follow.mjs", "ws"+strings.TrimPrefix(url, "http")+"/graphql"
	if slices.Contains(streamers, client) {
		program, to = "stream.mjs", url+"/graphql"
	}
	p := npmtest.Start(c.t, "testdata/npm", program, client, to)
	p.Tell(string(what))
	c.following.Go(func() { s.listen(c.ctx, p) })
	return s
}

// listen takes down what a program says, until ctx is done.
func (s *subscriber) listen(ctx context.Context, p *npmtest.Program) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		line, ok := p.Said()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			continue
		}
		var said struct {
			Connected, Complete, Cut bool
			Closed                   int
			Item, Cursor, Error      string
			Failure                  string
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			said.Error = line
		}
		switch {
		case said.Connected:
			s.begin()
		case said.Closed != 0, said.Cut:
			s.cut(said.Closed)
		case said.Item != "":
			s.got(checker.Delivery{Item: said.Item, Cursor: said.Cursor, At: time.Now()})
		case said.Failure != "": // which it gets over
			s.mu.Lock()
			s.failures++
			s.mu.Unlock()
		case said.Complete:
			s.end(checker.Completed)
		default:
			s.begin() // where it found nobody there is none to end
			s.end(checker.End("gave up: " + said.Error))
		}
	}
}

// connections is how often it has connected.
func (s *subscriber) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stream.Runs)
}

// connected waits until those of the subscribers that are programs have connected so many times.
func (c *crowd) connected(times int) {
	c.t.Helper()
	testkit.Eventually(c.t, func() error {
		for _, s := range c.subscribers {
			if n := s.connections(); s.urls == nil && n < times {
				return fmt.Errorf("%s has connected %d times, want %d", s, n, times)
			}
		}
		return nil
	})
}

// The clients that people use, set as README.md has it, live through a server that is killed and one that is drained, and resume
// behind the last payload they got.
func TestClientsOfNPM(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		s := newServer(t, d)
		c := newCrowd(t, d, s.URL)
		ada, bob := c.account("ada"), c.account("bob")
		start := c.now()
		post := c.surely(func() (string, error) { return c.publish(ada) })
		for _, client := range slices.Concat(clients, streamers) {
			c.followBy(client, s.URL, true, checker.PostCreated, "", account{}, start)
			c.followBy(client, s.URL, true, checker.CommentAdded, post, bob, start)
		}
		write := func() {
			t.Helper()
			for range 10 {
				c.surely(func() (string, error) { return c.publish(ada) })
				c.surely(func() (string, error) { return c.say(bob, post) })
			}
		}
		c.connected(1)
		for i, end := range []func(){s.kill, s.drain} {
			write()
			end()
			s.start()
			write() // while they wait to come back
			c.connected(i + 2)
		}
		write()
		c.settle(ada)
	})
}
