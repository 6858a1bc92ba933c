package web_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/web"
)

// TestCloseCodes has a script for each way in which a client can break the
// protocol.
func TestCloseCodes(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Message = 1000 })
	const (
		init      = `{"type":"connection_init"}`
		ack       = `{"type":"connection_ack"}`
		subscribe = `{"id":"a","type":"subscribe","payload":{"query":"subscription { posted { id } }"}}`
	)
	longID := strings.Repeat("é", 120)
	subscribeLong := strings.Replace(subscribe, `"a"`, `"`+longID+`"`, 1)
	for name, script := range map[string]struct {
		send   []string
		code   int
		reason string
	}{
		"not JSON":                  {[]string{`{`}, 4400, "The request is not one valid JSON value."},
		"not an object":             {[]string{`[]`}, 4400, "The request is not a JSON object."},
		"no type":                   {[]string{`{}`}, 4400, "The field type is missing."},
		"type is a number":          {[]string{`{"type":1}`}, 4400, "The field type must be a string."},
		"unknown type":              {[]string{`{"type":"start"}`}, 4400, "This type of message is not one that a client sends."},
		"a server's type":           {[]string{init, `{"type":"next","id":"a","payload":{}}`}, 4400, "This type of message is not one that a client sends."},
		"payload of init":           {[]string{`{"type":"connection_init","payload":"a"}`}, 4400, "The field payload must be an object."},
		"payload of ping":           {[]string{`{"type":"ping","payload":[]}`}, 4400, "The field payload must be an object."},
		"subscribe without id":      {[]string{init, `{"type":"subscribe","payload":{"query":"{ hello }"}}`}, 4400, "The field id is missing."},
		"subscribe with number":     {[]string{init, `{"id":1,"type":"subscribe","payload":{"query":"{ hello }"}}`}, 4400, "The field id must be a string."},
		"subscribe with long id":    {[]string{init, `{"id":"` + strings.Repeat("a", 257) + `","type":"subscribe","payload":{"query":"{ hello }"}}`}, 4400, "The id is too long."},
		"subscribe without payload": {[]string{init, `{"id":"a","type":"subscribe"}`}, 4400, "The field payload is missing."},
		"subscribe without query":   {[]string{init, `{"id":"a","type":"subscribe","payload":{}}`}, 4400, "The parameter query is missing."},
		"subscribe with bad vars":   {[]string{init, `{"id":"a","type":"subscribe","payload":{"query":"{ hello }","variables":1}}`}, 4400, "The field variables must be an object."},
		"complete without id":       {[]string{init, `{"type":"complete"}`}, 4400, "The field id is missing."},
		"subscribe before init":     {[]string{subscribe}, 4401, "Unauthorized"},
		"second init":               {[]string{init, init}, 4429, "Too many initialisation requests"},
		"bad token":                 {[]string{`{"type":"connection_init","payload":{"authorization":"Bearer nonsense"}}`}, 4403, "Forbidden"},
		"id taken":                  {[]string{init, subscribe, subscribe}, 4409, "Subscriber for a already exists"},
		"long id taken":             {[]string{init, subscribeLong, subscribeLong}, 4409, "Subscriber for " + strings.Repeat("é", 54)},
		"too large":                 {[]string{`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 1000) + `"}}`}, 1009, "The message is too large"},
		"not UTF-8":                 {[]string{"{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}"}, 1007, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.dial()
			for i, text := range script.send {
				c.send(text)
				if text == init && i == 0 {
					c.expect(ack)
				}
			}
			c.expectClose(script.code, script.reason)
		})
	}

	t.Run("binary", func(t *testing.T) {
		c := w.dial()
		if err := c.ws.WriteMessage(websocket.BinaryMessage, []byte(init)); err != nil {
			t.Fatal(err)
		}
		c.expectClose(4400, "Messages are text")
	})
	t.Run("not a frame", func(t *testing.T) {
		c := w.dial()
		if _, err := c.ws.NetConn().Write([]byte{0x83, 0x80, 0, 0, 0, 0}); err != nil { // a reserved opcode
			t.Fatal(err)
		}
		c.expectClose(1002, "")
	})
	t.Run("other subprotocol", func(t *testing.T) {
		w.dial("Sec-Websocket-Protocol", "graphql-ws").expectClose(4406, "Subprotocol not acceptable")
	})
	t.Run("the client's own", func(t *testing.T) {
		for _, code := range []int{1000, 1001, 4499} {
			c := w.dial()
			if err := c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(code, "bye")); err != nil {
				t.Fatal(err)
			}
			c.expectClose(code, "")
		}
		c := w.dial()
		if err := c.ws.WriteMessage(websocket.CloseMessage, nil); err != nil {
			t.Fatal(err)
		}
		c.expectClose(1005, "")
	})
}

func TestInitTimeout(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Init = 50 * time.Millisecond })
	c := w.dial()
	c.expectClose(4408, "Connection initialisation timeout")
	w = newWorld(t, func(o *web.Options) { o.Limits.Init = time.Second })
	c = w.open("")
	c.send(`{"type":"complete","id":"unknown"}`) // is passed over
	c.quiet()
}

func TestPing(t *testing.T) {
	w := newWorld(t)
	c := w.dial()
	c.send(`{"type":"ping"}`)
	c.expect(`{"type":"pong"}`)
	c.send(`{"type":"ping","payload":null}`)
	c.expect(`{"type":"pong"}`)
	c.send(`{"payload": {"a": [1, "<é>"]} ,"type":"ping"}`)
	c.expect(`{"type":"pong","payload":{"a": [1, "<é>"]}}`)
	c.send(`{"type":"pong","payload":{"b":2}}`) // a heartbeat, not answered
	c.quiet()

	answers := make(chan string, 1)
	c.ws.SetPongHandler(func(data string) error { answers <- data; return nil })
	if err := c.ws.WriteControl(websocket.PingMessage, []byte("abc"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c.quiet()
	if got := within(t, answers, "a pong"); got != "abc" {
		t.Errorf("pong %q", got)
	}
}

// TestSilentClient: who answers no ping is gone.
func TestSilentClient(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Ping, o.Limits.Pong = 20*time.Millisecond, 20*time.Millisecond })
	c := w.open("")
	c.ws.SetPingHandler(func(string) error { return nil })
	c.expectClose(websocket.CloseAbnormalClosure, "unexpected EOF")

	c = w.open("") // whose pings are answered stays
	for range 20 {
		c.ws.SetPingHandler(nil)
		pings := make(chan struct{}, 100)
		answer := c.ws.PingHandler()
		c.ws.SetPingHandler(func(data string) error { pings <- struct{}{}; return answer(data) })
		c.quiet()
	}
}

// TestSilence: who says nothing is gone after Limits.Ping and Limits.Pong, and a little for when its ping was due; not
// later, and not before it has had Limits.Pong to answer, however short that is.
func TestSilence(t *testing.T) {
	const ping, pong = 4 * time.Second, 250 * time.Millisecond
	w := newWorld(t, func(o *web.Options) { o.Limits.Ping, o.Limits.Pong = ping, pong })
	silent := w.open("")
	since := time.Now()
	silent.ws.SetPingHandler(func(string) error { return nil })
	var others []*client
	for range 20 { // at each time between two at which it is looked whose ping is due
		time.Sleep(ping / 8 / 20)
		others = append(others, w.open(""))
	}
	var reading sync.WaitGroup
	for _, c := range others {
		reading.Go(func() {
			if text, err := c.read(); text != "" || !strings.Contains(err.Error(), "closed network connection") {
				t.Errorf("who answers pings was told %q, %v", text, err)
			}
		})
	}
	silent.expectClose(websocket.CloseAbnormalClosure, "unexpected EOF")
	if took := time.Since(since); took < ping+pong || took > 2*ping-time.Second {
		t.Errorf("it took %v", took)
	}
	eventually(t, "the others' next ping", func() bool { return time.Since(since) > ping+ping/2 })
	for _, c := range others {
		c.ws.Close()
	}
	reading.Wait()
}

func TestOperations(t *testing.T) {
	w := newWorld(t)
	c := w.open("")
	c.subscribe("1", `{ hello }`, "")
	c.expect(`{"id":"1","type":"next","payload":{"data":{"hello":"hello world"}}}`, `{"id":"1","type":"complete"}`)
	c.subscribe("1", `mutation { post(text: "a") { text } }`, "") // the id is free again
	c.expect(`{"id":"1","type":"next","payload":{"data":{"post":{"text":"a"}}}}`, `{"id":"1","type":"complete"}`)
	c.subscribe("<é>", `query($n: Int!) { count(number: $n) }`, `{"n":9007199254740993}`)
	c.expect(`{"id":"\u003cé\u003e","type":"next","payload":{"data":{"count":9007199254740993}}}`, `{"id":"\u003cé\u003e","type":"complete"}`)

	// An error where it ran is a result; one where it didn't is the end, and no complete follows.
	c.subscribe("2", `{ fail(how: FAULT) }`, "")
	c.expect(`{"id":"2","type":"next","payload":{"errors":[{"message":"There is no such thing.","path":["fail"],"locations":[{"line":1,"column":3}],"extensions":{"code":"NOT_FOUND"}}],"data":{"fail":null}}}`,
		`{"id":"2","type":"complete"}`)
	c.subscribe("3", `{`, "")
	c.expect(`{"id":"3","type":"error","payload":[{"message":"Expected Name, found \u003cEOF\u003e","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}`)
	c.subscribe("3", ``, "")
	c.expect(`{"id":"3","type":"error","payload":[{"message":"no operation provided","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`)
	c.subscribe("4", `subscription { posted(author: "x") { id } }`, "")
	c.expect(`{"id":"4","type":"error","payload":[{"message":"This is not the id of a user.","path":["posted"],"locations":[{"line":1,"column":16}],"extensions":{"code":"BAD_USER_INPUT","field":"author"}}]}`)
	c.quiet()
}

// TestPanicOfAnOperation: it is that operation's end, not the socket's.
func TestPanicOfAnOperation(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		o.Extensions = append(o.Extensions, extension(func() { panic("hidden reason") }))
	})
	c := w.open("")
	c.subscribe("1", `{ hello }`, "")
	if got := c.next(); !strings.HasPrefix(got, `{"id":"1","type":"error","payload":[{"message":"internal error`) || strings.Contains(got, "hidden") {
		t.Error(got)
	}
	c.quiet()
}

// TestCompleteByClient: nothing is sent behind it, not even the result that was
// about to come, and the work stops.
func TestCompleteByClient(t *testing.T) {
	w := newWorld(t)
	c := w.open("")
	g := w.gate("g")
	for _, query := range []string{`mutation { wait(key: "g") }`, `{ wait(key: "g") }`} {
		c.subscribe("1", query, "")
		within(t, g.entered, "the mutation to run")
		c.send(`{"id":"1","type":"complete"}`)
		if err := within(t, g.left, "the mutation to stop"); err == nil {
			t.Error("it ran to its end")
		}
		c.quiet()
	}
	c.subscribe("1", `subscription { posted { text } }`, "")
	c.quiet()
	c.send(`{"id":"1","type":"complete"}`)
	c.quiet()
	w.log.post(gid.NewUser(), "unheard")
	c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "")
	c.expect(`{"id":"1","type":"next","payload":{"data":{"posted":{"text":"unheard"}},"extensions":{"cursor":"` + w.log.cursor(1) + `"}}}`)
	c.quiet()
}

func TestSubscription(t *testing.T) {
	w := newWorld(t)
	ann, bob := gid.NewUser(), gid.NewUser()
	delivery := func(id, text string, position int64) string {
		return fmt.Sprintf(`{"id":"%s","type":"next","payload":{"data":{"posted":{"text":"%s"}},"extensions":{"cursor":"%s"}}}`, id, text, w.log.cursor(position))
	}
	const query = `subscription($author: ID, $after: Cursor) { posted(author: $author, after: $after) { text } }`
	for i := range 5 {
		w.log.post(ann, fmt.Sprint("a", i+1))
	}
	c := w.open("")
	// Replay, then follow, in order and each once; what is gone or hidden is passed over.
	c.subscribe("all", query, `{"after":"`+w.log.cursor(2)+`"}`)
	c.expect(delivery("all", "a3", 3), delivery("all", "a4", 4), delivery("all", "a5", 5))
	w.log.post(bob, "hidden")
	seven := w.log.post(bob, "b7")
	c.expect(delivery("all", "b7", 7))
	// By author, and by the id of the last item.
	c.subscribe("bob", query, `{"author":"`+bob.String()+`","after":"`+w.log.cursor(0)+`"}`)
	c.expect(delivery("bob", "b7", 7))
	w.log.post(ann, "a8")
	c.expect(delivery("all", "a8", 8))
	c.send(`{"id":"all","type":"complete"}`)
	c.subscribe("id", query, `{"after":"`+seven.String()+`"}`)
	c.expect(delivery("id", "a8", 8))

	// An event that can't be loaded ends the subscription in front of it.
	w.log.post(ann, "broken")
	if got := c.next(); !strings.HasPrefix(got, `{"id":"id","type":"error","payload":[{"message":"internal error`) || strings.Contains(got, "hidden") {
		t.Error(got)
	}
	c.quiet()
	for after, want := range map[string]string{
		w.log.cursor(3):        `"code":"CURSOR_EXPIRED"`,
		"nonsense":             `"code":"BAD_USER_INPUT","field":"after"`,
		gid.NewUser().String(): `"code":"BAD_USER_INPUT","field":"after"`,
	} {
		w.log.forget(5)
		c.subscribe("x", query, `{"after":"`+after+`"}`)
		if got := c.next(); !strings.HasPrefix(got, `{"id":"x","type":"error","payload":[{"message":`) || !strings.Contains(got, want) {
			t.Errorf("after %s: %s", after, got)
		}
	}
	c.quiet()
	w.stop()
	c.expectClose(1001, "The server is going away")
}

func TestSocketTokens(t *testing.T) {
	w := newWorld(t)
	token, user := w.token()
	other, _ := w.token()
	for name, c := range map[string]struct {
		init, header string
		who          string // "" for a close with 4403
	}{
		"none":               {``, "", "null"},
		"null":               {`{"authorization":null}`, "", "null"},
		"empty":              {`{"authorization":""}`, "", "null"},
		"bearer":             {`{"authorization":"Bearer ` + token + `"}`, "", user.String()},
		"bare":               {`{"authorization":"` + token + `"}`, "", user.String()},
		"other case":         {`{"Authorization":"bearer ` + token + `","a":{}}`, "", user.String()},
		"headers":            {`{"headers":{"AUTHORIZATION":"Bearer ` + token + `"}}`, "", user.String()},
		"top before headers": {`{"authorization":"Bearer ` + token + `","headers":{"Authorization":"Bearer ` + other + `"}}`, "", user.String()},
		"header":             {``, "Bearer " + token, user.String()},
		"header, empty init": {`{"headers":{}}`, "Bearer " + token, user.String()},
		"init before header": {`{"authorization":"Bearer ` + token + `"}`, "Bearer nonsense", user.String()},
		"bad":                {`{"authorization":"Bearer nonsense"}`, "", ""},
		"bad, good header":   {`{"authorization":"Bearer nonsense"}`, "Bearer " + token, ""},
		"bad header":         {``, "Bearer nonsense", ""},
		"a number":           {`{"authorization":7}`, "", ""},
		"an object":          {`{"authorization":{"token":"` + token + `"}}`, "", ""},
		"two that differ":    {`{"authorization":"Bearer ` + token + `","Authorization":"Bearer ` + other + `"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var header []string
			if c.header != "" {
				header = []string{"Authorization", c.header}
			}
			if c.who == "" {
				s := w.dial(header...)
				s.send(`{"type":"connection_init","payload":` + strings.Replace(c.init+"null", "}null", "}", 1) + `}`)
				s.expectClose(4403, "Forbidden")
				return
			}
			who := c.who
			if who != "null" {
				who = `"` + who + `"`
			}
			s := w.open(c.init, header...)
			s.subscribe("1", "{ viewer }", "")
			s.expect(`{"id":"1","type":"next","payload":{"data":{"viewer":` + who + `}}}`)
		})
	}
	if strings.Contains(w.lines.String(), token[:40]) {
		t.Error("a token stands in the log")
	}
}

// TestExpiry: the socket ends with the token that opened it.
func TestExpiry(t *testing.T) {
	w := newWorld(t)
	short, err := auth.NewTokens([][]byte{bytes.Repeat([]byte("s"), auth.MinSecret)},
		func() time.Time { return time.Now().Add(2*time.Second - auth.TokenLifetime) })
	if err != nil {
		t.Fatal(err)
	}
	token, expires, err := short.Issue(gid.NewUser(), gid.NewSession())
	if err != nil {
		t.Fatal(err)
	}
	c := w.open(`{"authorization":"Bearer ` + token + `"}`)
	c.subscribe("1", "subscription { posted { id } }", "")
	c.expectClose(4403, "The access token has expired")
	if time.Now().Before(expires) {
		t.Error("closed before the token expired")
	}
}

func TestSocketOrigin(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Origins = []string{"https://friend.example"} })
	for origin, status := range map[string]int{
		"https://friend.example":       101,
		"https://FRIEND.example":       101,
		w.http.URL:                     101,
		"https://stranger.example":     403,
		"http://friend.example":        403,
		"https://friend.example.evil":  403,
		"https://evilfriend.example":   403,
		"null":                         403,
		w.http.URL + ".evil":           403,
		"https://friend.example:8080":  403,
		"https://friend.example@evil/": 403,
	} {
		c, err := w.tryDial("Origin", origin)
		if c.resp == nil || c.resp.StatusCode != status {
			t.Errorf("%s: %v", origin, err)
		}
	}
	if got := w.do("GET", "/graphql", "", "Connection", "upgrade", "Upgrade", "websocket"); got.status != http.StatusBadRequest {
		t.Errorf("half a handshake: %v", got)
	}
}

func TestTooManySubscriptions(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Subscriptions, o.Limits.Executions = 3, 1 })
	c := w.open("")
	w.log.post(gid.NewUser(), "a")
	for range 5 { // whose ids and places become free again
		c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "")
		c.expect(`{"id":"1","type":"next","payload":{"data":{"posted":{"text":"a"}},"extensions":{"cursor":"` + w.log.cursor(1) + `"}}}`)
		c.send(`{"id":"1","type":"complete"}`)
	}
	for i := range 3 {
		c.subscribe(fmt.Sprint("s", i), `subscription { posted(author: "`+gid.NewUser().String()+`") { text } }`, "")
	}
	// Which of those that come at once is the one too many isn't said.
	c.subscribe("s3", `subscription { posted(author: "`+gid.NewUser().String()+`") { text } }`, "")
	if got := c.next(); !strings.HasSuffix(got, `"type":"error","payload":[{"message":"There are too many subscriptions on this connection.","extensions":{"code":"RATE_LIMITED"}}]}`) {
		t.Error(got)
	}
	// 3 subscriptions, 8 others, and then one too many.
	g := w.gate("g")
	for i := range 9 {
		c.subscribe(fmt.Sprint("q", i), `{ wait(key: "g") }`, "")
	}
	c.expect(`{"id":"q8","type":"error","payload":[{"message":"Too many operations wait on this connection.","extensions":{"code":"RATE_LIMITED"}}]}`)
	within(t, g.entered, "one to execute")
	c.quiet()
	if n := len(g.entered); n != 0 {
		t.Errorf("%d more execute", n)
	}
	close(g.open)
	for range 16 {
		if got := c.next(); !strings.HasPrefix(got, `{"id":"q`) {
			t.Error(got)
		}
	}
}

// TestAnswersInARow: each answer is there in full before the id is free again, whoever writes it.
func TestAnswersInARow(t *testing.T) {
	c := newWorld(t).open("")
	for i := range 100 {
		size := 100 + i*3000
		c.subscribe("x", fmt.Sprintf(`{ letters(count: %d) }`, size), "")
		if got := c.next(); len(got) < size || !strings.Contains(got, `"type":"next"`) {
			t.Fatalf("%d: %.100s", size, got)
		}
		c.expect(`{"id":"x","type":"complete"}`)
	}
}
