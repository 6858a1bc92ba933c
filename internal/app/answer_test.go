package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// TestAnswersOnceKnown reads a page as a client does that saves what it can: by the hash of its document, compressed, and
// only if it isn't as it was. What it is told is what a plain client is told, before and after it has changed.
func TestAnswersOnceKnown(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		const page = `query Page($n: Int!) { posts(first: $n) { nodes { id title content author { username } } } viewer { email } }`
		ada, bob := n.SignUp("ada"), n.SignUp("bob")
		write := func(published bool) {
			t.Helper()
			n.Must(ada, `mutation($i: CreatePostInput!) { createPost(input: $i) { id } }`, map[string]any{"i": map[string]any{
				"title": "A post", "content": strings.Repeat("Words of a post. ", 100), "published": published}})
		}
		for range 5 {
			write(true)
		}
		sum := sha256.Sum256([]byte(page))
		parameters := url.Values{
			"extensions": {`{"persistedQuery":{"version":1,"sha256Hash":"` + hex.EncodeToString(sum[:]) + `"}}`},
			"variables":  {`{"n":20}`},
		}
		get := func(token string, header ...string) (*http.Response, string) {
			t.Helper()
			req, err := http.NewRequest(http.MethodGet, n.URL+"/graphql?"+parameters.Encode(), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			resp, body, err := n.Send(req) // net/http asks for gzip by itself
			if err != nil {
				t.Fatal(err)
			}
			return resp, string(body)
		}
		plainly := func(token string) string {
			t.Helper()
			r := n.Must(token, page, map[string]any{"n": 20})
			b, err := json.Marshal(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		same := func(got, want string) {
			t.Helper()
			var r testkit.Response
			if err := json.Unmarshal([]byte(got), &r); err != nil {
				t.Fatal(err)
			}
			if b, err := json.Marshal(r.Data); err != nil || string(b) != want {
				t.Errorf("%v: %.200s; want %.200s", err, b, want)
			}
		}

		if _, body := get(ada); !strings.Contains(body, `"code":"PERSISTED_QUERY_NOT_FOUND"`) {
			t.Fatal(body)
		}
		parameters.Set("query", page)
		resp, body := get(ada)
		parameters.Del("query")
		same(body, plainly(ada))
		tag := resp.Header.Get("Etag")
		if !resp.Uncompressed || tag == "" {
			t.Errorf("compressed: %v, %v", resp.Uncompressed, resp.Header)
		}
		if resp, body := get(ada, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		resp, body = get(bob, "If-None-Match", tag)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Etag") == tag {
			t.Errorf("another viewer: %d %v", resp.StatusCode, resp.Header)
		}
		same(body, plainly(bob))
		ofBob := resp.Header.Get("Etag")

		write(false) // a draft
		if resp, body := get(bob, "If-None-Match", ofBob); resp.StatusCode != http.StatusNotModified {
			t.Errorf("bob may not see it: %d %s", resp.StatusCode, body)
		}
		resp, body = get(ada, "If-None-Match", tag)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Etag") == tag {
			t.Errorf("after a change: %d %v", resp.StatusCode, resp.Header)
		}
		same(body, plainly(ada))
	})
}

// TestTokensAreNotCompressed: no answer that has one is, however it is asked for.
func TestTokensAreNotCompressed(t *testing.T) {
	n := testkit.Start(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	token := n.SignUp("ada")
	for _, mutation := range []string{
		`mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken refreshToken user { id username } } }`,
		`mutation { changePassword(input: {oldPassword: "Sesame-123", newPassword: "Sesame-456"}) { accessToken refreshToken } }`,
	} {
		body, err := json.Marshal(map[string]any{"query": mutation})
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(http.MethodPost, n.URL+"/graphql", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept-Encoding", "gzip, identity;q=0")
		resp, answer, err := n.Send(req)
		if err != nil {
			t.Fatal(err)
		}
		if h := resp.Header; h.Get("Content-Encoding") != "" || h.Get("Cache-Control") != "no-store" || h.Get("Etag") != "" || !strings.Contains(string(answer), `"accessToken":"ey`) {
			t.Errorf("%v %s", h, answer)
		}
	}
}
