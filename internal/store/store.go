// Package store opens the database, SQLite or Postgres, and migrates it.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	"tidings/ent"
	_ "tidings/ent/runtime" // policies, hooks and defaults
	"tidings/internal/config"
)

// Store is an open, migrated database. It is safe for concurrent use.
type Store struct {
	client  *ent.Client
	dialect string
	dbs     []*sql.DB // the one to ping first
}

// Open opens a database, making the file of a SQLite one, and brings it up to date. Several processes may do so at
// once. The error is one line for the person who starts the server, without a password in it.
func Open(ctx context.Context, d config.Database) (*Store, error) {
	var s *Store
	var err error
	var name string
	switch d.Dialect {
	case config.SQLite:
		name = fmt.Sprintf("SQLite file %q", d.Path)
		s, err = openSQLite(ctx, d.Path)
	case config.Postgres:
		name = d.String()
		s, err = openPostgres(ctx, d.URL)
	default:
		return nil, fmt.Errorf("there is no database of the kind %q", d.Dialect)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	if err := upgrade(ctx, s.dbs[0], s.dialect); err != nil {
		return nil, errors.Join(fmt.Errorf("migrating %s: %w", name, err), s.Close())
	}
	return s, nil
}

// Client reads and writes entities. On SQLite everything outside of a transaction reads only: write in one.
func (s *Store) Client() *ent.Client { return s.client }

// Dialect is dialect.SQLite or dialect.Postgres.
func (s *Store) Dialect() string { return s.dialect }

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.dbs[0].PingContext(ctx) }

// Close closes all connections, waiting for statements that run.
func (s *Store) Close() error {
	var errs []error
	for i := len(s.dbs) - 1; i >= 0; i-- { // readers before the writer, whose end checkpoints SQLite's log
		errs = append(errs, s.dbs[i].Close())
	}
	return errors.Join(errs...)
}

func newStore(d string, driver dialect.Driver, dbs ...*sql.DB) *Store {
	return &Store{client: ent.NewClient(ent.Driver(driver)), dialect: d, dbs: dbs}
}

// split is an ent driver that reads from one pool and writes to another.
type split struct {
	*entsql.Driver // the writer's: Exec, transactions
	readers        *entsql.Driver
}

func (s split) Query(ctx context.Context, query string, args, v any) error {
	return s.readers.Query(ctx, query, args, v)
}

func (s split) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return s.readers.QueryContext(ctx, query, args...)
}
