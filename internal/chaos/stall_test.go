package chaos_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
)

const (
	// closedWithin is from when no more could be written to the reader.
	closedWithin = 10 * time.Second
	slack        = 2 * time.Second // for a machine that does other things, too
	flat         = 32 << 20        // what the server's memory may vary by, which is much less than what is written to the reader meanwhile
)

// Two of many readers stop reading, of which one still sends pings, and answers them by that. They are closed in time,
// nobody else notices, the server holds nothing for them, and when they come back they get all that they missed. To be
// full soon they are sent much more than the others. What is compared are the times in which they read and those in which
// they don't, which take turns.
func TestAReaderStalls(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		readersStall(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	})
	if of(false, true) {
		t.Run("postgres", func(t *testing.T) {
			readersStall(t, config.Database{Dialect: config.Postgres, URL: testkit.Postgres(t)})
		})
	}
}

func readersStall(t *testing.T, d config.Database) {
	s := newServer(t, d)
	c := newCrowd(t, d, s.URL)
	ada := c.account("ada")
	start := c.now()
	light, heavy := c.surely(func() (string, error) { return c.publish(ada) }), c.surely(func() (string, error) { return c.publish(ada) })
	c.follow(of(200, 1000), checker.CommentAdded, light, account{}, start)
	text := strings.Repeat("a comment ", 900)
	c.write(1, of(40*time.Millisecond, 80*time.Millisecond), func() {
		_, _ = c.say(ada, light)
		_, _ = c.do(ada, checker.Say, "", `mutation($post: ID!, $text: String!) { it: addComment(input: {postId: $post, content: $text}) { id } }`, map[string]any{"post": heavy, "text": text})
	})
	var read, stalled []span
	for range of(1, 4) {
		from := c.now()
		readers := []*greedy{c.greedy(s.URL, heavy, from), c.greedy(s.URL, heavy, from)}
		together := func(do func(g *greedy, pings bool)) span {
			begin := time.Now()
			var all sync.WaitGroup
			for i, g := range readers {
				all.Go(func() { do(g, i == 1) })
			}
			all.Wait()
			return span{begin, time.Now()}
		}
		reads := func(lasting time.Duration) func(*greedy, bool) {
			return func(g *greedy, _ bool) { g.read(lasting, len(text)) }
		}
		together(reads(3 * time.Second)) // at first they have to catch up
		read = append(read, together(reads(of(5*time.Second, 30*time.Second))))
		if t.Failed() {
			return
		}
		stalled = append(stalled, together(func(g *greedy, pings bool) { g.stall(s, pings) }))
		for _, g := range readers {
			c.following.Go(func() { g.follow(c.ctx) }) // it comes back
		}
	}
	c.settle(ada)
	p99 := func(what string, in []span) time.Duration {
		l := c.latencies(in)
		p99 := l[len(l)*99/100]
		t.Logf("while they %s: %d payloads, half within %v, p99 %v, worst %v", what, len(l), l[len(l)/2], p99, l[len(l)-1])
		return p99
	}
	p, q := p99("read", read), p99("stalled", stalled)
	t.Logf("the others' p99 is %.2f of what it was", float64(q)/float64(p))
	// A tenth, and what a machine that does other things may add.
	if q > p+p/10+of(p+250*time.Millisecond, 50*time.Millisecond) {
		t.Errorf("p99 is %v where it was %v", q, p)
	}
}

type span struct{ from, to time.Time }

// latencies are the times from when a mutation was sent until a payload about it came, of those sent in these times.
func (c *crowd) latencies(in []span) (all []time.Duration) {
	sent := map[string]time.Time{}
	for _, a := range c.acts {
		if slices.ContainsFunc(in, func(s span) bool { return a.Sent.After(s.from) && a.Sent.Before(s.to) }) {
			sent[a.Item] = a.Sent
		}
	}
	for _, s := range c.subscribers {
		if s.late {
			continue
		}
		for _, run := range s.stream.Runs {
			for _, d := range run.Got {
				if at, ok := sent[d.Item]; ok {
					all = append(all, d.At.Sub(at))
				}
			}
		}
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

// greedy is a subscriber to whom everything is sent many times over one connection. What is recorded is its first
// subscription.
type greedy struct {
	*subscriber
	c  *crowd
	ws *websocket.Conn
}

const helpings = 20

func (c *crowd) greedy(url, post, start string) *greedy {
	c.t.Helper()
	g := &greedy{c: c, subscriber: &subscriber{urls: []string{url}, start: start, late: true, codes: map[int]int{}, last: map[string]int{}, closed: map[string][]time.Time{},
		stream: checker.Stream{Name: "the greedy one", Kind: checker.CommentAdded, Scope: post}}}
	c.subscribers = append(c.subscribers, g.subscriber)
	ws, err := dial(c.ctx, url, "")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = ws.Close() })
	_ = ws.NetConn().(*net.TCPConn).SetReadBuffer(256 << 10)
	g.ws = ws
	g.begin()
	for i := range helpings {
		m := map[string]any{"id": fmt.Sprint(i), "type": "subscribe", "payload": map[string]any{
			"query": `subscription($scope: ID!, $after: Cursor) { it: commentAdded(postId: $scope, after: $after) { id content } }`, "variables": map[string]any{"scope": post, "after": start}}}
		if err := ws.WriteJSON(m); err != nil {
			c.t.Fatal(err)
		}
	}
	return g
}

// read takes all that comes for that long, which must be some.
func (g *greedy) read(lasting time.Duration, size int) {
	n := 0
	for end := time.Now().Add(lasting); time.Now().Before(end); n++ {
		m, err := read(g.ws)
		if err != nil {
			g.c.t.Error(err)
			return
		}
		var p payload
		if err := json.Unmarshal(m.Payload, &p); err != nil || m.Type != "next" || len(m.Payload) < size {
			g.c.t.Errorf("%s %.200s", m.Type, m.Payload)
			return
		}
		if m.ID == "0" {
			g.got(checker.Delivery{Item: p.Data.It.ID, Cursor: p.Extensions.Cursor, At: time.Now()})
		}
	}
	if n < 10*helpings {
		g.c.t.Errorf("only %d payloads in %v", n, lasting)
	}
}

// stall stops reading, and waits until the server has closed the connection.
func (g *greedy) stall(s *server, pings bool) {
	t := g.c.t
	t.Helper()
	local, remote := g.ws.LocalAddr().(*net.TCPAddr).Port, g.ws.RemoteAddr().(*net.TCPAddr).Port
	open, most := established(t, remote, local)
	if !open {
		t.Error("the connection is not seen")
		return
	}
	begin, memory := time.Now(), rss(t, s.pid())
	full, highest := begin, memory                 // when the kernels took the last byte; the most memory
	tick := time.NewTicker(500 * time.Millisecond) // a look goes through all sockets of the machine: more of them disturb the others
	defer tick.Stop()
	for {
		open, out := established(t, remote, local)
		if _, in := established(t, local, remote); out+in > most {
			most, full = out+in, time.Now()
		}
		if !open {
			break
		}
		if time.Since(full) > closedWithin+slack {
			t.Errorf("for %v nothing could be written to it, pings %v, and it is not closed", time.Since(full), pings)
			break
		}
		if pings {
			_ = g.ws.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_ = g.ws.WriteJSON(testkit.Message{Type: "ping"}) // once it fails there are no more
			_ = g.ws.WriteControl(websocket.PongMessage, nil, time.Now().Add(50*time.Millisecond))
		}
		<-tick.C
		highest = max(highest, rss(t, s.pid()))
	}
	closed := time.Now()
	for range of(6, 20) { // what is said to the others meanwhile counts, too
		<-tick.C
	}
	t.Logf("pings %v: closed %v after it stalled, %v after the kernels held the last byte of %d KiB; the server had %d MiB and at most %d MiB", pings,
		closed.Sub(begin).Round(time.Millisecond), closed.Sub(full).Round(time.Millisecond), most>>10, memory>>20, highest>>20)
	if highest-memory > flat {
		t.Errorf("the server's memory went from %d MiB to %d MiB", memory>>20, highest>>20)
	}
	g.cut(0)
	_ = g.ws.Close()
}
