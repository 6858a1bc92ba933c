// Package store opens the database and brings its schema up to date. It is the one place that knows what SQLite and
// Postgres need to be opened right; everything above speaks to them through the ent client that a Store gives.
package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"entgo.io/ent/dialect"

	"tidings/ent"
	_ "tidings/ent/runtime" // the entities' defaults, hooks and policies
)

// Target says which database to open.
type Target struct {
	Dialect string // dialect.SQLite or dialect.Postgres
	DSN     string // SQLite: the path of the file, taken as it is; Postgres: a postgres:// URL
	// MaxConns bounds the connections: of Postgres all (0: 4 for each CPU, 8 to 32), of SQLite those that read (0: one
	// for each CPU, at least 4), beside the one that writes.
	MaxConns int
}

// Store is an open and migrated database.
type Store struct {
	dialect string
	dsn     string
	client  *ent.Client
	ping    func(context.Context) error
	close   func() error
}

// Open opens the target, applies the migrations that it lacks, and returns it ready for use. A SQLite file that does
// not exist is made; its directory is not. Several processes may open one database at once: one migrates, the others
// wait for it. Open fails at once when the database is missing, refuses, or was migrated by a newer program. Its errors
// are one line, made to be shown to whoever started the server, and hold no password.
func Open(ctx context.Context, t Target) (*Store, error) {
	var open func(context.Context, Target) (*Store, error)
	switch t.Dialect {
	case dialect.SQLite:
		open = openSQLite
	case dialect.Postgres:
		open = openPostgres
	default:
		return nil, fmt.Errorf("there is no database of the kind %q", t.Dialect)
	}
	if t.MaxConns < 0 {
		return nil, errors.New("the bound on database connections is negative")
	}
	return open(ctx, t)
}

// Client is the ent client of the database. On SQLite a query inside a transaction sees the transaction's writes; one
// outside waits for no writer and sees what was committed before it began. Transactions that write run one at a time
// there, so whoever holds one must not begin another, or write beside it, in the same goroutine.
func (s *Store) Client() *ent.Client { return s.client }

// Dialect is dialect.SQLite or dialect.Postgres.
func (s *Store) Dialect() string { return s.dialect }

// DSN is what a further connection to the same Postgres is opened with, a listener's say: the URL, named like the
// store's own connections. Of SQLite it is the absolute path of the file. It may hold a password: don't print it.
func (s *Store) DSN() string { return s.dsn }

// Ping reports whether the database answers and is migrated.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ping(ctx); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Close closes the database. What is still running fails or, on SQLite, is waited for.
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// orElse is n, or what it should be when it was left open.
func orElse(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

func cpus() int { return runtime.GOMAXPROCS(0) }
