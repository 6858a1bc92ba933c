package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tidings/internal/gid"
	"tidings/internal/testkit/leak"
)

// named is the extension that names a document by its hash.
func named(text string) string {
	sum := sha256.Sum256([]byte(text))
	return `{"persistedQuery":{"version":1,"sha256Hash":"` + hex.EncodeToString(sum[:]) + `"}}`
}

// inURL makes a URL of the parameters of a GET request.
func inURL(parameters ...string) string {
	v := url.Values{}
	for i := 0; i < len(parameters); i += 2 {
		v.Set(parameters[i], parameters[i+1])
	}
	return "/graphql?" + v.Encode()
}

const unknownHash = `{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}`

// TestPersistedQueries holds each step of the protocol, in both media types, by POST and by GET, and what is charged.
func TestPersistedQueries(t *testing.T) {
	const text = `query($name: String) { hello(name: $name) }`
	for _, accept := range []string{responseJSON, plainJSON} {
		for learns, learn := range map[string]func(w *world) response{
			"by POST": func(w *world) response {
				return w.post(`{"query":"`+text+`","extensions":`+named(text)+`}`, "Accept", accept)
			},
			"by GET": func(w *world) response {
				return w.do("GET", inURL("query", text, "extensions", named(text)), "", "Accept", accept)
			},
		} {
			t.Run(learns+", "+accept, func(t *testing.T) {
				var l till
				w := newWorld(t, l.limits)
				asks := map[string]func() response{
					"GET":         func() response { return w.do("GET", inURL("extensions", named(text)), "", "Accept", accept) },
					"POST":        func() response { return w.post(`{"extensions":`+named(text)+`}`, "Accept", accept) },
					"empty query": func() response { return w.post(`{"query":"","extensions":`+named(text)+`}`, "Accept", accept) },
					"null query":  func() response { return w.post(`{"query":null,"extensions":`+named(text)+`}`, "Accept", accept) },
				}
				expect := func(name string, got response, want string, points int) {
					t.Helper()
					if got.String() != want {
						t.Errorf("%s: %v; want %s", name, got, want)
					}
					if taken := l.take(); !slices.Equal(taken, []int{points}) {
						t.Errorf("%s: charged %v; want %d", name, taken, points)
					}
				}
				for name, ask := range asks {
					got := ask()
					expect(name, got, "200 "+unknownHash, 10)
					if h := got.header.Get("Cache-Control"); h != "no-store" {
						t.Errorf("%s: Cache-Control %q", name, h)
					}
				}
				w.post(`{"query":"` + text + `"}`) // nobody has given its hash
				l.take()
				expect("sent plainly before", asks["POST"](), "200 "+unknownHash, 10)
				expect("learns", learn(w), `200 {"data":{"hello":"hello world"}}`, 1)
				for name, ask := range asks {
					expect(name, ask(), `200 {"data":{"hello":"hello world"}}`, 1)
				}
				expect("learns again", learn(w), `200 {"data":{"hello":"hello world"}}`, 1)
				got := w.post(`{"extensions":`+strings.ToUpper(named(text))+`}`, "Accept", accept)
				if got.status != 400 { // the name of the extension is in lower case
					t.Error(got)
				}
				l.take()
				expect("variables", w.do("GET", inURL("extensions", named(text), "variables", `{"name":"b"}`), "", "Accept", accept), `200 {"data":{"hello":"hello b"}}`, 1)
			})
		}
	}
}

// TestPersistedQueriesRefused: what isn't the protocol is told so, and no text gets a hash that isn't its own.
func TestPersistedQueriesRefused(t *testing.T) {
	const text, other = `{ hello }`, `{ viewer }`
	bad := func(sentence string) string {
		return `{"errors":[{"message":"` + sentence + `","extensions":{"code":"BAD_USER_INPUT"}}]}`
	}
	form := bad("The extension persistedQuery must be {version: 1, sha256Hash: …}, the hash in hexadecimal.")
	hash := named(text)[len(`{"persistedQuery":{"version":1,"sha256Hash":"`):][:64]
	w := newWorld(t)
	for name, c := range map[string]struct{ extension, want string }{
		"another's hash": {strings.TrimSuffix(strings.TrimPrefix(named(other), `{"persistedQuery":`), "}"), bad("The extension persistedQuery has a hash that is not the query's.")},
		"version 2":      {`{"version":2,"sha256Hash":"` + hash + `"}`, bad("Only version 1 of persisted queries is known here.")},
		"no version":     {`{"sha256Hash":"` + hash + `"}`, form},
		"a text version": {`{"version":"1","sha256Hash":"` + hash + `"}`, form},
		"no hash":        {`{"version":1}`, form},
		"a short hash":   {`{"version":1,"sha256Hash":"` + hash[2:] + `"}`, form},
		"a long hash":    {`{"version":1,"sha256Hash":"` + hash + `00"}`, form},
		"no hexadecimal": {`{"version":1,"sha256Hash":"` + hash[:63] + `g"}`, form},
		"a number":       {`{"version":1,"sha256Hash":7}`, form},
		"a list":         {`[1]`, form},
		"a text":         {`"` + hash + `"`, form},
	} {
		t.Run(name, func(t *testing.T) {
			for accept, status := range map[string]int{responseJSON: 400, plainJSON: 200} {
				got := w.post(`{"query":"`+text+`","extensions":{"persistedQuery":`+c.extension+`}}`, "Accept", accept)
				if got.status != status || got.body != c.want {
					t.Errorf("%v; want %d %s", got, status, c.want)
				}
			}
		})
	}
	for _, unknown := range []string{text, other} {
		if got := w.post(`{"extensions":` + named(unknown) + `}`); got.body != unknownHash {
			t.Errorf("%s: %v", unknown, got)
		}
	}
	if got := w.post(`{"extensions":{"persistedQuery":null}}`); got.status != 400 || !strings.Contains(got.body, "The parameter query is missing.") {
		t.Error(got)
	}
}

// TestPersistedQueriesAreValid: what is refused isn't kept for its hash.
func TestPersistedQueriesAreValid(t *testing.T) {
	w := newWorld(t)
	for _, text := range []string{`{`, `{ nothing }`, `fragment F on Query { hello }`, `{ ` + strings.Repeat("hello ", 40) + `}`} {
		got := w.post(fmt.Sprintf(`{"query":%q,"extensions":%s}`, text, named(text)))
		if !strings.Contains(got.body, "GRAPHQL_") && !strings.Contains(got.body, "QUERY_TOO_COMPLEX") {
			t.Errorf("%s: %v", text, got)
		}
		if got := w.post(`{"extensions":` + named(text) + `}`); got.body != unknownHash {
			t.Errorf("%s: %v", text, got)
		}
	}
	// Its operation isn't there, and yet it is a valid document.
	const text = `query A { hello }`
	w.post(`{"query":"` + text + `","operationName":"B","extensions":` + named(text) + `}`)
	if got := w.post(`{"extensions":` + named(text) + `}`); got.body != `{"data":{"hello":"hello world"}}` {
		t.Error(got)
	}
	const write = `mutation { post(text: \"a\") { text } }`
	w.post(`{"query":"` + write + `","extensions":` + named(strings.ReplaceAll(write, `\`, "")) + `}`)
	if got := w.do("GET", inURL("extensions", named(strings.ReplaceAll(write, `\`, ""))), ""); got.status != 405 {
		t.Errorf("a mutation by GET: %v", got)
	}
	if n := len(w.log.posts); n != 1 {
		t.Errorf("%d posts", n)
	}
}

// TestPersistedQueriesOfSubscriptions: sockets and streams of events know what HTTP has learnt, and the other way round.
func TestPersistedQueriesOfSubscriptions(t *testing.T) {
	w := newWorld(t)
	const query, subscription = `{ viewer }`, `subscription($after: Cursor) { posted(after: $after) { text } }`
	c := w.open("")
	subscribe := func(id, text, extensions string) {
		c.send(`{"id":"` + id + `","type":"subscribe","payload":{` + text + `"extensions":` + extensions + `}}`)
	}
	subscribe("1", "", named(query))
	c.expect(`{"id":"1","type":"error","payload":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}`)
	subscribe("2", `"query":"`+query+`",`, named(query))
	c.expect(`{"id":"2","type":"next","payload":{"data":{"viewer":null}}}`, `{"id":"2","type":"complete"}`)
	if got := w.do("GET", inURL("extensions", named(query)), ""); got.body != `{"data":{"viewer":null}}` {
		t.Error(got)
	}

	s := w.stream(`{"extensions":` + named(subscription) + `}`)
	s.expect("event: next\ndata: "+unknownHash, completed)
	s.expectEnd()
	after := `{"after":"` + w.log.cursor(0) + `"}`
	w.log.post(gid.NewUser(), "a")
	s = w.stream(`{"query":"` + subscription + `","variables":` + after + `,"extensions":` + named(subscription) + `}`)
	again := w.streamAt(w.http.URL, "GET", inURL("extensions", named(subscription), "variables", after), "")
	for _, s := range []*eventStream{s, again} {
		s.opened()
		s.expect(w.nextEvent(1, `{"text":"a"}`))
	}
	subscribe("3", `"variables":`+after+`,`, named(subscription))
	if got, want := c.next(), `{"id":"3","type":"next","payload":{"data":{"posted":{"text":"a"}}`; !strings.HasPrefix(got, want) {
		t.Errorf("%s; want %s", got, want)
	}
}

// TestPersistedQueryClients runs Apollo's client and urql's, which begin anew for each operation: each has its document
// sent once, and never again.
func TestPersistedQueryClients(t *testing.T) {
	for which, first := range map[string]string{
		"apollo": `["GET hash 200","POST text hash 200"]`,
		"urql":   `["GET hash 200","GET text hash 200"]`,
	} {
		t.Run(which, func(t *testing.T) {
			w := newWorld(t)
			token, user := w.token()
			var stderr strings.Builder
			cmd := node(t, "persisted.mjs", which, leak.Proxy(t, w.http.URL)+"/graphql", token)
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			want := []string{
				`{"requests":` + first + `,"data":{"hello":"hello a"}}`,
				`{"requests":["GET hash 200"],"data":{"hello":"hello b"}}`,
				`{"requests":` + first + `,"data":{"viewer":"` + user.String() + `"}}`,
				`{"requests":["GET hash 200"],"data":{"viewer":"` + user.String() + `"}}`,
				`{"requests":["POST hash 200","POST text hash 200"],"data":{"post":{"text":"c"}}}`,
				`{"requests":["POST hash 200"],"data":{"post":{"text":"d"}}}`,
			}
			if got := strings.Split(strings.TrimSpace(string(out)), "\n"); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if n := len(w.log.posts); n != 2 {
				t.Errorf("%d posts", n)
			}
		})
	}
}
