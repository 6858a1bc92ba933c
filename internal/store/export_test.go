package store

import (
	"context"
	"database/sql"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	"github.com/lib/pq"
)

const (
	MaxStatements       = maxStatements
	MaxSQLiteStatements = maxSQLiteStatements
	MaxSQLiteText       = maxSQLiteText
)

var (
	OnlyReads = onlyReads
	QueryRows = queryRows
)

// OpenPostgresPool opens a database with connections such as a Store's.
func OpenPostgresPool(url string, conns int) (*sql.DB, error) {
	connector, err := pq.NewConnector(url)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(cachingConnector{connector})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// OpenSQLitePool opens a file with connections such as a Store's, but that all of them write.
func OpenSQLitePool(path string, conns int) (*sql.DB, error) {
	db, err := openSQLiteDB(sqliteDSN(path, nil, sqliteWriterPragmas))
	if err == nil {
		db.SetMaxOpenConns(conns)
	}
	return db, err
}

// MigrateTo brings a target to a directory of migrations that is not the program's own.
func MigrateTo(ctx context.Context, t Target, dir migrate.Dir) (err error) {
	var db *sql.DB
	if t.Dialect == dialect.SQLite {
		if db, err = openWriter(ctx, t.DSN); err != nil {
			return err
		}
		defer db.Close()
		return migrateSQLiteTo(ctx, db, dir)
	}
	if db, err = sql.Open("postgres", t.DSN); err != nil {
		return err
	}
	defer db.Close()
	return migratePostgresTo(ctx, db, dir)
}
