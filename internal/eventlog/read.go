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

// Head returns the place behind the newest event; position 0 in an empty log.
func (l *Log) Head(ctx context.Context) (event.Cursor, error) {
	var c event.Cursor
	var epoch []byte
	var last uuid.NullUUID
	rows, err := l.client.QueryContext(ctx, "SELECT epoch, pos, last FROM log_head")
	if err := scanOne(rows, err, &epoch, &c.Position, &last); err != nil {
		return c, fmt.Errorf("reading the log's head: %w", err)
	}
	if len(epoch) != len(c.Epoch) {
		return c, fmt.Errorf("the log's epoch has %d bytes", len(epoch))
	}
	c.Epoch = event.Epoch(epoch)
	if last.Valid {
		c.Tag = tagOf(last.UUID)
	}
	return c, nil
}

// Read returns the events after a position, at most limit, ascending and dense from after+1; none when there are none
// yet. It is event.ErrExpired when the next one is no longer kept, or the log ends before that position.
func (l *Log) Read(ctx context.Context, after int64, limit int) ([]event.Event, error) {
	events, err := l.read(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the log after %d: %w", after, err)
	}
	if len(events) > 0 {
		if events[0].Position != after+1 {
			return nil, event.ErrExpired
		}
		return events, nil
	}
	head, err := l.Head(ctx)
	if err != nil {
		return nil, err
	}
	if head.Position < after {
		return nil, event.ErrExpired
	}
	return nil, nil // the newest event is always kept: had there been any, there would have been one
}

func (l *Log) read(ctx context.Context, after int64, limit int) (events []event.Event, err error) {
	rows, err := l.client.QueryContext(ctx, "SELECT pos, id, kind, subject, scope, at FROM log WHERE pos > $1 ORDER BY pos LIMIT $2", after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e event.Event
		if err := rows.Scan(&e.Position, &e.ID, &e.Kind, &e.Subject, &e.Scope, &e.At); err != nil {
			return nil, err
		}
		e.At = e.At.UTC()
		events = append(events, e)
	}
	return events, rows.Err()
}

// How long Resolve waits for an event to leave the inbox, and how often it looks.
const (
	inboxWait = 5 * time.Second
	inboxLook = 10 * time.Millisecond
)

// Resolve finds the place that after means to a subscriber of t: the text of a cursor, or the id of an item of t,
// whose place is right behind its event. An event that waits in the inbox is waited for.
//
// Errors: event.ErrExpired for a place that the log can't continue from (deleted by age, of another database or
// history, or never there), event.ErrWrongKind for the id of something else, event.ErrBadCursor for anything else.
func (l *Log) Resolve(ctx context.Context, t event.Topic, after string) (event.Cursor, error) {
	if kind := gid.Kind(after); kind != "" {
		if kind != t.Kind.Item() {
			return event.Cursor{}, event.WrongKind(t, kind)
		}
		return l.resolveItem(ctx, t.Kind, after)
	}
	c, err := event.ParseCursor(after)
	if err != nil {
		return c, err
	}
	head, err := l.Head(ctx)
	if err != nil {
		return c, err
	}
	if c.Epoch != head.Epoch || c.Position > head.Position {
		return c, event.ErrExpired
	}
	if c.Position == 0 {
		if head.Position == 0 {
			return c, nil
		}
		_, err := l.idAt(ctx, 1) // the beginning is good for as long as nothing was deleted
		return c, err
	}
	id, err := l.idAt(ctx, c.Position)
	if err == nil && tagOf(id) != c.Tag {
		err = event.ErrExpired
	}
	return c, err
}

func (l *Log) idAt(ctx context.Context, position int64) (id uuid.UUID, err error) {
	rows, err := l.client.QueryContext(ctx, "SELECT id FROM log WHERE pos = $1", position)
	switch err := scanOne(rows, err, &id); {
	case errors.Is(err, sql.ErrNoRows):
		return id, event.ErrExpired
	case err != nil:
		return id, fmt.Errorf("reading the log at %d: %w", position, err)
	}
	return id, nil
}

func (l *Log) resolveItem(ctx context.Context, kind event.Kind, after string) (event.Cursor, error) {
	_, subject, ok := gid.Parse(after)
	if !ok {
		return event.Cursor{}, event.ErrBadCursor
	}
	head, err := l.Head(ctx)
	if err != nil {
		return head, err
	}
	deadline := time.Now().Add(inboxWait)
	for {
		c, err := l.placeOf(ctx, head.Epoch, kind, subject)
		if !errors.Is(err, event.ErrExpired) || !l.postgres {
			return c, err
		}
		waiting, err := l.inInbox(ctx, kind, subject)
		if err != nil {
			return c, err
		}
		if !waiting { // or has just left it
			return l.placeOf(ctx, head.Epoch, kind, subject)
		}
		if time.Now().After(deadline) {
			return c, fmt.Errorf("an event still waits in the inbox after %s", inboxWait)
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(inboxLook):
		}
	}
}

func (l *Log) placeOf(ctx context.Context, epoch event.Epoch, kind event.Kind, subject uuid.UUID) (event.Cursor, error) {
	c := event.Cursor{Epoch: epoch}
	var id uuid.UUID
	rows, err := l.client.QueryContext(ctx, "SELECT pos, id FROM log WHERE kind = $1 AND subject = $2 ORDER BY pos LIMIT 1", string(kind), subject.String())
	switch err := scanOne(rows, err, &c.Position, &id); {
	case errors.Is(err, sql.ErrNoRows):
		return c, event.ErrExpired
	case err != nil:
		return c, fmt.Errorf("looking for an item's event: %w", err)
	}
	c.Tag = tagOf(id)
	return c, nil
}

func (l *Log) inInbox(ctx context.Context, kind event.Kind, subject uuid.UUID) (waiting bool, err error) {
	rows, err := l.client.QueryContext(ctx, "SELECT EXISTS (SELECT FROM log_inbox WHERE kind = $1 AND subject = $2)", string(kind), subject.String())
	if err := scanOne(rows, err, &waiting); err != nil {
		return false, fmt.Errorf("looking into the inbox: %w", err)
	}
	return waiting, nil
}
