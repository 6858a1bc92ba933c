package live

import (
	"context"
	"errors"
	"fmt"

	"tidings/internal/event"
)

// A subscription operation is executed once to find out what it wants (Prepare), and then once for each of its events
// (WithEvent). Its resolver returns what Stream returns, and need not know which of the two is going on.

// Request is what a subscription operation wants, as its resolver said in a context of Prepare.
type Request struct {
	Topic event.Topic // zero when no resolver has called Stream
	After *string     // where to resume, as the client said it; nil: from now
}

type requestKey struct{}
type eventKey struct{}

// Prepare returns a context in which Stream fills in the returned request and delivers nothing. It is executed in
// before the request is read, by one goroutine.
func Prepare(ctx context.Context) (context.Context, *Request) {
	r := &Request{}
	return context.WithValue(ctx, requestKey{}, r), r
}

// WithEvent returns a context in which Stream delivers e and nothing else.
func WithEvent(ctx context.Context, e event.Event) context.Context {
	return context.WithValue(ctx, eventKey{}, e)
}

// Source is a subscription field: which events it is about, and what it makes of them.
type Source[T any] struct {
	Topic event.Topic
	After *string
	// Open decides when the client subscribes whether what it subscribes to exists and is its to see; nil: always.
	// It does not guard what is delivered: that is for Load.
	Open func(ctx context.Context) error
	// Load returns the item of e as the viewer of ctx may see it now, or ok = false to pass over e: the item is
	// gone, or hidden.
	Load func(ctx context.Context, e event.Event) (item T, ok bool, err error)
}

// Stream is the body of a subscription's resolver. In a context of Prepare it runs s.Open, notes the topic and the
// place in the Request and returns a closed channel. In a context of WithEvent it returns a closed channel that holds
// the event's item, or nothing if Load passed over it. In any other context it fails.
func Stream[T any](ctx context.Context, s Source[T]) (<-chan T, error) {
	out := make(chan T, 1)
	defer close(out)
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		if s.Open != nil {
			if err := s.Open(ctx); err != nil {
				return nil, err
			}
		}
		r.Topic, r.After = s.Topic, s.After
		return out, nil
	}
	e, ok := ctx.Value(eventKey{}).(event.Event)
	if !ok {
		return nil, errors.New("subscriptions run over WebSocket or SSE")
	}
	if !s.Topic.Covers(e) {
		return nil, fmt.Errorf("delivering event %d: it is not of the topic", e.Position)
	}
	item, ok, err := s.Load(ctx, e)
	if err != nil {
		return nil, err
	}
	if ok {
		out <- item
	}
	return out, nil
}
