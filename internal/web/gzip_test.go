package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tidings/internal/web"
)

// unzip returns what a body was before it was compressed.
func unzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func varies(h http.Header, by string) bool {
	return slices.Contains(strings.Split(strings.Join(h["Vary"], ", "), ", "), by)
}

// large and small ask for answers of both kinds.
const (
	large = `{"query":"{ letters(count: 5000) }"}`
	small = `{"query":"{ letters(count: 1000) }"}`
)

// TestGzip holds that exactly those are sent compressed who ask for it and for something large, and that it is the same.
func TestGzip(t *testing.T) {
	w := newWorld(t)
	get := func(count string) string { return inURL("query", "{ letters(count: "+count+") }") }
	for name, c := range map[string]struct {
		accepts string
		ask     func(accepts string) response
		zipped  bool
	}{
		"large":                 {"gzip", func(a string) response { return w.post(large, "Accept-Encoding", a) }, true},
		"as browsers do":        {"gzip, deflate, br, zstd", func(a string) response { return w.post(large, "Accept-Encoding", a) }, true},
		"in the newer type":     {"gzip", func(a string) response { return w.post(large, "Accept-Encoding", a, "Accept", responseJSON) }, true},
		"GET":                   {"gzip", func(a string) response { return w.do("GET", get("5000"), "", "Accept-Encoding", a) }, true},
		"small":                 {"gzip", func(a string) response { return w.post(small, "Accept-Encoding", a) }, false},
		"small GET":             {"gzip", func(a string) response { return w.do("GET", get("1000"), "", "Accept-Encoding", a) }, false},
		"small, not plain":      {"gzip, identity;q=0", func(a string) response { return w.post(small, "Accept-Encoding", a) }, true},
		"not asked":             {"identity", func(a string) response { return w.post(large, "Accept-Encoding", a) }, false},
		"refused":               {"gzip;q=0, *", func(a string) response { return w.post(large, "Accept-Encoding", a) }, false},
		"wanted less":           {"gzip;q=0.5, identity", func(a string) response { return w.post(large, "Accept-Encoding", a) }, false},
		"another":               {"br, deflate", func(a string) response { return w.post(large, "Accept-Encoding", a) }, false},
		"nothing is acceptable": {"*;q=0", func(a string) response { return w.post(large, "Accept-Encoding", a) }, false},
		"an event":              {"gzip", func(a string) response { return w.post(large, "Accept-Encoding", a, "Accept", "text/event-stream") }, false},
		"an event, not plain":   {"gzip, *;q=0", func(a string) response { return w.post(large, "Accept-Encoding", a, "Accept", "text/event-stream") }, false},
		"HEAD":                  {"gzip", func(a string) response { return w.do("HEAD", get("5000"), "", "Accept-Encoding", a) }, false},
		"a mutation":            {"gzip", func(a string) response { return w.post(write(5000), "Accept-Encoding", a) }, false},
		"a mutation, not plain": {"gzip, identity;q=0", func(a string) response { return w.post(write(5000), "Accept-Encoding", a) }, false},
		"it isn't valid": {"gzip", func(a string) response {
			return w.post(`{"query":"{`+strings.Repeat(" nothing", 1500)+`}"}`, "Accept-Encoding", a)
		}, false},
		"in part an error": {"gzip", func(a string) response {
			return w.post(`{"query":"{ letters(count: 5000) fail(how: FAULT) }"}`, "Accept-Encoding", a)
		}, true},
		"by somebody": {"gzip", func(a string) response {
			token, _ := w.token()
			return w.post(large, "Accept-Encoding", a, "Authorization", "Bearer "+token)
		}, true},
		"a mutation among those": {"gzip", func(a string) response {
			return w.post(`{"query":"query A { letters(count: 5000) } mutation B { post(text: \"`+strings.Repeat("a", 5000)+`\") { text } }","operationName":"B"}`, "Accept-Encoding", a)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.ask(c.accepts)
			if zipped := got.header.Get("Content-Encoding") == "gzip"; zipped != c.zipped {
				t.Fatalf("Content-Encoding is %q for %d bytes", got.header.Get("Content-Encoding"), len(got.body))
			}
			if !varies(got.header, "Accept-Encoding") || !varies(got.header, "Accept") {
				t.Errorf("Vary is %q", got.header["Vary"])
			}
			if name == "HEAD" {
				return
			}
			if n := got.header.Get("Content-Length"); n != strconv.Itoa(len(got.body)) {
				t.Errorf("Content-Length is %s of %d", n, len(got.body))
			}
			if !c.zipped {
				return
			}
			plain := c.ask("identity")
			if text := unzip(t, got.body); text != plain.body || plain.header.Get("Content-Encoding") != "" {
				t.Errorf("%.100s; want %.100s", text, plain.body)
			}
			if got.status != plain.status || got.header.Get("Content-Type") != plain.header.Get("Content-Type") || got.header.Get("Etag") != plain.header.Get("Etag") {
				t.Errorf("%d %v; want %d %v", got.status, got.header, plain.status, plain.header)
			}
		})
	}
}

// write is a mutation that answers with what it was given.
func write(letters int) string {
	return `{"query":"mutation($text: String!) { post(text: $text) { text } }","variables":{"text":"` + strings.Repeat("a", letters) + `"}}`
}

// TestCookiesAreKeptApart: what sets a cookie is neither compressed nor kept by a cache, whatever it is.
func TestCookiesAreKeptApart(t *testing.T) {
	w := newWorld(t)
	w.bakes.Store(true)
	const query = `{ viewer letters(count: 5000) }`
	for method, got := range map[string]response{
		"POST": w.post(`{"query":"`+query+`"}`, "Accept-Encoding", "gzip"),
		"GET":  w.do("GET", inURL("query", query), "", "Accept-Encoding", "gzip", "If-None-Match", "*"),
	} {
		h := got.header
		if got.status != 200 || h.Get("Set-Cookie") == "" || h.Get("Content-Encoding") != "" || h.Get("Etag") != "" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", method, got.status, h)
		}
	}
}

// TestNotModified holds what a client may keep of a GET, and when it is told that it is as it was.
func TestNotModified(t *testing.T) {
	var l till
	w := newWorld(t, l.limits)
	token, _ := w.token()
	other, _ := w.token()
	path := inURL("query", "{ viewer letters(count: 5000) }")
	get := func(header ...string) response { return w.do("GET", path, "", header...) }
	mine := []string{"Authorization", "Bearer " + token}

	first := get(append(mine, "Accept-Encoding", "identity")...)
	tag := first.header.Get("Etag")
	if first.status != 200 || !strings.HasPrefix(tag, `W/"`) {
		t.Fatalf("%d, ETag %q", first.status, tag)
	}
	if h := first.header.Get("Cache-Control"); h != "private, no-cache" {
		t.Errorf("Cache-Control is %q", h)
	}
	l.take()
	for name, c := range map[string]struct {
		header []string
		status int
	}{
		"as it was":         {append(mine, "If-None-Match", tag), 304},
		"compressed":        {append(mine, "If-None-Match", tag, "Accept-Encoding", "gzip"), 304},
		"in the newer type": {append(mine, "If-None-Match", tag, "Accept", responseJSON), 304},
		"strong":            {append(mine, "If-None-Match", strings.TrimPrefix(tag, "W/")), 304},
		"one of them":       {append(mine, "If-None-Match", `"a", `+tag), 304},
		"any":               {append(mine, "If-None-Match", "*"), 304},
		"no tag":            {mine, 200},
		"another tag":       {append(mine, "If-None-Match", `W/"a"`), 200},
		"another viewer":    {[]string{"Authorization", "Bearer " + other, "If-None-Match", tag}, 200},
		"nobody":            {[]string{"If-None-Match", tag}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			got := get(c.header...)
			if got.status != c.status {
				t.Fatalf("status %d; want %d", got.status, c.status)
			}
			h := got.header
			for _, by := range []string{"Accept", "Accept-Encoding", "Authorization", "Origin"} {
				if !varies(h, by) {
					t.Errorf("it doesn't vary by %s: %q", by, h["Vary"])
				}
			}
			if h.Get("Cache-Control") != "private, no-cache" || h.Get("Etag") == "" || h.Get("Ratelimit-Limit") == "" {
				t.Errorf("%v", h)
			}
			if got.status == 304 && (h.Get("Etag") != tag || got.body != "" || h.Get("Content-Type") != "" || h.Get("Content-Encoding") != "" || h.Get("Content-Length") != "") {
				t.Errorf("%v %q", h, got.body)
			}
			if got.status == 200 && (h.Get("Etag") == tag) != (got.body == first.body) {
				t.Errorf("%v", h)
			}
			if taken := l.take(); !slices.Equal(taken, []int{1}) {
				t.Errorf("charged %v", taken)
			}
		})
	}
	if log := w.lines.String(); !strings.Contains(log, `"status":304`) {
		t.Error("the log doesn't tell of it")
	}
}

// TestNothingElseIsKept: errors, mutations and whatever POST has are kept by no cache, and always sent.
func TestNothingElseIsKept(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Rates = nil })
	get := func(query string, header ...string) response {
		return w.do("GET", inURL("query", query), "", append(header, "If-None-Match", "*")...)
	}
	for name, c := range map[string]struct {
		got    response
		status int
	}{
		"POST":             {w.post(large, "If-None-Match", "*"), 200},
		"a mutation":       {w.post(write(1), "If-None-Match", "*"), 200},
		"in part an error": {get(`{ hello fail(how: FAULT) }`), 200},
		"an error":         {get(`{ strict(how: FAULT) }`), 200},
		"not valid":        {get(`{ nothing }`), 200},
		"not valid at all": {get(`{ nothing }`, "Accept", responseJSON), 400},
		"no query":         {get(``), 400},
		"no type of ours":  {get(`{ hello }`, "Accept", "text/html"), 406},
		"a bad token":      {get(`{ hello }`, "Authorization", "Bearer a"), 401},
		"another site":     {get(`{ hello }`, "Origin", "https://stranger.example", "Sec-Fetch-Site", "cross-site"), 403},
		"an event":         {get(`{ hello }`, "Accept", "text/event-stream"), 200},
		"writing by GET":   {get(`mutation { post(text: "a") { id } }`), 405},
	} {
		h := c.got.header
		if c.got.status != c.status || c.got.body == "" || h.Get("Etag") != "" || !strings.HasPrefix(h.Get("Cache-Control"), "no-store") {
			t.Errorf("%s: %d %v", name, c.got.status, h)
		}
	}
}

// TestSchemaIsCompressed: the schema's text comes either way, and each way has a tag of its own.
func TestSchemaIsCompressed(t *testing.T) {
	sdl := "type Query { hello: String! }\n" + strings.Repeat("# a\n", 1000)
	w := newWorld(t, func(o *web.Options) { o.SDL = sdl })
	plain := w.do("GET", "/schema.graphql", "", "Accept-Encoding", "identity")
	zipped := w.do("GET", "/schema.graphql", "", "Accept-Encoding", "gzip")
	if plain.body != sdl || unzip(t, zipped.body) != sdl || len(zipped.body) > len(sdl)/10 {
		t.Errorf("%d and %d bytes of %d", len(plain.body), len(zipped.body), len(sdl))
	}
	for _, got := range []response{plain, zipped} {
		if !varies(got.header, "Accept-Encoding") {
			t.Errorf("Vary is %q", got.header["Vary"])
		}
	}
	if a, b := plain.header.Get("Etag"), zipped.header.Get("Etag"); a == b || !strings.HasPrefix(a, `"`) || !strings.HasPrefix(b, `"`) {
		t.Errorf("%s, %s", a, b)
	}
}
