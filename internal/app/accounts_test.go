package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/testkit"
)

const (
	password = "Sesame-123" // testkit's
	viewer   = `{ viewer { username role } }`
	logOut   = `mutation { logOut }`
	logIn    = `mutation($l: String!, $p: String!) { logIn(input: {login: $l, password: $p}) { accessToken refreshToken user { id role } } }`
)

// code is the code of a response's first error, "" without one.
func code(t *testing.T, r testkit.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Errors) == 0 {
		return ""
	}
	return fmt.Sprint(r.Errors[0].Extensions["code"])
}

func signIn(t *testing.T, n *testkit.Node, login, password string) (access, refresh, id string) {
	t.Helper()
	r := n.Must("", logIn, map[string]any{"l": login, "p": password})
	return r.Text("logIn", "accessToken"), r.Text("logIn", "refreshToken"), r.Text("logIn", "user", "id")
}

// ended fails unless a token is refused now.
func ended(t *testing.T, n *testkit.Node, token string) {
	t.Helper()
	r, err := n.Post(token, viewer, nil)
	if c := code(t, r, err); c != "UNAUTHENTICATED" {
		t.Errorf("the token of an ended session: %q %v", c, r)
	}
}

func TestLogOutEndsASessionAndItsSockets(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		first, other := n.SignUp("ada"), ""
		other, refresh, _ := signIn(t, n, "ada", password)
		socket, stays := n.Subscribe(other, posts, nil), n.Subscribe(first, posts, nil)
		n.Must(other, logOut, nil)
		ended(t, n, other)
		begin := time.Now()
		if code, reason := socket.Closed(); code != 4403 || reason != "The session has ended" {
			t.Errorf("the socket was closed with %d %s", code, reason)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the socket was open for %s", took)
		}
		r, err := n.Post("", `mutation($t: String!) { refreshSession(refreshToken: $t) { accessToken } }`, map[string]any{"t": refresh})
		if c := code(t, r, err); c != "UNAUTHENTICATED" {
			t.Errorf("the refresh token: %q", c)
		}
		n.CreatePost(first, "Still here")
		if got := stays.Next().Text("postCreated", "title"); got != "Still here" {
			t.Errorf("the other session's subscription got %q", got)
		}
	})
}

func TestLogOutOverASocketIsAnsweredFirst(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		token := n.SignUp("ada")
		s := n.Subscribe(token, logOut, nil)
		if r := s.Next(); r.Data["logOut"] != true {
			t.Error(r)
		}
		s.Complete()
		if code, _ := s.Closed(); code != 4403 {
			t.Errorf("closed with %d", code)
		}
	})
}

// TestMutationsOfOneOperation: each is by the viewer that there is when its turn comes.
func TestMutationsOfOneOperation(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		n := testkit.Start(t, d)
		other := n.SignUp("other")
		post := n.CreatePost(other, "Somebody else's")
		n.SignUp("spare")
		n.SignUp("ada")
		for _, name := range []string{"ada", "spare"} {
			cfg := testkit.Config(d)
			cfg.Admin = name
			if err := app.MakeAdmin(t.Context(), cfg, slog.New(slog.DiscardHandler), io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		token, _, id := signIn(t, n, "ada", password)
		testkit.Eventually(t, func() error {
			if role := n.Must(token, `{ viewer { email } user(username: "other") { email } }`, nil).Text("user", "email"); role == "" {
				return errors.New("no admin yet")
			}
			return nil
		})
		r, err := n.Post(token, `mutation($me: ID!, $post: ID!) {
			updateUser(id: $me, input: {role: MEMBER}) { id }
			gone: deletePost(id: $post) { id }
		}`, map[string]any{"me": id, "post": post})
		if c := code(t, r, err); c != "FORBIDDEN" || fmt.Sprint(r.Errors[0].Path) != "[gone]" {
			t.Errorf("who is an admin no more deletes a post: %q %v", c, r)
		}
		if got := n.Must("", `query($id: ID!) { post(id: $id) { title } }`, map[string]any{"id": post}); got.Text("post", "title") == "" {
			t.Error("the post is gone")
		}

		r, err = n.Post(token, `mutation { logOut after: createPost(input: {title: "After", content: "x", published: true}) { id } }`, nil)
		if c := code(t, r, err); c != "UNAUTHENTICATED" || fmt.Sprint(r.Errors[0].Path) != "[after]" {
			t.Errorf("who has logged out writes a post: %q %v", c, r)
		}
		if got := n.Must("", `{ posts { totalCount } }`, nil).Data["posts"].(map[string]any)["totalCount"]; fmt.Sprint(got) != "1" {
			t.Errorf("%v posts", got)
		}
	})
}

func TestChangePasswordEndsTheOthers(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		mine := n.SignUp("ada")
		other, _, _ := signIn(t, n, "ada", password)
		socket := n.Subscribe(other, posts, nil)
		const change = `mutation { changePassword(input: {oldPassword: "Sesame-123", newPassword: "Sesame-456"}) { accessToken refreshToken } }`
		renewed := n.Must(mine, change, nil)
		ended(t, n, other)
		if code, _ := socket.Closed(); code != 4403 {
			t.Errorf("the other session's socket was closed with %d", code)
		}
		n.Must(mine, viewer, nil)
		n.Must(renewed.Text("changePassword", "accessToken"), viewer, nil)
		n.Must("", `mutation($t: String!) { refreshSession(refreshToken: $t) { accessToken } }`, map[string]any{"t": renewed.Text("changePassword", "refreshToken")})
		r, err := n.Post("", logIn, map[string]any{"l": "ada", "p": password})
		if c := code(t, r, err); c != "UNAUTHENTICATED" {
			t.Errorf("the old password: %q", c)
		}
		signIn(t, n, "ada", "Sesame-456")
	})
}

// TestAdmins makes the first one with the command, beside the running server.
func TestAdmins(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		n := testkit.Start(t, d)
		n.SignUp("root")
		root, _, rootID := signIn(t, n, "root", password)
		bob := n.SignUp("bob")
		draft := n.Must(bob, `mutation { createPost(input: {title: "Draft", content: "x"}) { id } }`, nil).Text("createPost", "id")
		socket := n.Subscribe(bob, posts, nil)

		cfg := testkit.Config(d)
		cfg.Secrets = nil // which the command does without
		cfg.Admin = "ROOT"
		for _, want := range []string{"root is an admin now.\n", "root is an admin already.\n"} {
			var said strings.Builder
			if err := app.MakeAdmin(t.Context(), cfg, slog.New(slog.DiscardHandler), &said); err != nil || said.String() != want {
				t.Fatalf("said %q, %v; want %q", &said, err, want)
			}
		}
		cfg.Admin = "eve"
		if err := app.MakeAdmin(t.Context(), cfg, slog.New(slog.DiscardHandler), io.Discard); err == nil || err.Error() != `nobody is called "eve": they have to sign up first` {
			t.Error(err)
		}
		begin := time.Now()
		testkit.Eventually(t, func() error { // the session from before
			if r := n.Must(root, `query($id: ID!) { post(id: $id) { title author { email } } }`, map[string]any{"id": draft}); r.Text("post", "author", "email") != "bob@example.org" {
				return errors.New("an admin does not see the draft, or the address")
			}
			return nil
		})
		t.Logf("an admin after %s", time.Since(begin))

		find := func(token string) string {
			b, err := json.Marshal(n.Must(token, `{ users(search: "bob@EXAMPLE") { nodes { username } totalCount } }`, nil).Data)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if got := find(root); !strings.Contains(got, `"bob"`) {
			t.Errorf("an admin finds %s by e-mail address", got)
		}
		if got := find(bob); strings.Contains(got, `"bob"`) {
			t.Errorf("others find %s by e-mail address", got)
		}
		bobID := n.Must(bob, `{ viewer { id } }`, nil).Text("viewer", "id")
		n.Must(root, `mutation($id: ID!) { updateUser(id: $id, input: {isActive: false}) { isActive } }`, map[string]any{"id": bobID})
		ended(t, n, bob)
		if code, _ := socket.Closed(); code != 4403 {
			t.Errorf("the socket of a deactivated user was closed with %d", code)
		}
		r, err := n.Post("", logIn, map[string]any{"l": "bob", "p": password})
		wrong, _ := n.Post("", logIn, map[string]any{"l": "nobody", "p": password})
		if c := code(t, r, err); c != "UNAUTHENTICATED" || r.Errors[0].Message != wrong.Errors[0].Message {
			t.Errorf("a deactivated user logs in: %v", r)
		}
		r, err = n.Post(root, `mutation($id: ID!) { deleteUser(id: $id) { id } }`, map[string]any{"id": rootID})
		if c := code(t, r, err); c != "CONFLICT" {
			t.Errorf("the last admin can be deleted: %v", r)
		}
	})
}

// TestOneAdminRemains: of two who demote each other at once, again and again, one always remains.
func TestOneAdminRemains(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		n := testkit.Start(t, d)
		tokens, ids := map[string]string{}, map[string]string{}
		for _, name := range []string{"ada", "bob"} {
			n.SignUp(name)
			tokens[name], _, ids[name] = signIn(t, n, name, password)
		}
		for range 10 {
			for name := range tokens {
				cfg := testkit.Config(d)
				cfg.Admin = name
				if err := app.MakeAdmin(t.Context(), cfg, slog.New(slog.DiscardHandler), io.Discard); err != nil {
					t.Fatal(err)
				}
			}
			for name := range tokens {
				testkit.Eventually(t, func() error {
					found := n.Must(tokens[name], `{ users(search: "@example.org") { nodes { id } } }`, nil).Data["users"].(map[string]any)["nodes"].([]any)
					if len(found) == 0 {
						return errors.New("not an admin yet")
					}
					return nil
				})
			}
			demoted := make(chan string, 2)
			for _, pair := range [][2]string{{"ada", "bob"}, {"bob", "ada"}} {
				go func() {
					r, err := n.Post(tokens[pair[0]], `mutation($id: ID!) { updateUser(id: $id, input: {role: MEMBER}) { role } }`, map[string]any{"id": ids[pair[1]]})
					switch {
					case err != nil:
						demoted <- err.Error()
					case len(r.Errors) > 0:
						demoted <- fmt.Sprint(r.Errors[0].Extensions["code"])
					default:
						demoted <- ""
					}
				}()
			}
			a, b := <-demoted, <-demoted
			if (a == "") == (b == "") || a+b != "FORBIDDEN" {
				t.Fatalf("two admins demoted each other: %q and %q", a, b)
			}
		}
	})
}

func TestRefreshCookie(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		n.SignUp("ada")
		post := func(host, query string, sent *http.Cookie) (testkit.Response, *http.Cookie) {
			t.Helper()
			body, err := json.Marshal(map[string]any{"query": query})
			if err != nil {
				t.Fatal(err)
			}
			req, err := http.NewRequest(http.MethodPost, n.URL+"/graphql", strings.NewReader(string(body)))
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			req.Header.Set("Content-Type", "application/json")
			if sent != nil {
				req.AddCookie(sent)
			}
			resp, b, err := n.Send(req)
			if err != nil {
				t.Fatal(err)
			}
			var r testkit.Response
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			if all := resp.Cookies(); len(all) > 0 {
				return r, all[0]
			}
			return r, nil
		}
		const logIn, refresh = `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { refreshToken } }`, `mutation { refreshSession { accessToken refreshToken } }`
		for host, secure := range map[string]bool{"localhost:8080": false, "127.0.0.1": false, "[::1]:80": false, "app.localhost": false, "example.org": true, "localhost.example.org": true} {
			r, c := post(host, logIn, nil)
			if c == nil || c.Value != r.Text("logIn", "refreshToken") || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/graphql" || c.Domain != "" || c.Secure != secure {
				t.Errorf("at %s: %v", host, c)
				continue
			}
			if week := 7 * 24 * 3600; c.MaxAge < week-60 || c.MaxAge > week {
				t.Errorf("for %d s", c.MaxAge)
			}
			r, next := post(host, refresh, c)
			if next == nil || next.Value == c.Value || next.Value != r.Text("refreshSession", "refreshToken") {
				t.Errorf("at %s: %v, %v", host, next, r)
			}
		}
		if r, c := post("localhost", refresh, nil); c != nil || code(t, r, nil) != "UNAUTHENTICATED" {
			t.Errorf("without a cookie: %v, %v", r, c)
		}
		if r, c := post("localhost", refresh, &http.Cookie{Name: "tidings_refresh", Value: "x"}); c != nil || code(t, r, nil) != "UNAUTHENTICATED" {
			t.Errorf("with another cookie: %v, %v", r, c)
		}
	})
}

// TestLogInsWhileHashesChange: of several log-ins at once, after the cost of hashing has changed, one stores the hash
// anew, and all succeed.
func TestLogInsWhileHashesChange(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		cfg := testkit.Config(d)
		cfg.PasswordMemory = 64
		n := testkit.StartWith(t, cfg)
		for i := range 5 {
			n.SignUp(fmt.Sprint("ada", i))
		}
		n.Stop()
		cfg.PasswordMemory = 128
		n = testkit.StartWith(t, cfg)
		for i := range 5 {
			failed := make(chan error, 8)
			for range cap(failed) {
				go func() {
					r, err := n.Post("", logIn, map[string]any{"l": fmt.Sprint("ada", i), "p": password})
					if err == nil && len(r.Errors) > 0 {
						err = fmt.Errorf("%v", r.Errors)
					}
					failed <- err
				}()
			}
			for range cap(failed) {
				if err := <-failed; err != nil {
					t.Errorf("the right password is refused: %v", err)
				}
			}
		}
	})
}

// TestRefreshCookieBehindAProxy: one that ends TLS and names the server "localhost" does not make the cookie a plain one.
func TestRefreshCookieBehindAProxy(t *testing.T) {
	n := testkit.Start(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	n.SignUp("ada")
	for _, c := range []struct {
		name, value string
		secure      bool
	}{
		{"Origin", "https://tidings.example.org", true},
		{"X-Forwarded-Proto", "https", true},
		{"Origin", "http://localhost:8080", false},
		{"X-Forwarded-Proto", "http", false},
	} {
		req, err := http.NewRequest(http.MethodPost, n.URL+"/graphql", strings.NewReader(`{"query":"mutation { logIn(input: {login: \"ada\", password: \"Sesame-123\"}) { expiresAt } }"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "localhost:8080"
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		req.Header.Set(c.name, c.value)
		resp, _, err := n.Send(req)
		if err != nil {
			t.Fatal(err)
		}
		if all := resp.Cookies(); len(all) != 1 || all[0].Secure != c.secure {
			t.Errorf("%s: %s: %v", c.name, c.value, all)
		}
	}
}

func TestLogOutTakesTheCookie(t *testing.T) {
	n := testkit.Start(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	token := n.SignUp("ada")
	req, err := http.NewRequest(http.MethodPost, n.URL+"/graphql", strings.NewReader(`{"query":"mutation { logOut }"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, _, err := n.Send(req)
	if err != nil {
		t.Fatal(err)
	}
	if all := resp.Cookies(); len(all) != 1 || all[0].Name != "tidings_refresh" || all[0].Value != "" || all[0].MaxAge >= 0 || all[0].Path != "/graphql" {
		t.Errorf("%v", all)
	}
}

func TestAdminNeedsADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "absent.db")
	cfg := testkit.Config(config.Database{Dialect: config.SQLite, Path: path})
	cfg.Admin = "ada"
	err := app.MakeAdmin(t.Context(), cfg, slog.New(slog.DiscardHandler), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "there is no database "+path) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("made %v", left)
	}
}

// TestGuessingIsSlowed: by Retry-After, for guesses at a log-in and at the old password alike, and not for others.
func TestGuessingIsSlowed(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		cfg := testkit.Config(d)
		cfg.Rates, cfg.AddressPoints, cfg.AddressRefill, cfg.AddressSockets, cfg.ViewerSockets = true, 20_000, 1000, 100, 20
		cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		n := testkit.StartWith(t, cfg)
		token := n.SignUp("ada")
		const wrong, right = `mutation { logIn(input: {login: "Ada", password: "Wrong-123"}) { accessToken } }`, `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken } }`
		for i := range 6 {
			_, _, body := request(t, n, wrong, "X-Forwarded-For", "198.51.100.1")
			switch {
			case i < 5 && !strings.Contains(body, `"UNAUTHENTICATED"`):
				t.Errorf("attempt %d: %s", i+1, body)
			case i == 5 && (!strings.Contains(body, `"RATE_LIMITED"`) || !strings.Contains(body, `"retryAfter":1}`)):
				t.Errorf("attempt %d: %s", i+1, body)
			}
		}
		if _, _, body := request(t, n, right, "X-Forwarded-For", "198.51.100.1"); !strings.Contains(body, `"RATE_LIMITED"`) {
			t.Errorf("the right password, too early: %s", body)
		}
		if _, _, body := request(t, n, right, "X-Forwarded-For", "198.51.100.2"); !strings.Contains(body, `"accessToken"`) {
			t.Errorf("the owner, from elsewhere: %s", body)
		}
		const change = `mutation { changePassword(input: {oldPassword: "Wrong-123", newPassword: "Sesame-456"}) { accessToken } }`
		for i := range 6 {
			_, _, body := request(t, n, change, "X-Forwarded-For", "198.51.100.3", "Authorization", "Bearer "+token)
			if want := map[bool]string{true: `"BAD_USER_INPUT"`, false: `"RATE_LIMITED"`}[i < 5]; !strings.Contains(body, want) {
				t.Errorf("change %d: %s", i+1, body)
			}
		}
		for _, want := range []string{`"event":"log_in_slowed"`, `"event":"log_in_failed","reason":"password"`, `"address":"198.51.100.1"`} {
			if !strings.Contains(n.Log.String(), want) {
				t.Errorf("the log lacks %s", want)
			}
		}
	})
}
