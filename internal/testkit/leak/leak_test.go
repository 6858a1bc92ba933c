package leak_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"tidings/ent/migrate"
	"tidings/internal/testkit/leak"
)

// What a careless server says, by class.
var planted = map[string][]string{
	"SQL": {
		`SELECT "users"."id" FROM "users"`, `select id from users where 1`, `near "FROM": no such table: posts`, `UPDATE x SET y = 1`,
		`UNIQUE constraint failed: users.username_key`, `duplicate key value violates unique constraint "users_email_key_key"`,
		`relation "secret" does not exist`, `deadlock detected`, `database is locked`, `the column password_hash`, `no rows in result set`,
		`syntax error at or near "WHERE"`, `FOREIGN KEY constraint failed`, `id = $1`,
	},
	"driver": {
		`pq: something`, `pq is gone`, `sqlite3 has failed`, `modernc has failed`, `ent: post not found`, `ent: constraint`, `atlas could not`,
		`driver has failed`, `bad connection`, `gqlgen says no`, `PostgreSQL 17 is starting`,
	},
	"path":  {`open /tmp/tidings: permission denied`, `/home/me/x`, `C:\Users\me`, `at graph/lookup.go:12`, `test.db is missing`, `file:x?mode=ro`},
	"stack": {`goroutine 12`, `runtime error: x`, `panic: x`, `at 0xc000123456`, `invalid memory address or nil`, `index out of range [3]`, `interface conversion: x`},
	"package": {
		`tidings/internal/relay says`, `github.com/lib says`, `*ent.User is not`, `a gid.Post`, `strconv.ParseInt of "x"`, `json.Number is not`, `rule.Predicate`,
	},
	"Go": {
		`map[string]interface {} is not a string`, `json: cannot decode`, `context deadline exceeded`, `context canceled`, `invalid character 'x' after`,
		`dial tcp 10.0.0.1`, `read tcp x`, `connection refused`, `unexpected EOF`, `%!v(x)`, `cannot unmarshal`, `token is expired`, `signature is invalid`, `<nil>`,
	},
	"secret": {`$argon2i`, `argon2id is slow`, `tidings_rt_abc`, `eyJhbGciOiJIUzI1NiJ9`, `Bearer abcdefghijklmnop`, `-----BEGIN X`},
}

// What the server says of its own accord.
var harmless = []string{
	"there is no such post", "sign in first: this needs a viewer", "The access token is not valid or has expired.",
	"a username has 3 to 32 characters, this has 2", "this is not an e-mail address such as name@example.org", "internal error abcdefghijkl",
	`Cannot query field "plane" on type "Query". Did you mean "plain"?`, "Expected Name, found }", "input.title: must be defined",
	"Subscriptions run over WebSocket at this address, with the subprotocol graphql-transport-ws, or as server-sent events: accept text/event-stream.", "BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED",
	"user_01234567890123456789012345", "The body must be application/json in UTF-8, not compressed.", "Subscriber for a already exists",
	"what came after this cursor is no longer kept in full: read the list again, with liveCursor, and subscribe after that",
}

// caught is a test that takes note of its failures.
type caught struct{ leaks []string }

func (c *caught) Helper() {}

func (c *caught) Errorf(format string, args ...any) {
	c.leaks = append(c.leaks, fmt.Sprintf(format, args...))
}

func TestEachClassIsFound(t *testing.T) {
	for class, texts := range planted {
		for _, text := range texts {
			if got, _ := leak.Find(text); got != class {
				t.Errorf("%q is taken for %q, want %s", text, got, class)
			}
		}
	}
	for _, text := range harmless {
		if got, words := leak.Find(text); got != "" {
			t.Errorf("%q is taken for %s, for %q", text, got, words)
		}
	}
}

func TestColumnsAreFound(t *testing.T) {
	n := 0
	for _, table := range migrate.Tables {
		for _, c := range table.Columns {
			if strings.Contains(c.Name, "_") {
				n++
				if got, _ := leak.Find("about " + c.Name + " of it"); got != "SQL" {
					t.Errorf("the column %s of %s is not known", c.Name, table.Name)
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d columns", n)
	}
}

// Every place of an answer is looked at, for each class.
func TestEachPlaceIsLookedAt(t *testing.T) {
	quoted := func(text string) string { return fmt.Sprintf("%q", text) }
	for class, texts := range planted {
		text := texts[0]
		for place, show := range map[string]func(t leak.T){
			"message":      func(t leak.T) { leak.Body(t, 200, []byte(`{"errors":[{"message":`+quoted(text)+`}]}`)) },
			"second error": func(t leak.T) { leak.Body(t, 400, []byte(`{"errors":[{"message":"x"},{"message":`+quoted(text)+`}]}`)) },
			"extension": func(t leak.T) {
				leak.Body(t, 200, []byte(`{"data":null,"errors":[{"message":"x","extensions":{"cause":`+quoted(text)+`}}]}`))
			},
			"deep extension": func(t leak.T) {
				leak.Body(t, 200, []byte(`{"errors":[{"message":"x","extensions":{"a":[{"b":`+quoted(text)+`}]}}]}`))
			},
			"another body":    func(t leak.T) { leak.Body(t, 500, []byte(text)) },
			"JSON of no kind": func(t leak.T) { leak.Body(t, 500, []byte(`{"error":`+quoted(text)+`}`)) },
			"header":          func(t leak.T) { leak.Header(t, http.Header{"X-Error": {text}}) },
			"error over WS": func(t leak.T) {
				leak.Message(t, []byte(`{"id":"1","type":"error","payload":[{"message":`+quoted(text)+`}]}`))
			},
			"payload over WS": func(t leak.T) {
				leak.Message(t, []byte(`{"id":"1","type":"next","payload":{"errors":[{"message":`+quoted(text)+`}]}}`))
			},
			"reason of close":  func(t leak.T) { leak.Closed(t, text) },
			"presented as one": func(t leak.T) { leak.Error(t, text, nil) },
		} {
			var c caught
			if show(&c); len(c.leaks) == 0 {
				t.Errorf("%s in a %s is not found", class, place)
			}
		}
	}
	var c caught
	leak.Body(&c, 200, []byte(`{"data":{"post":{"content":"SELECT * FROM users; goroutine 1"}}}`))
	leak.Message(&c, []byte(`{"type":"next","payload":{"data":{"a":"goroutine 1"}}}`))
	if len(c.leaks) > 0 {
		t.Errorf("what people write is taken for the server's: %v", c.leaks)
	}
}

// failing stands in for the test behind a proxy: it runs the cleanups when told, and takes note.
type failing struct {
	testing.TB
	cleanups []func()
	errors   []string
}

func (f *failing) Helper()                           {}
func (f *failing) Cleanup(fn func())                 { f.cleanups = append(f.cleanups, fn) }
func (f *failing) Error(args ...any)                 { f.errors = append(f.errors, fmt.Sprint(args...)) }
func (f *failing) Errorf(format string, args ...any) { f.Error(fmt.Sprintf(format, args...)) }
func (f *failing) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (f *failing) end() []string {
	for _, fn := range f.cleanups {
		fn()
	}
	return f.errors
}

func TestClient(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "sqlite has failed", http.StatusInternalServerError)
	}))
	defer server.Close()
	test := &failing{TB: t}
	resp, err := leak.Client(test).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "sqlite has failed\n" || len(test.errors) != 1 {
		t.Errorf("%q, %v, found %q", b, err, test.errors)
	}
}

func TestProxy(t *testing.T) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	for name, c := range map[string]struct {
		body, message, reason string
		want                  int
	}{
		"nothing": {body: `{"data":{}}`, message: `{"type":"next","payload":{"data":{}}}`, reason: "Forbidden"},
		"body":    {body: `{"errors":[{"message":"pq: x"}]}`, message: `{}`, want: 1},
		"message": {body: `{}`, message: `{"type":"error","payload":[{"message":"` + strings.Repeat("x", 70000) + ` goroutine 1"}]}`, want: 1},
		"short":   {body: `{}`, message: `{"type":"error","payload":[{"message":"sqlite"}]}`, want: 1},
		"reason":  {body: `{}`, message: `{}`, reason: "ent: x", want: 1},
		"all":     {body: `{"errors":[{"message":"pq: x"}]}`, message: `{"type":"error","payload":[{"message":"` + strings.Repeat("x", 200) + ` sqlite"}]}`, reason: "ent: x", want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !websocket.IsWebSocketUpgrade(r) {
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprint(w, c.body)
					return
				}
				ws, err := upgrader.Upgrade(w, r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.Close()
				_ = ws.WriteMessage(websocket.TextMessage, []byte(c.message))
				_ = ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4400, c.reason))
				_, _, _ = ws.ReadMessage()
			}))
			defer server.Close()
			behind := &failing{TB: t}
			at := leak.Proxy(behind, server.URL)
			resp, err := http.Get(at)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(at, "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			if _, got, err := ws.ReadMessage(); err != nil || string(got) != c.message {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, 4400) {
				t.Error(err)
			}
			ws.Close()
			if got := behind.end(); len(got) != c.want {
				t.Errorf("found %.300q, want %d leaks", got, c.want)
			}
		})
	}
}

// TestStreams: each event of a stream is looked at, through a proxy and by a client, though the stream goes on.
func TestStreams(t *testing.T) {
	const first, second = "event: next\ndata: {\"data\":{}}\n\n", "event: next\nid: 1\ndata: {\"errors\":[{\"message\":\"pq: x\"}]}\n\n"
	held := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, piece := range []string{first, second[:20], second[20:]} {
			fmt.Fprint(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(held)
	for name, ask := range map[string]func(*failing) (*http.Response, error){
		"proxy":  func(behind *failing) (*http.Response, error) { return http.Get(leak.Proxy(behind, server.URL)) },
		"client": func(behind *failing) (*http.Response, error) { return leak.Client(behind).Get(server.URL) },
	} {
		behind := &failing{TB: t}
		resp, err := ask(behind)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(first+second))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != first+second {
			t.Errorf("%s: %q %v", name, got, err)
		}
		resp.Body.Close()
		if got := behind.end(); len(got) != 1 {
			t.Errorf("%s: found %q, want one leak", name, got)
		}
	}
}
