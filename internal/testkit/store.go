package testkit

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/internal/config"
	"tidings/internal/store"
	"tidings/internal/store/migrations"
	"tidings/internal/testkit/pgtest"
)

// MigratedPostgres is like Postgres, with the migrations applied: a copy of a database that the server keeps for it,
// which is faster than applying them.
func MigratedPostgres(t testing.TB) string {
	t.Helper()
	dir, err := migrations.Of(dialect.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := dir.Checksum()
	if err != nil {
		t.Fatal(err)
	}
	return database(t)(pgtest.Copy(t.Context(), sum.Sum(), func(url string) error {
		s, err := store.Open(context.Background(), store.Target{Dialect: dialect.Postgres, DSN: url})
		if err != nil {
			return err
		}
		return s.Close()
	}))
}

// Stores runs a test on each database, as the subtests sqlite and postgres, with a store of its own that is open,
// migrated, empty, and closed when the subtest ends.
func Stores(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, open(t, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "tidings.db")}))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, open(t, store.Target{Dialect: dialect.Postgres, DSN: MigratedPostgres(t)}))
	})
}

// OpenDatabase opens a server's database beside it, for rows that the server would not write. What is locked is waited for.
func OpenDatabase(t testing.TB, d config.Database) *sql.DB {
	t.Helper()
	driver, dsn := "sqlite", "file:"+d.Path+"?_pragma=busy_timeout(5000)"
	if d.Dialect == config.Postgres {
		driver, dsn = "postgres", d.URL
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

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
