package web_test

import (
	"net/netip"
	"strings"
	"testing"

	"tidings/internal/auth"
	"tidings/internal/web"
)

// TestSecurityHeaders: every response, of whatever kind and status, says what a browser may make of it.
func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Playground = web.Playground() })
	for _, got := range []response{
		w.post(one),
		w.post(`{`),
		w.post(one, "Origin", "https://stranger.example"),
		w.do("PUT", "/graphql", ""),
		w.do("GET", "/", ""),
		w.do("POST", "/", ""),
		w.do("GET", "/schema.graphql", ""),
		w.do("GET", "/healthz", ""),
		w.do("GET", "/nothing", ""),
		w.do("GET", "/playground/nothing", ""),
	} {
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"X-Frame-Options":              "DENY",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if h := got.header[name]; len(h) != 1 || h[0] != want {
				t.Errorf("%s is %q: %.80v", name, h, got)
			}
		}
		policy := got.header["Content-Security-Policy"]
		if len(policy) != 1 || !strings.HasPrefix(policy[0], "default-src 'none';") || !strings.Contains(policy[0], "frame-ancestors 'none'") {
			t.Errorf("Content-Security-Policy is %q: %.80v", policy, got)
		}
		if runs := strings.Contains(strings.Join(policy, ""), "script-src"); runs != strings.HasPrefix(got.body, "<!") {
			t.Errorf("scripts may run: %t: %.80v", runs, got)
		}
	}
}

// TestCrossSite sends what a browser sends for a page of another origin, by all ways that take no preflight, and by
// those that do. Only pages of the server's own origin and of the list have anything run.
func TestCrossSite(t *testing.T) {
	const friend, stranger = "https://friend.example", "https://stranger.example"
	const post = `{"query":"mutation { post(text: \"a\") { id } }"}`
	w := newWorld(t, func(o *web.Options) { o.Origins = []string{friend} })
	for name, c := range map[string]struct {
		method, contentType string
		header              []string
		status              int
	}{
		"no browser":                      {"POST", "application/json", nil, 200},
		"its own page":                    {"POST", "application/json", []string{"Origin", w.http.URL, "Sec-Fetch-Site", "same-origin"}, 200},
		"its own page, old browser":       {"POST", "application/json", []string{"Origin", w.http.URL}, 200},
		"a friend":                        {"POST", "application/json", []string{"Origin", friend, "Sec-Fetch-Site", "cross-site"}, 200},
		"a stranger":                      {"POST", "application/json", []string{"Origin", stranger, "Sec-Fetch-Site", "cross-site"}, 403},
		"a stranger, old browser":         {"POST", "application/json", []string{"Origin", stranger}, 403},
		"a stranger on a subdomain":       {"POST", "application/json", []string{"Origin", "https://evil.friend.example", "Sec-Fetch-Site", "same-site"}, 403},
		"a frame without an origin":       {"POST", "application/json", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, 403},
		"a form":                          {"POST", "application/x-www-form-urlencoded", []string{"Origin", stranger, "Sec-Fetch-Site", "cross-site"}, 403},
		"a form, old browser":             {"POST", "application/x-www-form-urlencoded", nil, 415},
		"a form of text, old browser":     {"POST", "text/plain", nil, 415},
		"a form with files, old browser":  {"POST", "multipart/form-data; boundary=a", nil, 415},
		"a blob without a type, likewise": {"POST", "", nil, 415},
		"a picture":                       {"GET", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		"a stranger's GET, old browser":   {"GET", "", []string{"Origin", stranger}, 403},
		"a friend's GET":                  {"GET", "", []string{"Origin", friend, "Sec-Fetch-Site", "cross-site"}, 200},
		"its own page's GET":              {"GET", "", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"an address typed in":             {"GET", "", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.log.events)
			path, body := "/graphql", post
			if c.method == "GET" {
				path, body = "/graphql?query={hello}", ""
			}
			header := c.header
			if c.contentType != "" {
				header = append([]string{"Content-Type", c.contentType}, header...)
			}
			got := w.do(c.method, path, body, header...)
			if got.status != c.status {
				t.Errorf("%v, want %d", got, c.status)
			}
			if ran := len(w.log.events) > before; ran != (c.status == 200 && c.method == "POST") {
				t.Errorf("it ran: %t", ran)
			}
		})
	}
	if !strings.Contains(w.lines.String(), `"event":"request_refused","reason":"origin"`) {
		t.Error("no security event")
	}
}

// TestCORS: pages of the list may read and send credentials, others may not, and no answer is for everybody.
func TestCORS(t *testing.T) {
	const friend, stranger = "https://friend.example", "https://stranger.example"
	listed := newWorld(t, func(o *web.Options) { o.Origins = []string{friend} })
	closed := newWorld(t)
	for _, w := range []*world{listed, closed} {
		for _, origin := range []string{friend, stranger, "null", friend + ".evil", "https://sub.friend.example", "http://friend.example", "*"} {
			for what, got := range map[string]response{
				"preflight": w.do("OPTIONS", "/graphql", "", "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type"),
				"POST":      w.post(one, "Origin", origin),
				"GET":       w.do("GET", "/graphql?query={hello}", "", "Origin", origin),
				"SDL":       w.do("GET", "/schema.graphql", "", "Origin", origin),
			} {
				allowed, credentials := "", ""
				if w == listed && origin == friend {
					allowed, credentials = friend, "true"
				}
				if h := got.header.Get("Access-Control-Allow-Origin"); h != allowed {
					t.Errorf("%s by %s: Access-Control-Allow-Origin is %q", what, origin, h)
				}
				if h := got.header.Get("Access-Control-Allow-Credentials"); h != credentials {
					t.Errorf("%s by %s: Access-Control-Allow-Credentials is %q", what, origin, h)
				}
				if w == listed && !strings.Contains(strings.Join(got.header["Vary"], ","), "Origin") {
					t.Errorf("%s by %s: Vary is %q", what, origin, got.header["Vary"])
				}
			}
		}
	}
	exposed := listed.post(one, "Origin", friend).header.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"Retry-After", "Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset", "X-Request-Id"} {
		if !strings.Contains(strings.ToLower(exposed), strings.ToLower(name)) {
			t.Errorf("%s can't be read: %s", name, exposed)
		}
	}
	for _, origin := range []string{"*", "https://*", "https://*.example.org", "example.org", "https://a.example/path"} {
		o := listed.options
		o.Origins = []string{origin}
		if _, err := web.New(o); err == nil {
			t.Errorf("%s is taken for an origin", origin)
		}
	}
}

// TestClientOfAnOperation: resolvers know where an operation comes from, over HTTP and over a socket, by the id that the
// log has.
func TestClientOfAnOperation(t *testing.T) {
	w := newWorld(t, newPurse().limits)
	header := append(from("198.51.100.1"), "X-Request-Id", "mine")
	want := auth.Client{Address: netip.MustParseAddr("198.51.100.1"), Request: "mine"}
	w.post(`{"query":"{ viewer }"}`, header...)
	got := w.client()
	if got.Cookie == nil {
		t.Error("over HTTP no cookie can be set")
	}
	if got.Cookie = nil; got != want {
		t.Errorf("over HTTP: %+v", got)
	}
	c := w.open("", header...)
	c.subscribe("1", "{ viewer }", "")
	c.next()
	if got := w.client(); got != want {
		t.Errorf("over a socket: %+v", got)
	}
	eventually(t, "two lines in the log", func() bool { return strings.Count(w.lines.String(), `"request":"mine"`) >= 2 })
}
