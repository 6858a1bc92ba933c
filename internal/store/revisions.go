package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/schema"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	sqlite3 "modernc.org/sqlite/lib"
)

// revisionsTable says which migrations a database holds.
const revisionsTable = "schema_revisions"

// revisions keeps Atlas's revisions in a table of the database itself. Its statements are the same on both.
type revisions struct{ db schema.ExecQuerier }

const revisionColumns = "version, description, type, applied, total, executed_at, execution_time, error, error_stmt, hash, operator_version"

func (r revisions) init(ctx context.Context) error {
	_, err := r.db.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+revisionsTable+` (
		version varchar(255) PRIMARY KEY, description text NOT NULL, type integer NOT NULL, applied integer NOT NULL, total integer NOT NULL,
		executed_at bigint NOT NULL, execution_time bigint NOT NULL, error text NOT NULL, error_stmt text NOT NULL, hash text NOT NULL, operator_version text NOT NULL)`)
	return err
}

// noSuchTable reports whether err says that there is no table of revisions yet.
func noSuchTable(err error) bool {
	return pq.As(err, pqerror.UndefinedTable) != nil || isSQLite(err, sqlite3.SQLITE_ERROR) && strings.Contains(err.Error(), "no such table: "+revisionsTable)
}

// Ident names the table.
func (r revisions) Ident() *migrate.TableIdent { return &migrate.TableIdent{Name: revisionsTable} }

// ReadRevisions returns all of them, by version.
func (r revisions) ReadRevisions(ctx context.Context) ([]*migrate.Revision, error) {
	return r.read(ctx, "ORDER BY version")
}

// ReadRevision returns one, or migrate.ErrRevisionNotExist.
func (r revisions) ReadRevision(ctx context.Context, version string) (*migrate.Revision, error) {
	revs, err := r.read(ctx, "WHERE version = $1", version)
	if err != nil {
		return nil, err
	}
	if len(revs) == 0 {
		return nil, migrate.ErrRevisionNotExist
	}
	return revs[0], nil
}

func (r revisions) read(ctx context.Context, where string, args ...any) (revs []*migrate.Revision, err error) {
	rows, err := r.db.QueryContext(ctx, "SELECT "+revisionColumns+" FROM "+revisionsTable+" "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			v      migrate.Revision
			at, ms int64
		)
		if err := rows.Scan(&v.Version, &v.Description, &v.Type, &v.Applied, &v.Total, &at, &ms, &v.Error, &v.ErrorStmt, &v.Hash, &v.OperatorVersion); err != nil {
			return nil, err
		}
		v.ExecutedAt, v.ExecutionTime = time.UnixMilli(at), time.Duration(ms)*time.Millisecond
		revs = append(revs, &v)
	}
	return revs, rows.Err()
}

// WriteRevision adds a revision or replaces the one of its version. What Atlas keeps to go on after half a migration is
// not stored: a run is one transaction, and leaves all of it or nothing.
func (r revisions) WriteRevision(ctx context.Context, v *migrate.Revision) error {
	_, err := r.db.ExecContext(ctx, "INSERT INTO "+revisionsTable+" ("+revisionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) "+
		`ON CONFLICT (version) DO UPDATE SET applied = excluded.applied, total = excluded.total, executed_at = excluded.executed_at,
		execution_time = excluded.execution_time, error = excluded.error, error_stmt = excluded.error_stmt, hash = excluded.hash`,
		v.Version, v.Description, int64(v.Type), v.Applied, v.Total, v.ExecutedAt.UnixMilli(), v.ExecutionTime.Milliseconds(), v.Error, v.ErrorStmt, v.Hash, v.OperatorVersion)
	if err != nil {
		return fmt.Errorf("noting migration %s: %w", v.Version, err)
	}
	return nil
}

// DeleteRevision removes one.
func (r revisions) DeleteRevision(ctx context.Context, version string) error {
	_, err := r.db.ExecContext(ctx, "DELETE FROM "+revisionsTable+" WHERE version = $1", version)
	return err
}
