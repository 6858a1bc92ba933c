package graph_test

import (
	"context"
	"strings"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/gid"
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
