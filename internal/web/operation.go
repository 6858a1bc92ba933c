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

// operation is one query, mutation or subscription on a socket. Its id is taken
// until the frame that ends it goes out, or its client completes it.
type operation struct {
	id         string
	conn       *conn
	cancel     context.CancelFunc
	muted      atomic.Bool // completed by its client: nothing of it goes out any more
	subscribed bool        // under conn.mu
	events     int         // delivered
	points     int         // of one run
	oc         *graphql.OperationContext
}

// serve runs the operation to its end, and writes a line about it to the log.
// ctx is the operation's own.
func (op *operation) serve(ctx context.Context, p *graphql.RawParams) {
	defer op.cancel()
	start := time.Now()
	end := op.run(ctx, p)
	op.conn.server.log.LogAttrs(ctx, slog.LevelInfo, "operation", append(operationAttrs(auth.ViewerFrom(ctx), op.oc),
		slog.String("request", op.conn.id),
		slog.String("id", clip(op.id, 64)),
		slog.Duration("duration", time.Since(start)),
		slog.Int("events", op.events),
		slog.String("outcome", end),
	)...)
}

// run returns how it went, in a word for the log.
func (op *operation) run(ctx context.Context, p *graphql.RawParams) string {
	e := op.conn.server.engine
	done, err := op.execute(ctx)
	if err != nil {
		return op.abandoned()
	}
	viewer, err := op.conn.server.current(auth.ViewerFrom(ctx))
	if err != nil {
		done()
		op.conn.shutOut(err)
		return op.abandoned()
	}
	ctx = auth.WithViewer(ctx, viewer)
	var resp *graphql.Response
	op.oc, op.points, resp = e.begin(ctx, p)
	if resp == nil && !isSubscription(op.oc) {
		bounded, cancel := context.WithTimeout(ctx, op.conn.server.limits.Operation)
		if resp = e.run(bounded, op.oc); resp == nil {
			resp = e.refuse(bounded, context.Cause(bounded))
		}
		cancel()
	} else if resp == nil {
		return op.subscribe(ctx, done)
	}
	defer done() // when there was room for the response

	if ctx.Err() != nil {
		return op.abandoned()
	}
	if resp.Data == nil && len(resp.Errors) > 0 {
		return op.fail(ctx, resp)
	}
	if op.send(ctx, nextFrame(op.id, resp, ""), false) != nil || op.send(ctx, completeFrame(op.id), true) != nil {
		return op.abandoned()
	}
	return outcome(resp)
}

// subscribe runs a subscription. Until its start is known it executes; done
// ends that.
func (op *operation) subscribe(ctx context.Context, done func()) string {
	var s *live.Subscription
	leave, err := op.conn.meter.stand(op.points)
	if err == nil {
		defer leave()
		s, err = op.open(ctx)
	}
	done()
	if s != nil {
		defer s.Close()
		err = op.follow(ctx, s)
	}
	switch refused := (*refusedError)(nil); {
	case ctx.Err() != nil:
		return op.abandoned()
	case errors.Is(err, errOver):
		if op.send(ctx, completeFrame(op.id), true) != nil {
			return op.abandoned()
		}
		return "over"
	case errors.Is(err, errNoViewer):
		op.conn.shutOut(err)
		return op.abandoned()
	case errors.Is(err, live.ErrStopped):
		op.conn.shut(closeGoingAway, "The server is going away")
		return op.abandoned()
	case errors.As(err, &refused):
		return op.fail(ctx, refused.response)
	default:
		return op.fail(ctx, op.conn.server.engine.refuse(graphql.WithOperationContext(ctx, op.oc), explain(err)))
	}
}

// errOver says that a subscription has come to its end: its viewer may see
// nothing more of what it is about.
var errOver = errors.New("the subscription is over")

// refusedError is the response of a subscription that can't go on.
type refusedError struct{ response *graphql.Response }

func (e *refusedError) Error() string { return e.response.Errors.Error() }

// eventsRead is for how many events that are read from the log to find those of
// a subscription a point is due, beside the first: most are of other topics.
const eventsRead = 64

// open runs the operation once so that its resolver says what it is about and
// whether it may, and starts the subscription there.
func (op *operation) open(ctx context.Context) (*live.Subscription, error) {
	if err := op.conn.countSubscription(op); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, op.conn.server.limits.Operation)
	defer cancel()
	preparing, request := op.conn.server.hub.Prepare(bounded)
	if resp := op.conn.server.engine.run(preparing, op.oc); resp != nil {
		return nil, &refusedError{resp}
	}
	if err := bounded.Err(); err != nil {
		return nil, err
	}
	request.Read = func(ctx context.Context, events int) error { return pace(ctx, 1+events/eventsRead) }
	// Not with the bounded context: it may live as long as the subscription.
	return op.conn.server.hub.Subscribe(ctx, *request)
}

// follow delivers each event, one at a time, until one of them or the
// subscription fails, or it is over. An event that can't be loaded ends it: its
// client resumes in front of that event, so that none is lost.
func (op *operation) follow(ctx context.Context, s *live.Subscription) error {
	for {
		e, err := s.Next(ctx)
		if err != nil {
			return err
		}
		if err := op.deliver(ctx, s, e); err != nil {
			return err
		}
	}
}

// deliver runs the operation for one event and sends the response, if there is
// one: else the event is gone, or not for this viewer. It has its turn to execute
// until there was room for the response, so that few of them wait, however many
// subscriptions a slow client has.
//
// Each run costs what the operation does. An event can't be refused, so it waits
// until its points are there, and those behind it wait in the log.
func (op *operation) deliver(ctx context.Context, s *live.Subscription, e event.Event) error {
	if err := pace(ctx, op.points); err != nil {
		return err
	}
	done, err := op.execute(ctx)
	if err != nil {
		return err
	}
	defer done()
	resp, err := op.respond(ctx, e)
	switch {
	case err != nil:
		return err
	case resp == nil:
		return nil
	case resp.Data == nil:
		return &refusedError{resp}
	}
	if err := op.send(ctx, nextFrame(op.id, resp, s.Cursor(e)), false); err != nil {
		return err
	}
	op.events++
	return nil
}

// respond runs the operation for one event, as the viewer is and with what they
// may see now. A nil response without an error means to pass over the event.
func (op *operation) respond(ctx context.Context, e event.Event) (*graphql.Response, error) {
	viewer, err := op.conn.server.current(auth.ViewerFrom(ctx))
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(auth.WithViewer(ctx, viewer), op.conn.server.limits.Operation)
	defer cancel()
	delivering, delivery := live.WithEvent(bounded, e)
	resp := op.conn.server.engine.run(delivering, op.oc)
	switch {
	case resp != nil:
		return resp, ctx.Err()
	case bounded.Err() != nil:
		return nil, bounded.Err() // an event is skipped only if there was time for it
	case delivery.Over:
		return nil, errOver
	}
	return nil, nil
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

// send puts a frame into the socket's queue, and waits for room there.
func (op *operation) send(ctx context.Context, frame []byte, final bool) error {
	return op.conn.out.put(ctx, item{frame, op, final})
}

// fail ends the operation with an error message.
func (op *operation) fail(ctx context.Context, resp *graphql.Response) string {
	if op.send(ctx, errorFrame(op.id, resp.Errors), true) != nil {
		return op.abandoned()
	}
	return outcome(resp)
}

// abandoned is the end of an operation that nobody waits for any more: its
// client completed it, or the socket ends.
func (op *operation) abandoned() string {
	op.conn.forget(op)
	if op.muted.Load() {
		return "completed"
	}
	return "closed"
}

// explain makes faults of the errors that a client can do something about.
func explain(err error) error {
	switch {
	case errors.Is(err, event.ErrExpired):
		return fault.CursorExpired(event.ErrExpired.Error()).Because(err)
	case errors.Is(err, event.ErrBadCursor), errors.Is(err, event.ErrWrongKind):
		return fault.BadInput("after", err.Error())
	}
	return err
}
