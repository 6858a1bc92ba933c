package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	_ "modernc.org/sqlite" // the driver of scratch

	entmigrate "tidings/ent/migrate"
	"tidings/internal/store/migrations"
	"tidings/internal/testkit/pgtest"
)

var dialects = []string{dialect.SQLite, dialect.Postgres}

// write compares ent with the migrations in dir and writes the difference there as version_name.sql, together with
// the directory's sum. It returns the file's path, or "" when there is no difference.
func write(ctx context.Context, d, dir, version, name string) (path string, err error) {
	db, release, err := scratch(ctx, d)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, release()) }()
	local, err := migrate.NewLocalDir(dir)
	if err != nil {
		return "", err
	}
	// Neither WithDropColumn nor WithDropIndex: the comparison adds, people drop.
	m, err := schema.NewMigrate(entsql.OpenDB(d, db), schema.WithDir(local), schema.WithMigrationMode(schema.ModeReplay),
		schema.WithFormatter(versioned(version)), schema.WithErrNoPlan(true))
	if err != nil {
		return "", err
	}
	switch err := m.NamedDiff(ctx, name, entmigrate.Tables...); {
	case errors.Is(err, migrate.ErrNoPlan):
		return "", nil
	case err != nil:
		return "", err
	}
	return filepath.Join(dir, version+"_"+name+".sql"), nil
}

// versioned formats a plan under a version that the caller chooses, so that both dialects have the same one.
type versioned string

func (v versioned) Format(p *migrate.Plan) ([]migrate.File, error) {
	p.Version = string(v)
	return migrate.DefaultFormatter.Format(p)
}

// nextVersion is the time, as Atlas writes versions, or one more than the newest version there is.
func nextVersion(root string) (string, error) {
	next, err := strconv.ParseInt(time.Now().UTC().Format("20060102150405"), 10, 64)
	if err != nil {
		return "", err
	}
	for _, d := range dialects {
		for _, part := range migrations.Parts {
			dir, err := migrate.NewLocalDir(filepath.Join(root, migrations.Path(d, part)))
			if err != nil {
				return "", err
			}
			files, err := dir.Files()
			if err != nil {
				return "", err
			}
			for _, f := range files {
				v, err := strconv.ParseInt(f.Version(), 10, 64)
				if err != nil {
					return "", fmt.Errorf("the version of %s is no number: %w", f.Name(), err)
				}
				next = max(next, v+1)
			}
		}
	}
	return strconv.FormatInt(next, 10), nil
}

func resum(root string) error {
	for _, d := range dialects {
		for _, part := range migrations.Parts {
			dir, err := migrate.NewLocalDir(filepath.Join(root, migrations.Path(d, part)))
			if err != nil {
				return err
			}
			if err := migrations.Sum(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// scratch opens an empty database of a dialect, to be released.
func scratch(ctx context.Context, d string) (db *sql.DB, release func() error, err error) {
	if d == dialect.Postgres {
		url, drop, err := pgtest.Scratch(ctx)
		if err != nil {
			return nil, nil, err
		}
		if db, err = sql.Open("postgres", url); err != nil {
			return nil, nil, errors.Join(err, drop())
		}
		return db, func() error { return errors.Join(db.Close(), drop()) }, nil
	}
	dir, err := os.MkdirTemp("", "tidings-migrate-")
	if err != nil {
		return nil, nil, err
	}
	db, err = sql.Open("sqlite", "file:"+filepath.Join(dir, "scratch.db")+"?_pragma=foreign_keys(1)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return db, func() error { return errors.Join(db.Close(), os.RemoveAll(dir)) }, nil
}
