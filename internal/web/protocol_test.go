package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/gid"
	"tidings/internal/web"
)

// The rules of graphql-transport-ws, in the order of PROTOCOL.md (npm package graphql-ws), and of RFC 6455 beneath it, with
// the tests that hold the server to them:
//
//	subprotocol, 4406                                TestCloseCodes, TestHandshake
//	ConnectionInit, its payload                      TestSocketTokens, TestProtocol
//	  in time, 4408                                  TestInitTimeout
//	  only once, 4429                                TestCloseCodes, TestProtocol
//	  refused, 4403                                  TestCloseCodes, TestSocketTokens, TestRenewalRefused
//	Ping at any time, Pong with its payload          TestPing; with a token TestRenewal
//	Pong unsolicited                                 TestPing
//	Subscribe before ConnectionAck, 4401             TestCloseCodes, TestProtocol
//	  with an id that is taken, 4409                 TestCloseCodes, TestIDs
//	  with one that is free again                    TestOperations, TestCompleteByClient, TestOver, TestIDs
//	  payload                                        TestCloseCodes, TestProtocol
//	Next, Complete of the server                     TestOperations, TestSubscription, TestOver
//	Error, and no Complete behind it                 TestOperations, TestSubscription, TestSharedEndsWithAnError
//	Complete of the client, and nothing behind it    TestCompleteByClient, TestGoesOut
//	  of an operation that is over, or none          TestInitTimeout, TestIDs
//	several operations, interleaved                  TestSubscription, TestIDs
//	invalid messages, 4400                           TestCloseCodes, TestProtocol
//	nothing is done behind a close                   TestNothingBehindAClose
//	the client's close, 1000                         TestCloseCodes
//	1001                                             TestDrain, TestDrainInOrder, TestSubscription
//	1013                                             TestStalledReader, TestSocketsOfAViewer
//	fragments, control frames between them           TestFragments
//	1002, 1007, 1009                                 TestCloseCodes, TestFrames, TestFragments

// TestHandshake: of the subprotocols that a client offers ours is chosen, and without it the socket is closed with 4406.
func TestHandshake(t *testing.T) {
	w := newWorld(t)
	for offered, chosen := range map[string]string{
		"graphql-transport-ws":                 "graphql-transport-ws",
		"graphql-ws, graphql-transport-ws":     "graphql-transport-ws",
		"graphql-transport-ws , other":         "graphql-transport-ws",
		"GraphQL-Transport-WS":                 "",
		"graphql-transport-ws2":                "",
		"graphql-transport-ws.other, other":    "",
		"subscriptions-transport-ws, graphql,": "",
	} {
		c := w.dial("Sec-Websocket-Protocol", offered)
		if got := c.resp.Header.Get("Sec-Websocket-Protocol"); got != chosen {
			t.Errorf("of %s %q was chosen", offered, got)
		}
		if chosen == "" {
			c.expectClose(4406, "Subprotocol not acceptable")
			continue
		}
		c.send(`{"type":"connection_init"}`)
		c.expect(`{"type":"connection_ack"}`)
	}
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.http.URL, "http")+"/graphql", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	c := &client{t: t, ws: ws}
	c.expectClose(4406, "Subprotocol not acceptable")
}

// TestProtocol has scripts of what a client says and what it is answered; the last answer may be a close.
func TestProtocol(t *testing.T) {
	w := newWorld(t)
	const (
		init = `{"type":"connection_init"}`
		ack  = `{"type":"connection_ack"}`
		pong = `{"type":"pong"}`
		next = `{"id":"a","type":"next","payload":{"data":{"hello":"hello world"}}}`
		done = `{"id":"a","type":"complete"}`
	)
	subscribe := func(payload string) string { return `{"id":"a","type":"subscribe","payload":` + payload + `}` }
	missing := func(field string) string { return "4400 The field " + field + " is missing." }
	for name, script := range map[string]struct{ send, expect []string }{
		"init with null":             {[]string{`{"type":"connection_init","payload":null}`}, []string{ack}},
		"init with what nobody asks": {[]string{`{"id":"x","type":"connection_init","payload":{"a":{"b":[1]}},"extra":[{}]}`}, []string{ack}},
		"two inits at once":          {[]string{init, init}, []string{ack, "4429 Too many initialisation requests"}},
		"a second init later":        {[]string{init, subscribe(`{"query":"subscription { posted { id } }"}`), init}, []string{ack, "4429 Too many initialisation requests"}},
		"a ping, then init":          {[]string{`{"type":"ping"}`, init}, []string{pong, ack}},
		"complete, then init":        {[]string{`{"id":"a","type":"complete"}`, init}, []string{ack}},
		"subscribe, then init":       {[]string{subscribe(`{"query":"{ hello }"}`), init}, []string{"4401 Unauthorized"}},
		"init with a list":           {[]string{`{"type":"connection_init","payload":[]}`}, []string{"4400 The field payload must be an object."}},
		"no waiting for ack":         {[]string{init, subscribe(`{"query":"{ hello }"}`)}, []string{ack, next, done}},

		"unknown fields":         {[]string{init, `{"a":1,"id":"a","type":"subscribe","b":{"type":"x"},"payload":{"query":"{ hello }","c":null}}`}, []string{ack, next, done}},
		"the last of two fields": {[]string{init, `{"type":"x","type":"ping"}`}, []string{ack, pong}},
		"fields in other case":   {[]string{init, `{"Type":"ping"}`}, []string{ack, missing("type")}},
		"space around":           {[]string{" \n\t" + init + "\r\n "}, []string{ack}},
		"a mark in front":        {[]string{"\ufeff" + init}, []string{"4400 The request is not one valid JSON value."}},
		"something behind":       {[]string{init, `{"type":"ping"}{"type":"ping"}`}, []string{ack, "4400 The request is not one valid JSON value."}},
		"nothing":                {[]string{init, ``}, []string{ack, "4400 The request is not one valid JSON value."}},
		"a string":               {[]string{init, `"ping"`}, []string{ack, "4400 The request is not a JSON object."}},
		"null":                   {[]string{init, `null`}, []string{ack, "4400 The request is not a JSON object."}},
		"type is null":           {[]string{init, `{"type":null}`}, []string{ack, missing("type")}},
		"type in other case":     {[]string{init, `{"type":"PING"}`}, []string{ack, "4400 This type of message is not one that a client sends."}},
		"the server's ack":       {[]string{init, ack}, []string{ack, "4400 This type of message is not one that a client sends."}},
		"the server's error":     {[]string{init, `{"id":"a","type":"error","payload":[]}`}, []string{ack, "4400 This type of message is not one that a client sends."}},
		"the older protocol's":   {[]string{init, `{"id":"a","type":"stop"}`}, []string{ack, "4400 This type of message is not one that a client sends."}},

		"an empty id":              {[]string{init, `{"id":"","type":"subscribe","payload":{"query":"{ hello }"}}`}, []string{ack, missing("id")}},
		"id is null":               {[]string{init, `{"id":null,"type":"subscribe","payload":{"query":"{ hello }"}}`}, []string{ack, missing("id")}},
		"complete, an empty id":    {[]string{init, `{"id":"","type":"complete"}`}, []string{ack, missing("id")}},
		"complete, a number":       {[]string{init, `{"id":7,"type":"complete"}`}, []string{ack, "4400 The field id must be a string."}},
		"complete with a payload":  {[]string{init, `{"id":"a","type":"complete","payload":[1]}`, `{"type":"ping"}`}, []string{ack, pong}},
		"payload is null":          {[]string{init, subscribe(`null`)}, []string{ack, missing("payload")}},
		"payload is a string":      {[]string{init, subscribe(`"{ hello }"`)}, []string{ack, "4400 The request is not a JSON object."}},
		"payload is a list":        {[]string{init, subscribe(`[{"query":"{ hello }"}]`)}, []string{ack, "4400 The request is not a JSON object."}},
		"query is null":            {[]string{init, subscribe(`{"query":null}`)}, []string{ack, "4400 The parameter query is missing."}},
		"query is a number":        {[]string{init, subscribe(`{"query":1}`)}, []string{ack, "4400 The field query must be a string."}},
		"operationName, a number":  {[]string{init, subscribe(`{"query":"{ hello }","operationName":1}`)}, []string{ack, "4400 The field operationName must be a string."}},
		"variables, a list":        {[]string{init, subscribe(`{"query":"{ hello }","variables":[]}`)}, []string{ack, "4400 The field variables must be an object."}},
		"extensions, a string":     {[]string{init, subscribe(`{"query":"{ hello }","extensions":"x"}`)}, []string{ack, "4400 The field extensions must be an object."}},
		"all of them null":         {[]string{init, subscribe(`{"query":"{ hello }","operationName":null,"variables":null,"extensions":null}`)}, []string{ack, next, done}},
		"all of them there":        {[]string{init, subscribe(`{"query":"query A { viewer } query B($n: String) { hello(name: $n) }","operationName":"B","variables":{"n":"world"},"extensions":{"x":1}}`)}, []string{ack, next, done}},
		"ping with a number":       {[]string{init, `{"type":"ping","payload":1}`}, []string{ack, "4400 The field payload must be an object."}},
		"pong with a string":       {[]string{init, `{"type":"pong","payload":"x"}`}, []string{ack, "4400 The field payload must be an object."}},
		"pong, null":               {[]string{init, `{"type":"pong","payload":null}`, `{"type":"ping"}`}, []string{ack, pong}},
		"ping with an empty token": {[]string{init, `{"type":"ping","payload":{"authorization":""}}`}, []string{ack, `{"type":"pong","payload":{"authorization":""}}`}},
	} {
		t.Run(name, func(t *testing.T) {
			c := w.dial()
			for _, text := range script.send {
				c.send(text)
			}
			for _, want := range script.expect {
				var code int
				if n, _ := fmt.Sscanf(want, "%d ", &code); n == 1 {
					c.expectClose(code, want[5:])
					return
				}
				c.expect(want)
			}
			c.quiet()
		})
	}
	t.Run("pings are no init", func(t *testing.T) {
		w := newWorld(t, func(o *web.Options) { o.Limits.Init = 300 * time.Millisecond })
		c := w.dial()
		for begin := time.Now(); ; {
			if err := c.ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)); err != nil {
				break // closed, as it should be
			}
			if text, err := c.read(); err != nil {
				if !websocket.IsCloseError(err, 4408) {
					t.Error(err)
				}
				break
			} else if text != pong || time.Since(begin) > patience {
				t.Fatal(text)
			}
		}
	})
}

// TestIDs: one id is one operation's, of whatever kind, until that is over; then it is free, and what is said of the
// operation that had it means nothing.
func TestIDs(t *testing.T) {
	w := newWorld(t)
	g := w.gate("g")
	kinds := map[string]string{"query": `{ wait(key: "g") }`, "mutation": `mutation { wait(key: "g") }`, "subscription": `subscription { posted { text } }`}
	for first, a := range kinds {
		for _, b := range kinds {
			c := w.open("")
			c.subscribe("<id>", a, "")
			if first != "subscription" {
				within(t, g.entered, "the first")
			}
			c.subscribe("<id>", b, "")
			c.expectClose(4409, "Subscriber for <id> already exists")
		}
	}
	c := w.open("")
	for _, id := range []string{"a", "A", " a", "ä", strings.Repeat("x", 256)} { // are not the same
		c.subscribe(id, `{ wait(key: "g") }`, "")
		within(t, g.entered, id)
	}
	c.send(`{"id":"a","type":"complete"}`)
	c.send(`{"id":"a","type":"complete"}`) // again, and of one that never was
	c.send(`{"id":"b","type":"complete"}`)
	c.subscribe("a", `{ hello }`, "") // is free at once
	c.expect(`{"id":"a","type":"next","payload":{"data":{"hello":"hello world"}}}`, `{"id":"a","type":"complete"}`)
	c.send(`{"id":"a","type":"complete"}`) // crosses the server's
	c.subscribe("a", `{`, "")
	if got := c.next(); !strings.HasPrefix(got, `{"id":"a","type":"error"`) {
		t.Error(got)
	}
	c.send(`{"id":"a","type":"complete"}`)
	c.subscribe("a", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "")
	w.log.post(gid.NewUser(), "one")
	c.expect(`{"id":"a","type":"next","payload":{"data":{"posted":{"text":"one"}},"extensions":{"cursor":"` + w.log.cursor(1) + `"}}}`)
	close(g.open) // the others are still there
	for range 8 {
		if got := c.next(); !strings.Contains(got, `"wait":"g"`) && !strings.HasSuffix(got, `"type":"complete"}`) {
			t.Error(got)
		}
	}
	c.quiet()
}

// TestNothingBehindAClose: what a client says behind the message that ends its socket is not done.
func TestNothingBehindAClose(t *testing.T) {
	w := newWorld(t)
	c := w.open("")
	c.send(`{"type":"nonsense"}`)
	c.subscribe("1", `mutation { post(text: "too late") { id } }`, "")
	c.expectClose(4400, "This type of message is not one that a client sends.")
	c = w.open("")
	if err := c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")); err != nil {
		t.Fatal(err)
	}
	c.raw(frameOf(0x81, `{"id":"1","type":"subscribe","payload":{"query":"mutation { post(text: \"too late\") { id } }"}}`))
	c.expectClose(1000, "")
	w.http.CloseClientConnections()
	eventually(t, "both to end", func() bool { return strings.Count(w.lines.String(), `"socket closed"`) == 2 })
	w.log.mu.Lock()
	defer w.log.mu.Unlock()
	if len(w.log.events) != 0 {
		t.Error("a mutation ran behind the end")
	}
}

// frameOf returns a client's frame, with a mask that changes nothing: the first byte as RFC 6455, section 5.2, has it.
func frameOf(first byte, payload string) string {
	n := len(payload)
	if n < 126 {
		return string([]byte{first, 0x80 | byte(n), 0, 0, 0, 0}) + payload
	}
	return string([]byte{first, 0x80 | 126, byte(n >> 8), byte(n), 0, 0, 0, 0}) + payload
}

// raw writes bytes, whatever they are.
func (c *client) raw(b string) {
	c.t.Helper()
	if _, err := c.ws.NetConn().Write([]byte(b)); err != nil {
		c.t.Fatal(err)
	}
}

// The first byte of a frame; that of a fragment that others follow lacks the fin bit.
const (
	text, more, last, binary, closing, pinging = 0x81, 0x00, 0x80, 0x82, 0x88, 0x89
	fin                                        = 0x80
)

// TestFragments: a message may come in parts, cut anywhere, with control frames between them.
func TestFragments(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Message = 1000 })
	c := w.open("")
	const ping = `{"type":"ping","payload":{"é":"€"}}`
	for i := range len(ping) { // also within a character
		c.raw(frameOf(text&^fin, ping[:i]) + frameOf(pinging, "between") + frameOf(more, "") + frameOf(last, ping[i:]))
		c.expect(`{"type":"pong","payload":{"é":"€"}}`)
	}
	var parts strings.Builder
	parts.WriteString(frameOf(text&^fin, ""))
	for i := range len(ping) {
		parts.WriteString(frameOf(more, ping[i:i+1]))
	}
	c.raw(parts.String() + frameOf(last, ""))
	c.expect(`{"type":"pong","payload":{"é":"€"}}`)
	// The limit is on the whole.
	half := strings.Repeat(" ", 490)
	c.raw(frameOf(text&^fin, half) + frameOf(last, half+`{"type":"ping"}`))
	c.expect(`{"type":"pong"}`)
	c.raw(frameOf(text&^fin, half) + frameOf(more, half) + frameOf(last, half+`{"type":"ping"}`))
	c.expectClose(1009, "The message is too large")

	c = w.open("")
	c.raw(frameOf(binary&^fin, ping[:5]) + frameOf(last, ping[5:]))
	c.expectClose(4400, "Messages are text")
	c = w.open("")
	c.raw(frameOf(text&^fin, `{"type":"ping","payload":{"a":"`+"\xe2\x82") + frameOf(last, `"}}`))
	c.expectClose(1007, "")
}

// TestFrames: who breaks RFC 6455 is told so, and whoever ends the socket hears their own code.
func TestFrames(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		frames string
		code   int
	}{
		"not masked":               {"\x81\x02{}", 1002},
		"a reserved bit":           {frameOf(text|0x40, "{}"), 1002},
		"a reserved opcode":        {frameOf(0x83, ""), 1002},
		"a reserved control frame": {frameOf(0x8b, ""), 1002},
		"nothing to continue":      {frameOf(last, "{}"), 1002},
		"a message in another":     {frameOf(text&^fin, "{") + frameOf(text, "{}"), 1002},
		"a ping in parts":          {frameOf(pinging&^fin, "a"), 1002},
		"a ping too long":          {frameOf(pinging, strings.Repeat("a", 126)), 1002},
		"half a close code":        {frameOf(closing, "\x03"), 1005},     // gorilla/websocket takes it for none
		"a close code that is not": {frameOf(closing, "\x03\xe7"), 1002}, // 999
		"one that is never sent":   {frameOf(closing, "\x03\xed"), 1002}, // 1005
		"a reason not UTF-8":       {frameOf(closing, "\x03\xe8\xff"), 1002},
		"closed with 1000":         {frameOf(closing, "\x03\xe8bye"), 1000},
		"closed with 3000":         {frameOf(closing, "\x0b\xb8"), 3000},
		"closed with 4999":         {frameOf(closing, "\x13\x87"), 4999},
		"closed with nothing":      {frameOf(closing, ""), 1005},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.open("")
			s.subscribe("1", "subscription { posted { id } }", "")
			s.quiet()
			s.raw(c.frames)
			s.expectClose(c.code, "")
		})
	}
	// A ping of the frames is answered with what it carries, as long as it may be.
	s := w.open("")
	answers := make(chan string, 1)
	s.ws.SetPongHandler(func(data string) error { answers <- data; return nil })
	s.raw(frameOf(pinging, strings.Repeat("é", 62)))
	s.quiet()
	if got := within(t, answers, "a pong"); got != strings.Repeat("é", 62) {
		t.Errorf("pong %q", got)
	}
}
