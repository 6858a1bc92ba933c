package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// maxStatements bounds the statements that one connection keeps prepared. The least recently used one goes first.
const maxStatements = 256

// cachingConnector opens lib/pq connections that keep their prepared statements. A statement with arguments then costs
// one round trip from its second use on, where lib/pq by itself makes two each time. The cache lies below
// database/sql, where a connection belongs to one goroutine at a time: it needs no lock, and serves transactions too.
type cachingConnector struct{ *pq.Connector }

func (c cachingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pc, ok := dc.(pqConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("lib/pq's connection is a %T, which is not what it was", dc), dc.Close())
	}
	return &cachingConn{pqConn: pc, kept: newKept[pqStmt](maxStatements)}, nil
}

// What lib/pq's connections, statements and rows implement, and database/sql looks for.
type (
	pqConn interface {
		driver.Conn
		driver.ConnPrepareContext
		driver.ConnBeginTx
		driver.QueryerContext
		driver.ExecerContext
		driver.NamedValueChecker
		driver.SessionResetter
		driver.Validator
		driver.Pinger
	}
	pqStmt interface {
		driver.Stmt
		driver.StmtQueryContext
		driver.StmtExecContext
	}
	pqRows interface {
		driver.Rows
		driver.RowsNextResultSet
		driver.RowsColumnTypeScanType
		driver.RowsColumnTypeDatabaseTypeName
		driver.RowsColumnTypeLength
		driver.RowsColumnTypePrecisionScale
	}
)

// cachingConn is a connection with its prepared statements.
type cachingConn struct {
	pqConn
	kept    *kept[pqStmt]
	reading bool // rows of a statement are open
}

// errReading is what lib/pq says of its own queries. It does not look for it in statements, and would mix up their answers.
var errReading = errors.New("the rows of another query are still open on this connection")

// QueryContext runs a SELECT, and whatever has arguments, as a prepared statement, so that it is parsed and planned once.
// Anything else is sent as it is, which is one round trip as well and may hold several statements.
func (c *cachingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.reading {
		return nil, errReading
	}
	if len(args) == 0 && !strings.HasPrefix(query, "SELECT ") {
		return c.pqConn.QueryContext(ctx, query, args)
	}
	r, err := prepared(ctx, c, query, func(s pqStmt) (driver.Rows, error) { return s.QueryContext(ctx, args) })
	if err != nil {
		return nil, err
	}
	rows, ok := r.(pqRows)
	if !ok {
		return nil, errors.Join(fmt.Errorf("lib/pq's rows are a %T, which is not what they were", r), r.Close())
	}
	c.reading = true
	return &statementRows{pqRows: rows, conn: c}, nil
}

// ExecContext runs what has arguments as a prepared statement.
func (c *cachingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if c.reading {
		return nil, errReading
	}
	if len(args) == 0 {
		return c.pqConn.ExecContext(ctx, query, args)
	}
	return prepared(ctx, c, query, func(s pqStmt) (driver.Result, error) { return s.ExecContext(ctx, args) })
}

// prepared runs a statement, prepared now or before. A statement that the server can't run as it was prepared, because
// a migration has changed what it returns or somebody has deallocated it, is prepared again and run a second time:
// it has not begun the first time. Inside a transaction that can't help, for the transaction has failed with it; its caller
// gets the first error, and the next transaction succeeds.
func prepared[T any](ctx context.Context, c *cachingConn, query string, run func(pqStmt) (T, error)) (T, error) {
	var none T
	s, err := c.statement(ctx, query)
	if err != nil {
		return none, err
	}
	v, err := run(s)
	if err == nil || !outdated(err) {
		return v, err
	}
	if err := c.kept.forget(query); err != nil { // here and on the server
		return none, err
	}
	s, again := c.statement(ctx, query)
	if pq.As(again, pqerror.InFailedSQLTransaction) != nil {
		return none, err
	}
	if again != nil {
		return none, again
	}
	return run(s)
}

// outdated reports whether the server refused to run a prepared statement for what it had been prepared as.
func outdated(err error) bool {
	e := pq.As(err, pqerror.FeatureNotSupported, pqerror.InvalidSQLStatementName)
	return e != nil && (e.Code == pqerror.InvalidSQLStatementName || e.Routine == "RevalidateCachedQuery")
}

// statement returns the prepared statement of a query, and makes it the most recently used.
func (c *cachingConn) statement(ctx context.Context, query string) (pqStmt, error) {
	if s, ok := c.kept.find(query); ok {
		return s, nil
	}
	if err := c.kept.room(); err != nil {
		return nil, err
	}
	ds, err := c.pqConn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s, ok := ds.(pqStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("lib/pq's statement is a %T, which is not what it was", ds), ds.Close())
	}
	c.kept.add(query, s)
	return s, nil
}

// statementRows lets the connection know when they are closed.
type statementRows struct {
	pqRows
	conn *cachingConn
}

func (r *statementRows) Close() error {
	r.conn.reading = false
	return r.pqRows.Close()
}
