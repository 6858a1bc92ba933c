package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

func sqlite(t *testing.T) config.Database {
	return config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")}
}

// request sends a query, with headers as name, value, name, value.
func request(t *testing.T, n *testkit.Node, query string, header ...string) (status int, h http.Header, body string) {
	t.Helper()
	text, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", n.URL+"/graphql", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, b, err := n.Send(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// TestTokensOfAnyLength: a million bytes get as far as any other token that isn't good, and the same answer.
func TestTokensOfAnyLength(t *testing.T) {
	n := testkit.Start(t, sqlite(t))
	const query = `{ __typename }`
	want := `{"errors":[{"message":"`
	var first string
	for _, length := range []int{1, 3, 1000, 100_000, 1_000_000} {
		status, h, body := request(t, n, query, "Authorization", "Bearer "+strings.Repeat(".", length))
		if status != http.StatusUnauthorized || !strings.HasPrefix(body, want) || !strings.Contains(body, `"code":"UNAUTHENTICATED"`) ||
			h.Get("Content-Type") != "application/json; charset=utf-8" || h.Get("WWW-Authenticate") == "" {
			t.Fatalf("%d dots: %d %.200s", length, status, body)
		}
		if first == "" {
			first = body
		}
		if body != first {
			t.Errorf("%d dots: %s, but one: %s", length, body, first)
		}
	}
	if status, _, body := request(t, n, query); status != 200 {
		t.Errorf("afterwards: %d %s", status, body)
	}
}

// TestRates: the settings hold for a whole server, by the addresses that its proxies tell, and off is off.
func TestRates(t *testing.T) {
	cfg := testkit.Config(sqlite(t))
	cfg.Rates, cfg.AddressPoints, cfg.AddressRefill, cfg.AddressSockets, cfg.ViewerSockets = true, 100, 1, 2, 1
	cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	n := testkit.StartWith(t, cfg)
	const query = `{ __typename }`
	refused := 0
	for range 150 {
		status, h, body := request(t, n, query, "X-Forwarded-For", "198.51.100.1")
		if h.Get("RateLimit-Limit") != "100" {
			t.Fatalf("%d %s %v", status, body, h)
		}
		if status == http.StatusTooManyRequests {
			refused++
			if h.Get("Retry-After") == "" || !strings.Contains(body, `"code":"RATE_LIMITED","retryAfter":`) {
				t.Fatalf("%s %v", body, h)
			}
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	if status, _, body := request(t, n, query, "X-Forwarded-For", "198.51.100.2"); status != 200 {
		t.Errorf("another address: %d %s", status, body)
	}
	if !strings.Contains(n.Log.String(), `"event":"request_refused","reason":"rate"`) {
		t.Error("no security event")
	}

	off := testkit.Start(t, sqlite(t))
	for range 150 {
		if status, h, body := request(t, off, query); status != 200 || h.Get("RateLimit-Limit") != "" {
			t.Fatalf("off: %d %s %v", status, body, h)
		}
	}
}

// TestLogInFlood: while 500 log in at the same time, others are served; and each of the 500 is told that the password is
// wrong, or when to come back.
func TestLogInFlood(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		n.SignUp("ada")
		ended := make(chan error, 500)
		for i := range 500 {
			go func() {
				r, err := n.Post("", `mutation($i: LogInInput!) { logIn(input: $i) { accessToken } }`, map[string]any{"i": map[string]any{
					"login": []string{"ada", "nobody"}[i%2], "password": "Wrong-123"}})
				switch {
				case err != nil:
				case len(r.Errors) != 1:
					err = fmt.Errorf("%v", r)
				case r.Errors[0].Extensions["code"] == "UNAUTHENTICATED":
				case r.Errors[0].Extensions["code"] != "RATE_LIMITED" || r.Errors[0].Extensions["retryAfter"] == nil:
					err = fmt.Errorf("%v", r.Errors)
				}
				ended <- err
			}()
		}
		begin, served, left := time.Now(), 0, 500
		for left > 0 {
			select {
			case err := <-ended:
				if left--; err != nil {
					t.Error(err)
				}
			default:
				n.Must("", `{ posts(first: 1) { nodes { id } } }`, nil)
				served++
			}
		}
		// Without the queue it takes a minute: each step of a query waits its turn behind 500 computations.
		each := time.Since(begin) / time.Duration(max(1, served))
		t.Logf("%d others were served meanwhile, one in %s", served, each)
		if each > 5*time.Second {
			t.Errorf("others were served one in %s", each)
		}
	})
}
