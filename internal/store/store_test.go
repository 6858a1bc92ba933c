package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/ent/post"
	"tidings/ent/user"
	"tidings/internal/auth"
	"tidings/internal/search"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// openEnv makes a process of this test binary open the database that it names and write a user, instead of testing.
const openEnv = "TIDINGS_STORE_TEST_OPEN"

func TestMain(m *testing.M) {
	if target := os.Getenv(openEnv); target != "" {
		if err := openAndWrite(target); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func openAndWrite(target string) error {
	d := os.Getenv(openEnv + "_DIALECT")
	s, err := store.Open(context.Background(), store.Target{Dialect: d, DSN: target})
	if err != nil {
		return err
	}
	_, err = createUser(auth.AsSystem(context.Background()), s, fmt.Sprintf("user_%d", os.Getpid()))
	return errors.Join(err, s.Close())
}

func createUser(ctx context.Context, s *store.Store, name string) (*ent.User, error) {
	return s.Client().User.Create().SetUsername(name).SetFullName(name).SetEmail(name + "@example.com").SetPasswordHash("x").Save(auth.AsSystem(ctx))
}

func newUser(t testing.TB, s *store.Store, name string) *ent.User {
	t.Helper()
	u, err := createUser(t.Context(), s, name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newPost(t testing.TB, s *store.Store, by *ent.User, title string) *ent.Post {
	t.Helper()
	p, err := s.Client().Post.Create().SetAuthorID(by.ID).SetTitle(title).SetContent("of " + title).Save(auth.AsSystem(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// found counts the posts that a search finds.
func found(t testing.TB, s *store.Store, text string) int {
	t.Helper()
	where, _, ok := search.Posts(text)
	if !ok {
		t.Fatalf("%q is no search", text)
	}
	n, err := s.Client().Post.Query().Where(where).Count(auth.AsSystem(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// open opens a target for the length of the test.
func open(t testing.TB, target store.Target) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), target)
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

// targets runs a test on an empty database of each kind that has not been opened yet.
func targets(t *testing.T, test func(t *testing.T, target store.Target)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "tidings.db")})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, store.Target{Dialect: dialect.Postgres, DSN: testkit.Postgres(t)})
	})
}

func TestOpenRefusesNonsense(t *testing.T) {
	for _, target := range []store.Target{{Dialect: "mysql", DSN: "x"}, {Dialect: dialect.SQLite, DSN: "x", MaxConns: -1}} {
		if _, err := store.Open(t.Context(), target); err == nil {
			t.Errorf("%v was opened", target)
		}
	}
}

func TestReopenKeepsWhatWasWritten(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		s := open(t, target)
		if s.Dialect() != target.Dialect {
			t.Errorf("the dialect is %q", s.Dialect())
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		ada := newUser(t, s, "ada")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(t.Context()); err == nil {
			t.Error("a closed store answers")
		}
		s = open(t, target)
		got, err := s.Client().User.Get(auth.AsSystem(t.Context()), ada.ID)
		if err != nil {
			t.Fatal(err)
		}
		if got.Username != "ada" || got.ID != ada.ID {
			t.Errorf("read %v, wrote %v", got, ada)
		}
	})
}

// A time that is read again is the one that was written, to the microsecond, and equals its own row in a condition.
func TestTimesComeBackEqual(t *testing.T) {
	base := time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC)
	var times []time.Time
	for _, micros := range []int{0, 1, 10, 100_000, 120_000, 123_456, 500_000, 999_999} {
		times = append(times, base.Add(time.Duration(micros)*time.Microsecond))
	}
	times = append(times, times[5].In(time.FixedZone("", -9*3600-30*60)), time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(9999, 12, 31, 0, 0, 0, 1000, time.UTC))
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		system := auth.AsSystem(t.Context())
		ada := newUser(t, s, "ada")
		for i, at := range times {
			p, err := s.Client().Post.Create().SetAuthorID(ada.ID).SetTitle(fmt.Sprint("Post ", i)).SetContent("x").SetCreatedAt(at).SetPublished(true).SetPublishedAt(at).Save(system)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Client().Post.Query().Where(post.ID(p.ID), post.CreatedAt(at)).Only(system)
			if err != nil {
				t.Fatalf("%v does not find its row: %v", at, err)
			}
			if !got.CreatedAt.Equal(at) || got.CreatedAt.Location().String() != "UTC" || !got.PublishedAt.Equal(at) {
				t.Errorf("wrote %v, read %v", at, got.CreatedAt)
			}
			again, err := s.Client().Post.Query().Where(post.ID(p.ID), post.CreatedAtGTE(got.CreatedAt), post.CreatedAtLTE(*got.PublishedAt)).Count(system)
			if err != nil || again != 1 {
				t.Errorf("%v, as read, does not find its row: %v", got.CreatedAt, err)
			}
		}
		ordered, err := s.Client().Post.Query().Order(post.ByCreatedAt()).All(system)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < len(ordered); i++ {
			if ordered[i].CreatedAt.Before(ordered[i-1].CreatedAt) {
				t.Errorf("%v is sorted behind %v", ordered[i].CreatedAt, ordered[i-1].CreatedAt)
			}
		}
	})
}

func TestTransactionsSeeTheirOwnWrites(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		system := auth.AsSystem(t.Context())
		count := func(c *ent.Client) int {
			t.Helper()
			n, err := c.User.Query().Count(system)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		for _, commit := range []bool{false, true} {
			tx, err := s.Client().Tx(system)
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.User.Create().SetUsername("ada").SetFullName("Ada").SetEmail("ada@example.com").SetPasswordHash("x").Exec(system); err != nil {
				t.Fatal(err)
			}
			if n := count(tx.Client()); n != 1 {
				t.Errorf("inside: %d users", n)
			}
			if n := count(s.Client()); n != 0 {
				t.Errorf("outside: %d users", n)
			}
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(s.Client()); n != 1 {
			t.Errorf("afterwards: %d users", n)
		}
	})
}

func TestConstraintsHold(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada := newUser(t, s, "ada")
		if _, err := createUser(t.Context(), s, "ADA"); !ent.IsConstraintError(err) {
			t.Errorf("a second ada: %v", err)
		}
		p := newPost(t, s, ada, "Night ferry")
		system := auth.AsSystem(t.Context())
		if err := s.Client().User.DeleteOneID(ada.ID).Exec(system); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Client().Post.Get(system, p.ID); !ent.IsNotFound(err) { // foreign keys are on, on every connection
			t.Errorf("the post of a user who is gone: %v", err)
		}
		if err := s.Client().Post.Create().SetAuthorID(ada.ID).SetTitle("Orphan").SetContent("x").Exec(system); !ent.IsConstraintError(err) {
			t.Errorf("a post of nobody: %v", err)
		}
	})
}

// Statements that write through a query must reach the connection that may write.
func TestQueriesThatWrite(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		newUser(t, s, "ada")
		for _, statement := range []string{
			"UPDATE users SET full_name = $1 RETURNING id",
			"WITH changed AS (SELECT 1) UPDATE users SET full_name = $1 RETURNING id",
		} {
			rows, err := s.Client().QueryContext(t.Context(), statement, statement)
			if err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
			n := 0
			for rows.Next() {
				n++
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != 1 {
				t.Fatalf("%s: %d rows, %v", statement, n, err)
			}
			if n, err := s.Client().User.Query().Where(user.FullName(statement)).Count(auth.AsSystem(t.Context())); err != nil || n != 1 {
				t.Errorf("%s wrote nothing: %v", statement, err)
			}
		}
	})
}
