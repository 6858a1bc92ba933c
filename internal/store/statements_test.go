package store_test

import (
	"context"
	stdsql "database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// querier is an ent client or one in a transaction.
type querier interface {
	QueryContext(context.Context, string, ...any) (*stdsql.Rows, error)
	ExecContext(context.Context, string, ...any) (stdsql.Result, error)
}

// one runs a query of one row and column.
func one[T any](ctx context.Context, q querier, query string, args ...any) (v T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return v, err
	}
	defer rows.Close()
	if !rows.Next() {
		return v, errors.Join(rows.Err(), stdsql.ErrNoRows)
	}
	return v, errors.Join(rows.Scan(&v), rows.Close())
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// oneConnection opens a Postgres store of one connection, so that a test knows which it speaks on.
func oneConnection(t testing.TB, url string) *store.Store {
	t.Helper()
	return open(t, store.Target{Dialect: dialect.Postgres, DSN: url, MaxConns: 1})
}

func TestStatementsCostOneRoundTrip(t *testing.T) {
	p := newProxy(t, testkit.MigratedPostgres(t))
	s := oneConnection(t, p.url)
	system := auth.AsSystem(t.Context())
	ada := newUser(t, s, "ada")
	lookup := func() {
		if _, err := s.Client().User.Get(system, ada.ID); err != nil {
			t.Fatal(err)
		}
	}
	write := func() {
		tx := must[*ent.Tx](t)(s.Client().Tx(system))
		for range 2 {
			if err := tx.Post.Create().SetAuthorID(ada.ID).SetTitle("Night ferry").SetContent("x").Exec(system); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name        string
		run         func()
		first, then int64
	}{
		{"a lookup", lookup, 2, 1},
		{"a transaction of two inserts", write, 5, 4}, // BEGIN, two, COMMIT
		{"no arguments", func() { _ = must[int](t)(one[int](system, s.Client(), "SELECT 1")) }, 2, 1},
	} {
		if n := p.during(c.run); n != c.first {
			t.Errorf("%s costs %d round trips at first, want %d", c.name, n, c.first)
		}
		for range 10 { // past the five that Postgres plans anew
			if n := p.during(c.run); n != c.then {
				t.Errorf("%s costs %d round trips, want %d", c.name, n, c.then)
			}
		}
	}
}

func TestStatementsAreBounded(t *testing.T) {
	s := oneConnection(t, testkit.MigratedPostgres(t))
	ctx := t.Context()
	for round := range 2 {
		for i := range store.MaxStatements + 50 {
			if got := must[int](t)(one[int](ctx, s.Client(), fmt.Sprintf("SELECT $1::int + %d", i), 1)); got != i+1 {
				t.Fatalf("round %d: statement %d gave %d", round, i, got)
			}
			_ = must[int](t)(one[int](ctx, s.Client(), "SELECT $1::int", i)) // which is used all the time
		}
		if n := must[int](t)(one[int](ctx, s.Client(), "SELECT count(*) FROM pg_prepared_statements")); n != store.MaxStatements {
			t.Errorf("the server keeps %d statements, want %d", n, store.MaxStatements)
		}
		if n := must[int](t)(one[int](ctx, s.Client(), "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int' AND generic_plans + custom_plans > 250")); n != 1 {
			t.Error("what is used all the time was prepared again")
		}
	}
	tx := must[*ent.Tx](t)(s.Client().Tx(ctx)) // evicting inside a transaction
	for i := range store.MaxStatements + 50 {
		if got := must[int](t)(one[int](ctx, tx, fmt.Sprintf("SELECT $1::int - %d", i), i)); got != 0 {
			t.Fatalf("statement %d gave %d", i, got)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// What a statement returns may change under it: by a migration of another process, say.
func TestStatementsFollowTheSchema(t *testing.T) {
	url := testkit.MigratedPostgres(t)
	s, db := oneConnection(t, url), openRaw(t, store.Target{Dialect: dialect.Postgres, DSN: url})
	ctx := t.Context()
	columns := func(q querier) (int, error) {
		rows, err := q.QueryContext(ctx, "SELECT * FROM wide WHERE a = $1", 1)
		if err != nil {
			return 0, err
		}
		defer rows.Close()
		c, err := rows.Columns()
		for rows.Next() {
		}
		return len(c), errors.Join(err, rows.Err(), rows.Close())
	}
	db.exec("CREATE TABLE wide (a int)")
	db.exec("INSERT INTO wide VALUES (1)")
	if n := must[int](t)(columns(s.Client())); n != 1 {
		t.Fatalf("%d columns", n)
	}
	db.exec("ALTER TABLE wide ADD COLUMN b int")
	if n := must[int](t)(columns(s.Client())); n != 2 { // prepared again
		t.Errorf("%d columns", n)
	}
	db.exec("ALTER TABLE wide ADD COLUMN c int")
	tx := must[*ent.Tx](t)(s.Client().Tx(ctx))
	if _, err := columns(tx); pq.As(err, pqerror.FeatureNotSupported) == nil {
		t.Errorf("in a transaction it says %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	tx = must[*ent.Tx](t)(s.Client().Tx(ctx)) // the next one is right
	if n := must[int](t)(columns(tx)); n != 3 {
		t.Errorf("%d columns", n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	must[stdsql.Result](t)(s.Client().ExecContext(ctx, "DEALLOCATE ALL"))
	if n := must[int](t)(columns(s.Client())); n != 3 {
		t.Errorf("%d columns", n)
	}
	must[stdsql.Result](t)(s.Client().ExecContext(ctx, "UPDATE wide SET b = $1", 5))
	must[stdsql.Result](t)(s.Client().ExecContext(ctx, "DEALLOCATE ALL"))
	res := must[stdsql.Result](t)(s.Client().ExecContext(ctx, "UPDATE wide SET b = $1", 6))
	if n, err := res.RowsAffected(); n != 1 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	db.exec("DROP TABLE wide")
	if _, err := columns(s.Client()); pq.As(err, pqerror.UndefinedTable) == nil {
		t.Errorf("of a table that is gone it says %v", err)
	}
	if _, err := columns(s.Client()); pq.As(err, pqerror.UndefinedTable) == nil {
		t.Errorf("of a table that is gone it says %v", err)
	}
}

func TestStatementsFailAsThemselves(t *testing.T) {
	s := oneConnection(t, testkit.MigratedPostgres(t))
	ctx := t.Context()
	tx := must[*ent.Tx](t)(s.Client().Tx(ctx))
	if _, err := tx.ExecContext(ctx, "SELEC $1", 1); pq.As(err, pqerror.SyntaxError) == nil { // not that the transaction has failed
		t.Errorf("it says %v", err)
	}
	if _, err := tx.ExecContext(ctx, "SELECT $1::int", 1); pq.As(err, pqerror.InFailedSQLTransaction) == nil {
		t.Errorf("then it says %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Client().ExecContext(ctx, "SELECT 1/$1::int", 0); pq.As(err, pqerror.DivisionByZero) == nil {
		t.Errorf("it says %v", err)
	}
	if got := must[int](t)(one[int](ctx, s.Client(), "SELECT 6/$1::int", 2)); got != 3 {
		t.Errorf("got %d", got)
	}
	if _, err := s.Client().ExecContext(ctx, "SELECT $1::int", 1, 2); err == nil {
		t.Error("two arguments were taken for one")
	}
	if got := must[int](t)(one[int](ctx, s.Client(), "SELECT 6/$1::int", 3)); got != 2 {
		t.Errorf("got %d", got)
	}
}

// lib/pq mixes up the answers of a statement that is run while another one's rows are open.
func TestStatementsOneAtATime(t *testing.T) {
	s := oneConnection(t, testkit.MigratedPostgres(t))
	ctx := t.Context()
	tx := must[*ent.Tx](t)(s.Client().Tx(ctx))
	rows := must[*stdsql.Rows](t)(tx.QueryContext(ctx, "SELECT generate_series(1, $1::int)", 10_000))
	for _, query := range []string{"SELECT $1::int", "SELECT 1"} {
		args := make([]any, strings.Count(query, "$"))
		for i := range args {
			args[i] = 1
		}
		if _, err := tx.QueryContext(ctx, query, args...); err == nil || !strings.Contains(err.Error(), "still open") {
			t.Errorf("meanwhile %s says %v", query, err)
		}
		if _, err := tx.ExecContext(ctx, query, args...); err == nil || !strings.Contains(err.Error(), "still open") {
			t.Errorf("meanwhile %s says %v", query, err)
		}
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close()); n != 10_000 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
	rows = must[*stdsql.Rows](t)(tx.QueryContext(ctx, "SELECT generate_series(1, $1::int)", 10_000))
	if !rows.Next() || rows.Close() != nil { // closed before its end
		t.Fatal(rows.Err())
	}
	if got := must[int](t)(one[int](ctx, tx, "SELECT $1::int", 7)); got != 7 {
		t.Errorf("got %d", got)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func TestStatementsGiveUpWithTheirContext(t *testing.T) {
	s := oneConnection(t, testkit.MigratedPostgres(t))
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		if _, err := s.Client().ExecContext(ctx, "SELECT pg_sleep($1)", 30); err == nil {
			t.Error("it slept")
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it gave up after %v", took)
		}
		cancel()
		for i := range 20 {
			if got := must[int](t)(one[int](t.Context(), s.Client(), "SELECT $1::int", i)); got != i {
				t.Errorf("got %d", got)
			}
		}
	}
}

func TestStatementsCarryEveryKindOfValue(t *testing.T) {
	s := oneConnection(t, testkit.MigratedPostgres(t))
	ctx := t.Context()
	must[stdsql.Result](t)(s.Client().ExecContext(ctx, "CREATE TABLE kinds (id uuid PRIMARY KEY, b bytea, n bigint, t text, at timestamptz); CREATE TABLE second (id int)")) // two statements
	id, at := uuid.New(), time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	for range 2 {
		must[stdsql.Result](t)(s.Client().ExecContext(ctx, "INSERT INTO kinds VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING", id, []byte{0, 1, 255}, int64(-1)<<62, nil, at))
		rows := must[*stdsql.Rows](t)(s.Client().QueryContext(ctx, "SELECT id, b, n, t, at FROM kinds WHERE id = ANY($1)", pq.Array([]uuid.UUID{id, uuid.New()})))
		var (
			gotID uuid.UUID
			b     []byte
			n     int64
			text  *string
			gotAt time.Time
		)
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := errors.Join(rows.Scan(&gotID, &b, &n, &text, &gotAt), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if gotID != id || string(b) != "\x00\x01\xff" || n != int64(-1)<<62 || text != nil || !gotAt.Equal(at) {
			t.Errorf("got %v %v %v %v %v", gotID, b, n, text, gotAt)
		}
	}
}
