package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/live"
)

// TestSurprises: a read that can't be answered directly after all is answered by the executor, and the log knows.
func TestSurprises(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		p := w.post(ada, "A post from far away", true)
		// A date of five digits for a year, and one without a zone: the server writes neither.
		strange := "10026-01-02 03:04:05+00"
		if w.store.Dialect() == dialect.SQLite {
			strange = "2026-01-02 03:04:05"
		}
		if _, err := w.store.Client().ExecContext(auth.AsSystem(t.Context()), "UPDATE posts SET updated_at = '"+strange+"'"); err != nil {
			t.Fatal(err)
		}
		before := w.reads.Counts()
		query := `{ post(id: "` + p + `") { title updatedAt } node(id: "` + p + `") { ... on Post { updatedAt author { username } } } }`
		directly := w.as(ada, query).ok().raw
		if n := w.reads.Counts().Surprises - before.Surprises; n != 2 {
			t.Errorf("%d surprises, want 2", n)
		}
		if n := strings.Count(w.logged(), "begun again"); n != 2 {
			t.Errorf("%d lines in the log tell of it:\n%s", n, w.logged())
		}
		w.byExecutor = true
		if executed := w.as(ada, query).ok().raw; directly != executed {
			t.Errorf("%s, and by the executor %s", directly, executed)
		}
		w.byExecutor = false
	})
}

// TestEventsBothWays: what a subscription delivers is made of rows like any other answer, and is the same by the executor.
func TestEventsBothWays(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		p := w.post(ada, "A post \"quoted\"", true)
		c := w.comment(bob, p, "a comment")
		w.comment(ada, p, "another one")
		hidden := w.post(ada, "A draft", false)
		w.comment(ada, hidden, "on a draft")
		id := func(text string) gid.Post {
			id, err := gid.ParsePost(text)
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		cid, err := gid.ParseComment(c)
		if err != nil {
			t.Fatal(err)
		}
		posted := event.Event{Position: 7, Kind: event.PostCreated, Subject: id(p).UUID(), Scope: ada.UUID()}
		commented := event.Event{Position: 8, Kind: event.CommentAdded, Subject: cid.UUID(), Scope: id(p).UUID()}
		drafted := event.Event{Position: 9, Kind: event.PostCreated, Subject: id(hidden).UUID(), Scope: ada.UUID()}
		const fields = `on Post { __typename title author { username email } comments(first: 1) { totalCount edges { cursor node { content author { id } } } } }`
		for _, test := range []struct {
			name, query string
			event       event.Event
			nothing     bool
		}{
			{"a post", `subscription { postCreated { id title createdAt } }`, posted, false},
			{"its lists", `subscription { news: postCreated { ... ` + fields + ` } }`, posted, false},
			{"a fragment", `subscription($no: Boolean = false) { postCreated { ...f again: title @include(if: $no) } } fragment f ` + fields, posted, false},
			{"a comment", `subscription { commentAdded(postId: "` + p + `") { content post { title comments { nodes { id } } } author { username } } }`, commented, false},
			{"a draft", `subscription { postCreated { title } }`, drafted, true},
		} {
			for _, viewer := range []gid.User{{}, ada, bob} {
				before := w.reads.Counts()
				deliver := func() string {
					ctx, _ := live.WithEvent(t.Context(), test.event)
					return w.run(ctx, viewer, test.query).ok().raw
				}
				directly := deliver()
				if after := w.reads.Counts(); after.Direct != before.Direct+1 || after.Executor != before.Executor || after.Surprises != before.Surprises {
					t.Errorf("%s: %+v after %+v", test.name, after, before)
				}
				w.byExecutor = true
				executed := deliver()
				w.byExecutor = false
				if directly != executed || (directly == "") != test.nothing {
					t.Errorf("%s: %s, and by the executor %s", test.name, directly, executed)
				}
			}
		}
	})
}

// TestRowsWithoutTheirOthers: a row whose edge to one leads nowhere is left out, though nothing of the other is asked for
// that a row would have to have.
func TestRowsWithoutTheirOthers(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		p := w.post(ada, "A post", true)
		w.post(bob, "Another post", true)
		w.comment(bob, p, "A comment")
		unbound := []string{"ALTER TABLE posts DROP CONSTRAINT posts_users_posts", "ALTER TABLE comments DROP CONSTRAINT comments_users_comments"}
		if w.store.Dialect() == dialect.SQLite {
			unbound = []string{"PRAGMA foreign_keys = off"}
		}
		for _, statement := range append(unbound, "DELETE FROM users WHERE username = 'bob'") {
			if _, err := w.store.Client().ExecContext(auth.AsSystem(t.Context()), statement); err != nil {
				t.Fatal(err)
			}
		}
		const query = `{ posts { nodes { title author { __typename } comments { nodes { author { __typename } } } } } }`
		const want = `{"posts":{"nodes":[{"title":"A post","author":{"__typename":"User"},"comments":{"nodes":[]}}]}}`
		before := w.reads.Counts()
		if got := w.as(ada, query).ok().raw; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if n := w.reads.Counts().Surprises - before.Surprises; n != 1 {
			t.Errorf("%d surprises, want 1", n)
		}
	})
}

// TestWhatIsReadCounts: what an operation's fields read counts against what it may hold, not only what they write. The
// text of a post comes here once with each of its comments.
func TestWhatIsReadCounts(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		p := w.post(ada, "A post", true)
		w.as(ada, `mutation($c: String!) { updatePost(id: "`+p+`", input: {content: $c}) { id } }`, map[string]any{"c": strings.Repeat("€", 20_000)}).ok()
		for range 100 {
			w.comment(ada, p, "A comment")
		}
		left := func(fields int) int64 { // to the executor
			before := w.reads.Counts()
			query := "{"
			for i := range fields {
				query += fmt.Sprintf(` p%d: post(id: %q) { comments(first: 100) { nodes { post { content } } } }`, i, p)
			}
			w.as(ada, query+" }").ok()
			return w.reads.Counts().Executor - before.Executor
		}
		if n := left(2); n != 0 { // 12 MB
			t.Errorf("%d fields of 2 were left to the executor", n)
		}
		if n := left(4); n == 0 { // 24 MB, and when they are written as much again: more than 32 MiB
			t.Error("no field of 4 was left to the executor")
		}
	})
}

// TestInterceptorsKeepTheirSay: a query that is more than its statement is the executor's.
func TestInterceptorsKeepTheirSay(t *testing.T) {
	everywhere(t, func(w *world) {
		p := w.post(w.user("ada"), "A post", true)
		called, before := 0, w.reads.Counts()
		w.store.Client().Post.Intercept(ent.InterceptFunc(func(next ent.Querier) ent.Querier {
			return ent.QuerierFunc(func(ctx context.Context, q ent.Query) (ent.Value, error) {
				called++
				return next.Query(ctx, q)
			})
		}))
		if title := w.as(gid.User{}, `{ post(id: "`+p+`") { title } }`).ok().text("post.title"); title != "A post" {
			t.Errorf("the title is %q", title)
		}
		if after := w.reads.Counts(); called != 1 || after.Executor != before.Executor+1 || after.Direct != before.Direct || after.Surprises > 0 {
			t.Errorf("the interceptor was called %d times, %+v after %+v", called, after, before)
		}
	})
}
