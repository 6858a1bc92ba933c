package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/internal/cost"
	"tidings/internal/rate"
	"tidings/internal/web"
)

// till keeps what was taken of it.
type till struct {
	mu     sync.Mutex
	points []int
	empty  bool
}

func (l *till) limits(o *web.Options) { o.Rates = &web.Rates{Addresses: l, Viewers: new(till)} }

// Take implements web.Points.
func (l *till) Take(_ string, points int) rate.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.points = append(l.points, points)
	return rate.State{OK: true}
}

// Look implements web.Points.
func (l *till) Look(string, int) rate.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return rate.State{OK: !l.empty, Retry: 2 * time.Second}
}

func (l *till) take() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.points
	l.points = nil
	return taken
}

// TestRefusedForItsCost holds that a document is refused in the same words by
// every transport, that it ran nothing, and what is charged for it.
func TestRefusedForItsCost(t *testing.T) {
	var l till
	w := newWorld(t, func(o *web.Options) {
		l.limits(o)
		o.Cost = cost.Limits{Tokens: 30, RootFields: 3, Cost: 100}
	})
	c := w.open("")
	l.take() // connection_init
	for i, r := range []struct{ document, want string }{
		{`{ viewer viewer viewer viewer }`,
			`{"message":"The operation has 4 root fields; at most 3 are allowed.","extensions":{"code":"QUERY_TOO_COMPLEX","count":4,"limit":3,"reason":"ROOT_FIELDS"}}`},
		{`{ ` + strings.Repeat("viewer ", 30) + `}`,
			`{"message":"The document has at least 31 tokens; at most 30 are allowed.","extensions":{"code":"QUERY_TOO_COMPLEX","count":31,"limit":30,"reason":"TOKENS"}}`},
		{`{ viewer ...F } fragment F on Query { viewer ...F }`,
			`{"message":"Cannot spread fragment \"F\" within itself.","locations":[{"line":1,"column":49}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}`},
	} {
		for range 2 { // it is not in the cache afterwards
			got := w.do("POST", "/graphql", fmt.Sprintf(`{"query":%q}`, r.document), "Content-Type", "application/json", "Accept", "application/graphql-response+json")
			if want := `{"errors":[` + r.want + `]}`; got.status != http.StatusBadRequest || got.body != want {
				t.Errorf("%v\nwant %s", got, want)
			}
			if got := l.take(); !slices.Equal(got, []int{10}) {
				t.Errorf("charged %v", got)
			}
		}
		id := fmt.Sprint(i)
		c.subscribe(id, r.document, "")
		c.expect(fmt.Sprintf(`{"id":%q,"type":"error","payload":[%s]}`, id, r.want))
		if got := l.take(); !slices.Equal(got, []int{10}) {
			t.Errorf("charged %v", got)
		}
	}
}

// TestCharged holds that each operation is charged once, with its cost, and runs
// only if it could be.
func TestCharged(t *testing.T) {
	var l till
	w := newWorld(t, l.limits)
	w.post(`{"query":"{ viewer }"}`)
	w.post(`{"query":"mutation { post(text: \"a\") { id text } }"}`)
	w.post(`{"query":"{ nothing }"}`)
	w.post(`{"query":"query($n: Int!) { count(number: $n) }"}`)
	w.post(`{"query":"query A { viewer }","operationName":"B"}`)
	if got := l.take(); !slices.Equal(got, []int{1, 2, 10, 10, 10}) {
		t.Errorf("charged %v", got)
	}
	l.mu.Lock()
	l.empty = true
	l.mu.Unlock()
	got := w.post(`{"query":"mutation { post(text: \"b\") { id } }"}`)
	if want := strings.Replace(tooMany, `"retryAfter":1`, `"retryAfter":2`, 1); got.body != want {
		t.Errorf("%v; want %s", got, want)
	}
	if n := len(w.log.posts); n != 1 {
		t.Errorf("there are %d posts", n)
	}
}

// TestProduction holds that all of it is off, and nothing else.
func TestProduction(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "page") })
	open := newWorld(t, func(o *web.Options) { o.Playground = page })
	closed := newWorld(t, func(o *web.Options) { o.Playground = page; o.Production = true })
	for _, path := range []string{"/", "/playground/x", "/schema.graphql"} {
		if got := open.do("GET", path, ""); got.status != http.StatusOK {
			t.Errorf("open: %s: %v", path, got)
		}
		if got := closed.do("GET", path, ""); got.status != http.StatusNotFound {
			t.Errorf("closed: %s: %v", path, got)
		}
	}
	for _, query := range []string{`{ __schema { queryType { name } } }`, `{ ...F } fragment F on Query { t: __type(name: \"Post\") { name } }`} {
		if got := open.post(`{"query":"` + query + `"}`); !strings.Contains(got.body, `"name":`) {
			t.Errorf("open: %v", got)
		}
		if got := closed.post(`{"query":"` + query + `"}`); !strings.Contains(got.body, `"message":"Introspection is switched off."`) || !strings.Contains(got.body, "GRAPHQL_VALIDATION_FAILED") || strings.Contains(got.body, "data") {
			t.Errorf("closed: %v", got)
		}
	}
	for _, query := range []string{`{ vewer }`, `{ hello(nam: \"a\") }`, `{ fail(how: PANICK) }`, `{ count(input: {numbr: 1}) }`, `{ ...F } fragment F on Qery { viewer }`, `mutation { post(text: \"a\") }`, `{ fail(how: \"PANIC\") }`} {
		if got := open.post(`{"query":"` + query + `"}`); !strings.Contains(got.body, "Did you mean") && !strings.Contains(got.body, "must have a selection") {
			t.Errorf("open: %v", got)
		}
		if got := closed.post(`{"query":"` + query + `"}`); strings.Contains(got.body, "Did you mean") || !strings.Contains(got.body, "GRAPHQL_VALIDATION_FAILED") {
			t.Errorf("closed: %v", got)
		}
	}
	if got := closed.post(`{"query":"{ __typename viewer }"}`); got.body != `{"data":{"__typename":"Query","viewer":null}}` {
		t.Errorf("closed: %v", got)
	}
}

// TestDocumentsAreShared runs one document many times at once: the race
// detector sees whether running changes it.
func TestDocumentsAreShared(t *testing.T) {
	w := newWorld(t)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			got := w.post(fmt.Sprintf(`{"query":"query($n: Int = 3, $in: CountInput) { count(number: $n, input: $in) ...F } fragment F on Query { hello }","variables":{"n":%d}}`, i))
			if want := fmt.Sprintf(`{"data":{"count":%d,"hello":"hello world"}}`, i); got.body != want {
				t.Errorf("%v; want %s", got, want)
			}
		})
	}
	all.Wait()
}
