package store

import (
	"container/list"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
)

// Bounds of the pool. A Postgres takes 100 connections where nothing else is set, which several nodes share.
const (
	maxConns    = 20
	maxIdleTime = 5 * time.Minute
)

func openPostgres(ctx context.Context, rawURL string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("this is not a URL") // err holds the URL, and the password in it
	}
	q := u.Query()
	if !q.Has("application_name") {
		q.Set("application_name", "tidings")
	}
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", "10")
	}
	u.RawQuery = q.Encode()
	c, err := pq.NewConnector(u.String())
	if err != nil {
		return nil, plainPostgres(err)
	}
	db := sql.OpenDB(caching{c})
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(maxIdleTime)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(plainPostgres(err), db.Close())
	}
	return newStore(dialect.Postgres, entsql.OpenDB(dialect.Postgres, db), db), nil
}

// plainPostgres says in words why a connection failed (Postgres, appendix A).
func plainPostgres(err error) error {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		switch e.Code.Name() {
		case "invalid_password", "invalid_authorization_specification":
			return errors.New("the server refuses this user or password")
		case "invalid_catalog_name":
			return errors.New("there is no such database on the server: create it first (createdb)")
		case "too_many_connections":
			return errors.New("the server has no connection left")
		}
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("the server can't be reached: %w", e.Err)
	}
	return err
}

// caching keeps prepared statements on each connection, below database/sql, so that a query with arguments costs one
// round trip and not lib/pq's two, in transactions too.
type caching struct{ *pq.Connector }

// Connect implements driver.Connector.
func (c caching) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := dc.(pqConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T lacks a method that the statement cache needs", dc), dc.Close())
	}
	return &cachedConn{pqConn: conn, byText: map[string]*list.Element{}, recent: list.New()}, nil
}

// pqConn is what lib/pq's connection is; all but the statements pass through.
type pqConn interface {
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

type pqStmt interface {
	driver.Stmt
	driver.StmtQueryContext
	driver.StmtExecContext
}

// maxStatements bounds the statements of a connection, on both sides. Statements here have one text whatever the
// number of their arguments, so a server's whole repertoire fits.
const maxStatements = 256

// cachedConn is one connection. database/sql uses it from one goroutine at a time.
type cachedConn struct {
	pqConn
	byText map[string]*list.Element // of cachedStmt
	recent *list.List               // most recently used first
	inTx   bool
}

type cachedStmt struct {
	text string
	stmt pqStmt
}

// statement returns a prepared statement; nil when it can't be prepared, of which the plain path gives the reason.
func (c *cachedConn) statement(ctx context.Context, query string) pqStmt {
	if e, ok := c.byText[query]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(cachedStmt).stmt
	}
	if c.recent.Len() >= maxStatements {
		c.forget(c.recent.Back().Value.(cachedStmt).text)
	}
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	stmt := prepared.(pqStmt)
	c.byText[query] = c.recent.PushFront(cachedStmt{query, stmt})
	return stmt
}

func (c *cachedConn) forget(query string) {
	if e, ok := c.byText[query]; ok {
		delete(c.byText, query)
		_ = c.recent.Remove(e).(cachedStmt).stmt.Close() // a connection too broken for this is discarded by what follows
	}
}

// stale reports whether a prepared statement no longer fits the tables, as after a migration by another node. Outside
// of a transaction the statement can be run afresh.
func (c *cachedConn) stale(query string, err error) bool {
	e, ok := errors.AsType[*pq.Error](err)
	if !ok || e.Code != "0A000" && e.Code != "26000" { // feature_not_supported (the result type changed), invalid_sql_statement_name
		return false
	}
	if c.inTx {
		return false
	}
	c.forget(query)
	return true
}

// QueryContext implements driver.QueryerContext.
func (c *cachedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) > 0 {
		if s := c.statement(ctx, query); s != nil {
			rows, err := s.QueryContext(ctx, args)
			if err == nil || !c.stale(query, err) {
				return rows, err
			}
		}
	}
	return c.pqConn.QueryContext(ctx, query, args)
}

// ExecContext implements driver.ExecerContext.
func (c *cachedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) > 0 {
		if s := c.statement(ctx, query); s != nil {
			result, err := s.ExecContext(ctx, args)
			if err == nil || !c.stale(query, err) {
				return result, err
			}
		}
	}
	return c.pqConn.ExecContext(ctx, query, args)
}

// BeginTx implements driver.ConnBeginTx.
func (c *cachedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.pqConn.BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	c.inTx = true
	return cachedTx{tx, c}, nil
}

type cachedTx struct {
	driver.Tx
	conn *cachedConn
}

func (t cachedTx) Commit() error   { t.conn.inTx = false; return t.Tx.Commit() }
func (t cachedTx) Rollback() error { t.conn.inTx = false; return t.Tx.Rollback() }
