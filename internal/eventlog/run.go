package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"tidings/ent"
)

// The keys of the advisory locks on Postgres: "tidings" in ASCII and a number.
const (
	sequenceLock  = 0x74_69_64_69_6e_67_73_01
	retentionLock = 0x74_69_64_69_6e_67_73_02
)

const (
	batch       = 1000                   // the most rows that one transaction moves or deletes
	pace        = 4 * time.Millisecond   // between two moves under load: a move of many costs little more than of one
	poll        = 250 * time.Millisecond // the sequencer looks at least so often, for events of nodes that died
	contend     = 8 * time.Millisecond   // the longest wait for another sequencer while events of this node are left
	notifyEvery = 15 * time.Millisecond
	minRetry    = 20 * time.Millisecond // after a failure, doubled each time
	maxRetry    = time.Second
	timeout     = 10 * time.Second // of one transaction, and of one call of Options.Notify
	// abandoned is when the server ends a transaction that holds a lock and has stopped speaking, so that the others
	// need not wait for a node that is frozen or cut off.
	abandoned = "5s"
)

// Run does the log's own work until ctx is done, and then returns nil, with all its goroutines ended: it deletes what is
// older than the retention and, on Postgres, takes turns with the other nodes in moving committed events into the log.
// Every node runs it. A failing database is logged, once an outage, and tried again for as long as it takes.
func (l *Log) Run(ctx context.Context) error {
	var all sync.WaitGroup
	if l.o.Retention > 0 {
		all.Go(func() { l.retain(ctx) })
	}
	if l.postgres {
		all.Go(func() { l.sequence(ctx) })
		if l.o.Notify != nil {
			all.Go(func() { l.notify(ctx) })
		}
	}
	all.Wait()
	return nil
}

// sequence moves what was committed into the log whenever something was, and every poll.
func (l *Log) sequence(ctx context.Context) {
	out := outage{log: l.o.Logger, begins: "events are delayed: they can't be moved into the event log", ends: "events are moved into the event log again"}
	left := false // whether this node has left events that nobody is known to have moved
	for {
		moved, got, err := l.move(ctx)
		if ctx.Err() != nil {
			return
		}
		if moved > 0 {
			l.o.Wake()
			set(l.moved)
		}
		if moved == batch {
			continue
		}
		out.report(ctx, err)
		woken, wait := l.left, poll
		switch {
		case err != nil:
			woken, wait = nil, out.wait()
		case moved > 1: // more than one at once will come again; whoever leaves some meanwhile has told us
			left, woken, wait = false, nil, pace
		case got:
			left = false
		case left: // another node has the lock, and may have looked before our events were committed
			woken, wait = nil, contend/2+rand.N(contend/2)
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
			left = true
		case <-time.After(wait):
		}
	}
}

// moveInbox takes the oldest rows out of the inbox and appends them to the log. What is in the inbox and visible was
// committed; whatever precedes it causally was committed before, is visible too, and has a lower id or is moved already.
const moveInbox = `WITH taken AS (
		DELETE FROM log_inbox WHERE id = ANY (ARRAY (SELECT id FROM log_inbox ORDER BY id LIMIT $1))
		RETURNING id, event, kind, subject, scope, at
	)
	INSERT INTO log (pos, id, kind, subject, scope, at)
	SELECT (SELECT coalesce(max(pos), 0) FROM log) + row_number() OVER (ORDER BY id), event, kind, subject, scope, at FROM taken`

// move moves up to a batch of events into the log, unless another node is at it: then got is false.
func (l *Log) move(ctx context.Context) (moved int, got bool, err error) {
	got, err = l.alone(ctx, sequenceLock, func(ctx context.Context, tx execer) error {
		moved, err = exec(ctx, tx, moveInbox, batch)
		return err
	})
	if err != nil {
		return 0, got, fmt.Errorf("moving events into the log: %w", err)
	}
	return moved, got, nil
}

// alone runs fn in a transaction that holds the advisory lock of that key; got is false when another one holds it.
// Each statement of fn sees all that its former holders have done: it begins after the lock was taken, and at READ
// COMMITTED every statement sees what was committed when it began.
func (l *Log) alone(ctx context.Context, key int64, fn func(context.Context, execer) error) (got bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tx, err := l.client.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // it fails when the transaction is over, or the connection and the transaction with it
	if got, err = lock(ctx, tx, key); err != nil || !got {
		return false, err
	}
	if err := fn(ctx, tx); err != nil {
		return true, err
	}
	return true, tx.Commit()
}

// lock takes the advisory lock of that key for the transaction, if it is free.
func lock(ctx context.Context, tx *ent.Tx, key int64) (got bool, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT pg_try_advisory_xact_lock($1), set_config('idle_in_transaction_session_timeout', $2, true)`, key, abandoned)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return false, errors.Join(rows.Err(), sql.ErrNoRows)
	}
	var set string
	if err := rows.Scan(&got, &set); err != nil {
		return false, err
	}
	return got, errors.Join(rows.Err(), rows.Close())
}

// execer is a transaction, or a client that makes one of each statement.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// exec runs a statement and returns how many rows it has changed.
func exec(ctx context.Context, on execer, query string, args ...any) (int, error) {
	r, err := on.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// notify tells the other nodes that the log has moved: at once when it was quiet, else once in notifyEvery. Each move is
// followed by a notification that began after it.
func (l *Log) notify(ctx context.Context) {
	out := outage{log: l.o.Logger, begins: "the other nodes can't be told of new events and find them by polling", ends: "the other nodes are told of new events again"}
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.moved:
		}
		limited, cancel := context.WithTimeout(ctx, timeout)
		err := l.o.Notify(limited)
		cancel()
		if ctx.Err() != nil {
			return
		}
		out.report(ctx, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(notifyEvery, out.wait())):
		}
	}
}

// outage keeps a failure that goes on from being logged more than once, and what fails from being tried too often.
type outage struct {
	log          *slog.Logger
	begins, ends string        // what to say
	retry        time.Duration // 0 while there is none
}

// report takes the outcome of an attempt.
func (o *outage) report(ctx context.Context, err error) {
	switch {
	case err == nil && o.retry > 0:
		o.log.InfoContext(ctx, o.ends)
		o.retry = 0
	case err != nil && o.retry == 0:
		o.log.ErrorContext(ctx, o.begins, "err", err)
		o.retry = minRetry
	case err != nil:
		o.retry = min(2*o.retry, maxRetry)
	}
}

// wait is how long to wait before the next attempt, with jitter; 0 when there is no outage.
func (o *outage) wait() time.Duration {
	if o.retry == 0 {
		return 0
	}
	return o.retry/2 + rand.N(o.retry/2)
}
