package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	_ "modernc.org/sqlite"
)

// Writers wait for each other in the process, on the one connection that writes; busyTimeout, in milliseconds, is for
// other processes on the same file.
const busyTimeout = 5000

// sqliteDSN is a connection string for path. Times are written as text in UTC, so that they sort, and read as UTC, so
// that a time read again equals the one written. Transactions take the write lock when they begin: one that reads first
// and then wants to write could only fail.
//
// synchronous is FULL: what was acknowledged survives a power loss, not only the end of the process.
func sqliteDSN(path string, readOnly bool) string {
	q := url.Values{"_time_format": {"sqlite"}, "_timezone": {"UTC"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyTimeout), "foreign_keys(1)",
	}}
	if readOnly {
		q.Set("mode", "ro")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Set("_txlock", "immediate")
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)")
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// openSQLite opens one connection that writes beside several that read.
func openSQLite(ctx context.Context, path string) (*Store, error) {
	if dir := filepath.Dir(path); dir != "." {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("there is no directory %q", dir)
		}
	}
	writer, err := sql.Open("sqlite", sqliteDSN(path, false))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	if err := create(ctx, writer); err != nil {
		return nil, errors.Join(plainSQLite(err), writer.Close())
	}
	readers, err := sql.Open("sqlite", sqliteDSN(path, true))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	n := max(4, runtime.NumCPU())
	readers.SetMaxOpenConns(n)
	readers.SetMaxIdleConns(n)
	driver := split{entsql.OpenDB(dialect.SQLite, writer), entsql.OpenDB(dialect.SQLite, readers)}
	return newStore(dialect.SQLite, driver, writer, readers), nil
}

// create connects, which makes the file; readers can't. Of several processes that make it at once, those that find it
// on its way to WAL are told so without waiting: they try again for as long as they would have waited.
func create(ctx context.Context, writer *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, busyTimeout*time.Millisecond)
	defer cancel()
	for {
		err := writer.PingContext(ctx)
		if err == nil || !strings.Contains(err.Error(), "(5)") && !strings.Contains(err.Error(), "(261)") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// plainSQLite says in words what the commonest result codes mean (https://sqlite.org/rescode.html).
func plainSQLite(err error) error {
	for code, words := range map[string]string{
		"(14)":  "the file can't be opened: check that its directory and the file itself can be written",
		"(26)":  "the file is not a SQLite database",
		"(8)":   "the file can't be written",
		"(776)": "the file can't be written",
		"(5)":   "another process holds the file",
	} {
		if strings.Contains(err.Error(), code) {
			return errors.New(words)
		}
	}
	return err
}
