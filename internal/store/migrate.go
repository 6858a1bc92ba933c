package store

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"
)

// The migrations of each dialect: schema/ is made by `go run ./internal/store/migrate NAME` from ent's tables, manual/
// is written by hand for what ent doesn't know (search, the event log) and is never replayed by the diff, which would
// drop it. Both run as one sequence, by version. What has been released is never changed.
//
//go:embed migrations
var migrations embed.FS

// afterwards are statements that run after every migration that did something: Atlas rebuilds SQLite tables by
// dropping them, and their triggers vanish with them.
var afterwards = map[string]string{
	dialect.SQLite: "migrations/sqlite/triggers.sql",
}

// lockKey is the advisory lock under which one process migrates a Postgres at a time.
const lockKey = 0x7469_6469_6e67_7301

// upgrade brings the database up to date in one transaction, under a lock.
func upgrade(ctx context.Context, db *sql.DB, d string) (err error) {
	dir, err := sequence(d)
	if err != nil {
		return err
	}
	var conn schema.ExecQuerier
	var end func(error) error
	if d == dialect.Postgres {
		conn, end, err = lockPostgres(ctx, db)
	} else {
		conn, end, err = lockSQLite(ctx, db)
	}
	if err != nil {
		return err
	}
	defer func() { err = end(err) }()

	r := revisions{conn, d}
	if err := r.init(ctx); err != nil {
		return fmt.Errorf("making the table of revisions: %w", err)
	}
	if err := r.known(ctx, dir); err != nil {
		return err
	}
	var drv migrate.Driver
	if d == dialect.Postgres {
		drv, err = postgres.Open(conn)
	} else {
		drv, err = sqlite.Open(conn)
	}
	if err != nil {
		return err
	}
	ex, err := migrate.NewExecutor(drv, dir, r, migrate.WithExecOrder(migrate.ExecOrderNonLinear))
	if err != nil {
		return err
	}
	if _, err := ex.Pending(ctx); errors.Is(err, migrate.ErrNoPendingFiles) {
		return nil
	} else if err != nil {
		return err
	}
	if err := ex.ExecuteN(ctx, 0); err != nil {
		return err
	}
	if file, ok := afterwards[d]; ok {
		text, err := migrations.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func lockPostgres(ctx context.Context, db *sql.DB) (schema.ExecQuerier, func(error) error, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(lockKey)); err != nil {
		return nil, nil, errors.Join(err, tx.Rollback())
	}
	return tx, func(err error) error {
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}, nil
}

// lockSQLite also takes foreign keys off, which is only possible outside of a transaction and needed to rebuild a
// table; they are checked before the commit.
func lockSQLite(ctx context.Context, db *sql.DB) (schema.ExecQuerier, func(error) error, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range []string{"PRAGMA foreign_keys = off", "BEGIN IMMEDIATE"} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, nil, errors.Join(err, conn.Close())
		}
	}
	return conn, func(err error) error {
		if err == nil {
			err = foreignKeysHold(ctx, conn)
		}
		verb := "COMMIT"
		if err != nil {
			verb = "ROLLBACK"
		}
		_, ended := conn.ExecContext(ctx, verb)
		_, on := conn.ExecContext(ctx, "PRAGMA foreign_keys = on")
		return errors.Join(err, ended, on, conn.Close())
	}, nil
}

func foreignKeysHold(ctx context.Context, conn *sql.Conn) error {
	rows, err := conn.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return err
	}
	defer rows.Close()
	if rows.Next() {
		return errors.New("the migration leaves rows that refer to nothing")
	}
	return rows.Err()
}

// sequence is all migrations of a dialect in one directory, each part checked against its own sum.
func sequence(d string) (migrate.Dir, error) {
	type file struct {
		name string
		text []byte
	}
	var files []file
	for _, part := range []string{"schema", "manual"} {
		root := "migrations/" + folder(d) + "/" + part
		entries, err := fs.ReadDir(migrations, root)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Name() == migrate.HashFileName {
				continue
			}
			text, err := migrations.ReadFile(root + "/" + e.Name())
			if err != nil {
				return nil, err
			}
			files = append(files, file{e.Name(), text})
		}
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	dir := &migrate.MemDir{}
	for _, f := range files {
		if err := dir.WriteFile(f.name, f.text); err != nil {
			return nil, err
		}
	}
	sum, err := dir.Checksum()
	if err != nil {
		return nil, err
	}
	return dir, migrate.WriteSumFile(dir, sum)
}

func folder(d string) string {
	if d == dialect.Postgres {
		return "postgres"
	}
	return "sqlite"
}

// revisions keeps what was applied, as Atlas asks for it (migrate.RevisionReadWriter).
type revisions struct {
	conn    schema.ExecQuerier
	dialect string
}

func (r revisions) init(ctx context.Context) error {
	_, err := r.conn.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_revisions (
		version varchar(255) PRIMARY KEY, description text NOT NULL, type int NOT NULL, applied int NOT NULL, total int NOT NULL,
		executed_at bigint NOT NULL, error text NOT NULL, error_stmt text NOT NULL, hash text NOT NULL)`)
	return err
}

// known refuses a database that a newer Tidings has migrated.
func (r revisions) known(ctx context.Context, dir migrate.Dir) error {
	files, err := dir.Files()
	if err != nil {
		return err
	}
	applied, err := r.ReadRevisions(ctx)
	if err != nil {
		return err
	}
	for _, a := range applied {
		if !slices.ContainsFunc(files, func(f migrate.File) bool { return f.Version() == a.Version }) {
			return fmt.Errorf("a newer Tidings has been here (revision %s): run that one, or restore a backup from before", a.Version)
		}
	}
	return nil
}

// Ident implements migrate.RevisionReadWriter.
func (r revisions) Ident() *migrate.TableIdent {
	if r.dialect == dialect.Postgres {
		return &migrate.TableIdent{Name: "schema_revisions", Schema: "public"}
	}
	return &migrate.TableIdent{Name: "schema_revisions"}
}

const revisionColumns = "version, description, type, applied, total, executed_at, error, error_stmt, hash"

func (r revisions) read(ctx context.Context, where string, args ...any) (all []*migrate.Revision, err error) {
	rows, err := r.conn.QueryContext(ctx, "SELECT "+revisionColumns+" FROM schema_revisions "+where+" ORDER BY version", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v migrate.Revision
		var at int64
		if err := rows.Scan(&v.Version, &v.Description, &v.Type, &v.Applied, &v.Total, &at, &v.Error, &v.ErrorStmt, &v.Hash); err != nil {
			return nil, err
		}
		v.ExecutedAt = time.UnixMilli(at)
		all = append(all, &v)
	}
	return all, rows.Err()
}

// ReadRevisions implements migrate.RevisionReadWriter.
func (r revisions) ReadRevisions(ctx context.Context) ([]*migrate.Revision, error) {
	return r.read(ctx, "")
}

// ReadRevision implements migrate.RevisionReadWriter.
func (r revisions) ReadRevision(ctx context.Context, version string) (*migrate.Revision, error) {
	found, err := r.read(ctx, "WHERE version = $1", version)
	if err == nil && len(found) == 0 {
		err = migrate.ErrRevisionNotExist
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// WriteRevision implements migrate.RevisionReadWriter.
func (r revisions) WriteRevision(ctx context.Context, v *migrate.Revision) error {
	_, err := r.conn.ExecContext(ctx, "INSERT INTO schema_revisions ("+revisionColumns+`) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)
		ON CONFLICT (version) DO UPDATE SET applied = excluded.applied, total = excluded.total, executed_at = excluded.executed_at,
		error = excluded.error, error_stmt = excluded.error_stmt, hash = excluded.hash`,
		v.Version, v.Description, int(v.Type), v.Applied, v.Total, v.ExecutedAt.UnixMilli(), v.Error, v.ErrorStmt, v.Hash)
	return err
}

// DeleteRevision implements migrate.RevisionReadWriter.
func (r revisions) DeleteRevision(ctx context.Context, version string) error {
	_, err := r.conn.ExecContext(ctx, "DELETE FROM schema_revisions WHERE version = $1", version)
	return err
}
