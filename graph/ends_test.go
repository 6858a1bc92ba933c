package graph_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/99designs/gqlgen/graphql"

	"tidings/ent"
	"tidings/ent/post"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/live"
)

// deliver runs a subscription for one event, as a transport does.
func (w *world) deliver(v auth.Viewer, query string, e event.Event) (data string, over bool) {
	w.t.Helper()
	ctx := graphql.StartOperationTrace(auth.WithViewer(w.t.Context(), v))
	op, errs := w.exec.CreateOperationContext(ctx, &graphql.RawParams{Query: query})
	if errs != nil {
		w.t.Fatal(errs)
	}
	ctx, delivery := live.WithEvent(ctx, e)
	next, ctx := w.exec.DispatchOperation(ctx, op)
	r := next(ctx)
	if r == nil {
		return "", delivery.Over
	}
	if len(r.Errors) > 0 {
		w.t.Fatal(r.Errors, w.logged())
	}
	return string(r.Data), delivery.Over
}

// What becomes of an event is decided by what its viewer may see when it is delivered, whatever it was when it happened.
func TestPermittedAtDelivery(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob, eve := w.user("ada"), w.user("bob"), w.user("eve")
		viewers := map[string]auth.Viewer{"nobody": {}, "another": {User: bob}, "the author": {User: ada}, "an admin": {User: eve, Admin: true}}
		only := func(names ...string) map[string]bool {
			m := map[string]bool{}
			for _, n := range names {
				m[n] = true
			}
			return m
		}
		everyone, insiders, none := only("nobody", "another", "the author", "an admin"), only("the author", "an admin"), only()
		change := func(input string) func(post, comment string) {
			return func(post, _ string) {
				w.as(ada, `mutation { updatePost(id: "`+post+`", input: {`+input+`}) { id } }`).ok()
			}
		}
		for name, c := range map[string]struct {
			then              func(post, comment string)
			post, comment, on map[string]bool // who is given the post, the comment, and who may go on
		}{
			"nothing":             {func(string, string) {}, everyone, everyone, everyone},
			"the post is hidden":  {change(`published: false`), none, insiders, insiders},
			"the post is deleted": {func(post, _ string) { w.as(ada, `mutation { deletePost(id: "`+post+`") { id } }`).ok() }, none, none, none},
			"the comment is deleted": {func(_, comment string) {
				w.as(bob, `mutation { deleteComment(id: "`+comment+`") { id } }`).ok()
			}, everyone, none, everyone},
			"the post is hidden, and public again": {func(post, _ string) {
				change(`published: false`)(post, "")
				change(`published: true`)(post, "")
			}, everyone, everyone, everyone},
		} {
			p := w.post(ada, "A post", true)
			comment := w.comment(bob, p, "a comment")
			pid, err := gid.ParsePost(p)
			if err != nil {
				w.t.Fatal(err)
			}
			cid, err := gid.ParseComment(comment)
			if err != nil {
				w.t.Fatal(err)
			}
			c.then(p, comment)
			comments := `subscription { commentAdded(postId: "` + p + `") { content post { title author { username } } } }`
			for who, v := range viewers {
				check := func(what string, given, lasts bool, data string, over bool) {
					w.t.Helper()
					if (data != "") != given || over == lasts {
						w.t.Errorf("%s, %s for %s: %q, over: %t", name, what, who, data, over)
					}
				}
				data, over := w.deliver(v, `subscription { postCreated { title comments { nodes { content } } } }`, event.NewPostCreated(pid, ada))
				check("the post", c.post[who], true, data, over)
				data, over = w.deliver(v, comments, event.NewCommentAdded(cid, pid))
				check("the comment", c.comment[who], c.on[who], data, over)
				data, over = w.deliver(v, comments, event.NewPostHidden(pid))
				check("the end", false, c.on[who], data, over)
			}
			w.as(ada, `mutation { deletePost(id: "`+p+`") { id } }`)
		}
	})
}

// With an account go its posts, however many: each is announced once, and few are held at a time.
func TestPostsOfADeletedUser(t *testing.T) {
	everywhere(t, func(w *world) {
		const posts = 1203
		ada, bob := w.user("ada"), w.user("bob")
		kept := w.post(bob, "A post of bob", true)
		at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		err := w.log.Write(auth.AsSystem(w.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			return nil, tx.Post.MapCreateBulk(make([]struct{}, posts), func(c *ent.PostCreate, i int) {
				// Many at the same instant, some drafts.
				c.SetAuthorID(ada).SetTitle(fmt.Sprint("Post ", i)).SetContent("x").SetCreatedAt(at.Add(time.Duration(i/600) * time.Microsecond))
				if i%3 > 0 {
					c.SetPublished(true).SetPublishedAt(at)
				}
			}).Exec(ctx)
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.log.taken()
		w.as(ada, `mutation { deleteUser(id: "`+ada.String()+`") { username } }`).ok()
		hidden := map[string]bool{}
		for _, e := range w.log.all() {
			if e.Kind == event.PostHidden {
				hidden[e.Subject.String()] = true
				if e.Scope != e.Subject {
					w.t.Errorf("%+v", e)
				}
			}
		}
		if most := w.log.most(); len(hidden) != posts || len(w.log.all()) != posts || most > 500 {
			w.t.Errorf("%d posts in %d events, %d of them at once", len(hidden), len(w.log.all()), most)
		}
		if a := w.as(bob, `{ posts { nodes { id } totalCount } }`).ok(); a.at("posts.totalCount") != 1.0 || a.text("posts.nodes.0.id") != kept {
			w.t.Error(a.raw)
		}
	})
}

// A comment waits for who is hiding its post, and then there is no such post.
func TestCommentWaitsForWhoHides(t *testing.T) {
	everywhere(t, func(w *world) {
		if w.store.Dialect() != dialect.Postgres {
			w.t.Skip("one transaction writes at a time")
		}
		ada, bob := w.user("ada"), w.user("bob")
		for name, hide := range map[string]func(ctx context.Context, tx *ent.Client, p gid.Post) error{
			"taken back": func(ctx context.Context, tx *ent.Client, p gid.Post) error {
				return tx.Post.UpdateOneID(p).SetPublished(false).Exec(ctx)
			},
			"deleted": func(ctx context.Context, tx *ent.Client, p gid.Post) error { return tx.Post.DeleteOneID(p).Exec(ctx) },
			"with its author": func(ctx context.Context, tx *ent.Client, p gid.Post) error {
				_, err := tx.Post.Query().Where(post.ID(p)).Modify(ent.LockForUpdate).All(ctx)
				if err != nil {
					return err
				}
				return tx.User.DeleteOneID(ada).Exec(ctx)
			},
		} {
			p := w.post(ada, "A post", true)
			pid, err := gid.ParsePost(p)
			if err != nil {
				w.t.Fatal(err)
			}
			done := make(chan answer, 1)
			err = w.log.Write(auth.AsSystem(w.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				if err := hide(ctx, tx, pid); err != nil {
					return nil, err
				}
				go func() {
					done <- w.as(bob, `mutation { addComment(input: {postId: "`+p+`", content: "too late"}) { id } }`)
				}()
				return nil, w.untilOneWaits(ctx)
			})
			if err != nil {
				w.t.Fatal(name, ": ", err)
			}
			a := <-done
			if a.fails("NOT_FOUND"); len(a.Errors) == 1 && a.Errors[0].Message != "there is no such post" {
				w.t.Errorf("%s: %v", name, a.Errors)
			}
			if name == "with its author" {
				ada = w.user("ada")
			}
		}
	})
}

// untilOneWaits returns when some transaction waits for another one's lock.
func (w *world) untilOneWaits(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		rows, err := w.store.Client().QueryContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`)
		if err != nil {
			return err
		}
		var n int
		for rows.Next() {
			err = rows.Scan(&n)
		}
		if rows.Close(); err != nil || n > 0 {
			return err
		}
	}
	return fmt.Errorf("nobody waits: %s", strings.TrimSpace(w.logged()))
}
