package eventlog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tidings/internal/event"
	"tidings/internal/gid"
)

// Every question below is one statement, and so sees one state of the log, whatever retention does meanwhile.

// Head returns the place behind the newest event.
func (l *Log) Head(ctx context.Context) (event.Cursor, error) {
	c, _, err := l.place(ctx, `SELECT e.epoch, n.pos, n.id, false
		FROM log_epoch e LEFT JOIN (SELECT pos, id FROM log ORDER BY pos DESC LIMIT 1) n ON true`)
	if err != nil {
		return event.Cursor{}, fmt.Errorf("reading the head of the event log: %w", err)
	}
	return c, nil
}

// Read returns up to limit events behind position after, in order and without a gap: the first one is at after+1. It
// returns none when after is the head, and event.ErrExpired when the next one is no longer kept or after lies beyond
// the head.
func (l *Log) Read(ctx context.Context, after int64, limit int) ([]event.Event, error) {
	// The event at after is read too: as long as the newest event is kept, nothing from there on means beyond the head.
	rows, err := l.client.QueryContext(ctx, `SELECT pos, id, kind, subject, scope, at FROM log WHERE pos >= $1 ORDER BY pos LIMIT $2`, after, limit+1)
	if err != nil {
		return nil, fmt.Errorf("reading the event log: %w", err)
	}
	defer rows.Close()
	next, found := after+1, after == 0
	var events []event.Event
	for rows.Next() {
		var e event.Event
		if err := rows.Scan(&e.Position, &e.ID, &e.Kind, &e.Subject, &e.Scope, &e.At); err != nil {
			return nil, fmt.Errorf("reading the event log: %w", err)
		}
		found = true
		if e.Position == after || len(events) == limit {
			continue
		}
		if e.Position != next {
			return nil, event.ErrExpired
		}
		e.At = e.At.UTC()
		events, next = append(events, e), next+1
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("reading the event log: %w", err)
	}
	if !found {
		return nil, event.ErrExpired
	}
	return events, nil
}

// How Resolve waits for an event that is still on its way.
const (
	resolveEvery  = 10 * time.Millisecond
	resolveAtMost = 5 * time.Second
)

// Resolve returns the place that a client names to resume t from: a cursor's text, or the id of an item of t's kind, which
// means right behind its event, where it has but one (Topic.Once). A cursor may stand behind any event. An event that has committed but is not in the log yet is waited for, 5 s at most.
//
// The error is event.ErrBadCursor when after is neither, or an id where that names no place, event.ErrWrongKind when it is the id of another kind, and
// event.ErrExpired when the place is not, or not any more, in this log: the event there is not kept, is not the one
// the cursor was made from, or lies beyond the head; or the item is unknown.
func (l *Log) Resolve(ctx context.Context, t event.Topic, after string) (event.Cursor, error) {
	kind, item, ok := gid.Parse(after)
	switch {
	case ok && !t.Once():
		return event.Cursor{}, event.ErrBadCursor
	case ok && kind != t.Kind.Item():
		return event.Cursor{}, event.WrongKind(t, kind)
	case ok:
		return l.behindItem(ctx, t, item)
	}
	c, err := event.ParseCursor(after)
	if err != nil {
		return event.Cursor{}, err
	}
	if err := l.check(ctx, c); err != nil {
		return event.Cursor{}, err
	}
	return c, nil
}

// check returns event.ErrExpired when c is no place in this log from which all that follows is kept.
func (l *Log) check(ctx context.Context, c event.Cursor) error {
	// Nothing stands at position 0. That place is good while the first event is kept, or there is none yet.
	there, some, err := l.place(ctx, `SELECT e.epoch, n.pos, n.id, EXISTS (SELECT 1 FROM log)
		FROM log_epoch e LEFT JOIN log n ON n.pos = $1`, max(c.Position, 1))
	if err != nil {
		return fmt.Errorf("looking up a cursor: %w", err)
	}
	good := c == there
	if c.Position == 0 {
		good = c.Epoch == there.Epoch && (there.Position == 1 || !some)
	}
	if !good {
		return event.ErrExpired
	}
	return nil
}

// behindItem returns the place behind the event of the topic about the item. An item of another topic is unknown to this
// one: it may be hidden from who asks.
func (l *Log) behindItem(ctx context.Context, t event.Topic, item uuid.UUID) (event.Cursor, error) {
	is, args := `kind = $1 AND subject = $2`, []any{string(t.Kind), item}
	if t.Scope != uuid.Nil {
		is, args = is+` AND scope = $3`, append(args, t.Scope)
	}
	waiting := `false`
	if l.postgres {
		waiting = `EXISTS (SELECT FROM log_inbox WHERE ` + is + `)`
	}
	query := `SELECT e.epoch, n.pos, n.id, ` + waiting + `
		FROM log_epoch e LEFT JOIN (SELECT pos, id FROM log WHERE ` + is + ` ORDER BY pos LIMIT 1) n ON true`
	for giveUp := time.Now().Add(resolveAtMost); ; {
		c, waits, err := l.place(ctx, query, args...)
		switch {
		case err != nil:
			return event.Cursor{}, fmt.Errorf("looking up the event of an item: %w", err)
		case c.Position > 0:
			return c, nil
		case !waits:
			return event.Cursor{}, event.ErrExpired
		case time.Now().After(giveUp):
			return event.Cursor{}, errors.New("an event has been waiting too long to be moved into the log")
		}
		select {
		case <-ctx.Done():
			return event.Cursor{}, fmt.Errorf("waiting for an event to reach the log: %w", ctx.Err())
		case <-time.After(resolveEvery):
		}
	}
}

// place runs a query of one row: the log's epoch, the position and id of an event or nulls, and whatever else is asked.
// Without an event it returns the place before the first one.
func (l *Log) place(ctx context.Context, query string, args ...any) (c event.Cursor, also bool, err error) {
	rows, err := l.client.QueryContext(ctx, query, args...)
	if err != nil {
		return c, false, err
	}
	defer rows.Close()
	if !rows.Next() {
		return c, false, errors.Join(rows.Err(), sql.ErrNoRows)
	}
	var epoch []byte
	var pos sql.NullInt64
	var id uuid.NullUUID
	if err := rows.Scan(&epoch, &pos, &id, &also); err != nil {
		return c, false, err
	}
	if len(epoch) != len(c.Epoch) {
		return c, false, fmt.Errorf("the log's epoch has %d bytes", len(epoch))
	}
	c.Epoch = event.Epoch(epoch)
	if pos.Valid {
		c = event.After(event.Event{Position: pos.Int64, ID: id.UUID}, c.Epoch)
	}
	return c, also, errors.Join(rows.Err(), rows.Close())
}
