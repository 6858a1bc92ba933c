package eventlog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// retainEvery is about how often old events are deleted.
const retainEvery = time.Minute

// retain deletes old events, about every minute: the nodes' turns are spread by chance.
func (l *Log) retain(ctx context.Context) {
	out := outage{log: l.o.Logger, begins: "old events can't be deleted", ends: "old events are deleted again"}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(retainEvery/2 + rand.N(retainEvery)):
		}
		deleted, err := batch, error(nil)
		for deleted == batch && err == nil {
			deleted, err = l.trim(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		out.report(ctx, err)
	}
}

// trimLog deletes from the front, so that what is kept stays dense. Of the oldest events it looks at one more than a
// batch: the first young one of them stays, and the one before it, for it is the place behind which the young ones
// follow; if there is none, the last of them stays, which may be the newest of all.
const trimLog = `DELETE FROM log WHERE pos < (
		SELECT coalesce(min(CASE WHEN at >= $1 THEN pos - 1 END), max(pos))
		FROM (SELECT pos, at FROM log ORDER BY pos LIMIT $2) AS oldest)`

// trim deletes up to a batch of events whose successors are older than the retention. On Postgres it deletes nothing
// while another node is at it.
func (l *Log) trim(ctx context.Context) (deleted int, err error) {
	work := func(ctx context.Context, on execer) error {
		deleted, err = exec(ctx, on, trimLog, l.o.Now().UTC().Add(-l.o.Retention), batch+1)
		return err
	}
	if l.postgres {
		_, err = l.alone(ctx, retentionLock, work)
	} else {
		err = work(ctx, l.client)
	}
	if err != nil {
		return 0, fmt.Errorf("deleting old events: %w", err)
	}
	return deleted, nil
}
