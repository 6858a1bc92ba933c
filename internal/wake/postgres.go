package wake

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/lib/pq"
)

// channel is what the nodes of one database listen to (LISTEN, NOTIFY). It is per database, not per schema.
const channel = "tidings_log"

const (
	pingEvery      = 15 * time.Second // keeps idle connections alive, and finds dead ones
	pingTimeout    = 5 * time.Second
	connectTimeout = "5" // seconds; how long Run may outlive its context
	minBackoff     = 50 * time.Millisecond
	maxBackoff     = 2 * time.Second
)

// Execer is what Notify needs of the database: *ent.Client and *sql.DB have it.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Postgres carries wake-ups between the nodes on one Postgres. Every node hears all of them, its own too.
type Postgres struct {
	dsn string
	db  Execer
	log *slog.Logger

	pingEvery, pingTimeout time.Duration
}

// NewPostgres returns the wake-ups of the database at dsn, a postgres:// URL. It listens on a connection of its own,
// opened by Run, and notifies through db, which may reach that database through a pooler. dsn may not, if that lends
// connections for a transaction: LISTEN belongs to a session.
func NewPostgres(dsn string, db Execer, log *slog.Logger) (*Postgres, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("listening to the database: its address is not a postgres:// URL") // it may hold a password
	}
	q := u.Query()
	if !q.Has("connect_timeout") {
		q.Set("connect_timeout", connectTimeout)
		u.RawQuery = q.Encode()
	}
	return &Postgres{u.String(), db, log, pingEvery, pingTimeout}, nil
}

// Notify wakes every node that listens. Each call is a transaction, and Postgres takes one lock for all that notify
// (async.c, PreCommit_Notify): the caller keeps them few.
func (p *Postgres) Notify(ctx context.Context) error {
	if _, err := p.db.ExecContext(ctx, "NOTIFY "+channel); err != nil {
		return fmt.Errorf("notifying the other nodes: %w", err)
	}
	return nil
}

// Run calls wake, which must not block, for each notification and whenever some may have been missed: after each
// connect. It connects anew for as long as it takes, says so once an outage, and returns nil when ctx is done, with
// its connection closed and its goroutines ended.
func (p *Postgres) Run(ctx context.Context, wake func()) error {
	backoff, failing := minBackoff, false
	for {
		err := p.listen(ctx, func() {
			if failing {
				p.log.InfoContext(ctx, "listening to the database again")
			}
			backoff, failing = minBackoff, false
			wake()
		}, wake)
		if ctx.Err() != nil {
			return nil
		}
		if !failing {
			p.log.WarnContext(ctx, "not listening to the database; new events are found by polling", "err", err)
			failing = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// listen holds one connection, until it is lost or ctx is done. It uses pq.ListenerConn rather than pq.Listener,
// which sleeps and dials where nothing can stop it, and whose Ping can hang while it holds the lock that Close needs.
func (p *Postgres) listen(ctx context.Context, connected, wake func()) error {
	notifications := make(chan *pq.Notification, 32)
	conn, err := pq.NewListenerConn(p.dsn, notifications)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	// The connection's goroutine blocks when the channel is full, and closes it as its last act.
	join := func() {
		for range notifications {
		}
	}
	defer join()
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	if err := p.exec(conn, "LISTEN "+channel); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	connected()

	// An answer waits behind the notifications, so that whoever waits for it must not be the one who takes them.
	var pings sync.WaitGroup
	lost := make(chan struct{})
	defer pings.Wait()
	defer close(lost)
	pings.Go(func() {
		for {
			select {
			case <-lost:
				return
			case <-time.After(p.pingEvery):
			}
			if err := p.exec(conn, ""); err != nil {
				conn.Close()
				return
			}
		}
	})
	for range notifications {
		wake()
	}
	return fmt.Errorf("connection lost: %w", conn.Err())
}

// exec runs a statement without parameters, and closes the connection when it is not answered in time.
func (p *Postgres) exec(conn *pq.ListenerConn, statement string) error {
	defer time.AfterFunc(p.pingTimeout, func() { conn.Close() }).Stop()
	_, err := conn.ExecSimpleQuery(statement)
	return err
}
