package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"tidings/ent"
)

// busyTimeout is how long a statement waits for another process's lock before it fails with SQLITE_BUSY. Inside the
// process nobody waits here: writers queue for the one connection that writes, as long as their contexts allow.
const busyTimeout = 5 * time.Second

// sqlitePragmas are set on every connection: foreign keys count (SQLite ignores them by default), and a commit is on the
// disk before it is acknowledged, so that it survives the machine, not only the process (synchronous=FULL; in WAL mode
// NORMAL would lose the last commits with the power).
var sqlitePragmas = []string{"foreign_keys(1)", fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "synchronous(FULL)"}

// sqliteWriterPragmas are set by the writer for all: readers and the writer don't block each other (WAL), and the log
// file is cut down to 64 MiB again after a reader has made it grow.
var sqliteWriterPragmas = []string{"journal_mode(WAL)", "journal_size_limit(67108864)"}

func openSQLite(ctx context.Context, t Target) (*Store, error) {
	path, err := sqlitePath(t.DSN)
	if err != nil {
		return nil, err
	}
	write, err := openWriter(ctx, path)
	if err != nil {
		return nil, explainSQLite(path, err)
	}
	if err := migrateSQLite(ctx, write); err != nil {
		return nil, errors.Join(explainSQLite(path, err), write.Close())
	}
	read, err := openSQLiteDB(sqliteDSN(path, url.Values{"mode": {"ro"}}, nil))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), write.Close())
	}
	n := orElse(t.MaxConns, max(4, cpus()))
	read.SetMaxOpenConns(n)
	read.SetMaxIdleConns(n)
	d := &sqliteDriver{Driver: entsql.NewDriver(dialect.SQLite, entsql.Conn{ExecQuerier: split{write: write, read: read}}), write: write, read: read}
	return &Store{
		dialect: dialect.SQLite,
		dsn:     path,
		client:  ent.NewClient(ent.Driver(d)),
		ping:    pinger(read),
		close:   d.Close,
	}, nil
}

// sqlitePath checks what can be said of a path before SQLite says it worse, and makes it absolute, so that no path means
// anything else to SQLite (":memory:" is a file of that name).
func sqlitePath(path string) (string, error) {
	if path == "" {
		return "", errors.New("the database file has no name")
	}
	if strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("the name of the database file %q holds a NUL", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the database file: %w", err)
	}
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return "", fmt.Errorf("the database file %s is a directory", path)
	case err == nil && !info.Mode().IsRegular():
		return "", fmt.Errorf("the database file %s is not a regular file", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("the database file %s can't be used: %w", path, errors.Unwrap(err))
	case err != nil:
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return "", fmt.Errorf("the directory of the database file %s does not exist", path)
		}
		// SQLite would make it readable for everyone, and its log files are made like it.
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) { // by now. To open and close it would break the locks of this process on it
			return path, nil
		}
		if err != nil {
			return "", fmt.Errorf("the database file %s can't be made: %w", path, errors.Unwrap(err))
		}
		if err := f.Close(); err != nil {
			return "", fmt.Errorf("the database file %s can't be made: %w", path, err)
		}
	}
	return path, nil
}

// sqliteDSN is the URI of a connection. Times are stored as UTC text that sorts in time order and comes back equal.
func sqliteDSN(path string, extra url.Values, pragmas []string) string {
	q := url.Values{"_pragma": append(append([]string{}, sqlitePragmas...), pragmas...), "_time_format": {"sqlite"}, "_timezone": {"UTC"}}
	for k, v := range extra {
		q[k] = v
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") { // a Windows drive
		slashed = "/" + slashed
	}
	return "file:" + (&url.URL{Path: slashed}).EscapedPath() + "?" + q.Encode()
}

// openWriter opens the one connection that writes. Transactions on it take the write lock when they begin: one that took
// it later would fail with SQLITE_BUSY whenever another process had written since.
func openWriter(ctx context.Context, path string) (*sql.DB, error) {
	db, err := openSQLiteDB(sqliteDSN(path, url.Values{"_txlock": {"immediate"}}, sqliteWriterPragmas))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	// The switch to WAL, once in a file's life, does not wait for other processes that are opening the file.
	for deadline := time.Now().Add(busyTimeout); ; {
		err = db.PingContext(ctx)
		if !isSQLite(err, sqlite3.SQLITE_BUSY) || time.Now().After(deadline) {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), db.Close())
		}
	}
	if err == nil { // SQLite opens a file that it can't write all the same, and says so at the first write
		_, err = db.ExecContext(ctx, "BEGIN IMMEDIATE; PRAGMA user_version = 0; ROLLBACK")
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// isSQLite reports whether err is SQLite's, of one of the primary codes.
func isSQLite(err error, codes ...int) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code()&0xff == c {
			return true
		}
	}
	return false
}

// explainSQLite says in a sentence why the file can't be opened.
func explainSQLite(path string, err error) error {
	switch {
	case isSQLite(err, sqlite3.SQLITE_NOTADB):
		return fmt.Errorf("%s is not a SQLite database", path)
	case isSQLite(err, sqlite3.SQLITE_CORRUPT):
		return fmt.Errorf("the database %s is damaged: %w", path, err)
	case isSQLite(err, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
		return fmt.Errorf("the database %s can't be written: its file and directory must be writable", path)
	case isSQLite(err, sqlite3.SQLITE_BUSY):
		return fmt.Errorf("the database %s is locked by another process", path)
	case isSQLite(err, sqlite3.SQLITE_FULL):
		return fmt.Errorf("there is no space left for the database %s", path)
	}
	return fmt.Errorf("opening the database %s: %w", path, err)
}

// split sends what writes to one pool and what only reads to another.
type split struct{ write, read *sql.DB }

func (s split) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return s.write.ExecContext(ctx, query, args...)
}

func (s split) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if onlyReads(query) {
		return s.read.QueryContext(ctx, query, args...)
	}
	return s.write.QueryContext(ctx, query, args...)
}

// onlyReads reports whether a query surely writes nothing; INSERT … RETURNING is a query too. The writer can run
// everything, so a false no costs time only, and the readers' connections can't write, so a false yes is an error.
func onlyReads(query string) bool {
	query = strings.TrimLeft(query, " \t\r\n(")
	if len(query) < 6 {
		return false
	}
	if strings.EqualFold(query[:6], "SELECT") {
		return true
	}
	if !strings.EqualFold(query[:4], "WITH") {
		return false
	}
	query = strings.ToUpper(query)
	return !strings.Contains(query, "INSERT") && !strings.Contains(query, "UPDATE") && !strings.Contains(query, "DELETE") && !strings.Contains(query, "REPLACE")
}

// sqliteDriver is ent's view of the two pools: what the split decides for statements, it decides for transactions.
type sqliteDriver struct {
	*entsql.Driver
	write, read *sql.DB
}

// Tx begins a transaction on the connection that writes.
func (d *sqliteDriver) Tx(ctx context.Context) (dialect.Tx, error) { return d.BeginTx(ctx, nil) }

// BeginTx begins a transaction: a read-only one, which keeps one view of the database and holds up nobody, on a
// connection that reads.
func (d *sqliteDriver) BeginTx(ctx context.Context, opts *sql.TxOptions) (dialect.Tx, error) {
	db := d.write
	if opts != nil && opts.ReadOnly {
		db = d.read
	}
	return entsql.OpenDB(dialect.SQLite, db).BeginTx(ctx, opts)
}

// Close closes the readers first, so that the writer, as the last to leave, folds the write-ahead log into the file.
func (d *sqliteDriver) Close() error { return errors.Join(d.read.Close(), d.write.Close()) }

func pinger(db *sql.DB) func(context.Context) error {
	return func(ctx context.Context) error {
		var n int
		return db.QueryRowContext(ctx, "SELECT count(*) FROM "+revisionsTable).Scan(&n)
	}
}
