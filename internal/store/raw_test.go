package store_test

import (
	"database/sql"
	"net/url"
	"testing"

	"entgo.io/ent/dialect"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/internal/store"
)

// raw is a connection beside the store's own, without anything of it.
type raw struct {
	*sql.DB
	t testing.TB
}

func openRaw(t testing.TB, target store.Target) raw {
	t.Helper()
	driver, dsn := "postgres", target.DSN
	if target.Dialect == dialect.SQLite {
		driver, dsn = "sqlite", "file:"+(&url.URL{Path: target.DSN}).EscapedPath()+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return raw{db, t}
}

func (r raw) exec(statement string, args ...any) {
	r.t.Helper()
	if _, err := r.Exec(statement, args...); err != nil {
		r.t.Fatalf("%s: %v", statement, err)
	}
}

func (r raw) count(query string, args ...any) (n int) {
	r.t.Helper()
	if err := r.QueryRow(query, args...).Scan(&n); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return n
}
