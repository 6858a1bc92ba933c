package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"entgo.io/ent/dialect/sql"

	"tidings/ent"
	"tidings/ent/post"
	"tidings/ent/schema"
	"tidings/internal/auth"
	"tidings/internal/config"
	"tidings/internal/gid"
	"tidings/internal/search"
	"tidings/internal/store"
	"tidings/internal/testkit/pgtest"
)

// both runs a test on both databases.
func both(t *testing.T, test func(t *testing.T, d config.Database)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "odd name?#%41.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, config.Database{Dialect: config.Postgres, URL: pgtest.Database(t)})
	})
}

func open(t *testing.T, d config.Database) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// write runs fn in a transaction that may do everything.
func write(t *testing.T, s *store.Store, fn func(ctx context.Context, tx *ent.Client) error) error {
	ctx := auth.AsSystem(t.Context())
	tx, err := s.Client().Tx(ctx)
	if err != nil {
		return err
	}
	if err := fn(ctx, tx.Client()); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addUser(t *testing.T, s *store.Store, name string) gid.User {
	t.Helper()
	id := gid.NewUser()
	must(t, write(t, s, func(ctx context.Context, tx *ent.Client) error {
		return tx.User.Create().SetID(id).SetUsername(name).SetFullName("Name of " + name).SetEmail(name + "@example.org").SetPasswordHash("-").Exec(ctx)
	}))
	return id
}

func TestOpenedByManyAtOnce(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := store.Open(t.Context(), d)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		open(t, d)
	})
}

func TestTimesReadAgainAreTheSame(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		s := open(t, d)
		ada := addUser(t, s, "ada")
		ctx := auth.AsSystem(t.Context())
		want := schema.Now()
		id := gid.NewPost()
		must(t, write(t, s, func(ctx context.Context, tx *ent.Client) error {
			return tx.Post.Create().SetID(id).SetAuthorID(ada).SetTitle("Title").SetContent("text").SetCreatedAt(want).Exec(ctx)
		}))
		got := s.Client().Post.GetX(ctx, id)
		if !got.CreatedAt.Equal(want) {
			t.Errorf("wrote %s, read %s", want, got.CreatedAt)
		}
		if n := s.Client().Post.Query().Where(post.CreatedAt(got.CreatedAt)).CountX(ctx); n != 1 {
			t.Errorf("the time that was read finds %d rows", n)
		}
		if n := s.Client().Post.Query().Where(post.CreatedAtLT(got.CreatedAt.Add(time.Microsecond)), post.CreatedAtGT(got.CreatedAt.Add(-time.Microsecond))).CountX(ctx); n != 1 {
			t.Errorf("between the microseconds before and after stand %d rows", n)
		}
	})
}

func TestWritersDoNotCollide(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		s := open(t, d)
		ada := addUser(t, s, "ada")
		var wg sync.WaitGroup
		const writers, each = 8, 25
		for range writers {
			wg.Go(func() {
				for range each {
					if err := write(t, s, func(ctx context.Context, tx *ent.Client) error {
						if _, err := tx.Post.Query().Count(ctx); err != nil { // a read first, which makes deferred transactions fail
							return err
						}
						return tx.Post.Create().SetAuthorID(ada).SetTitle("Title").SetContent("text").Exec(ctx)
					}); err != nil {
						t.Error(err)
					}
					if _, err := s.Client().Post.Query().Limit(5).All(auth.AsSystem(t.Context())); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := s.Client().Post.Query().CountX(auth.AsSystem(t.Context())); n != writers*each {
			t.Errorf("%d posts, want %d", n, writers*each)
		}
	})
}

func TestLimitsAreHeldByTheDatabase(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		s := open(t, d)
		ada := addUser(t, s, "Ada")
		user := func(name, full, email string) func(context.Context, *ent.Client) error {
			return func(ctx context.Context, tx *ent.Client) error {
				return tx.User.Create().SetUsername(name).SetFullName(full).SetEmail(email).SetPasswordHash("-").Exec(ctx)
			}
		}
		newPost := func(title, content string, published bool) func(context.Context, *ent.Client) error {
			return func(ctx context.Context, tx *ent.Client) error {
				return tx.Post.Create().SetAuthorID(ada).SetTitle(title).SetContent(content).SetPublished(published).Exec(ctx)
			}
		}
		for name, fn := range map[string]func(context.Context, *ent.Client) error{
			"username taken in another case": user("aDA", "x", "other@example.org"),
			"email taken in another case":    user("other", "x", "ADA@example.org"),
			"username short":                 user("ab", "x", "x@example.org"),
			"username long":                  user(strings.Repeat("a", 33), "x", "x@example.org"),
			"username of other characters":   user("a b", "x", "x@example.org"),
			"full name empty":                user("abc", "", "x@example.org"),
			"full name long":                 user("abc", strings.Repeat("é", 101), "x@example.org"),
			"email long":                     user("abc", "x", strings.Repeat("x", 255)),
			"title short":                    newPost("ab", "x", false),
			"title long":                     newPost(strings.Repeat("a", 201), "x", false),
			"content empty":                  newPost("abc", "", false),
			"content long":                   newPost("abc", strings.Repeat("x", 40_001), false),
			"published without its time":     newPost("abc", "x", true),
		} {
			if err := write(t, s, fn); !ent.IsConstraintError(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
		must(t, write(t, s, newPost(strings.Repeat("é", 200), strings.Repeat("é", 40_000), false)))
	})
}

func TestSearch(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		s := open(t, d)
		ada := addUser(t, s, "ada")
		ids := map[string]gid.Post{}
		for title, content := range map[string]string{
			"Lighthouses":        "Of keepers and lamps by the sea.",
			"A walk by the sea":  "We saw two lighthouses, one of them dark.",
			"Résumé of a winter": "It doesn't snow any more.",
		} {
			ids[title] = gid.NewPost()
			must(t, write(t, s, func(ctx context.Context, tx *ent.Client) error {
				return tx.Post.Create().SetID(ids[title]).SetAuthorID(ada).SetTitle(title).SetContent(content).Exec(ctx)
			}))
		}
		find := func(text string) string {
			t.Helper()
			matches, byRank, ok := search.Posts(text)
			if !ok {
				return "nothing to look for"
			}
			found, err := s.Client().Post.Query().Where(matches).Modify(byRank, func(s *sql.Selector) { s.Limit(10) }).Clone().All(auth.AsSystem(t.Context()))
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			titles := make([]string, len(found))
			for i, p := range found {
				titles[i] = p.Title
			}
			return strings.Join(titles, "|")
		}
		check := func(text, want string) {
			t.Helper()
			if got := find(text); got != want {
				t.Errorf("%q finds %q, want %q", text, got, want)
			}
		}
		check("lighthouse", "Lighthouses|A walk by the sea") // the title first
		check("lighthouse walk", "A walk by the sea")
		check("lighthouse -walk", "Lighthouses")
		check(`"by the sea" keepers`, "Lighthouses")
		check(`"dark lighthouses"`, "")
		check("snow or keepers -walk", find("keepers or snow"))
		check("-lighthouse", "nothing to look for")
		check("!?*()", "nothing to look for")
		for _, hostile := range []string{
			`"`, `"""`, `a"b`, "a AND", "NOT a", "NEAR(a b)", "title:a", "a*", "^a", "a'b", "{a}", "(a", "a OR OR b", "or or", "-", "--a", "-\"a\"",
			"\\", "&|!<->", ":*", "%_", strings.Repeat("a ", 250), strings.Repeat("x", 500), strings.Repeat(".", 500), "日本語", "🦀 crab", "a\u0301b", "\u200d", "٣",
		} {
			find(hostile)
		}

		must(t, write(t, s, func(ctx context.Context, tx *ent.Client) error {
			return tx.Post.UpdateOneID(ids["Lighthouses"]).SetTitle("Lamps").Exec(ctx)
		}))
		check("keepers", "Lamps")
		check("lighthouse", "A walk by the sea")
		must(t, write(t, s, func(ctx context.Context, tx *ent.Client) error { return tx.User.DeleteOneID(ada).Exec(ctx) }))
		check("keepers", "")
	})
}

func TestSentencesOfFailure(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	must(t, os.WriteFile(garbage, []byte(strings.Repeat("no database ", 100)), 0o600))
	for _, c := range []struct {
		d    config.Database
		want string
	}{
		{config.Database{Dialect: config.SQLite, Path: filepath.Join(dir, "none", "x.db")}, "there is no directory"},
		{config.Database{Dialect: config.SQLite, Path: garbage}, "is not a SQLite database"},
		{config.Database{Dialect: config.SQLite, Path: dir}, "can't be opened"},
		{config.Database{Dialect: config.Postgres, URL: "postgres://me:s3cret@127.0.0.1:1/x"}, "can't be reached"},
	} {
		_, err := store.Open(t.Context(), c.d)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", c.d, err)
		}
	}
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.Database(t)
		_, err := store.Open(t.Context(), config.Database{Dialect: config.Postgres, URL: strings.Replace(url, "/tidings_test", "/absent", 1)})
		if err == nil || !strings.Contains(err.Error(), "there is no such database") {
			t.Error(err)
		}
	})
}

func TestANewerDatabaseIsRefused(t *testing.T) {
	both(t, func(t *testing.T, d config.Database) {
		s := open(t, d)
		tx, err := s.Client().Tx(t.Context())
		must(t, err)
		_, err = tx.ExecContext(t.Context(), "INSERT INTO schema_revisions VALUES ('99990101000000', 'x', 2, 1, 1, 0, '', '', '')")
		must(t, err)
		must(t, tx.Commit())
		if _, err := store.Open(t.Context(), d); err == nil || !strings.Contains(err.Error(), "a newer Tidings") {
			t.Error(err)
		}
	})
}

func TestManyDifferentStatements(t *testing.T) {
	s := open(t, config.Database{Dialect: config.Postgres, URL: pgtest.Database(t)})
	tx, err := s.Client().Tx(t.Context())
	must(t, err)
	defer tx.Rollback()
	for i := range 600 { // more than a connection keeps
		rows, err := tx.QueryContext(t.Context(), fmt.Sprintf("SELECT $1::int + %d", i), 1)
		must(t, err)
		var n int
		if rows.Next() {
			must(t, rows.Scan(&n))
		}
		must(t, rows.Close())
		if n != i+1 {
			t.Fatalf("%d + 1 = %d", i, n)
		}
	}
	rows, err := tx.QueryContext(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE $1", true)
	must(t, err)
	defer rows.Close()
	var n int
	if rows.Next() {
		must(t, rows.Scan(&n))
	}
	if n == 0 || n > 260 {
		t.Errorf("the server holds %d prepared statements of this connection", n)
	}
}
