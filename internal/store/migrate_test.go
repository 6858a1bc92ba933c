package store_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"

	"tidings/internal/auth"
	"tidings/internal/store"
	"tidings/internal/store/migrations"
)

// upTo returns the program's migrations up to and including a version, and its own more.
func upTo(t testing.TB, d, version string, more ...migrate.File) migrate.Dir {
	t.Helper()
	all, err := migrations.Of(d)
	if err != nil {
		t.Fatal(err)
	}
	files, err := all.Files()
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f migrate.File) bool { return f.Version() > version })
	dir := &migrate.MemDir{}
	if err := dir.CopyFiles(append(files, more...)); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Sum(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

const last = "99999999999999" // no version is later

func version(n int) string { return fmt.Sprintf("9000000000000%d", n) }

func file(n int, statements string) migrate.File {
	return migrate.NewLocalFile(version(n)+"_test.sql", []byte(statements))
}

// The search must find what was there before a migration and what comes after it, whichever migration that is.
func TestSearchSurvivesEveryMigration(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		all, err := migrations.Of(target.Dialect)
		if err != nil {
			t.Fatal(err)
		}
		files, err := all.Files()
		if err != nil {
			t.Fatal(err)
		}
		search := slices.IndexFunc(files, func(f migrate.File) bool { return strings.HasSuffix(f.Name(), "_search.sql") })
		if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, files[search].Version())); err != nil {
			t.Fatal(err)
		}
		check := func(after string, n int) {
			t.Helper()
			db := openRaw(t, target)
			defer db.Close()
			if n == 0 {
				db.exec("INSERT INTO users (id, username, username_key, full_name, email, email_key, search_text, password_hash, created_at, updated_at) VALUES ('00000000-0000-0000-0000-000000000000', 'ada', 'ada', 'Ada', 'ada@x', 'ada@x', 'ada', 'x', $1, $1)", "2026-01-01 00:00:00+00:00")
			}
			db.exec("INSERT INTO posts (id, title, content, created_at, updated_at, author_id) VALUES ($1, 'Night ferry', 'x', $2, $2, '00000000-0000-0000-0000-000000000000')", fmt.Sprintf("00000000-0000-0000-0000-%012d", n), "2026-01-01 00:00:00+00:00")
			statement := "SELECT count(*) FROM post_search JOIN post_search_doc ON doc = post_search.rowid JOIN posts ON id = post_id WHERE post_search MATCH 'ferry'"
			if target.Dialect == dialect.Postgres {
				statement = "SELECT count(*) FROM posts WHERE search @@ to_tsquery('english', 'ferry')"
			}
			if got := db.count(statement); got != n+1 {
				t.Errorf("after %s: %d posts found, want %d", after, got, n+1)
			}
		}
		check(files[search].Name(), 0)
		for i, f := range files[search+1:] {
			if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, f.Version())); err != nil {
				t.Fatal(err)
			}
			check(f.Name(), i+1)
		}
	})
}

// SQLite changes a table by making it anew, and drops its triggers with the old one.
func TestSearchSurvivesARebuiltTable(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		s := open(t, target)
		ada := newUser(t, s, "ada")
		newPost(t, s, ada, "Night ferry")
		rebuild := "ALTER TABLE posts ALTER COLUMN title TYPE varchar(200);"
		if target.Dialect == dialect.SQLite {
			rebuild = `PRAGMA foreign_keys = off;
CREATE TABLE new_posts (id uuid NOT NULL, title text NOT NULL, content text NOT NULL, published bool NOT NULL DEFAULT (false), published_at datetime NULL,
 created_at datetime NOT NULL, updated_at datetime NOT NULL, author_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE, PRIMARY KEY (id));
INSERT INTO new_posts (id, title, content, published, published_at, created_at, updated_at, author_id)
 SELECT id, title || ' anew', content, published, published_at, created_at, updated_at, author_id FROM posts;
DROP TABLE posts;
ALTER TABLE new_posts RENAME TO posts;
PRAGMA foreign_keys = on;`
		} else {
			rebuild = "ALTER TABLE posts DROP COLUMN search;\nALTER TABLE posts ALTER COLUMN title TYPE varchar(200);\nUPDATE posts SET title = title || ' anew';\n" + tsvectorColumn(t)
		}
		if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(1, rebuild))); err != nil {
			t.Fatal(err)
		}
		if n := found(t, s, "ferry anew"); n != 1 {
			t.Errorf("%d of the posts before are found as they are now", n)
		}
		p := newPost(t, s, ada, "Day ferry")
		if n := found(t, s, "ferry"); n != 2 {
			t.Errorf("%d posts found, want 2", n)
		}
		if err := s.Client().Post.DeleteOneID(p.ID).Exec(auth.AsSystem(t.Context())); err != nil {
			t.Fatal(err)
		}
		if n := found(t, s, "ferry"); n != 1 {
			t.Errorf("%d posts found, want 1", n)
		}
		if target.Dialect == dialect.SQLite { // rows renumbered, as VACUUM may
			if err := s.Client().User.DeleteOneID(newUser(t, s, "bob").ID).Exec(auth.AsSystem(t.Context())); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Client().ExecContext(t.Context(), "VACUUM"); err != nil {
				t.Fatal(err)
			}
			if n := found(t, s, "ferry anew"); n != 1 {
				t.Errorf("%d posts found after VACUUM, want 1", n)
			}
		}
	})
}

// tsvectorColumn is the statement of the migration of the search that adds its column.
func tsvectorColumn(t testing.TB) string {
	t.Helper()
	dir, err := migrations.Part(dialect.Postgres, "manual")
	if err != nil {
		t.Fatal(err)
	}
	files, err := dir.Files()
	if err != nil {
		t.Fatal(err)
	}
	statements, err := files[0].Stmts()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(statements, func(s string) bool { return strings.Contains(s, "ADD COLUMN search") })
	return statements[i] + "\n" + statements[i+1]
}

func TestOpenRefusesADatabaseOfANewerProgram(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(1, "CREATE TABLE tomorrow (id integer);"))); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), target)
		if !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), version(1)+"_test") || strings.Contains(err.Error(), "\n") {
			t.Errorf("it says %v", err)
		}
	})
}

func TestOpenRefusesADatabaseOfOtherMigrations(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		open(t, target)
		db := openRaw(t, target)
		db.exec("UPDATE schema_revisions SET hash = $1 WHERE description = $2", "other", "search")
		db.Close()
		if _, err := store.Open(t.Context(), target); err == nil || !strings.Contains(err.Error(), "_search") || strings.Contains(err.Error(), "\n") {
			t.Errorf("it says %v", err)
		}
	})
}

func TestOpenRefusesADatabaseOfSomethingElse(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		db := openRaw(t, target)
		db.exec("CREATE TABLE recipes (id integer)")
		_, err := store.Open(t.Context(), target)
		if err == nil || !strings.HasSuffix(err.Error(), "it holds tables of something else: give Tidings a database of its own") || strings.Contains(err.Error(), "\n") {
			t.Errorf("it says %v", err)
		}
		if target.Dialect == dialect.SQLite {
			if n := db.count("SELECT count(*) FROM sqlite_schema WHERE name = 'schema_revisions'"); n != 0 {
				t.Error("it was changed all the same")
			}
		}
		db.exec("DROP TABLE recipes")
		db.Close()
		open(t, target)
	})
}

// A migration that fails leaves everything as it was, and can be tried again.
func TestAMigrationThatFailsLeavesNothing(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		s := open(t, target)
		newPost(t, s, newUser(t, s, "ada"), "Night ferry")
		for _, c := range []struct{ statements, want string }{
			{"CREATE TABLE half (id integer);\nINSERT INTO nowhere VALUES (1);", "nowhere"},
			{"CREATE TABLE half (id integer);\nDELETE FROM users;\nINSERT INTO nowhere VALUES (1);", "nowhere"},
		} {
			err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(1, "CREATE TABLE whole (id integer);"), file(2, c.statements)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v", err)
			}
		}
		if target.Dialect == dialect.SQLite { // where foreign keys are off meanwhile
			err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(1, "DELETE FROM users;")))
			if err == nil || !strings.Contains(err.Error(), "a row of posts refers to a row of users that is not there") {
				t.Errorf("it says %v", err)
			}
		}
		if n := found(t, s, "ferry"); n != 1 {
			t.Errorf("%d posts found", n)
		}
		if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(1, "CREATE TABLE whole (id integer);"), file(2, "CREATE TABLE half (id integer);"))); err != nil {
			t.Error(err)
		}
	})
}

// A version that appears below one that was applied was merged too late.
func TestMigrationsAreLinear(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(2, "CREATE TABLE b (id integer);"))); err != nil {
			t.Fatal(err)
		}
		if err := store.MigrateTo(t.Context(), target, upTo(t, target.Dialect, last, file(1, "CREATE TABLE a (id integer);"), file(2, "CREATE TABLE b (id integer);"))); err == nil {
			t.Error("it was applied")
		}
	})
}

// Several processes start on a new database: one migrates, all serve.
func TestProcessesMigrateOnce(t *testing.T) {
	targets(t, func(t *testing.T, target store.Target) {
		const processes, inside = 4, 4
		var wg sync.WaitGroup
		for range processes {
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), openEnv+"="+target.DSN, openEnv+"_DIALECT="+target.Dialect)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		for range inside {
			wg.Go(func() {
				s, err := store.Open(t.Context(), target)
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
		s := open(t, target)
		if n, err := s.Client().User.Query().Count(auth.AsSystem(t.Context())); n != processes || err != nil {
			t.Errorf("%d users, %v", n, err)
		}
	})
}
