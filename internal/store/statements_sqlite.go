package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
)

// maxSQLiteStatements bounds the statements that one SQLite connection keeps prepared, maxSQLiteText their text in bytes:
// a statement takes some 5 to 40 KiB, for as long as it is kept, and a long one more.
const (
	maxSQLiteStatements = 64
	maxSQLiteText       = 16 << 10
)

// openSQLiteDB opens a pool of connections that keep their prepared statements.
func openSQLiteDB(dsn string) (*sql.DB, error) {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(sqliteConnector{connector}), nil
}

// sqliteConnector opens connections that keep their prepared statements. SQLite itself parses and plans a statement each
// time, which for a short read took longer than to run it.
type sqliteConnector struct{ driver.Connector }

func (c sqliteConnector) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	mc, ok := dc.(modernConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite's connection is a %T, which is not what it was", dc), dc.Close())
	}
	return &sqliteConn{modernConn: mc, kept: newKept[modernStmt](maxSQLiteStatements)}, nil
}

// What modernc.org/sqlite's connections, statements and rows implement, and database/sql looks for; and what is asked of
// a connection by sql.Conn.Raw.
type (
	modernConn interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ConnBeginTx
		driver.QueryerContext
		driver.ExecerContext
		driver.SessionResetter
		driver.Validator
		driver.Pinger
		NewBackup(to string) (*sqlite.Backup, error)
		Serialize() ([]byte, error)
		sqlite.AuthorizerRegisterer
		sqlite.DBStatus
	}
	modernStmt interface {
		driver.Stmt
		driver.StmtQueryContext
		driver.StmtExecContext
	}
	modernRows interface {
		driver.Rows
		driver.RowsColumnTypeScanType
		driver.RowsColumnTypeDatabaseTypeName
		driver.RowsColumnTypeLength
		driver.RowsColumnTypeNullable
		driver.RowsColumnTypePrecisionScale
	}
)

// sqliteConn is a connection with its prepared statements. SQLite prepares one again by itself when the schema or its
// statistics have changed. Those that are kept are at rest: they hold no lock and keep no view of the database.
type sqliteConn struct {
	modernConn
	kept *kept[modernStmt]
}

// keeps reports whether a query is kept prepared: those that read and write rows are, and nothing that is run once or
// works when it is prepared, as some pragmas do. Several statements at once may begin with one of them; the driver
// prepares these each time, and one by one.
func keeps(query string) bool {
	if len(query) > maxSQLiteText {
		return false
	}
	for _, verb := range [...]string{"SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "} {
		if strings.HasPrefix(query, verb) {
			return true
		}
	}
	return false
}

// QueryContext runs a query, prepared now or before.
func (c *sqliteConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if !keeps(query) {
		return c.modernConn.QueryContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	r, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, closing(s, err)
	}
	rows, ok := r.(modernRows)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite's rows are a %T, which is not what they were", r), r.Close(), s.Close())
	}
	return &sqliteRows{modernRows: rows, conn: c, query: query, stmt: s}, nil
}

// ExecContext runs a statement, prepared now or before.
func (c *sqliteConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if !keeps(query) {
		return c.modernConn.ExecContext(ctx, query, args)
	}
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	result, err := s.ExecContext(ctx, args)
	if err != nil {
		return nil, closing(s, err)
	}
	return result, c.give(query, s)
}

// take returns a statement for a query that nobody else uses. While its rows are read another one of the same query may
// be asked for, and is prepared apart.
func (c *sqliteConn) take(ctx context.Context, query string) (modernStmt, error) {
	if s, ok := c.kept.take(query); ok {
		return s, nil
	}
	ds, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := ds.(modernStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("SQLite's statement is a %T, which is not what it was", ds), ds.Close())
	}
	return s, nil
}

// give keeps a statement that has done what it should, to be used again, unless another one of its query came first.
func (c *sqliteConn) give(query string, s modernStmt) error {
	if _, ok := c.kept.find(query); ok {
		return s.Close()
	}
	if err := c.kept.room(); err != nil {
		return closing(s, err)
	}
	c.kept.add(query, s)
	return nil
}

// closing gives up a statement that has failed, for err.
func closing(s modernStmt, err error) error {
	if closed := s.Close(); closed != nil {
		return errors.Join(err, closed)
	}
	return err
}

// Close closes the statements first: without that SQLite would keep the connection, and the file, open. No rows are open
// by then, database/sql and queryRows see to that.
func (c *sqliteConn) Close() error { return errors.Join(c.kept.reduce(0), c.modernConn.Close()) }

// sqliteRows give back their statement when they are closed.
type sqliteRows struct {
	modernRows
	conn  *sqliteConn
	query string
	stmt  modernStmt
}

// Close implements driver.Rows. It is called once.
func (r *sqliteRows) Close() error {
	if err := r.modernRows.Close(); err != nil {
		return closing(r.stmt, err)
	}
	return r.conn.give(r.query, r.stmt)
}
