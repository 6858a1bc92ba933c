package web_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidings/internal/auth"
	"tidings/internal/live"
	"tidings/internal/rate"
	"tidings/internal/web"
	"tidings/internal/web/internal/testschema"
)

// BenchmarkPOST compares a query over POST with a plain handler that decodes the
// same body and writes the same response, and with one whose rate is limited,
// all without a network.
func BenchmarkPOST(b *testing.B) {
	tokens, err := auth.NewTokens([][]byte{bytes.Repeat([]byte("s"), auth.MinSecret)}, time.Now)
	if err != nil {
		b.Fatal(err)
	}
	o := web.Options{
		Schema: testschema.NewExecutableSchema(testschema.Config{Resolvers: resolvers{}}),
		Hub:    live.New(newMemoryLog(), nil, live.Options{}), Guard: &world{tokens: tokens},
		Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	}
	server, err := web.New(o)
	if err != nil {
		b.Fatal(err)
	}
	o.Rates = &web.Rates{
		Addresses: rate.NewBuckets(rate.Limit{Burst: 1 << 40, Refill: 1e12}, 1000, time.Now),
		Viewers:   rate.NewBuckets(rate.Limit{Burst: 1 << 40, Refill: 1e12}, 1000, time.Now),
	}
	limited, err := web.New(o)
	if err != nil {
		b.Fatal(err)
	}
	plain := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Query string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"hello": "hello world"}})
	})
	for name, h := range map[string]http.Handler{"plain": plain, "graphql": server, "graphql, limited": limited} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("POST", "/graphql", strings.NewReader(`{"query":"{ hello }"}`))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
