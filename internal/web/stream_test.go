package web_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/web"
)

const postedText = `subscription { posted { text } }`

func asBody(query string) string { return fmt.Sprintf(`{"query":%q}`, query) }

// TestStream: a subscription goes out as graphql-sse has it, event by event, whether it came by POST or GET.
func TestStream(t *testing.T) {
	w := newWorld(t)
	w.log.post(gid.NewUser(), "before")
	for name, open := range map[string]func() *eventStream{
		"POST": func() *eventStream { return w.stream(asBody(postedText)) },
		"GET":  func() *eventStream { return w.source(postedText) },
		"among others": func() *eventStream {
			return w.stream(asBody(postedText), "Accept", "application/graphql-response+json, application/json, text/event-stream, multipart/mixed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			for header, want := range map[string]string{
				"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store, no-transform",
				"X-Accel-Buffering": "no", "Vary": "Accept",
			} {
				if got := s.header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			head, _ := w.log.Head(t.Context())
			if id := s.opened(); id != head.String() {
				t.Errorf("it began with the id %s, and the head is %s", id, head)
			}
			for i := range int64(3) {
				w.log.post(gid.NewUser(), "a\nb")
				s.expect(w.nextEvent(head.Position+i+1, `{"text":"a\nb"}`))
			}
		})
	}
}

// TestStreamResults: what runs once is one event, and what doesn't run too; then it is complete.
func TestStreamResults(t *testing.T) {
	w := newWorld(t)
	refused := func(message, rest string) string {
		return `event: next` + "\n" + `data: {"errors":[{"message":"` + message + `"` + rest + `}]}`
	}
	for name, c := range map[string]struct{ query, want string }{
		"a query":              {`{ hello }`, "event: next\ndata: {\"data\":{\"hello\":\"hello world\"}}"},
		"a mutation":           {`mutation { post(text: "x") { text } }`, "event: next\ndata: {\"data\":{\"post\":{\"text\":\"x\"}}}"},
		"no such subscription": {`subscription { nothing }`, refused(`Cannot query field \"nothing\" on type \"Subscription\".`, `,"locations":[{"line":1,"column":16}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}`)},
		"no document":          {`{`, refused(`Expected Name, found \u003cEOF\u003e`, `,"locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.stream(asBody(c.query))
			if s.status != 200 || s.header.Get("Content-Type") != "text/event-stream; charset=utf-8" || s.header.Get("Cache-Control") != "no-store, no-transform" {
				t.Errorf("%d %v", s.status, s.header)
			}
			s.expect(c.want, completed)
			s.expectEnd()
		})
	}
	for name, c := range map[string]struct{ query, want string }{
		"not one's to see": {`subscription { posted(author: "x") { text } }`, `"path":["posted"],"locations":[{"line":1,"column":16}],"extensions":{"code":"BAD_USER_INPUT","field":"author"}`},
		"no cursor":        {`subscription { posted(after: "x") { text } }`, `"extensions":{"code":"BAD_USER_INPUT","field":"after"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.source(c.query)
			if got := s.next(); !strings.HasPrefix(got, "event: next\ndata: {\"errors\":[{") || !strings.Contains(got, c.want) {
				t.Errorf("got %s", got)
			}
			s.expect(completed)
			s.expectEnd()
		})
	}
}

// TestStreamRefusals: what isn't a request that can run has a status, which ends an EventSource for good.
func TestStreamRefusals(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		s    *eventStream
		want int
	}{
		"a mutation by GET":       {w.source(`mutation { post(text: "x") { text } }`), 405},
		"a bad token":             {w.source(postedText, "Authorization", "Bearer x"), 401},
		"another page":            {w.source(postedText, "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site"), 403},
		"another type of body":    {w.stream(asBody(postedText), "Content-Type", "text/plain"), 415},
		"no JSON":                 {w.stream(`{`), 400},
		"no query":                {w.streamAt(w.http.URL, "GET", "/graphql", ""), 400},
		"a single connection":     {w.streamAt(w.http.URL, "PUT", "/graphql", ""), 405},
		"what has come to an end": {w.source(postedText, "Last-Event-ID", "complete"), 204},
		"the same, by POST":       {w.stream(asBody(postedText), "Last-Event-ID", "complete"), 204},
	} {
		if c.s.status != c.want {
			t.Errorf("%s: %d, want %d", name, c.s.status, c.want)
		}
		if got := c.s.header.Get("Content-Type"); c.want != 204 && got != "application/json; charset=utf-8" {
			t.Errorf("%s: answered in %q", name, got)
		}
	}
	if got := w.do("GET", "/graphql?query=%7Bhello%7D", "", "Last-Event-ID", "complete"); got.status != 200 {
		t.Errorf("a plain request with that id: %v", got)
	}
}

// TestStreamResumes: behind Last-Event-ID, which an EventSource adds to the address that it began with, rather than after,
// and behind that without.
func TestStreamResumes(t *testing.T) {
	w := newWorld(t)
	var ids []gid.Post
	for i := range 4 {
		ids = append(ids, w.log.post(gid.NewUser(), fmt.Sprint("post ", i+1)))
	}
	post := func(n int64) string { return w.nextEvent(n, fmt.Sprintf(`{"text":"post %d"}`, n)) }
	after := func(n int64) string {
		return `subscription { posted(after: "` + w.log.cursor(n) + `") { text } }`
	}
	for name, c := range map[string]struct {
		query, last string
		from        int64
	}{
		"after":                         {after(1), "", 2},
		"Last-Event-ID":                 {postedText, w.log.cursor(2), 3},
		"Last-Event-ID and after":       {after(0), w.log.cursor(2), 3},
		"the id of a post":              {postedText, ids[0].String(), 2},
		"everything":                    {after(3), w.log.cursor(0), 1},
		"after, and an empty id":        {after(2), "", 3},
		"a bad after is asked no more":  {`subscription { posted(after: "x") { text } }`, w.log.cursor(3), 4},
		"another viewer class, resumed": {`subscription { posted { text } }`, w.log.cursor(1), 2},
	} {
		t.Run(name, func(t *testing.T) {
			for method, s := range map[string]*eventStream{
				"GET":  w.source(c.query, "Last-Event-ID", c.last),
				"POST": w.stream(asBody(c.query), "Last-Event-ID", c.last),
			} {
				if id := s.opened(); id != w.log.cursor(c.from-1) {
					t.Errorf("%s: it begins with the id %s", method, id)
				}
				for n := c.from; n <= 4; n++ {
					s.expect(post(n))
				}
			}
		})
	}

	w.log.forget(3)
	foreign := w.log.cursor(3)
	foreign = foreign[:len(foreign)-6] + "AAAAAA"
	for name, c := range map[string]struct{ last, want string }{
		"expired":        {w.log.cursor(1), `"code":"CURSOR_EXPIRED"`},
		"of another log": {foreign, `"code":"CURSOR_EXPIRED"`},
		"no cursor":      {"nonsense", `"code":"BAD_USER_INPUT","field":"Last-Event-ID"`},
		"a user's id":    {gid.NewUser().String(), `"code":"BAD_USER_INPUT","field":"Last-Event-ID"`},
	} {
		s := w.source(postedText, "Last-Event-ID", c.last)
		if got := s.next(); s.status != 200 || !strings.HasPrefix(got, "event: next\ndata: {\"errors\":") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %s", name, s.status, got)
		}
		s.expect(completed)
		s.expectEnd()
	}
}

// TestStreamCompletes: a subscription that is over says so, and so does one that has failed, after saying why.
func TestStreamCompletes(t *testing.T) {
	w := newWorld(t)
	over := w.source(postedText)
	over.opened()
	w.log.post(gid.NewUser(), "seen")
	over.expect(w.nextEvent(1, `{"text":"seen"}`))
	w.over.Store(true)
	w.log.post(gid.NewUser(), "hidden")
	over.expect(completed)
	over.expectEnd()
	w.over.Store(false)

	failed := w.source(postedText)
	failed.opened()
	w.published()
	failed.next()
	w.log.replace()
	if got := failed.next(); !strings.HasPrefix(got, "event: next\ndata: {\"errors\":") || !strings.Contains(got, `"CURSOR_EXPIRED"`) {
		t.Error(got)
	}
	failed.expect(completed)
	failed.expectEnd()
}

// TestStreamEndsWithoutComplete: whatever may be resumed ends in such a way that the client comes back.
func TestStreamEndsWithoutComplete(t *testing.T) {
	for name, end := range map[string]func(w *world, user gid.Session){
		"the session ends": func(w *world, user gid.Session) {
			w.mu.Lock()
			w.ended[user] = true
			ended := w.watch[user]
			w.mu.Unlock()
			ended()
		},
		"the server drains": func(w *world, _ gid.Session) {
			if err := w.server.Drain(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		},
		"the hub stops": func(w *world, _ gid.Session) { w.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			session := gid.NewSession()
			token, _, err := w.tokens.Issue(gid.NewUser(), session)
			if err != nil {
				t.Fatal(err)
			}
			for _, fields := range []string{"viewer", "public"} {
				s := w.source(`subscription { posted { `+fields+` } }`, "Authorization", "Bearer "+token)
				s.opened()
				w.published()
				s.next()
				if fields == "public" {
					end(w, session)
					s.expectEnd()
				}
				s.close()
				eventually(t, "the end in the log", func() bool {
					return strings.Count(w.lines.String(), `"msg":"operation"`) == map[string]int{"viewer": 1, "public": 2}[fields]
				})
			}
			if strings.Contains(w.lines.String(), `"level":"ERROR"`) {
				t.Error(w.lines)
			}
		})
	}
}

// TestStreamExpires: an access token that expires ends its streams.
func TestStreamExpires(t *testing.T) {
	w := newWorld(t)
	short, err := auth.NewTokens([][]byte{bytes.Repeat([]byte("s"), auth.MinSecret)}, func() time.Time { return time.Now().Add(2*time.Second - auth.TokenLifetime) })
	if err != nil {
		t.Fatal(err)
	}
	token, expires, err := short.Issue(gid.NewUser(), gid.NewSession())
	if err != nil {
		t.Fatal(err)
	}
	s := w.source(postedText, "Authorization", "Bearer "+token)
	s.opened()
	s.expectEnd()
	if time.Now().Before(expires) {
		t.Error("it ended before the token expired")
	}
	if got := w.source(postedText, "Authorization", "Bearer "+token); got.status != 401 {
		t.Errorf("with the expired token: %d", got.status)
	}
}

// TestStreamWhileDraining: an EventSource, which would give up on 503, is sent away with a stream that has ended.
func TestStreamWhileDraining(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Spread = time.Hour })
	held := w.open("")
	held.subscribe("1", `{ wait(key: "held") }`, "")
	within(t, w.gate("held").entered, "the query")
	drained := make(chan error, 1)
	go func() { drained <- w.server.Drain(t.Context()) }()
	eventually(t, "the drain to begin", func() bool { return w.do("GET", "/readyz", "").status == 503 })

	get := w.source(postedText)
	if text := get.next(); get.status != 200 || !strings.HasPrefix(text, "retry: ") || strings.Contains(text, "\n") {
		t.Errorf("%d %q", get.status, text)
	}
	get.expectEnd()
	if post := w.stream(asBody(postedText)); post.status != 503 {
		t.Errorf("%d", post.status)
	}
	if s := w.stream(asBody(`{ hello }`)); s.status != 200 { // queries are answered
		t.Errorf("%d", s.status)
	}
	held.ws.Close()
	if err := within(t, drained, "the drain"); err != nil {
		t.Error(err)
	}
}
