package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tidings/internal/event"
)

// Since returns the events of a kind that were written after a time, by the clocks of the nodes that wrote them, in
// order. It returns all of them at once: it is for kinds of which there are few.
func (l *Log) Since(ctx context.Context, k event.Kind, after time.Time) ([]event.Event, error) {
	rows, err := l.client.QueryContext(ctx, `SELECT pos, id, kind, subject, scope, at FROM log WHERE kind = $1 AND at > $2 ORDER BY pos`, string(k), after.UTC())
	if err != nil {
		return nil, fmt.Errorf("reading the event log: %w", err)
	}
	defer rows.Close()
	var events []event.Event
	for rows.Next() {
		var e event.Event
		if err := rows.Scan(&e.Position, &e.ID, &e.Kind, &e.Subject, &e.Scope, &e.At); err != nil {
			return nil, fmt.Errorf("reading the event log: %w", err)
		}
		e.At = e.At.UTC()
		events = append(events, e)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("reading the event log: %w", err)
	}
	return events, nil
}
