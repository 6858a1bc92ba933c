package web_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/internal/gid"
	"tidings/internal/web"
)

// TestStreamOutlivesTimeouts: what a server allows a request and a response says nothing of streams, by HTTP/1.1 or 2.
// While nothing happens there is a heartbeat now and then.
func TestStreamOutlivesTimeouts(t *testing.T) {
	const timeout, ping = 200 * time.Millisecond, 500 * time.Millisecond
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *web.Options) {
				o.Limits.Ping, o.Limits.Write, o.Limits.Operation = ping, timeout, 2*timeout
			})
			w.http.Close()
			w.http = httptest.NewUnstartedServer(w.server)
			w.http.Config.ReadTimeout, w.http.Config.WriteTimeout, w.http.Config.IdleTimeout = timeout, timeout, timeout
			if w.http.EnableHTTP2 = http2; http2 {
				w.http.StartTLS()
			} else {
				w.http.Start()
			}
			streams := []*eventStream{w.stream(asBody(postedText)), w.source(postedText)}
			for _, s := range streams {
				s.opened()
			}
			for range 3 {
				for _, s := range streams {
					if text, err := s.read(); text != ":" || err != nil {
						t.Fatalf("%q %v, want heartbeats", text, err)
					}
				}
			}
			w.log.post(gid.NewUser(), "late")
			for _, s := range streams {
				s.expect(w.nextEvent(1, `{"text":"late"}`))
			}
			for _, s := range streams {
				s.close()
			}
		})
	}
}

// TestStreamStalls: of some streams one is not read. The others get all of it, the one is cut, what is held for it is
// bounded, and it has missed nothing when it resumes.
func TestStreamStalls(t *testing.T) {
	const posts, size = 60, 16 << 10
	w := newWorld(t, func(o *web.Options) {
		o.Limits.Queue = 64 << 10
		o.Limits.Write = 2 * time.Second
	})
	query := `subscription { posted(after: "` + w.log.cursor(0) + `") { text } }`
	var streams []*eventStream
	for i := range 10 {
		if w.readBuffer = 0; i == 0 {
			w.readBuffer = 16 << 10
		}
		streams = append(streams, w.source(query))
		streams[i].opened()
	}
	author := gid.NewUser()
	go func() {
		for range posts {
			w.log.post(author, fmt.Sprint("letters ", size))
		}
	}()
	var reading sync.WaitGroup
	for _, s := range streams[1:] {
		reading.Go(func() {
			for i := range posts {
				if text, err := s.read(); err != nil || len(text) < size {
					t.Errorf("post %d: %v %.200s", i, err, text)
					return
				}
			}
		})
	}
	reading.Wait()
	eventually(t, "the stalled one to be cut", func() bool { return strings.Contains(w.lines.String(), `"msg":"operation"`) })
	if got := w.lines.String(); strings.Count(got, `"msg":"operation"`) != 1 {
		t.Errorf("more than one has ended: %s", got)
	}

	// It wakes up, sees what was on its way, and resumes behind that.
	last, seen := w.log.cursor(0), 0
	for {
		text, err := streams[0].read()
		if err != nil {
			if err != errBroken {
				t.Error(err)
			}
			break
		}
		_, id, _ := strings.Cut(text, "id: ")
		last, _, _ = strings.Cut(id, "\n")
		seen++
	}
	if seen == posts {
		t.Fatal("it never stalled")
	}
	w.readBuffer = 0
	again := w.source(query, "Last-Event-ID", last)
	again.opened()
	for ; seen < posts; seen++ {
		if text := again.next(); len(text) < size || !strings.Contains(text, w.log.cursor(int64(seen+1))) {
			t.Fatalf("got %.200s", text)
		}
	}
}

// TestStreamBehind: who reads slowly, but reads, gets all of it in order, also what is larger than the queue.
func TestStreamBehind(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Queue = 8 << 10 })
	w.readBuffer = 64 << 10
	s := w.source(postedText)
	s.opened()
	author := gid.NewUser()
	const posts = 300
	for i := range posts {
		w.log.post(author, fmt.Sprint("letters ", 1<<(i%15)))
	}
	w.published() // nobody waits for who doesn't read
	for i := range posts {
		if text := s.next(); !strings.Contains(text, w.log.cursor(int64(i+1))) || len(text) < 1<<(i%15) {
			t.Fatalf("post %d: %.200s", i, text)
		}
	}
}

// TestStreamsShareGroups: a socket and streams that select the same get what was rendered once.
func TestStreamsShareGroups(t *testing.T) {
	w := newWorld(t)
	const query = `subscription { posted { public } }`
	c := w.open("")
	c.subscribe("1", query, "")
	token, _ := w.token()
	streams := []*eventStream{w.source(query), w.stream(asBody(query)), w.source(query, "Authorization", "Bearer "+token)}
	for _, s := range streams {
		s.opened()
	}
	c.quiet()
	position, inARow := int64(0), 0
	eventually(t, "three events in a row that all have live", func() bool {
		w.log.post(gid.NewUser(), "news")
		position++
		for _, s := range streams {
			s.expect(w.nextEvent(position, `{"public":"news"}`))
		}
		c.expect(`{"id":"1","type":"next","payload":{"data":{"posted":{"public":"news"}},"extensions":{"cursor":"` + w.log.cursor(position) + `"}}}`)
		if inARow++; w.loads.Swap(0) > 1 {
			inARow = 0
		}
		return inARow == 3
	})
}

// TestStreamsArePersonal: what is not the same for everyone is told to each viewer as theirs.
func TestStreamsArePersonal(t *testing.T) {
	w := newWorld(t)
	query := `subscription { posted(after: "` + w.log.cursor(0) + `") { public viewer } }`
	viewers := map[*eventStream]string{}
	for range 3 {
		token, user := w.token()
		for range 2 {
			viewers[w.source(query, "Authorization", "Bearer "+token)] = `"` + user.String() + `"`
		}
	}
	viewers[w.source(query)] = "null"
	for s := range viewers {
		s.opened()
	}
	for n := range int64(5) {
		w.log.post(gid.NewUser(), "news")
		for s, viewer := range viewers {
			s.expect(w.nextEvent(n+1, `{"public":"news","viewer":`+viewer+`}`))
		}
	}
}

// TestStreamsTakeSeats: a stream counts as a socket does, for its address and its viewer, and no longer than it lasts. What
// its subscription stands for counts, too.
func TestStreamsTakeSeats(t *testing.T) {
	token := ""
	for name, c := range map[string]struct {
		change func(*web.Rates)
		header func() []string
		says   string
	}{
		"for its address": {func(r *web.Rates) { r.AddressSockets = 2 }, func() []string { return nil }, "There are too many connections from this address."},
		"for its viewer": {func(r *web.Rates) { r.ViewerSockets = 2 }, func() []string { return []string{"Authorization", "Bearer " + token} },
			"There are too many connections of this viewer."},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPurse()
			w := newWorld(t, p.limits, func(o *web.Options) { c.change(o.Rates) })
			token, _ = w.token()
			socket := w.open(`{"authorization":"` + token + `"}`)
			first := w.source(postedText, c.header()...)
			first.opened()
			second := w.source(postedText, c.header()...)
			if second.status != 429 || second.header.Get("Retry-After") != "10" || second.header.Get("Ratelimit-Limit") == "" {
				t.Errorf("%d %v", second.status, second.header)
			}
			if body, _ := second.r.ReadString(0); !strings.Contains(body, c.says) {
				t.Error(body)
			}
			if s := w.stream(asBody(`{ hello }`), c.header()...); s.status != 200 { // which takes none
				t.Errorf("a query: %d", s.status)
			}
			first.close()
			eventually(t, "the seat to be free", func() bool {
				p.pass(10 * time.Second)
				s := w.source(postedText, c.header()...)
				defer s.close()
				return s.status == 200
			})
			socket.ws.Close()
		})
	}
}

// TestStreamStands: subscriptions that would cost too much together are refused on streams as well.
func TestStreamStands(t *testing.T) {
	w := newWorld(t, newPurse().limits, func(o *web.Options) { o.Rates.Standing = 3 })
	w.source(postedText).opened()
	s := w.source(postedText)
	if got := s.next(); !strings.HasPrefix(got, "event: next\ndata: {\"errors\":") || !strings.Contains(got, "RATE_LIMITED") {
		t.Fatal(got)
	}
	s.expect(completed)
	s.expectEnd()
}

// TestStreamPays: a document that is refused for its points has a status, as by plain requests.
func TestStreamPays(t *testing.T) {
	w := newWorld(t, newPurse().limits)
	for range 10 {
		w.post(`{"query":"{ nothing }"}`)
	}
	if s := w.stream(asBody(postedText)); s.status != 429 || s.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", s.status, s.header)
	}
}

// TestStreamGone: of a client that goes away nothing is left, whether it waited for an event, for the first answer, or
// didn't read.
func TestStreamGone(t *testing.T) {
	w := newWorld(t)
	w.log.post(gid.NewUser(), "gate held")
	idle := w.source(postedText)
	idle.opened()
	waiting := w.source(`subscription { posted(after: "` + w.log.cursor(0) + `") { text } }`)
	waiting.opened()
	within(t, w.gate("held").entered, "the delivery")
	for n, s := range []*eventStream{idle, waiting} {
		s.close()
		if s == waiting {
			close(w.gate("held").open) // what is rendered may be for others, too
		}
		eventually(t, "its end", func() bool {
			lines := w.lines.String()
			return len(regexp.MustCompile(`"msg":"operation".*"outcome":"closed"`).FindAllString(lines, -1)) == n+1 &&
				strings.Count(lines, `"outcome":"stream"`) == n+1
		})
	}
}

// TestStreamIsCut: a drain that has no more time ends a stream that isn't read.
func TestStreamIsCut(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Write = time.Hour })
	w.readBuffer = 16 << 10
	s := w.source(postedText)
	s.opened()
	w.log.post(gid.NewUser(), "letters 8000000")
	if _, err := s.r.Peek(4000); err != nil { // it is being written
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := w.server.Drain(ctx); err == nil {
		t.Error("it was not cut")
	}
	eventually(t, "the end of the request", func() bool { return strings.Contains(w.lines.String(), `"outcome":"stream"`) })
}
