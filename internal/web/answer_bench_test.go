package web_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tidings/internal/auth"
	"tidings/internal/live"
	"tidings/internal/web"
	"tidings/internal/web/internal/testschema"
)

// BenchmarkPersisted compares operations whose document is sent with ones whose hash is, for a document of 40 bytes and
// for one of 2,000.
func BenchmarkPersisted(b *testing.B) {
	server := benchServer(b)
	for name, text := range map[string]string{
		"40 bytes":   `query Hello { hello viewer more: viewer }`,
		"2000 bytes": `query Hello { hello viewer more: viewer } #` + strings.Repeat("a", 1960),
	} {
		query := `"query":"` + text + `"`
		bodies := map[string]string{
			"text":          `{` + query + `}`,
			"text and hash": `{` + query + `,"extensions":` + named(text) + `}`,
			"hash":          `{"extensions":` + named(text) + `}`,
		}
		post(b, server, bodies["text and hash"], nil) // and the hash is known
		for _, kind := range []string{"text", "text and hash", "hash"} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					post(b, server, bodies[kind], nil)
				}
			})
		}
	}
}

// BenchmarkAnswer compares what is done with an answer of 50,000 bytes: sent as it is, with its tag, not sent for its
// tag, and compressed.
func BenchmarkAnswer(b *testing.B) {
	server := benchServer(b)
	const text = `{ letters(count: 50000) }`
	path := "/graphql?" + url.Values{"query": {text}}.Encode()
	get := func(b *testing.B, header http.Header, status int) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Header = header
		w := httptest.NewRecorder()
		if server.ServeHTTP(w, r); w.Code != status {
			b.Fatal(w.Code, w.Body)
		}
		return w
	}
	tag := get(b, http.Header{}, 200).Header().Get("Etag")
	for _, c := range []struct {
		name string
		run  func(b *testing.B)
	}{
		{"POST", func(b *testing.B) { post(b, server, `{"query":"`+text+`"}`, nil) }},
		{"POST, compressed", func(b *testing.B) {
			post(b, server, `{"query":"`+text+`"}`, http.Header{"Accept-Encoding": {"gzip"}})
		}},
		{"GET", func(b *testing.B) { get(b, http.Header{}, 200) }},
		{"GET, as it was", func(b *testing.B) { get(b, http.Header{"If-None-Match": {tag}}, 304) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.run(b)
			}
		})
	}
}

func post(b *testing.B, server http.Handler, body string, header http.Header) {
	r := httptest.NewRequest("POST", "/graphql", strings.NewReader(body))
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	compressed := w.Header().Get("Content-Encoding") != ""
	if w.Code != http.StatusOK || compressed != (header != nil) || !compressed && !strings.HasPrefix(w.Body.String(), `{"data":`) {
		b.Fatal(w.Body)
	}
}

func benchServer(b *testing.B) *web.Server {
	tokens, err := auth.NewTokens([][]byte{bytes.Repeat([]byte("s"), auth.MinSecret)}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	server, err := web.New(web.Options{
		Schema: testschema.NewExecutableSchema(testschema.Config{Resolvers: resolvers{new(world)}}),
		Hub:    live.New(newMemoryLog(), nil, live.Options{}), Guard: &world{tokens: tokens},
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	return server
}
