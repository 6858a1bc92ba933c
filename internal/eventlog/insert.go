package eventlog

import (
	"context"
	"errors"
	"fmt"

	"tidings/ent"
	"tidings/internal/event"
)

// Insertion is a new row that belongs to another one, as a comment to its post, and the event that announces it.
type Insertion struct {
	// On gives the row that it belongs to, one at most: as the viewer may see it.
	On ent.NodeQuery
	// Row is what ent generates to create the new one.
	Row interface{ Exec(context.Context) error }
	// Event announces it.
	Event event.Event
}

// Insert writes the insertion that build makes with the client it is given, in a transaction like Write's. When On gives
// no row it writes nothing and returns false. What On gives stays as it was found until the commit.
//
// Build may run more than once, has no other effect, and names the same ids each time: so nothing is written twice.
func (l *Log) Insert(ctx context.Context, build func(*ent.Client) Insertion) (inserted bool, err error) {
	if l.postgres {
		inserted, settled, err := l.insertAtOnce(ctx, build(l.quoting))
		if settled {
			return inserted, err
		}
	}
	err = l.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		i := build(tx)
		on, err := i.locked(ctx)
		if inserted = len(on) > 0; err != nil || !inserted {
			return nil, err
		}
		return []event.Event{i.Event}, i.Row.Exec(ctx)
	})
	return inserted && err == nil, err
}

// locked gives the row that it belongs to, which nobody changes from then on.
func (i Insertion) locked(ctx context.Context) ([]ent.Node, error) {
	i.On.ModifyP(ent.LockShared)
	return i.On.Load(ctx, []string{i.On.Type().ID})
}

// insertAtOnce is Insert on Postgres in one statement, which is a transaction by itself: four round trips less. Ent says
// what it would run, policies included, and that is joined. Where this does not work out nothing has been written, and
// it is not settled: then Insert goes the ordinary way, which has an answer to everything.
func (l *Log) insertAtOnce(ctx context.Context, i Insertion) (inserted, settled bool, err error) {
	if valid(i.Event) != nil {
		return false, false, nil
	}
	on, _ := quoted(ctx, func(ctx context.Context) error { _, err := i.locked(ctx); return err })
	row, err := quoted(ctx, i.Row.Exec)
	if err != nil {
		return false, false, nil
	}
	query := l.joined.of(on, row)
	if query == "" {
		return false, false, nil
	}
	n, err := exec(ctx, l.client, query, append(append(row.args, on.args...), l.columns(i.Event)...)...)
	var refused interface{ SQLState() string }
	switch {
	case errors.As(err, &refused):
		return false, false, nil
	case err != nil: // the connection was lost: whether it took place is open, as with a commit
		return false, true, fmt.Errorf("inserting: %w", err)
	case n > 0:
		l.announce()
	}
	return n > 0, true, nil
}
