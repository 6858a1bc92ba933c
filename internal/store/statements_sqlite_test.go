package store_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"

	"tidings/internal/store"
)

// sqlitePool opens a file of its own with connections such as a store's.
func sqlitePool(t testing.TB, conns int) *stdsql.DB {
	t.Helper()
	db := must[*stdsql.DB](t)(store.OpenSQLitePool(filepath.Join(t.TempDir(), "x.db"), conns))
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// preparedBytes is what the prepared statements of a pool's one connection take.
func preparedBytes(t testing.TB, db *stdsql.DB) (n int) {
	t.Helper()
	c := must[*stdsql.Conn](t)(db.Conn(t.Context()))
	defer c.Close()
	if err := c.Raw(func(driver any) (err error) {
		n, _, err = driver.(sqlite.DBStatus).Status(sqlite.DBStatusStmtUsed, false)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSQLiteStatementsArePreparedOnce(t *testing.T) {
	db := sqlitePool(t, 1)
	ctx := t.Context()
	must[stdsql.Result](t)(db.ExecContext(ctx, "CREATE TABLE x (n int)"))
	// A statement that SQLite prepares again asks the authorizer again.
	asked := 0
	c := must[*stdsql.Conn](t)(db.Conn(ctx))
	if err := c.Raw(func(driver any) error {
		return driver.(sqlite.AuthorizerRegisterer).RegisterAuthorizer(func(sqlite.AuthorizerActionCode, string, string, string, string) sqlite.AuthorizerReturnCode {
			asked++
			return sqlite.AuthorizerOK
		})
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, run := range []func(i int){
		func(i int) { must[stdsql.Result](t)(db.ExecContext(ctx, "INSERT INTO x VALUES ($1)", i)) },
		func(i int) { _ = must[int](t)(one[int](ctx, db, "SELECT count(*) FROM x WHERE n < $1", i)) },
		func(i int) { _ = must[int](t)(one[int](ctx, db, "WITH y AS (SELECT n FROM x) SELECT sum(n) FROM y")) },
		func(i int) { must[stdsql.Result](t)(db.ExecContext(ctx, "UPDATE x SET n = $1", i)) },
		func(i int) { _ = must[int](t)(one[int](ctx, db, "INSERT INTO x VALUES ($1) RETURNING n", i)) },
		func(i int) {
			tx := must[*stdsql.Tx](t)(db.BeginTx(ctx, nil))
			must[stdsql.Result](t)(tx.ExecContext(ctx, "INSERT INTO x VALUES ($1)", i))
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			asked -= 2 // BEGIN, ROLLBACK
		},
		func(i int) { must[stdsql.Result](t)(db.ExecContext(ctx, "DELETE FROM x WHERE n > $1", i)) },
	} {
		run(100)
		asked = 0
		for i := range 10 {
			run(100 + i)
		}
		if asked != 0 {
			t.Errorf("SQLite asked %d times whether it may prepare", asked)
		}
	}
}

func TestSQLiteStatementsAreBounded(t *testing.T) {
	db := sqlitePool(t, 1)
	ctx := t.Context()
	most := 0
	for round := range 2 {
		for i := range 3 * store.MaxSQLiteStatements {
			if got := must[int](t)(one[int](ctx, db, fmt.Sprintf("SELECT $1 + %d", i), 1)); got != i+1 {
				t.Fatalf("round %d: statement %d gave %d", round, i, got)
			}
			if i == store.MaxSQLiteStatements-1 && round == 0 {
				most = preparedBytes(t, db)
			}
		}
		if n := preparedBytes(t, db); n > most+most/10 {
			t.Errorf("%d bytes are taken, and %d when it was full", n, most)
		}
	}
	long := "SELECT 1 AS " + strings.Repeat("x", store.MaxSQLiteText)
	before := preparedBytes(t, db)
	_ = must[int](t)(one[int](ctx, db, long))
	if n := preparedBytes(t, db); n != before {
		t.Errorf("a statement of %d bytes is kept: %d bytes, and %d before", len(long), n, before)
	}
	// While more are read at once than are kept, each has a statement of its own.
	tx := must[*stdsql.Tx](t)(db.BeginTx(ctx, nil))
	var all []*stdsql.Rows
	for i := range 2 * store.MaxSQLiteStatements {
		rows := must[*stdsql.Rows](t)(tx.QueryContext(ctx, fmt.Sprintf("WITH RECURSIVE n(n) AS (VALUES ($1) UNION ALL SELECT n + 1 FROM n) SELECT n FROM n LIMIT %d", 3+i), i))
		all = append(all, rows)
	}
	for i, rows := range all {
		n := i
		for ; rows.Next(); n++ {
			var got int
			if err := rows.Scan(&got); err != nil || got != n {
				t.Fatalf("%d, and %d expected: %v", got, n, err)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != i+3+i {
			t.Errorf("%d rows, %v", n-i, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// Two readings of the same query at once, in one transaction, don't disturb each other.
func TestSQLiteStatementsAreNotUsedTwiceAtOnce(t *testing.T) {
	db := sqlitePool(t, 1)
	ctx := t.Context()
	const query = "WITH RECURSIVE n(n) AS (VALUES ($1) UNION ALL SELECT n + 1 FROM n) SELECT n FROM n LIMIT 100"
	for range 3 {
		tx := must[*stdsql.Tx](t)(db.BeginTx(ctx, nil))
		var readings []*stdsql.Rows
		for _, from := range []int{1000, 2000, 3000} {
			readings = append(readings, must[*stdsql.Rows](t)(tx.QueryContext(ctx, query, from)))
		}
		for n := range 100 {
			for i, rows := range readings {
				var got int
				if !rows.Next() {
					t.Fatal(rows.Err())
				}
				if err := rows.Scan(&got); err != nil || got != 1000*(i+1)+n {
					t.Fatalf("reading %d has %d, and not %d: %v", i, got, 1000*(i+1)+n, err)
				}
			}
			if n == 50 { // one ends early, and is begun again
				if err := readings[1].Close(); err != nil {
					t.Fatal(err)
				}
				readings[1] = must[*stdsql.Rows](t)(tx.QueryContext(ctx, query, 2000+n+1))
			}
		}
		for _, rows := range readings {
			if err := rows.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a statement returns may change under it, on this connection or by another process.
func TestSQLiteStatementsFollowTheSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := must[*stdsql.DB](t)(store.OpenSQLitePool(path, 1))
	t.Cleanup(func() { _ = db.Close() })
	other := openRaw(t, store.Target{Dialect: "sqlite3", DSN: path})
	ctx := t.Context()
	columns := func() (string, error) {
		rows, err := db.QueryContext(ctx, "SELECT * FROM wide WHERE a = $1", 7)
		if err != nil {
			return "", err
		}
		defer rows.Close()
		types, err := rows.ColumnTypes()
		var found []string
		for _, typ := range types {
			found = append(found, typ.Name()+" "+typ.DatabaseTypeName())
		}
		for rows.Next() {
			values := make([]any, len(types))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				return "", err
			}
			for _, v := range values {
				found = append(found, fmt.Sprint(*v.(*any)))
			}
		}
		return strings.Join(found, ", "), errors.Join(err, rows.Err(), rows.Close())
	}
	own := func(query string) { must[stdsql.Result](t)(db.ExecContext(ctx, query)) }
	own("CREATE TABLE wide (a int); INSERT INTO wide VALUES (7); INSERT INTO wide VALUES (8)") // several at once
	for _, step := range []struct {
		change func(string)
		query  string
		want   string
	}{
		{own, "SELECT 1", "a INT, 7"},
		{own, "ALTER TABLE wide ADD COLUMN b text DEFAULT 'x'", "a INT, b TEXT, 7, x"},
		{func(q string) { other.exec(q) }, "ALTER TABLE wide ADD COLUMN c int", "a INT, b TEXT, c INT, 7, x, <nil>"},
		{func(q string) { other.exec(q) }, "DELETE FROM wide", "a INT, b TEXT, c INT"},
		{own, "ALTER TABLE wide RENAME COLUMN b TO d", "a INT, d TEXT, c INT"},
		{own, "INSERT INTO wide VALUES (7, 'y', 1); INSERT INTO wide VALUES (7, 'z', 2)", "a INT, d TEXT, c INT, 7, y, 1, 7, z, 2"},
		{func(q string) { other.exec(q) }, "ALTER TABLE wide DROP COLUMN c", "a INT, d TEXT, 7, y, 7, z"},
		{own, "CREATE INDEX wide_a ON wide (a); ANALYZE; VACUUM", "a INT, d TEXT, 7, y, 7, z"},
	} {
		step.change(step.query)
		for range 2 {
			if got := must[string](t)(columns()); got != step.want {
				t.Errorf("after %s: %s\nwant %s", step.query, got, step.want)
			}
		}
	}
	own("DROP TABLE wide")
	for range 2 {
		if _, err := columns(); err == nil || !strings.Contains(err.Error(), "no such table") {
			t.Errorf("of a table that is gone it says %v", err)
		}
	}
	own("CREATE TABLE wide (a int)")
	if got := must[string](t)(columns()); got != "a INT" {
		t.Errorf("of a new table it says %s", got)
	}
}

func TestSQLiteStatementsFailAsThemselves(t *testing.T) {
	db := sqlitePool(t, 1)
	ctx := t.Context()
	must[stdsql.Result](t)(db.ExecContext(ctx, "CREATE TABLE x (n int UNIQUE, t text)"))
	insert := func(n int, text string) error {
		_, err := db.ExecContext(ctx, "INSERT INTO x VALUES ($1, $2)", n, text)
		return err
	}
	for range 3 {
		if err := insert(1, "one"); err != nil {
			t.Fatal(err)
		}
		if err := insert(1, "again"); err == nil || !strings.Contains(err.Error(), "UNIQUE constraint failed: x.n") {
			t.Errorf("it says %v", err)
		}
		if got := must[string](t)(one[string](ctx, db, "SELECT t FROM x WHERE n = $1", 1)); got != "one" {
			t.Errorf("got %q", got)
		}
		res := must[stdsql.Result](t)(db.ExecContext(ctx, "DELETE FROM x WHERE n = $1", 1))
		if n, err := res.RowsAffected(); n != 1 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		if _, err := db.ExecContext(ctx, "INSERT INTO x VALUES ($1, $2)", 1); err == nil || !strings.Contains(err.Error(), "missing named argument") {
			t.Errorf("of an argument too few it says %v", err)
		}
		if _, err := db.ExecContext(ctx, "SELECT $1 FROM nowhere", 1); err == nil || !strings.Contains(err.Error(), "no such table") {
			t.Errorf("it says %v", err)
		}
		rows := must[*stdsql.Rows](t)(db.QueryContext(ctx, "SELECT abs(n) FROM (SELECT $1 AS n UNION ALL SELECT $2)", 1, int64(-1)<<63))
		for rows.Next() { // the second fails
		}
		if err := rows.Err(); err == nil || !strings.Contains(err.Error(), "integer overflow") {
			t.Errorf("it says %v", err)
		}
		_ = rows.Close()
		rows = must[*stdsql.Rows](t)(db.QueryContext(ctx, "SELECT abs(n) FROM (SELECT $1 AS n UNION ALL SELECT $2)", 1, 2))
		n := 0
		for rows.Next() {
			n++
		}
		if err := errors.Join(rows.Err(), rows.Close()); n != 2 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
	}
}

// What rests holds no lock, and keeps no view of the database.
func TestSQLiteStatementsRest(t *testing.T) {
	db := sqlitePool(t, 2)
	ctx := t.Context()
	must[stdsql.Result](t)(db.ExecContext(ctx, "CREATE TABLE x (n int)"))
	a, b := must[*stdsql.Conn](t)(db.Conn(ctx)), must[*stdsql.Conn](t)(db.Conn(ctx))
	defer a.Close()
	defer b.Close()
	for i := range 5 {
		if n := must[int](t)(one[int](ctx, a, "SELECT count(*) FROM x")); n != i {
			t.Errorf("%d rows, want %d", n, i)
		}
		rows := must[*stdsql.Rows](t)(a.QueryContext(ctx, "SELECT n FROM x WHERE n >= $1", 0))
		if i > 0 && !rows.Next() { // and is not read to its end
			t.Fatal(rows.Err())
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		must[stdsql.Result](t)(b.ExecContext(ctx, "INSERT INTO x VALUES ($1)", i))
		// Which waits for nobody, and takes the whole log, if nobody reads.
		var busy, pages, done int
		if err := b.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &done); err != nil || busy != 0 {
			t.Errorf("busy %d, %v", busy, err)
		}
	}
}

func TestSQLiteStatementsGiveUpWithTheirContext(t *testing.T) {
	db := sqlitePool(t, 1)
	const endless = "WITH RECURSIVE n(n) AS (VALUES ($1) UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n"
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		if _, err := one[int](ctx, db, endless, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it says %v", err)
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it gave up after %v", took)
		}
		cancel()
		ctx, cancel = context.WithCancel(t.Context())
		rows := must[*stdsql.Rows](t)(db.QueryContext(ctx, "WITH RECURSIVE n(n) AS (VALUES ($1) UNION ALL SELECT n + 1 FROM n) SELECT n FROM n", 1))
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		cancel()
		for rows.Next() {
		}
		if err := rows.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("it says %v", err)
		}
		_ = rows.Close()
		for i := range 20 {
			if got := must[int](t)(one[int](t.Context(), db, "SELECT $1", i)); got != i {
				t.Errorf("got %d", got)
			}
		}
	}
}

// A connection that is closed leaves nothing open: no statement, and so no file.
func TestSQLiteStatementsCloseWithTheirConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db := must[*stdsql.DB](t)(store.OpenSQLitePool(path, 4))
	ctx := t.Context()
	must[stdsql.Result](t)(db.ExecContext(ctx, "CREATE TABLE x (n int)"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 10 {
				if _, err := one[int](ctx, db, fmt.Sprintf("SELECT count(*) + %d FROM x WHERE n < $1", i), 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) { // which the last connection to close takes away
		t.Errorf("a connection is open still: %v", err)
	}
}

func TestSQLiteStatementsCarryEveryKindOfValue(t *testing.T) {
	db := sqlitePool(t, 1)
	ctx := t.Context()
	must[stdsql.Result](t)(db.ExecContext(ctx, "CREATE TABLE kinds (id int PRIMARY KEY, b blob, n bigint, t text, f real, y bool, at datetime)"))
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	for i, text := range []any{"渡し船", nil, strings.Repeat("x", 100_000), ""} {
		must[stdsql.Result](t)(db.ExecContext(ctx, "INSERT INTO kinds VALUES ($1, $2, $3, $4, $5, $6, $7)", i, []byte{0, 1, 255}, int64(-1)<<62, text, 0.5, true, at))
		rows := must[*stdsql.Rows](t)(db.QueryContext(ctx, "SELECT b, n, t, f, y, at FROM kinds WHERE id = $1", i))
		var (
			b     []byte
			n     int64
			got   any
			f     float64
			y     bool
			gotAt time.Time
		)
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := errors.Join(rows.Scan(&b, &n, &got, &f, &y, &gotAt), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if string(b) != "\x00\x01\xff" || n != int64(-1)<<62 || got != text || f != 0.5 || !y || !gotAt.Equal(at) {
			t.Errorf("got %v %v %v %v %v %v", b, n, got, f, y, gotAt)
		}
	}
}

// What sql.Conn.Raw gives can still do what the driver's own connection can.
func TestSQLiteConnectionsCanBeBackedUp(t *testing.T) {
	db := sqlitePool(t, 1)
	ctx := t.Context()
	must[stdsql.Result](t)(db.ExecContext(ctx, "CREATE TABLE x (n int)"))
	must[stdsql.Result](t)(db.ExecContext(ctx, "INSERT INTO x VALUES ($1)", 5))
	copied := filepath.Join(t.TempDir(), "copy.db")
	c := must[*stdsql.Conn](t)(db.Conn(ctx))
	if err := c.Raw(func(driver any) error {
		b, err := driver.(interface {
			NewBackup(string) (*sqlite.Backup, error)
		}).NewBackup(copied)
		if err != nil {
			return err
		}
		_, err = b.Step(-1)
		return errors.Join(err, b.Finish())
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if n := openRaw(t, store.Target{Dialect: "sqlite3", DSN: copied}).count("SELECT n FROM x"); n != 5 {
		t.Errorf("the copy has %d", n)
	}
}
