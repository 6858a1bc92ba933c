package web_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"tidings/internal/gid"
	"tidings/internal/testkit/leak"
	"tidings/internal/web"
)

const (
	responseJSON = "application/graphql-response+json"
	plainJSON    = "application/json"
)

// TestRequests sends requests one by one, each with what must come back, in
// both media types.
func TestRequests(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxBody = 1000 })
	const missing = `{"errors":[{"message":"The parameter query is missing.","extensions":{"code":"BAD_USER_INPUT"}}]}`
	const nullC = `{"errors":[{"message":"c can't be null: @skip or @include decides by it","extensions":{"code":"BAD_USER_INPUT","field":"c"}}]}`
	bad := func(sentence string) string {
		return `{"errors":[{"message":"` + sentence + `","extensions":{"code":"BAD_USER_INPUT"}}]}`
	}
	for name, c := range map[string]struct {
		body   string
		status int // in application/graphql-response+json
		legacy int // in application/json
		want   string
	}{
		"query":             {`{"query":"{ hello }"}`, 200, 200, `{"data":{"hello":"hello world"}}`},
		"mutation":          {`{"query":"mutation { post(text: \"a\") { text } }"}`, 200, 200, `{"data":{"post":{"text":"a"}}}`},
		"named":             {`{"query":"query A { hello } query B { viewer }","operationName":"B"}`, 200, 200, `{"data":{"viewer":null}}`},
		"large integer":     {`{"query":"query($n: Int!) { count(number: $n) }","variables":{"n":9007199254740993}}`, 200, 200, `{"data":{"count":9007199254740993}}`},
		"nulls":             {`{"query":"{ hello }","variables":null,"operationName":null,"extensions":null}`, 200, 200, `{"data":{"hello":"hello world"}}`},
		"unknown key":       {`{"query":"{ hello }","id":7,"doc":{"a":[1]}}`, 200, 200, `{"data":{"hello":"hello world"}}`},
		"key twice":         {`{"query":"{ a }","variables":{"n":1},"query":"query($n: Int) { hello(name: \"b\") count(number: $n) }","variables":{"n":2}}`, 200, 200, `{"data":{"hello":"hello b","count":2}}`},
		"space around":      {"\n {\"query\":\"{ hello }\"} \r\n", 200, 200, `{"data":{"hello":"hello world"}}`},
		"null field":        {`{"query":"{ fail(how: FAULT) hello }"}`, 200, 200, `{"errors":[{"message":"There is no such thing.","path":["fail"],"locations":[{"line":1,"column":3}],"extensions":{"code":"NOT_FOUND"}}],"data":{"fail":null,"hello":"hello world"}}`},
		"null data":         {`{"query":"{ strict(how: FAULT) }"}`, 200, 200, `{"errors":[{"message":"There is no such thing.","path":["strict"],"locations":[{"line":1,"column":3}],"extensions":{"code":"NOT_FOUND"}}],"data":null}`},
		"does not parse":    {`{"query":"{"}`, 400, 200, `{"errors":[{"message":"Expected Name, found \u003cEOF\u003e","locations":[{"line":1,"column":2}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]}`},
		"no such operation": {`{"query":"query A { hello }","operationName":"B"}`, 400, 200, `{"errors":[{"message":"operation B not found","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`},
		"variable":          {`{"query":"query($n: Int!) { count(number: $n) }","variables":{"n":"x"}}`, 400, 200, `{"errors":[{"message":"n: cannot use string as Int","extensions":{"code":"BAD_USER_INPUT","field":"n"}}]}`},
		"null condition":    {`{"query":"query($c: Boolean = true) { hello @skip(if: $c) }","variables":{"c":null}}`, 400, 200, nullC},
		"null in fragments": {`{"query":"query($c: Boolean = true) { ...F ...F } fragment F on Query { ...G } fragment G on Query { ... { hello @include(if: $c) } }","variables":{"c":null}}`, 400, 200, nullC},
		"condition unsaid":  {`{"query":"query($c: Boolean = false) { hello @skip(if: $c) }","variables":{}}`, 200, 200, `{"data":{"hello":"hello world"}}`},
		"subscription":      {`{"query":"subscription { posted { id } }"}`, 400, 200, bad("Subscriptions run over WebSocket at this address, with the subprotocol graphql-transport-ws, or as server-sent events: accept text/event-stream.")},
		"no query":          {`{}`, 400, 400, missing},
		"null query":        {`{"query":null}`, 400, 400, missing},
		"empty query":       {`{"query":""}`, 400, 400, missing},
		"key in other case": {`{"Query":"{ hello }"}`, 400, 400, missing},
		"query is a number": {`{"query":1}`, 400, 400, bad("The field query must be a string.")},
		"variables":         {`{"query":"{ hello }","variables":[1]}`, 400, 400, bad("The field variables must be an object.")},
		"extensions":        {`{"query":"{ hello }","extensions":"a"}`, 400, 400, bad("The field extensions must be an object.")},
		"empty body":        {"", 400, 400, bad("The request is not one valid JSON value.")},
		"no JSON":           {`{"query":"{ secret }`, 400, 400, bad("The request is not one valid JSON value.")},
		"comma at the end":  {`{"query":"{ hello }",}`, 400, 400, bad("The request is not one valid JSON value.")},
		"two values":        {`{"query":"{ hello }"}{}`, 400, 400, bad("The request is not one valid JSON value.")},
		"batch":             {`[{"query":"{ hello }"}]`, 400, 400, bad("The request is not a JSON object.")},
		"not UTF-8":         {"{\"query\":\"{ hello(name: \\\"\xff\\\") }\"}", 400, 400, bad("The request is not valid UTF-8.")},
		"too large":         {`{"query":"{ hello }` + strings.Repeat(" ", 1000) + `"}`, 413, 413, bad("The body is larger than 1000 bytes.")},
	} {
		t.Run(name, func(t *testing.T) {
			for accept, status := range map[string]int{responseJSON: c.status, plainJSON: c.legacy} {
				got := w.post(c.body, "Accept", accept)
				if got.status != status || got.body != c.want {
					t.Errorf("%s:\n got %v\nwant %d %s", accept, got, status, c.want)
				}
				if h := got.header.Get("Content-Type"); h != accept+"; charset=utf-8" {
					t.Errorf("Content-Type %q", h)
				}
			}
		})
	}
}

// TestTooLargeUnannounced sends a body without saying how long it is.
func TestTooLargeUnannounced(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.MaxBody = 1000 })
	req, err := http.NewRequest("POST", w.http.URL+"/graphql", struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 2000))})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", plainJSON)
	resp, err := leak.Client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestGET(t *testing.T) {
	w := newWorld(t)
	for query, want := range map[string]string{
		"query={hello}": `200 {"data":{"hello":"hello world"}}`,
		"query=query($n:Int){count(number:$n)}&variables={\"n\":3}": `200 {"data":{"count":3}}`,
		"query={hello}&variables=&extensions={}":                    `200 {"data":{"hello":"hello world"}}`,
		"query={hello}&variables=null":                              `200 {"data":{"hello":"hello world"}}`,
		"query={hello}&variables=[]":                                `400 {"errors":[{"message":"The field variables must be an object in JSON.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
		"query={hello}&extensions={}{}":                             `400 {"errors":[{"message":"The field extensions must be an object in JSON.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
		"query=%ff":                                                 `400 {"errors":[{"message":"The request is not valid UTF-8.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
		"query=%zz":                                                 `400 {"errors":[{"message":"The query string of the URL is not well formed.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
		"":                                                          `400 {"errors":[{"message":"The parameter query is missing.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
		"query=mutation{post(text:\"a\"){id}}":                      `405 {"errors":[{"message":"GET runs queries only: send this with POST.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
		"query=subscription{posted{id}}":                            `200 {"errors":[{"message":"Subscriptions run over WebSocket at this address, with the subprotocol graphql-transport-ws, or as server-sent events: accept text/event-stream.","extensions":{"code":"BAD_USER_INPUT"}}]}`,
	} {
		got := w.do("GET", "/graphql?"+strings.ReplaceAll(query, "\"", "%22"), "")
		if got.String() != want {
			t.Errorf("%s:\n got %v\nwant %s", query, got, want)
		}
		if got.status == 405 && got.header.Get("Allow") != "POST" {
			t.Errorf("Allow %q", got.header.Get("Allow"))
		}
	}
	if n := len(w.log.events); n != 0 {
		t.Errorf("a GET request made %d posts", n)
	}
}

func TestMethodsAndTypes(t *testing.T) {
	w := newWorld(t)
	const query = `{"query":"{ hello }"}`
	for name, c := range map[string]struct {
		method, accept, contentType, encoding string
		status                                int
	}{
		"plain":                 {"POST", "*/*", "application/json", "", 200},
		"charset":               {"POST", "*/*", "application/json; charset=UTF-8", "", 200},
		"PUT":                   {"PUT", "*/*", "application/json", "", 405},
		"HEAD":                  {"HEAD", "*/*", "", "", 405},
		"nothing we have":       {"POST", "text/html", "application/json", "", 406},
		"refused by quality":    {"POST", "*/*;q=0", "application/json", "", 406},
		"no type":               {"POST", "*/*", "", "", 415},
		"form":                  {"POST", "*/*", "application/x-www-form-urlencoded", "", 415},
		"text, as pages may":    {"POST", "*/*", "text/plain", "", 415},
		"multipart, likewise":   {"POST", "*/*", "multipart/form-data; boundary=a", "", 415},
		"another charset":       {"POST", "*/*", "application/json; charset=utf-16", "", 415},
		"compressed":            {"POST", "*/*", "application/json", "gzip", 415},
		"compressed by nothing": {"POST", "*/*", "application/json", "identity", 200},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{"Accept", c.accept}
			if c.contentType != "" {
				header = append(header, "Content-Type", c.contentType)
			}
			if c.encoding != "" {
				header = append(header, "Content-Encoding", c.encoding)
			}
			got := w.do(c.method, "/graphql", query, header...)
			if got.status != c.status {
				t.Errorf("%v, want %d", got, c.status)
			}
			if c.status == 405 && got.header.Get("Allow") != "GET, POST" {
				t.Errorf("Allow %q", got.header.Get("Allow"))
			}
		})
	}
}

// TestFailures: what is our fault is a 500 where nothing ran, and never tells why.
func TestFailures(t *testing.T) {
	panics := false
	w := newWorld(t, func(o *web.Options) {
		o.Extensions = append(o.Extensions, extension(func() {
			if panics {
				panic("hidden reason")
			}
		}))
	})
	for _, how := range []string{"INTERNAL", "PANIC"} {
		got := w.post(`{"query":"{ fail(how: `+how+`) hello }"}`, "Accept", responseJSON)
		if got.status != 200 || !strings.Contains(got.body, `"code":"INTERNAL"`) || !strings.Contains(got.body, `"hello":"hello world"`) {
			t.Error(got)
		}
	}
	panics = true
	for accept, status := range map[string]int{responseJSON: 500, plainJSON: 200} {
		got := w.post(`{"query":"{ hello }"}`, "Accept", accept)
		if got.status != status || !strings.Contains(got.body, `"code":"INTERNAL"`) || strings.Contains(got.body, "data") {
			t.Error(got)
		}
		if strings.Contains(got.body, "hidden") {
			t.Errorf("told the client why: %s", got.body)
		}
	}
	if log := w.lines.String(); !strings.Contains(log, "hidden cause") || !strings.Contains(log, "hidden reason") {
		t.Error("didn't tell the log why")
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	token, user := w.token()
	const query = `{"query":"mutation { post(text: \"a\") { id } }"}`
	if got := w.post(`{"query":"{ viewer }"}`, "Authorization", "Bearer "+token); got.body != `{"data":{"viewer":"`+user.String()+`"}}` {
		t.Error(got)
	}
	if got := w.post(`{"query":"{ viewer }"}`, "Authorization", ""); got.body != `{"data":{"viewer":null}}` {
		t.Error(got)
	}
	for name, header := range map[string][]string{
		"forged":       {"Authorization", "Bearer " + token[:len(token)-2] + "xx"},
		"no token":     {"Authorization", "Bearer "},
		"other scheme": {"Authorization", "Basic dTpw"},
		"two":          {"Authorization", "Bearer " + token, "Authorization", "Bearer " + token},
	} {
		for _, accept := range []string{responseJSON, plainJSON} {
			got := w.post(query, append(header, "Accept", accept)...)
			if got.status != 401 || !strings.Contains(got.body, `"code":"UNAUTHENTICATED"`) || strings.Contains(got.body, "data") {
				t.Errorf("%s: %v", name, got)
			}
			if h := got.header.Get("WWW-Authenticate"); h != `Bearer error="invalid_token"` {
				t.Errorf("%s: WWW-Authenticate %q", name, h)
			}
		}
	}
	if len(w.log.events) != 0 {
		t.Error("an operation ran without a good token")
	}
	if strings.Contains(w.lines.String(), token[:40]) {
		t.Error("a token stands in the log")
	}
}

func TestPages(t *testing.T) {
	ready := error(nil)
	w := newWorld(t, func(o *web.Options) {
		o.Ready = func(context.Context) error { return ready }
		o.Playground = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a page")) })
	})
	for path, want := range map[string]string{
		"/":               "200 a page",
		"/schema.graphql": "200 type Query { hello: String! }\n",
		"/healthz":        "200 ok\n",
		"/readyz":         "200 ready\n",
		"/nothing":        "404 404 page not found\n",
		"/graphql/more":   "404 404 page not found\n",
	} {
		if got := w.do("GET", path, ""); got.String() != want {
			t.Errorf("%s: %v", path, got)
		}
		if got := w.do("DELETE", path, ""); got.status != 405 && got.status != 404 {
			t.Errorf("DELETE %s: %v", path, got)
		}
	}
	schema := w.do("GET", "/schema.graphql", "")
	if got := w.do("GET", "/schema.graphql", "", "If-None-Match", schema.header.Get("ETag")); got.String() != "304 " {
		t.Error(got)
	}
	ready = errors.New("hidden cause")
	if got := w.do("GET", "/readyz", ""); got.String() != "503 unready\n" {
		t.Error(got)
	}
	ready = web.Unready("database")
	if got := w.do("GET", "/readyz", ""); got.String() != "503 database\n" {
		t.Error(got)
	}
}

func TestOrigins(t *testing.T) {
	const friend, stranger = "https://friend.example", "https://stranger.example"
	w := newWorld(t, func(o *web.Options) { o.Origins = []string{friend} })
	const query = `{"query":"{ hello }"}`

	preflight := func(origin string) response {
		return w.do("OPTIONS", "/graphql", "", "Origin", origin,
			"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")
	}
	if got := preflight(friend); got.header.Get("Access-Control-Allow-Origin") != friend || got.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" {
		t.Errorf("%v %v", got, got.header)
	}
	if got := preflight(stranger); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a stranger was let in")
	}
	if got := w.post(query, "Origin", friend, "Sec-Fetch-Site", "cross-site"); got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("%v %v", got, got.header)
	}
	if got := w.post(query, "Origin", stranger, "Sec-Fetch-Site", "cross-site"); got.status != 403 || !strings.Contains(got.body, `"code":"FORBIDDEN"`) {
		t.Error(got)
	}
	if got := w.post(query, "Origin", w.http.URL, "Sec-Fetch-Site", "same-origin"); got.status != 200 {
		t.Error(got)
	}

	closed := newWorld(t)
	if got := closed.do("OPTIONS", "/graphql", "", "Origin", friend, "Access-Control-Request-Method", "POST"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS without origins")
	}
	if _, err := web.New(web.Options{Schema: nil}); err == nil {
		t.Error("New without options")
	}
}

// TestLog: one line a request, complete, with no word that clients keep secret
// and no client's text at any length.
func TestLog(t *testing.T) {
	w := newWorld(t)
	_, user := w.token()
	token, _, err := w.tokens.Issue(user, gid.NewSession())
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("N", 120)
	got := w.post(`{"query":"query `+name+`($n: String) { hello(name: $n) }","variables":{"n":"sesame"}}`,
		"Authorization", "Bearer "+token, "X-Request-Id", "from-the-proxy.1")
	if got.status != 200 || got.header.Get("X-Request-Id") != "from-the-proxy.1" {
		t.Fatalf("%v %v", got, got.header)
	}
	w.post(`{"query":"{ nothing }"}`, "X-Request-Id", "evil\tid")
	w.do("GET", "/"+strings.Repeat("%0a", 200), "")

	// The line is written after the response.
	eventually(t, "three lines", func() bool { return strings.Count(w.lines.String(), `"msg":"request"`) == 3 })
	log := w.lines.String()
	for _, secret := range []string{"sesame", token, "hello(", "nothing", strings.Repeat("N", 81), "evil"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
	for _, want := range []string{
		`"level":"INFO","msg":"request","request":"from-the-proxy.1","method":"POST","path":"/graphql","status":200,"duration":`,
		`"operation":"` + name[:80] + `","type":"query","viewer":"` + user.String() + `","outcome":"ok"}`,
		`"outcome":"GRAPHQL_VALIDATION_FAILED"}`,
		`"path":"/` + strings.Repeat(`\n`, 79) + `","status":404`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(log), "\n") {
		if len(line) > 600 {
			t.Errorf("a line of %s bytes", strconv.Itoa(len(line)))
		}
	}
}
