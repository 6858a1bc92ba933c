package graph_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/live"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// BenchmarkPage reads the first page of 20 posts, and one behind 10,000 others: the second should cost what the first
// does.
func BenchmarkPage(b *testing.B) {
	for name, target := range map[string]func() store.Target{
		"sqlite": func() store.Target {
			return store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(b.TempDir(), "test.db")}
		},
		"postgres": func() store.Target { return store.Target{Dialect: dialect.Postgres, DSN: testkit.Postgres(b)} },
	} {
		b.Run(name, func(b *testing.B) {
			s, err := store.Open(b.Context(), target())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			w := newWorld(b, s)
			author := w.user("ada")
			const posts = 12_000
			start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			err = w.log.Write(auth.AsSystem(b.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
				for i := 0; i < posts; i += 500 {
					batch := make([]*ent.PostCreate, 500)
					for j := range batch {
						at := start.Add(time.Duration(i+j) * time.Second)
						batch[j] = tx.Post.Create().SetAuthorID(author).SetTitle(fmt.Sprint("Title ", i+j)).SetContent("text").
							SetPublished(true).SetPublishedAt(at).SetCreatedAt(at)
					}
					if err := tx.Post.CreateBulk(batch...).Exec(ctx); err != nil {
						return nil, err
					}
				}
				return nil, nil
			})
			if err != nil {
				b.Fatal(err)
			}
			const page = `{ posts(first: %d%s) { nodes { title author { username } } pageInfo { endCursor hasNextPage } } }`
			after := ""
			for range 100 {
				after = fmt.Sprintf(", after: %q", w.as(gid.User{}, fmt.Sprintf(page, 100, after)).ok().text("posts.pageInfo.endCursor"))
			}
			for name, query := range map[string]string{"first": fmt.Sprintf(page, 20, ""), "deep": fmt.Sprintf(page, 20, after)} {
				b.Run(name, func(b *testing.B) {
					for b.Loop() {
						w.as(gid.User{}, query).ok()
					}
				})
			}
		})
	}
}

// BenchmarkEvent makes what a subscription delivers, once for all who share it: of rows, and by the executor as it was.
func BenchmarkEvent(b *testing.B) {
	s, err := store.Open(b.Context(), store.Target{Dialect: dialect.Postgres, DSN: testkit.Postgres(b)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := newWorld(b, s)
	post := w.post(w.user("ada"), "A post", true)
	c, err := gid.ParseComment(w.comment(w.user("bob"), post, strings.Repeat("words ", 30)))
	if err != nil {
		b.Fatal(err)
	}
	p, err := gid.ParsePost(post)
	if err != nil {
		b.Fatal(err)
	}
	ctx, _ := live.WithEvent(b.Context(), event.Event{Position: 1, Kind: event.CommentAdded, Subject: c.UUID(), Scope: p.UUID()})
	for name, byExecutor := range map[string]bool{"rows": false, "executor": true} {
		b.Run(name, func(b *testing.B) {
			w.byExecutor = byExecutor
			for b.Loop() {
				w.run(ctx, gid.User{}, `subscription { commentAdded(postId: "`+post+`") { id content createdAt author { username } post { id title } } }`).ok()
			}
		})
	}
}
