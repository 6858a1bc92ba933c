// Package eventlog keeps the log of events in the database: one list, in which every event of every committed
// transaction stands once, at a position of its own. It owns the tables log, log_epoch and log_inbox.
//
// What the log promises:
//
//   - An event is in the log exactly if the transaction that it announces has committed (Write).
//   - Positions are dense, from 1, and keep causal order: what had committed before another write began stands before it.
//   - An event that can be read has its position for good, and nothing will ever appear before it.
//
// On SQLite one transaction writes at a time, so that each can append to the log what comes next. On Postgres a number
// taken in a transaction says nothing about when it commits: whoever reads "what is behind the last one I saw" passes
// over those that commit late. So there writers leave their events in an inbox, and one node at a time, the sequencer,
// moves what has committed into the log (Run). Any node is the sequencer whenever it gets the lock for it.
//
// A transaction that stays open long delays its own events and no others. On Postgres it also keeps vacuum from the
// rows that have left the inbox meanwhile; the sequencer steps over each of them at every move: 7 ms for every
// 100,000 events that were written while it was open, until some time after it ends.
package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"tidings/ent"
	"tidings/internal/event"
)

// Options of a Log.
type Options struct {
	// Retention is for how long events are kept: Run deletes an event once the one behind it is older, so that a
	// cursor is good for as long as all that follows it is younger, and the newest event stays. 0: for ever.
	Retention time.Duration
	// Wake is called after the log has moved by what this node did, for those of this node who read it. It must not
	// block; nil: nobody waits.
	Wake func()
	// Notify tells the other nodes so, at most once in 15 ms and always after the last move. It may take its time, and
	// may fail: they poll. Postgres only; nil: there are none.
	Notify func(context.Context) error
	// Now is the clock: of the events' times and of their age. nil: time.Now.
	Now func() time.Time
	// Logger gets what Run can't return; nil: slog.Default().
	Logger *slog.Logger
}

// Log is the event log of a database.
type Log struct {
	client   *ent.Client
	postgres bool
	o        Options
	quoting  *ent.Client // that of a driver of this name
	joined   joints

	left  chan struct{} // holds one when events were left in the inbox since the sequencer last looked
	moved chan struct{} // holds one when the log has moved since the other nodes were last told
}

// New returns the log of the database behind client, of dialect.SQLite or dialect.Postgres. On Postgres, what is
// written appears in the log only while Run runs, in this process or another one.
func New(client *ent.Client, d string, o Options) *Log {
	if o.Wake == nil {
		o.Wake = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Log{
		client: client, postgres: d == dialect.Postgres, o: o, quoting: ent.NewClient(ent.Driver(quoting{})),
		left: make(chan struct{}, 1), moved: make(chan struct{}, 1),
	}
}

// A transaction that Postgres gave up for another's sake is run again.
const (
	attempts        = 3
	betweenAttempts = 20 * time.Millisecond
)

// Write runs fn in a transaction, appends the events that fn returns as the transaction's last statements, and commits.
// Only then is anything announced. When fn fails, or panics, everything is rolled back, and Write returns fn's error
// as it is.
//
// Fn may run more than once: the transaction is run again, twice at most, when Postgres has ended it for the sake of
// another one (deadlock or serialization failure, SQLSTATE 40P01 and 40001). So fn makes its events anew each time,
// and has no effect but through tx. It must not call Write: on SQLite that waits for itself.
//
// An error of the commit itself leaves open whether it took place, when the connection was lost over it. If it did,
// the events are in the log like all others.
func (l *Log) Write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) error {
	for attempt := 1; ; attempt++ {
		n, err := l.write(ctx, fn)
		if err == nil {
			if n > 0 {
				l.announce()
			}
			return nil
		}
		if attempt == attempts || !victim(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(betweenAttempts)):
		}
	}
}

// victim reports whether err says that the transaction might succeed when run again (PostgreSQL, appendix A, class 40).
func victim(err error) bool {
	var e interface{ SQLState() string }
	if !errors.As(err, &e) {
		return false
	}
	return e.SQLState() == "40001" || e.SQLState() == "40P01"
}

func (l *Log) write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) (n int, err error) {
	tx, err := l.client.Tx(ctx)
	if err != nil {
		return 0, fmt.Errorf("beginning to write: %w", err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// In a panic too. It is over already where ctx was cancelled or the commit failed.
		if failed := tx.Rollback(); failed != nil && !errors.Is(failed, sql.ErrTxDone) {
			err = errors.Join(err, fmt.Errorf("rolling back: %w", failed))
		}
	}()
	events, err := fn(ctx, tx.Client())
	if err != nil {
		return 0, err
	}
	if err := l.Append(ctx, tx.Client(), events); err != nil {
		return 0, err
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("committing: %w", err)
	}
	committed = true
	return len(events), nil
}

// What append runs: on SQLite into the log itself, on Postgres into the inbox.
const (
	appendSQLite = `INSERT INTO log (pos, id, kind, subject, scope, at)
		SELECT coalesce(max(pos), 0) + 1, $1, $2, $3, $4, $5 FROM log`
	appendPostgres = intoInbox + ` VALUES (` + newEvent + `)`

	intoInbox = `INSERT INTO log_inbox (event, kind, subject, scope, at)`
	newEvent  = `$1, $2, $3, $4, $5` // columns
)

// Append appends events in a transaction of Write, before those that its fn returns: for an fn that makes more of them
// than it should hold at once. What an event announces must be done in tx, or the rows locked, before it is appended,
// and fn must return at least one event, for Write announces what it returns.
func (l *Log) Append(ctx context.Context, tx *ent.Client, events []event.Event) error {
	for _, e := range events {
		if err := l.append(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) append(ctx context.Context, tx *ent.Client, e event.Event) error {
	if err := valid(e); err != nil {
		return err
	}
	query := appendSQLite
	if l.postgres {
		query = appendPostgres
	}
	if _, err := tx.ExecContext(ctx, query, l.columns(e)...); err != nil {
		return fmt.Errorf("appending to the event log: %w", err)
	}
	return nil
}

// valid says whether e can be appended.
func valid(e event.Event) error {
	if e.ID == uuid.Nil || e.Kind == "" || e.Subject == uuid.Nil || e.Scope == uuid.Nil || e.Position != 0 {
		return fmt.Errorf("appending to the event log: %+v is not a new event", e)
	}
	return nil
}

// columns are the values of a new event: id, kind, subject, scope and time.
func (l *Log) columns(e event.Event) []any {
	return []any{e.ID, string(e.Kind), e.Subject, e.Scope, l.o.Now().UTC().Truncate(time.Microsecond)}
}

// announce tells those who wait for it that this node has committed events.
func (l *Log) announce() {
	if l.postgres {
		set(l.left)
	} else {
		l.o.Wake()
	}
}

// set makes a channel of one hold one.
func set(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
