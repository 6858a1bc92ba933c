package store_test

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// pools runs a test with few connections to a database of each kind.
func pools(t *testing.T, conns int, test func(t *testing.T, d string, db *stdsql.DB)) {
	t.Run(dialect.SQLite, func(t *testing.T) {
		db := must[*stdsql.DB](t)(store.OpenSQLitePool(filepath.Join(t.TempDir(), "x.db"), conns))
		t.Cleanup(func() { _ = db.Close() })
		test(t, dialect.SQLite, db)
	})
	t.Run(dialect.Postgres, func(t *testing.T) {
		db := must[*stdsql.DB](t)(store.OpenPostgresPool(testkit.Postgres(t), conns))
		t.Cleanup(func() { _ = db.Close() })
		test(t, dialect.Postgres, db)
	})
}

const toThree = "SELECT n, $1 AS text FROM (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3) AS x ORDER BY n"

// three reads the numbers from one to three.
func three(ctx context.Context, db *stdsql.DB) error {
	into := make([]driver.Value, 2)
	var all []int64
	err := store.QueryRows(ctx, db, toThree, []any{"text"}, into, func() error {
		n, ok := into[0].(int64)
		if !ok || into[1] != "text" {
			return errors.New("other values")
		}
		all = append(all, n)
		return nil
	})
	if err == nil && !slices.Equal(all, []int64{1, 2, 3}) {
		err = errors.New("other rows")
	}
	return err
}

func TestQueryRows(t *testing.T) {
	pools(t, 1, func(t *testing.T, d string, db *stdsql.DB) {
		// Whatever happened before, the one connection is good for what comes.
		good := func(after string) {
			t.Helper()
			if err := three(t.Context(), db); err != nil {
				t.Errorf("after %s: %v", after, err)
			}
			if n := db.Stats().InUse; n != 0 {
				t.Errorf("after %s %d connections are in use", after, n)
			}
		}
		good("nothing")
		query := func(ctx context.Context, text string, width int, args []any, each func() error) error {
			return store.QueryRows(ctx, db, text, args, make([]driver.Value, width), each)
		}
		none := func() error { return errors.New("there is a row") }
		enough := errors.New("enough")
		if err := query(t.Context(), toThree, 2, []any{"text"}, func() error { return enough }); !errors.Is(err, enough) {
			t.Errorf("an error of each became %v", err)
		}
		good("an error of each")
		if err := query(t.Context(), toThree, 3, []any{"text"}, none); err == nil || !strings.Contains(err.Error(), "2 columns") {
			t.Errorf("rows of another width: %v", err)
		}
		good("rows of another width")
		if err := query(t.Context(), "SELECT nothing", 1, nil, none); err == nil || !strings.Contains(err.Error(), "nothing") {
			t.Errorf("a query that is none: %v", err)
		}
		good("a query that is none")
		if err := query(t.Context(), toThree, 2, []any{make(chan int)}, none); err == nil || !strings.Contains(err.Error(), "argument 1") {
			t.Errorf("an argument that is none: %v", err)
		}
		good("an argument that is none")
		ctx, cancel := context.WithCancel(t.Context())
		for last := 1; last <= 3; last++ {
			ctx, cancel := context.WithCancel(t.Context())
			rows := 0
			if err := query(ctx, toThree, 2, []any{"text"}, func() error {
				if rows++; rows == last {
					cancel()
				}
				return nil
			}); !errors.Is(err, context.Canceled) || rows != last {
				t.Errorf("a context that ends with row %d: %v after %d rows", last, err, rows)
			}
			cancel()
			good("a context that ends with a row")
		}
		cancel()
		if err := query(ctx, toThree, 2, []any{"text"}, none); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that has ended: %v", err)
		}
		good("a context that has ended")
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a panic was lost")
				}
			}()
			_ = query(t.Context(), toThree, 2, []any{"text"}, func() error { panic("at a row") })
		}()
		good("a panic")
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if err := three(t.Context(), db); err == nil {
			t.Error("a pool that is closed gave rows")
		}
	})
}

// TestQueryRowsWaitsForAConnection: and no longer than its context lasts.
func TestQueryRowsWaitsForAConnection(t *testing.T) {
	pools(t, 1, func(t *testing.T, d string, db *stdsql.DB) {
		conn := must[*stdsql.Conn](t)(db.Conn(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if err := three(ctx, db); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a connection: %v", err)
		}
		done := make(chan error)
		go func() { done <- three(t.Context(), db) }()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestQueryRowsGivesUpWithItsContext(t *testing.T) {
	pools(t, 1, func(t *testing.T, d string, db *stdsql.DB) {
		endless := "SELECT 1 FROM pg_sleep(30)"
		if d == dialect.SQLite {
			endless = "SELECT count(*) FROM (WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n) SELECT n FROM n)"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start := time.Now()
		if err := store.QueryRows(ctx, db, endless, nil, make([]driver.Value, 1), func() error { return nil }); err == nil {
			t.Error("it ended")
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it gave up after %v", took)
		}
		if err := three(t.Context(), db); err != nil {
			t.Error(err)
		}
	})
}

// TestQueryRowsOnConnectionsThatHaveEnded: the server may end connections that wait in the pool. Who comes next does not
// notice, however many there were.
func TestQueryRowsOnConnectionsThatHaveEnded(t *testing.T) {
	url := testkit.Postgres(t)
	const conns = 8
	db := must[*stdsql.DB](t)(store.OpenPostgresPool(url, conns))
	defer db.Close()
	other := openRaw(t, store.Target{Dialect: dialect.Postgres, DSN: url})
	for range 3 {
		var all []*stdsql.Conn
		for range conns {
			all = append(all, must[*stdsql.Conn](t)(db.Conn(t.Context())))
		}
		for _, c := range all {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		other.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		if err := three(t.Context(), db); err != nil {
			t.Error(err)
		}
	}
}

// TestRowsAreNotBegunAgain: what is lost in the middle of rows is an error, for some have been taken already.
func TestRowsAreNotBegunAgain(t *testing.T) {
	url := testkit.Postgres(t)
	db := must[*stdsql.DB](t)(store.OpenPostgresPool(url, 1))
	defer db.Close()
	other := openRaw(t, store.Target{Dialect: dialect.Postgres, DSN: url})
	rows, into := 0, make([]driver.Value, 2)
	// 50 MB, of which the server can't have sent all by the first row.
	query := "SELECT n, repeat($1, 1000) FROM generate_series(1, 50000) AS n"
	err := store.QueryRows(t.Context(), db, query, []any{"x"}, into, func() error {
		if rows++; rows == 1 {
			other.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		} else if into[0] != int64(rows) {
			return errors.New("the rows begin again")
		}
		return nil
	})
	if !errors.Is(err, driver.ErrBadConn) {
		t.Errorf("a connection that is lost after %d rows: %v", rows, err)
	}
	if err := three(t.Context(), db); err != nil {
		t.Error(err)
	}
}

// TestQueryRowsCarriesArrays: which are lib/pq's to write.
func TestQueryRowsCarriesArrays(t *testing.T) {
	db := must[*stdsql.DB](t)(store.OpenPostgresPool(testkit.Postgres(t), 1))
	defer db.Close()
	into := make([]driver.Value, 1)
	var got driver.Value
	query := "SELECT array_length(CAST($1 AS text[]), 1)"
	if err := store.QueryRows(t.Context(), db, query, []any{[]string{"a", "b,c"}}, into, func() error { got = into[0]; return nil }); err != nil || got != int64(2) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestRowsDontWaitForTheWriter: SQLite's are read while somebody writes.
func TestRowsDontWaitForTheWriter(t *testing.T) {
	s := must[*store.Store](t)(store.Open(t.Context(), store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "x.db")}))
	defer s.Close()
	tx := must[*ent.Tx](t)(s.Client().Tx(t.Context()))
	defer tx.Rollback()
	_, d, err := s.Client().User.Query().Statement(auth.AsSystem(t.Context()), []string{"`users`.`id`"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Wait)
	defer cancel()
	if err := d.(ent.RowReader).QueryRows(ctx, "SELECT 1", nil, make([]driver.Value, 1), func() error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestQueryRowsCarriesEveryKindOfArgument(t *testing.T) {
	pools(t, 1, func(t *testing.T, d string, db *stdsql.DB) {
		id, at := uuid.New(), time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
		query := "SELECT CAST($1 AS text), CAST($2 AS text), $3, $4, CAST($5 AS text)"
		if d == dialect.Postgres {
			query = "SELECT CAST($1 AS uuid)::text, CAST($2 AS timestamptz) = '2026-01-02 03:04:05.678901Z', CAST($3 AS int), CAST($4 AS boolean), CAST($5 AS text)"
		}
		into := make([]driver.Value, 5)
		var got []driver.Value
		if err := store.QueryRows(t.Context(), db, query, []any{id, at, 7, true, nil}, into, func() error { got = slices.Clone(into); return nil }); err != nil {
			t.Fatal(err)
		}
		want := []driver.Value{id.String(), true, int64(7), true, nil}
		if d == dialect.SQLite {
			want[1], want[3] = "2026-01-02 03:04:05.678901+00:00", int64(1)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// deadConns opens connections on which no query can be begun.
type deadConns struct{ opened int }

func (c *deadConns) Connect(context.Context) (driver.Conn, error) { c.opened++; return deadConn{}, nil }
func (c *deadConns) Driver() driver.Driver                        { return nil }

type deadConn struct{ driver.Conn }

func (deadConn) Close() error { return nil }
func (deadConn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	return nil, driver.ErrBadConn
}

// TestQueryRowsOnNothing: where new connections are no good either, few are tried, as database/sql does.
func TestQueryRowsOnNothing(t *testing.T) {
	var conns deadConns
	db := stdsql.OpenDB(&conns)
	defer db.Close()
	if err := three(t.Context(), db); !errors.Is(err, driver.ErrBadConn) || conns.opened > 3 {
		t.Errorf("%v after %d connections", err, conns.opened)
	}
}
