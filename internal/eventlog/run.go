package eventlog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// The sequencer's rhythm.
const (
	poll          = 250 * time.Millisecond // looks into the inbox without being told, for nodes that died between commit and move
	retry         = 8 * time.Millisecond   // with rows waiting while another node sequences
	notifyEvery   = 15 * time.Millisecond
	maxBackoff    = 2 * time.Second
	sequenceBatch = 1000 // rows moved by one statement
)

// Retention's rhythm.
const (
	retainEvery = time.Minute
	retainBatch = 1000 // rows deleted by one statement
)

// The advisory locks under which one node at a time sequences, and deletes.
const (
	sequenceLock = 0x7469_6469_6e67_7302
	retainLock   = 0x7469_6469_6e67_7303
)

// Run does the log's own work until ctx is done, and returns nil then with its goroutines ended: on Postgres it moves
// committed events into the log and notifies the other nodes; on both it deletes what has expired. It outlives every
// outage of the database, and tells once of each.
func (l *Log) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	if l.o.Retention > 0 {
		parts.Go(func() { l.retainFor(ctx) })
	}
	if l.postgres {
		moved := make(chan struct{}, 1)
		parts.Go(func() { l.notifyFor(ctx, moved) })
		l.sequenceFor(ctx, moved)
	}
	<-ctx.Done()
	return nil
}

// sequenceFor is the sequencer's loop. It says in moved when the log has grown.
func (l *Log) sequenceFor(ctx context.Context, moved chan<- struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	waiting := false // rows of this node, which another may be moving
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.pending:
			waiting = true
		case <-timer.C:
		}
		n, mine, err := l.sequence(ctx)
		next := poll
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if failures++; failures == 1 {
				l.o.Log.Error("the event log can't be moved on; trying again", "err", err)
			}
			next = min(retry<<min(failures, 10), maxBackoff)
			if !sleep(ctx, next) {
				return
			}
		case !mine:
			if waiting {
				next = retry
			}
		default:
			waiting = n == sequenceBatch
			if waiting {
				next = 0
			}
		}
		if err == nil && failures > 0 {
			l.o.Log.Info("the event log moves on again", "failures", failures)
			failures = 0
		}
		if n > 0 {
			l.o.Wake()
			select {
			case moved <- struct{}{}:
			default: // the notification to come tells of this too
			}
		}
		timer.Reset(next)
	}
}

// sequence moves committed events from the inbox to the log, in the order in which they came into the inbox; mine is
// false while another node does it. The lock is taken in a statement of its own: the one behind it has a snapshot in
// which the last holder's work is visible.
func (l *Log) sequence(ctx context.Context) (n int64, mine bool, err error) {
	tx, err := l.client.Tx(ctx)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = tx.Rollback() }() // says that it is done after a commit
	rows, err := tx.QueryContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(sequenceLock))
	if err := scanOne(rows, err, &mine); err != nil || !mine {
		return 0, false, err
	}
	result, err := tx.ExecContext(ctx, `
		WITH moved AS (
			DELETE FROM log_inbox WHERE n IN (SELECT n FROM log_inbox ORDER BY n LIMIT $1) RETURNING n, id, kind, subject, scope, at
		), numbered AS (
			SELECT row_number() OVER (ORDER BY n) AS i, id, kind, subject, scope, at FROM moved
		), head AS (
			UPDATE log_head SET pos = pos + (SELECT count(*) FROM moved), last = (SELECT id FROM numbered ORDER BY i DESC LIMIT 1)
			WHERE EXISTS (SELECT FROM moved) RETURNING pos
		)
		INSERT INTO log (pos, id, kind, subject, scope, at)
		SELECT head.pos - (SELECT count(*) FROM moved) + i, id, kind, subject, scope, at FROM numbered, head`, sequenceBatch)
	if err != nil {
		return 0, true, fmt.Errorf("moving events into the log: %w", err)
	}
	if n, err = result.RowsAffected(); err != nil {
		return 0, true, err
	}
	if err := tx.Commit(); err != nil {
		return 0, true, fmt.Errorf("committing what was moved into the log: %w", err)
	}
	return n, true, nil
}

// notifyFor notifies the other nodes of moves, seldom enough not to slow down writers: a NOTIFY takes a lock that all
// transactions with one share.
func (l *Log) notifyFor(ctx context.Context, moved <-chan struct{}) {
	if l.o.Notify == nil {
		return
	}
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-moved:
		}
		err := l.o.Notify(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			l.o.Log.Warn("other nodes can't be notified; they find new events by polling", "err", err)
		}
		failing = err != nil
		if !sleep(ctx, notifyEvery) {
			return
		}
	}
}

// retainFor deletes what has expired, about once a retainEvery.
func (l *Log) retainFor(ctx context.Context) {
	failing := false
	for sleep(ctx, retainEvery/2+rand.N(retainEvery)) {
		_, err := l.Retain(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			l.o.Log.Warn("expired events can't be deleted; trying again", "err", err)
		}
		failing = err != nil
	}
}

// Retain deletes the events older than the retention, in batches, and says how many; Run does so by itself. It stops
// at the first event that is young enough, and never deletes the newest.
func (l *Log) Retain(ctx context.Context) (deleted int64, err error) {
	for l.o.Retention > 0 {
		n, err := l.retainBatch(ctx, l.o.Now().Add(-l.o.Retention).UTC().Truncate(time.Microsecond))
		deleted += n
		if err != nil || n < retainBatch {
			return deleted, err
		}
	}
	return deleted, nil
}

func (l *Log) retainBatch(ctx context.Context, before time.Time) (n int64, err error) {
	tx, err := l.client.Tx(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // says that it is done after a commit
	if l.postgres {
		var mine bool
		rows, err := tx.QueryContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(retainLock))
		if err := scanOne(rows, err, &mine); err != nil || !mine {
			return 0, err
		}
	}
	result, err := tx.ExecContext(ctx, `
		DELETE FROM log WHERE pos < coalesce((SELECT pos FROM log WHERE at >= $1 ORDER BY pos LIMIT 1), (SELECT pos FROM log_head))
			AND pos < (SELECT min(pos) FROM log) + $2`, before, retainBatch)
	if err != nil {
		return 0, fmt.Errorf("deleting expired events: %w", err)
	}
	if n, err = result.RowsAffected(); err != nil {
		return 0, err
	}
	return n, tx.Commit()
}

// sleep waits, and reports whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
