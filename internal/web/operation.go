package web

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/fault"
	"tidings/internal/live"
)

// operation is one query, mutation or subscription on a socket, or the
// subscription of a stream. On a socket its id is taken until the frame that ends it goes out, or its client completes it.
//
// A subscription has a goroutine until it is a member of its group, and then
// again while it is behind.
type operation struct {
	// What delivering needs comes first, in one line of the processor's cache.
	conn   *line
	prefix []byte      // of its next messages, up to the payload; nil on a stream
	events int         // on their way; under conn.out.mu
	muted  atomic.Bool // nothing of it goes out any more

	completed atomic.Bool // by its client
	finished  atomic.Bool // end was called
	id        string
	start     time.Time

	// Of the goroutine that serves it, which others come behind.
	name, kind string                    // for the log
	oc         *graphql.OperationContext // nil once nobody needs it any more
	points     int                       // of one run
	group      *live.Group
	shared     bool   // the group is everyone's
	leave      func() // gives back the points that it stands for

	// Under conn.mu.
	subscribed bool            // it counts as a subscription
	busy       int             // goroutines
	turn       int             // how often its membership has ended
	stopped    bool            // nothing is done for it any more
	ctx        context.Context // of its goroutines; nil without one
	cancel     context.CancelFunc
	member     *live.Member
}

// serve runs the operation, and is the goroutine in which it began.
func (op *operation) serve(p *graphql.RawParams) {
	op.work(func(ctx context.Context) string { return op.run(ctx, p) })
}

// work is a goroutine of the operation. f returns how the operation ended, in a
// word for the log, or "" if it goes on without a goroutine.
func (op *operation) work(f func(context.Context) string) {
	c := op.conn
	c.mu.Lock()
	if op.ctx == nil {
		op.ctx, op.cancel = context.WithCancel(c.values)
	}
	if op.stopped {
		op.cancel()
	}
	ctx := op.ctx
	c.mu.Unlock()

	end := f(ctx)
	c.mu.Lock()
	op.busy--
	left := op.busy == 0 && op.stopped
	if op.busy == 0 {
		op.cancel()
		op.ctx, op.cancel = nil, nil
	}
	c.mu.Unlock()
	if end == "" && left { // nobody else will notice
		end = op.abandoned()
	}
	if end != "" {
		op.end(end)
	}
}

// end gives back what the operation holds, and writes a line about it to the
// log. Only the first call counts.
func (op *operation) end(outcome string) {
	if op.finished.Swap(true) {
		return
	}
	c := op.conn
	c.mu.Lock()
	op.halt()
	values := c.values
	member := op.member
	op.member = nil
	c.mu.Unlock()
	if op.group != nil {
		if member != nil {
			op.group.Leave(member)
		}
		op.group.Release()
	}
	if op.leave != nil {
		op.leave()
	}
	c.out.mu.Lock()
	events := op.events
	c.out.mu.Unlock()
	c.server.log.LogAttrs(values, slog.LevelInfo, "operation", append(operationAttrs(auth.ViewerFrom(values), op.name, op.kind),
		slog.String("request", c.id),
		slog.String("id", clip(op.id, 64)),
		slog.Duration("duration", time.Since(op.start)),
		slog.Int("events", events),
		slog.String("outcome", outcome),
	)...)
}

// endIdle ends an operation that was stopped and has no goroutine to notice.
func (op *operation) endIdle() {
	op.conn.mu.Lock()
	busy := op.busy > 0
	op.conn.mu.Unlock()
	if !busy {
		op.end(op.abandoned())
	}
}

// stop makes the operation say nothing any more.
func (op *operation) stop() {
	op.muted.Store(true)
	op.conn.mu.Lock()
	defer op.conn.mu.Unlock()
	op.halt()
}

// halt stops what is done for the operation. It is called with conn.mu held.
func (op *operation) halt() {
	op.stopped = true
	if op.cancel != nil {
		op.cancel()
	}
}

// run runs the operation.
func (op *operation) run(ctx context.Context, p *graphql.RawParams) string {
	e := op.conn.server.engine
	done, err := op.execute(ctx)
	if err != nil {
		return op.abandoned()
	}
	viewer, err := op.conn.current(auth.ViewerFrom(ctx))
	if err != nil {
		done()
		op.conn.shutOut(err)
		return op.abandoned()
	}
	ctx = auth.WithViewer(ctx, viewer)
	var resp *graphql.Response
	op.oc, op.points, resp = e.begin(ctx, p)
	op.name, op.kind = operationName(op.oc), operationType(op.oc)
	if resp == nil && !isSubscription(op.oc) {
		bounded, cancel := context.WithTimeout(ctx, op.conn.server.limits.Operation)
		if resp = e.run(bounded, op.oc); resp == nil {
			resp = e.refuse(bounded, context.Cause(bounded))
		}
		cancel()
	} else if resp == nil {
		at, err := op.open(ctx)
		done()
		if err == nil {
			err = op.follow(ctx, at)
		}
		return op.followed(ctx, err)
	}
	defer done() // when there was room for the response

	if ctx.Err() != nil {
		return op.abandoned()
	}
	if resp.Data == nil && len(resp.Errors) > 0 {
		return op.fail(ctx, resp)
	}
	if op.send(ctx, nextFrame(op.id, resp, ""), false) != nil || op.send(ctx, op.conn.completion(op.id), true) != nil {
		return op.abandoned()
	}
	return outcome(resp)
}

// execute waits for a turn to execute something. done ends it.
func (op *operation) execute(ctx context.Context) (done func(), err error) {
	select {
	case op.conn.slots <- struct{}{}:
		return func() { <-op.conn.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// send puts a frame into the socket's queue, and waits for room there. Behind a final one the client may ask for as much
// again, so the points for which the operation stands are given back before.
func (op *operation) send(ctx context.Context, frame []byte, final bool) error {
	if final && op.leave != nil {
		op.leave()
		op.leave = nil
	}
	return op.conn.put(ctx, item{frame: frame, op: op, final: final})
}

// fail ends the operation with an error message.
func (op *operation) fail(ctx context.Context, resp *graphql.Response) string {
	if op.send(ctx, op.conn.failure(op.id, resp.Errors), true) != nil {
		return op.abandoned()
	}
	return outcome(resp)
}

// abandoned is the end of an operation that nobody waits for any more: its
// client completed it, or the socket ends.
func (op *operation) abandoned() string {
	op.conn.forget(op)
	if op.completed.Load() {
		return "completed"
	}
	return "closed"
}

// explain makes faults of the errors that a client can do something about. field is where it has said from where on.
func explain(err error, field string) error {
	switch {
	case errors.Is(err, event.ErrExpired):
		return fault.CursorExpired(event.ErrExpired.Error()).Because(err)
	case errors.Is(err, event.ErrBadCursor), errors.Is(err, event.ErrWrongKind):
		return fault.BadInput(field, err.Error())
	}
	return err
}
