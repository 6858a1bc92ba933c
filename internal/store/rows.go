package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	entsql "entgo.io/ent/dialect/sql"

	"tidings/ent"
)

// postgresDriver is ent's view of the pool, which also gives rows as they are.
type postgresDriver struct {
	*entsql.Driver
	db *sql.DB
}

// QueryRows implements ent.RowReader.
func (d *postgresDriver) QueryRows(ctx context.Context, query string, args []any, into []driver.Value, each func() error) error {
	return queryRows(ctx, d.db, query, args, into, each)
}

// QueryRows implements ent.RowReader, on a connection that can't write.
func (d *sqliteDriver) QueryRows(ctx context.Context, query string, args []any, into []driver.Value, each func() error) error {
	return queryRows(ctx, d.read, query, args, into, each)
}

var _, _ ent.RowReader = (*postgresDriver)(nil), (*sqliteDriver)(nil)

// queryRows runs a query on a connection of the pool, as ent.RowReader has it. It goes around sql.Rows, which copies each
// value, and has a goroutine of its own for each query that watches the context. lib/pq does that too; SQLite's driver
// does until there is a first row, and then eachRow looks between rows, which is when sql.Rows could end them as well.
//
// Connections that have died in the pool are given up for others: as many as there are, and then two new ones.
func queryRows(ctx context.Context, db *sql.DB, query string, args []any, into []driver.Value, each func() error) error {
	for more := -1; ; more-- {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		begun := false
		err = conn.Raw(func(dc any) (err error) {
			rows, err := queryDriver(ctx, dc, query, args)
			if err != nil {
				return err
			}
			begun = true
			defer func() {
				if closed := rows.Close(); err == nil {
					err = closed
				}
			}()
			return eachRow(ctx, rows, into, each)
		})
		if closed := conn.Close(); err == nil && !errors.Is(closed, driver.ErrBadConn) {
			err = closed
		}
		if begun || !errors.Is(err, driver.ErrBadConn) || more == 0 {
			return err
		}
		if more < 0 {
			more = db.Stats().OpenConnections + 2
		}
	}
}

func queryDriver(ctx context.Context, dc any, query string, args []any) (driver.Rows, error) {
	conn, ok := dc.(driver.QueryerContext)
	if !ok {
		return nil, fmt.Errorf("a %T runs no queries", dc)
	}
	checker, _ := dc.(driver.NamedValueChecker)
	values := make([]driver.NamedValue, len(args))
	for i, arg := range args {
		v := driver.NamedValue{Ordinal: i + 1, Value: arg}
		err := driver.ErrSkip
		if checker != nil {
			err = checker.CheckNamedValue(&v)
		}
		if errors.Is(err, driver.ErrSkip) {
			v.Value, err = driver.DefaultParameterConverter.ConvertValue(arg)
		}
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		values[i] = v
	}
	return conn.QueryContext(ctx, query, values)
}

func eachRow(ctx context.Context, rows driver.Rows, into []driver.Value, each func() error) error {
	if n := len(rows.Columns()); n != len(into) {
		return fmt.Errorf("%d columns where %d were expected", n, len(into))
	}
	for {
		err := rows.Next(into)
		if errors.Is(err, io.EOF) {
			return ctx.Err() // for a driver may end early then, and say that it has ended
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = each()
		}
		if err != nil {
			return err
		}
	}
}
