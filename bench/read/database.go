//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"tidings/bench/rig"
	"tidings/internal/testkit/pgtest"
)

// database is one that is loaded, and of which copies are made: one for all that only reads, and one for each run that
// writes.
type database struct {
	name         string // "SQLite", "Postgres"
	postgres     bool
	program      string // the server's
	original     string // the path of the file, or the URL
	refreshToken string // of the account that writes
	data         *data
	cluster      *cluster // nil on SQLite
	drop         func() error
}

// place is a copy of a database.
type place struct {
	*database
	at   string // the path of the file, or the URL
	drop func() error
}

const dialectPostgres, dialectSQLite = "postgres", "sqlite"

// prepare has the server make a database in dir, or on the Postgres server, signs an account up, and loads the rest.
func prepare(ctx context.Context, program, dir string, postgres bool, d *data) (db *database, err error) {
	db = &database{name: "SQLite", postgres: postgres, program: program, original: filepath.Join(dir, "read.db"), data: d, drop: func() error { return nil }}
	if postgres {
		db.name = "Postgres"
		if db.original, db.drop, err = pgtest.Scratch(ctx); err != nil {
			return nil, err
		}
	}
	if err := db.fill(ctx); err != nil {
		return nil, errors.Join(err, db.drop())
	}
	return db, nil
}

func (db *database) fill(ctx context.Context) error {
	original := &place{database: db, at: db.original}
	server, err := original.tidings(ctx, db.original)
	if err != nil {
		return err
	}
	db.refreshToken, err = rig.SignUp(ctx, server)
	server.Stop()
	if err != nil {
		return err
	}
	c, err := original.open()
	if err != nil {
		return err
	}
	defer c.Close()
	if db.postgres {
		if db.cluster, err = findCluster(ctx, c); err != nil {
			return err
		}
	}
	return load(ctx, c, db.postgres, db.data)
}

// copy makes a copy, to be dropped.
func (db *database) copy(ctx context.Context) (*place, error) {
	p := &place{database: db}
	if db.postgres {
		var err error
		if p.at, p.drop, err = pgtest.CopyOf(ctx, db.original); err != nil {
			return nil, err
		}
		c, err := p.open()
		if err != nil {
			return nil, errors.Join(err, p.drop())
		}
		defer c.Close()
		// What the copy has left to write is not what is measured. Who may not ask for that measures it on both sides.
		_, _ = c.ExecContext(ctx, "CHECKPOINT")
		return p, nil
	}
	dir, err := os.MkdirTemp(filepath.Dir(db.original), "copy-")
	if err != nil {
		return nil, err
	}
	p.at, p.drop = filepath.Join(dir, "read.db"), func() error { return os.RemoveAll(dir) }
	b, err := os.ReadFile(db.original) // all of it: its log was folded in when it had been loaded
	if err == nil {
		err = os.WriteFile(p.at, b, 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, p.drop())
	}
	return p, nil
}

// open opens the database for the benchmark itself.
func (p *place) open() (*sql.DB, error) {
	if p.postgres {
		return openPostgres(p.at)
	}
	return openSQLite(p.at, "_txlock=immediate")
}

// contender is a server of the comparison.
type contender struct {
	name    string
	control bool
	start   func(p *place, ctx context.Context, at string, env ...string) (*rig.Process, error)
}

var contenders = []contender{{"tidings", false, (*place).tidings}, {"control", true, (*place).control}}

// tidings starts the server on the database, or at what leads there.
func (p *place) tidings(ctx context.Context, at string, env ...string) (*rig.Process, error) {
	if !p.postgres {
		at = "sqlite:" + at
	}
	return rig.StartTidings(ctx, p.program, at, append(env, "TIDINGS_RETENTION="+retention)...)
}

// control starts the control likewise.
func (p *place) control(ctx context.Context, at string, env ...string) (*rig.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dialect := dialectSQLite
	if p.postgres {
		dialect = dialectPostgres
	}
	return rig.Start(ctx, self, append(env, controlDialect+"="+dialect, controlDatabase+"="+at), func(address string) []string {
		return []string{controlArgument, address}
	})
}

// token is an access token of the account that writes, on whatever copy: the first server that is asked issues it.
func (p *place) token(ctx context.Context) (string, error) {
	server, err := p.tidings(ctx, p.at)
	if err != nil {
		return "", err
	}
	defer server.Stop()
	u, err := rig.SignIn(ctx, server, p.refreshToken)
	if err != nil {
		return "", fmt.Errorf("signing in: %w", err)
	}
	return u.Token, nil
}
