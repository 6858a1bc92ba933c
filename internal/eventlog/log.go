// Package eventlog is the one record of what happened: an event is in it exactly if the transaction that made it has
// committed, at a position of its own.
//
// Positions are dense, from 1, and keep causal order: what was committed before another write began stands before it.
// On SQLite the one writer gives that: positions are taken in the transaction itself. On Postgres a number taken before
// the commit does not: of two writers the second may commit first, and a reader of "everything after n" that has seen
// it never comes back for the first. So writers put their events into an inbox, and the sequencer (Log.Run) moves what
// is committed from there into the log and numbers it. Any node may be the sequencer; one is at a time. A transaction
// that stays open delays its own events and nobody else's.
//
// Retention deletes the oldest events, never the newest. What is left is always a run without gaps.
package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"tidings/ent"
	"tidings/internal/event"
)

// Options of a Log. Wake, Notify and Retention may be left out.
type Options struct {
	// Wake is called when this node has made the log grow. It must not block.
	Wake func()
	// Notify tells the other nodes on a Postgres that the log has grown: at most once in notifyEvery, and once more
	// after the last time. Its failure costs them time and nothing else.
	Notify func(context.Context) error
	// Retention is how long events are kept. 0 is for ever.
	Retention time.Duration
	// Log is where outages are told. nil is slog.Default.
	Log *slog.Logger
	// Now is the clock by which events are dated and expire. nil is time.Now.
	Now func() time.Time
}

// Log is the event log of one database. It is safe for concurrent use.
type Log struct {
	client   *ent.Client
	postgres bool
	o        Options
	pending  chan struct{} // capacity 1: this node has committed events that wait in the inbox
}

// New returns the log in client's database, of that dialect. On Postgres nothing gets its position before somebody's
// Run.
func New(client *ent.Client, d string, o Options) *Log {
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Log{client: client, postgres: d == dialect.Postgres, o: o, pending: make(chan struct{}, 1)}
}

// attempts bounds how often a transaction is begun anew that the database gave up on for the sake of another.
const attempts = 4

// Write runs fn in a transaction, appends the events that it returns, and commits; nothing is announced before, and
// nothing is kept when fn or the commit fails or fn panics. fn does all its reading and writing with tx, and may be
// called again when the database resolves a conflict of transactions against it: it starts from the beginning then.
//
// After an error of the commit itself it is not known whether it happened. If it did, its events are in the log.
func (l *Log) Write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) error {
	for attempt := 1; ; attempt++ {
		err := l.write(ctx, fn)
		if err == nil || attempt == attempts || !conflict(err) {
			return err
		}
	}
}

// conflict reports a serialization failure or a deadlock (Postgres, appendix A, class 40).
func conflict(err error) bool {
	e, ok := errors.AsType[*pq.Error](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
}

func (l *Log) write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) (err error) {
	tx, err := l.client.Tx(ctx)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	done := false
	defer func() {
		if !done { // an error, or a panic on its way up
			if failed := tx.Rollback(); failed != nil && !errors.Is(failed, sql.ErrTxDone) {
				err = errors.Join(err, fmt.Errorf("rolling back: %w", failed))
			}
		}
	}()
	events, err := fn(ctx, tx.Client())
	if err != nil {
		return err
	}
	if err := l.append(ctx, tx, events); err != nil {
		return fmt.Errorf("appending to the log: %w", err)
	}
	done = true
	err = tx.Commit()
	if len(events) > 0 { // whether or not the commit says that it failed
		l.announce()
	}
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// announce says that there is something new: to the readers of this node, or first to the sequencer.
func (l *Log) announce() {
	if !l.postgres {
		l.o.Wake()
		return
	}
	select {
	case l.pending <- struct{}{}:
	default: // it is said already
	}
}

// appendBatch bounds the rows of one INSERT; six arguments each.
const appendBatch = 500

func (l *Log) append(ctx context.Context, tx *ent.Tx, events []event.Event) error {
	if len(events) == 0 {
		return nil
	}
	var position int64 // of the first event
	if !l.postgres {
		rows, err := tx.QueryContext(ctx, "UPDATE log_head SET pos = pos + $1, last = $2 RETURNING pos", len(events), events[len(events)-1].ID.String())
		if err := scanOne(rows, err, &position); err != nil {
			return err
		}
		position -= int64(len(events)) - 1
	}
	at := l.o.Now().UTC().Truncate(time.Microsecond)
	for start := 0; start < len(events); start += appendBatch {
		batch := events[start:min(start+appendBatch, len(events))]
		var text strings.Builder
		var args []any
		if l.postgres {
			text.WriteString("INSERT INTO log_inbox (id, kind, subject, scope, at) VALUES ")
		} else {
			text.WriteString("INSERT INTO log (pos, id, kind, subject, scope, at) VALUES ")
		}
		for i, e := range batch {
			if i > 0 {
				text.WriteByte(',')
			}
			text.WriteByte('(')
			row := []any{e.ID.String(), string(e.Kind), e.Subject.String(), e.Scope.String(), at}
			if !l.postgres {
				row = append([]any{position + int64(start+i)}, row...)
			}
			for j, arg := range row {
				if j > 0 {
					text.WriteByte(',')
				}
				args = append(args, arg)
				fmt.Fprintf(&text, "$%d", len(args))
			}
			text.WriteByte(')')
		}
		if _, err := tx.ExecContext(ctx, text.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// scanOne scans the only row of a query, and closes it.
func scanOne(rows *sql.Rows, err error, dest ...any) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(sql.ErrNoRows, rows.Err())
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	return rows.Close()
}

// tagOf is event.Event.Tag of the event with that id.
func tagOf(id uuid.UUID) uint64 { return event.Event{ID: id}.Tag() }
