package graph_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"testing"

	"tidings/graph"
	"tidings/internal/auth"
	"tidings/internal/gid"
)

func TestDraftsAreSeenByTheirAuthorOnly(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		draft := w.post(ada, "Secret plans", false)
		comment := w.comment(ada, draft, "secret comment")
		for _, path := range []string{
			`node(id: "` + draft + `") { ...on Post { title } }`,
			`nodes(ids: ["` + draft + `"]) { ...on Post { title } }`,
			`node(id: "` + comment + `") { ...on Comment { content post { title } } }`,
			`post(id: "` + draft + `") { title comments { nodes { content } totalCount } }`,
			`posts { nodes { title } }`, `posts { edges { node { title } } }`, `posts(published: false) { nodes { title } }`,
			`posts(authorId: "` + ada.String() + `") { nodes { title } }`,
			`users { nodes { posts { nodes { title } } } }`, `users { nodes { posts(published: false) { nodes { title } } } }`,
			`user(username: "ada") { posts { nodes { comments { nodes { content } } title } } }`,
			`searchPosts(query: "secret") { nodes { title } }`,
		} {
			for viewer, sees := range map[gid.User]bool{ada: true, bob: false, {}: false} {
				a := w.as(viewer, "{ "+path+" }").ok()
				if got := strings.Contains(strings.ToLower(a.raw), "secret"); got != sees {
					w.t.Errorf("%s for %v: %s", path, viewer, a.raw)
				}
			}
		}
		for _, count := range []string{`posts { totalCount }`, `users { nodes { posts { totalCount } } }`, `searchPosts(query: "secret") { totalCount }`} {
			if a := w.as(bob, "{ "+count+" }").ok(); strings.Contains(a.raw, `"totalCount":1`) {
				w.t.Errorf("%s counts it: %s", count, a.raw)
			}
		}
	})
}

func TestEmailIsForItsOwner(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		p := w.post(ada, "A post", true)
		w.comment(bob, p, "hi")
		for viewer, want := range map[gid.User]string{
			ada: `{"users":{"nodes":[{"email":"ada@example.org"},{"email":null}]},"post":{"author":{"email":"ada@example.org"},"comments":{"nodes":[{"author":{"email":null}}]}},"viewer":{"email":"ada@example.org"}}`,
			{}:  `{"users":{"nodes":[{"email":null},{"email":null}]},"post":{"author":{"email":null},"comments":{"nodes":[{"author":{"email":null}}]}},"viewer":null}`,
		} {
			a := w.as(viewer, `{ users(orderBy: {field: USERNAME}) { nodes { email } } post(id: "`+p+`") { author { email } comments { nodes { author { email } } } } viewer { email } }`).ok()
			if a.raw != want {
				w.t.Errorf("got  %s\nwant %s", a.raw, want)
			}
		}
	})
}

func TestIDsAndText(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		p := w.post(ada, "A post", true)
		unknown := gid.NewPost().String()
		if a := w.as(ada, `{ post(id: "`+unknown+`") { id } node(id: "`+unknown+`") { id } nodes(ids: ["`+unknown+`", "`+p+`", "`+p+`"]) { id } user(username: "nobody") { id } }`).ok(); a.raw !=
			`{"post":null,"node":null,"nodes":[null,{"id":"`+p+`"},{"id":"`+p+`"}],"user":null}` {
			w.t.Error(a.raw)
		}
		for query, want := range map[string]string{
			`{ post(id: "` + ada.String() + `") { id } }`:                               "BAD_USER_INPUT id",
			`{ post(id: "x") { id } }`:                                                  "BAD_USER_INPUT id",
			`{ node(id: "x") { id } }`:                                                  "BAD_USER_INPUT id",
			`{ node(id: "` + gid.NewSession().String() + `") { id } }`:                  "BAD_USER_INPUT id",
			`{ user { id } }`:                                                           "BAD_USER_INPUT id",
			`{ user(id: "` + ada.String() + `", username: "ada") { id } }`:              "BAD_USER_INPUT id",
			`{ users(search: "a\u0000b") { nodes { id } } }`:                            "BAD_USER_INPUT search",
			`{ searchPosts(query: "\u0000") { nodes { id } } }`:                         "BAD_USER_INPUT query",
			`{ posts(after: "\u0000") { nodes { id } } }`:                               "BAD_USER_INPUT after",
			`mutation { createPost(input: {title: "abc\u0000", content: "x"}) { id } }`: "BAD_USER_INPUT input.title",
		} {
			w.as(ada, query).fails(want)
		}
		w.as(ada, `query($s: String) { users(search: $s) { nodes { id } } }`, map[string]any{"s": "\x00"}).fails("BAD_USER_INPUT search")
		for search, n := range map[string]int{"AD": 1, "name of": 1, "%": 0, "_": 0, `\`: 0, "'": 0, "ada@": 0} {
			a := w.as(gid.User{}, `query($s: String) { users(search: $s) { nodes { id } totalCount } }`, map[string]any{"s": search}).ok()
			if got := len(a.all("users.nodes", "id")); got != n || a.at("users.totalCount") != float64(n) {
				w.t.Errorf("%q finds %d users", search, got)
			}
		}
	})
}

func TestInputRules(t *testing.T) {
	everywhere(t, func(w *world) {
		user := func(username, email, fullName, password string) map[string]any {
			return map[string]any{"i": map[string]any{"username": username, "email": email, "fullName": fullName, "password": password}}
		}
		long := strings.Repeat("a", 300)
		for want, variables := range map[string]map[string]any{
			"BAD_USER_INPUT input.username":                                user("ab", "a@example.org", "A", "Sesame-123"),
			"BAD_USER_INPUT input.email":                                   user("abc", "a@b@example.org", "A", "Sesame-123"),
			"BAD_USER_INPUT input.fullName":                                user("abc", "a@example.org", " ", "Sesame-123"),
			"BAD_USER_INPUT input.password":                                user("abc", "a@example.org", "A", "sesame-123"),
			"BAD_USER_INPUT input.username, BAD_USER_INPUT input.email":    user("a b", "a@"+long, "A", "Sesame-123"),
			"BAD_USER_INPUT input.fullName, BAD_USER_INPUT input.password": user("abc", "a@example.org", long, long),
		} {
			a := w.as(gid.User{}, `mutation($i: CreateUserInput!) { createUser(input: $i) { id } }`, variables)
			a.fails(want)
			for _, e := range a.Errors {
				if fmt.Sprint(e.Path) != "createUser" || strings.Contains(e.Message, "Sesame") {
					w.t.Errorf("%v", e)
				}
			}
		}
	})
}

// counted counts the statements that an operation runs.
func (w *world) counted(viewer gid.User, query string) (statements int) {
	w.t.Helper()
	var lines bytes.Buffer
	log.SetOutput(&lines)
	defer log.SetOutput(io.Discard)
	w.as(viewer, query).ok()
	return strings.Count(lines.String(), "driver.Query")
}

func TestStatementsDependOnTheSelectionOnly(t *testing.T) {
	everywhere(t, func(w *world) {
		// ent's debugging client logs each statement with package log.
		resolver := &graph.Resolver{Ent: w.store.Client().Debug(), Log: w.log, Passwords: auth.NewPasswords()}
		counting := *w
		counting.exec = newExecutor(resolver, w)

		ada, bob := w.user("ada"), w.user("bob")
		const query = `{ posts(first: 50) { totalCount nodes { author { username } comments(first: 2) { totalCount nodes { author { username posts(first: 3) { nodes { id } } } } }
			again: comments(first: 2) { edges { node { content } } } } edges { node { author { fullName } } } } }`
		executing := counting
		executing.byExecutor = true
		var direct, executor []int
		for range 3 {
			for range 5 {
				p := w.post(ada, "A post", true)
				for range 3 {
					w.comment(bob, p, "a comment")
				}
			}
			direct = append(direct, counting.counted(bob, query))
			executor = append(executor, executing.counted(bob, query))
		}
		// posts and their number, comments and their number, those's posts; authors are joined
		if want := []int{5, 5, 5}; !slices.Equal(direct, want) {
			w.t.Errorf("statements with 5, 10 and 15 posts: %v, want %v", direct, want)
		}
		// and the authors of posts and of comments
		if want := []int{7, 7, 7}; !slices.Equal(executor, want) {
			w.t.Errorf("statements by the executor with 5, 10 and 15 posts: %v, want %v", executor, want)
		}
		for _, w := range []*world{&counting, &executing} {
			if n := w.counted(bob, `{ posts { totalCount } }`); n != 1 {
				w.t.Errorf("a count alone takes %d statements", n)
			}
			if n := w.counted(bob, `{ posts { nodes { id } } }`); n != 1 {
				w.t.Errorf("a page alone takes %d statements", n)
			}
		}
	})
}
