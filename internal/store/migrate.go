package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ariga.io/atlas/sql/migrate"
	"ariga.io/atlas/sql/postgres"
	"ariga.io/atlas/sql/schema"
	"ariga.io/atlas/sql/sqlite"
	"entgo.io/ent/dialect"

	"tidings/internal/store/migrations"
)

// ErrNewer says that a database holds migrations which this program does not know.
var ErrNewer = errors.New("the database was migrated by a newer Tidings than this one")

// migrationLock is the key of the advisory lock on Postgres under which one process migrates: "tidings" in ASCII.
const migrationLock = 0x74_69_64_69_6e_67_73

// A migrator brings one database up to a directory of migrations.
type migrator struct {
	dir migrate.Dir
	// open returns Atlas's driver on a connection.
	open func(schema.ExecQuerier) (migrate.Driver, error)
	// after runs on the same connection when migrations have run.
	after func(context.Context, schema.ExecQuerier) error
	// strangers counts the tables beside $1, that of the revisions.
	strangers string
}

func migrateSQLite(ctx context.Context, db *sql.DB) error {
	dir, err := migrations.Of(dialect.SQLite)
	if err != nil {
		return err
	}
	return migrateSQLiteTo(ctx, db, dir)
}

func migrateSQLiteTo(ctx context.Context, db *sql.DB, dir migrate.Dir) error {
	m := migrator{dir: dir, open: sqlite.Open, after: restoreSearchTriggers,
		strangers: `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> $1`}
	if done, err := m.current(ctx, db); done || err != nil {
		return err
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	defer c.Close()
	// A table is changed by making it anew, which foreign keys must not hinder. They can be switched only outside of a
	// transaction, and are checked before it commits.
	if _, err := c.ExecContext(ctx, "PRAGMA foreign_keys = off"); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if _, err = c.ExecContext(ctx, "BEGIN IMMEDIATE"); err == nil {
		end := "COMMIT"
		if err = m.run(ctx, c); err == nil {
			err = checkForeignKeys(ctx, c)
		}
		if err != nil {
			end = "ROLLBACK"
		}
		_, ended := c.ExecContext(context.WithoutCancel(ctx), end)
		err = errors.Join(err, ended)
	}
	_, on := c.ExecContext(context.WithoutCancel(ctx), "PRAGMA foreign_keys = on")
	if err := errors.Join(err, on); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

func migratePostgres(ctx context.Context, db *sql.DB) error {
	dir, err := migrations.Of(dialect.Postgres)
	if err != nil {
		return err
	}
	return migratePostgresTo(ctx, db, dir)
}

func migratePostgresTo(ctx context.Context, db *sql.DB, dir migrate.Dir) error {
	m := migrator{dir: dir, open: postgres.Open, after: func(context.Context, schema.ExecQuerier) error { return nil },
		// What an extension has put there is not in the way.
		strangers: `SELECT count(*) FROM pg_class c WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND relname <> $1
			AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')`}
	if done, err := m.current(ctx, db); done || err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	if _, err = tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", migrationLock); err == nil {
		err = m.run(ctx, tx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("migrating: %w", err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// current reports, in one query and without a lock, whether there is nothing to do.
func (m migrator) current(ctx context.Context, db schema.ExecQuerier) (bool, error) {
	revs, err := revisions{db}.ReadRevisions(ctx)
	if noSuchTable(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading what the database was migrated to: %w", err)
	}
	missing, err := m.compare(revs)
	return missing == 0, err
}

// compare returns how many migrations the database lacks, and an error when it holds others than this program has.
func (m migrator) compare(revs []*migrate.Revision) (missing int, err error) {
	sum, err := m.dir.Checksum()
	if err != nil {
		return 0, fmt.Errorf("summing the migrations: %w", err)
	}
	known := map[string]string{}
	for _, f := range sum {
		version, _, _ := strings.Cut(f.N, "_")
		known[version] = f.H
	}
	for _, r := range revs {
		hash, ok := known[r.Version]
		switch {
		case !ok:
			return 0, fmt.Errorf("%w: it holds migration %s_%s", ErrNewer, r.Version, r.Description)
		case hash != r.Hash:
			return 0, fmt.Errorf("the database's migration %s_%s, or one before it, is not the one that this Tidings knows", r.Version, r.Description)
		}
		delete(known, r.Version)
	}
	return len(known), nil
}

// run applies what is missing on a connection that holds the lock and a transaction.
func (m migrator) run(ctx context.Context, c schema.ExecQuerier) error {
	revs := revisions{c}
	if err := revs.init(ctx); err != nil {
		return fmt.Errorf("making the table of migrations: %w", err)
	}
	applied, err := revs.ReadRevisions(ctx)
	if err != nil {
		return fmt.Errorf("reading what the database was migrated to: %w", err)
	}
	if missing, err := m.compare(applied); missing == 0 || err != nil { // another process was first
		return err
	}
	if len(applied) == 0 {
		if err := m.vacant(ctx, c); err != nil {
			return err
		}
	}
	driver, err := m.open(c)
	if err != nil {
		return fmt.Errorf("inspecting the database: %w", err)
	}
	ex, err := migrate.NewExecutor(driver, m.dir, revs, migrate.WithExecOrder(migrate.ExecOrderLinear), migrate.WithAllowDirty(true))
	if err != nil {
		return fmt.Errorf("preparing the migrations: %w", err)
	}
	if err := ex.ExecuteN(ctx, 0); err != nil {
		return err
	}
	return m.after(ctx, c)
}

// vacant returns an error when a database that was never migrated holds tables.
func (m migrator) vacant(ctx context.Context, c schema.ExecQuerier) error {
	var tables int
	if err := scanOne(ctx, c, &tables, m.strangers, revisionsTable); err != nil {
		return fmt.Errorf("looking whether the database is empty: %w", err)
	}
	if tables > 0 {
		return errors.New("it holds tables of something else: give Tidings a database of its own")
	}
	return nil
}

// scanOne runs a query of one row with one column.
func scanOne(ctx context.Context, c schema.ExecQuerier, v any, query string, args ...any) error {
	rows, err := c.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(rows.Err(), sql.ErrNoRows)
	}
	return errors.Join(rows.Scan(v), rows.Close())
}

// checkForeignKeys returns an error when a row refers to one that is not there.
func checkForeignKeys(ctx context.Context, c schema.ExecQuerier) error {
	rows, err := c.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return fmt.Errorf("checking foreign keys: %w", err)
	}
	defer rows.Close()
	if rows.Next() {
		var table, parent sql.NullString
		var row, key sql.NullInt64
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			return fmt.Errorf("checking foreign keys: %w", err)
		}
		return fmt.Errorf("a row of %s refers to a row of %s that is not there", table.String, parent.String)
	}
	return rows.Err()
}

// restoreSearchTriggers makes the triggers that keep the search index what they should be, and fills the index anew when
// they were not: the table they belong to was then made anew without them.
func restoreSearchTriggers(ctx context.Context, c schema.ExecQuerier) error {
	wanted := map[string]string{}
	create, err := (&sqlite.Driver{}).ScanStmts(migrations.SearchTriggers)
	if err != nil {
		return fmt.Errorf("reading the search triggers: %w", err)
	}
	for _, s := range create {
		wanted[strings.Fields(s.Text)[2]] = strings.TrimSuffix(s.Text, ";")
	}
	there := map[string]string{}
	rows, err := c.QueryContext(ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'post_search_%'")
	if err != nil {
		return fmt.Errorf("looking for the search triggers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return fmt.Errorf("looking for the search triggers: %w", err)
		}
		there[name] = text
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("looking for the search triggers: %w", err)
	}
	if maps.Equal(wanted, there) {
		return nil
	}
	var statements []string
	for _, name := range slices.Sorted(maps.Keys(there)) {
		statements = append(statements, "DROP TRIGGER "+name)
	}
	refill, err := (&sqlite.Driver{}).ScanStmts(migrations.SearchRefill)
	if err != nil {
		return fmt.Errorf("reading how to fill the search index: %w", err)
	}
	for _, s := range append(create, refill...) {
		statements = append(statements, s.Text)
	}
	for _, s := range statements {
		if _, err := c.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("making the search index: %w", err)
		}
	}
	return nil
}
