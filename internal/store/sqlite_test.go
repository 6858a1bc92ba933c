package store_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/internal/auth"
	"tidings/internal/store"
)

func openSQLite(ctx context.Context, path string) (*store.Store, error) {
	return store.Open(ctx, store.Target{Dialect: dialect.SQLite, DSN: path})
}

func TestSQLiteTakesEveryPath(t *testing.T) {
	for _, name := range []string{"plain.db", "with space.db", "what?.db", "a#b", "100%.db", "%41.db", "a&b=c;d", "file:x.db", ":memory:",
		`quote'"back\slash`, "schön 渡し船 🚢.db", "line\nbreak", "?mode=memory", "-flag"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			for _, path := range []string{name, filepath.Join(dir, name)} { // relative, and what it wrote found by the absolute path
				s, err := openSQLite(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := createUser(t.Context(), s, fmt.Sprintf("user%d", len(path))); err != nil {
					t.Error(err)
				}
				if s.DSN() != filepath.Join(dir, name) {
					t.Errorf("its path is %q", s.DSN())
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != 1 || entries[0].Name() != name {
				t.Fatalf("there is %v", entries)
			}
			if info, err := entries[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("it is there as %v: %v", info.Mode(), err)
			}
			s := open(t, store.Target{Dialect: dialect.SQLite, DSN: name})
			if n, err := s.Client().User.Query().Count(t.Context()); n != 2 || err != nil {
				t.Errorf("it holds %d users: %v", n, err)
			}
		})
	}
}

func TestSQLiteRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	plain := write("plain.txt", strings.Repeat("This is no database. ", 100))
	s, err := openSQLite(t.Context(), filepath.Join(dir, "whole.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole.db"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(whole); i++ {
		whole[i] = 0xa5
	}
	for _, c := range []struct{ path, want string }{
		{"", "the database file has no name"},
		{"a\x00b", `the name of the database file "a\x00b" holds a NUL`},
		{dir, "the database file " + dir + " is a directory"},
		{fifo, "the database file " + fifo + " is not a regular file"},
		{filepath.Join(dir, "no", "such", "x.db"), "the directory of the database file " + filepath.Join(dir, "no", "such", "x.db") + " does not exist"},
		{filepath.Join(plain, "x.db"), "the database file " + filepath.Join(plain, "x.db") + " can't be used: not a directory"},
		{plain, plain + " is not a SQLite database"},
		{write("damaged.db", string(whole)), "the database " + filepath.Join(dir, "damaged.db") + " is damaged: database disk image is malformed"},
	} {
		s, err := openSQLite(t.Context(), c.path)
		if err == nil {
			t.Errorf("%q was opened", c.path)
			_ = s.Close()
			continue
		}
		if got := err.Error(); !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") {
			t.Errorf("%q: %s\nwant %s", c.path, got, c.want)
		}
	}
	if got, err := os.ReadFile(plain); err != nil || !strings.HasPrefix(string(got), "This is no database.") {
		t.Errorf("what is no database was changed: %v", err)
	}
}

// Of what one transaction wrote on the connection that writes, reads elsewhere see all or nothing, and go on meanwhile.
func TestSQLiteReadersDoNotWait(t *testing.T) {
	s := open(t, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "x.db"), MaxConns: 4})
	system := auth.AsSystem(t.Context())
	tx, err := s.Client().Tx(system)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := tx.User.Create().SetUsername("ada").SetFullName("Ada").SetEmail("ada@example.com").SetPasswordHash("x").Exec(system); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 32 { // more than there are readers
		wg.Go(func() {
			if n, err := s.Client().User.Query().Count(system); n != 0 || err != nil {
				t.Errorf("%d users, %v", n, err)
			}
		})
	}
	wg.Wait()
	view, err := s.Client().BeginTx(system, &stdsql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := view.User.Query().Count(system); n != 0 || err != nil {
		t.Errorf("%d users, %v", n, err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if n, err := view.User.Query().Count(system); n != 0 || err != nil { // it keeps its view
		t.Errorf("%d users, %v", n, err)
	}
	if err := view.User.Create().SetUsername("bob").SetFullName("Bob").SetEmail("bob@example.com").SetPasswordHash("x").Exec(system); err == nil {
		t.Error("a read-only transaction wrote")
	}
	if err := view.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Client().User.Query().Count(system); n != 1 || err != nil {
		t.Errorf("%d users, %v", n, err)
	}
}

func TestSQLiteWritersQueue(t *testing.T) {
	const writers, each = 16, 25
	s := open(t, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "x.db")})
	system := auth.AsSystem(t.Context())
	ada := newUser(t, s, "ada")
	var writing, reading sync.WaitGroup
	var done atomic.Bool
	var reads atomic.Int64
	for range 2 {
		reading.Go(func() {
			for last := 0; !done.Load(); reads.Add(1) {
				n, err := s.Client().Post.Query().Count(system)
				if err != nil || n < last || n%2 != 0 { // transactions make two
					t.Errorf("read %d posts after %d: %v", n, last, err)
					return
				}
				last = n
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				tx, err := s.Client().Tx(system)
				if err != nil {
					t.Error(err)
					return
				}
				for half := range 2 {
					if err := tx.Post.Create().SetAuthorID(ada.ID).SetTitle(fmt.Sprintf("Post %d of %d, %d", i, w, half)).SetContent("x").Exec(system); err != nil {
						t.Error(errors.Join(err, tx.Rollback()))
						return
					}
				}
				if err := tx.Commit(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	done.Store(true)
	reading.Wait()
	if n, err := s.Client().Post.Query().Count(system); n != 2*writers*each || err != nil {
		t.Errorf("%d posts, %v", n, err)
	}
	t.Logf("%d reads meanwhile", reads.Load())
}

// A writer that waits gives up with its context, not before and not after.
func TestSQLiteWriterGivesUpWithItsContext(t *testing.T) {
	s := open(t, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "x.db")})
	tx, err := s.Client().Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := s.Client().Tx(ctx)
		result <- err
	}()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("it gave up with %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	newUser(t, s, "ada")
}

func TestOnlyReads(t *testing.T) {
	for query, want := range map[string]bool{
		"SELECT 1": true, " select 1": true, "(SELECT 1) UNION SELECT 2": true, "WITH x AS (SELECT 1) SELECT * FROM x": true,
		"": false, "SEL": false, "INSERT INTO x VALUES (1) RETURNING 1": false, "WITH x AS (SELECT 1) INSERT INTO y SELECT * FROM x": false,
		"with x as (select 1) delete from y returning 1": false, "UPDATE x SET y = 1 RETURNING 1": false, "PRAGMA foreign_keys": false, "REPLACE INTO x VALUES (1)": false,
	} {
		if got := store.OnlyReads(query); got != want {
			t.Errorf("%q: %t", query, got)
		}
	}
}

// What the pragmas are for, on each connection.
func TestSQLiteConnectionsAreSetUp(t *testing.T) {
	s := open(t, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "x.db")})
	var got []string
	for _, statement := range []string{
		"SELECT (SELECT foreign_keys FROM pragma_foreign_keys) || ' ' || (SELECT journal_mode FROM pragma_journal_mode) || ' ' || (SELECT synchronous FROM pragma_synchronous)", // a reader
		"WITH REPLACE_ AS (SELECT 1) SELECT (SELECT foreign_keys FROM pragma_foreign_keys) || ' ' || (SELECT journal_mode FROM pragma_journal_mode) || ' ' || (SELECT synchronous FROM pragma_synchronous)",
	} {
		rows, err := s.Client().QueryContext(t.Context(), statement)
		if err != nil {
			t.Fatal(err)
		}
		var v string
		if !rows.Next() || rows.Scan(&v) != nil || rows.Close() != nil {
			t.Fatal(rows.Err())
		}
		got = append(got, v)
	}
	if want := []string{"1 wal 2", "1 wal 2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
