package live

import (
	"context"
	"errors"
	"fmt"

	"tidings/internal/event"
)

// A subscription operation is executed once to find out what it wants (Hub.Prepare), and then once for each of its
// events (WithEvent). Its resolver returns what Stream returns, and need not know which of the two is going on.

// Request is what a subscription operation wants, as its resolver said in a context of Prepare.
type Request struct {
	Topic event.Topic // zero when no resolver has called Stream
	After *string     // where to resume, as the client said it; nil: from now

	hub  *Hub          // that prepared it; nil: none did
	from *event.Cursor // what now was, taken before Source.Open looked; nil: that is for Subscribe to take
}

// now takes the log's head as the place to start from.
func (r *Request) now(ctx context.Context) error {
	select {
	case <-r.hub.started:
	case <-r.hub.stopped:
		return nil // Subscribe says so
	case <-ctx.Done():
		return ctx.Err()
	}
	head, err := r.hub.log.Head(ctx)
	r.from = &head
	return err
}

// Delivery is what became of one event, as the resolver said in a context of WithEvent.
type Delivery struct {
	Over bool // the subscription is: its viewer may see nothing more of what it is about

	event event.Event
}

type requestKey struct{}
type deliveryKey struct{}

// Prepare returns a context in which Stream fills in the returned request and delivers nothing. It is executed in
// before the request is read, by one goroutine.
//
// A subscription from now starts at the log's head as it was before its Source.Open looked. So an event that changes
// what Open sees is either seen by Open or delivered: none can fall between the two.
func (h *Hub) Prepare(ctx context.Context) (context.Context, *Request) {
	r := &Request{hub: h}
	return context.WithValue(ctx, requestKey{}, r), r
}

// WithEvent returns a context in which Stream delivers e and nothing else. It is executed in, as the viewer of now,
// before the delivery is read, by one goroutine.
func WithEvent(ctx context.Context, e event.Event) (context.Context, *Delivery) {
	d := &Delivery{event: e}
	return context.WithValue(ctx, deliveryKey{}, d), d
}

// Source is a subscription field: which events it is about, and what it makes of them.
type Source[T any] struct {
	Topic event.Topic
	After *string
	// Open decides when the client subscribes whether what it subscribes to exists and is its to see; nil: always.
	// It does not guard what is delivered: that is for Load and Lasts.
	Open func(ctx context.Context) error
	// Load returns the item of e, an event of Topic.Kind, as the viewer of ctx may see it now, or ok = false to pass
	// over e: the item is gone, or hidden.
	Load func(ctx context.Context, e event.Event) (item T, ok bool, err error)
	// Lasts reports whether what Open has found is still there, and the viewer's of ctx to see; nil: always. It is
	// asked at each event that delivers nothing: those that Load passes over, and those that Topic covers though they
	// are of another kind. Once it is not, the subscription is over.
	Lasts func(ctx context.Context) (bool, error)
	// Hidden reports whether the item of an event that Load passes over is there, though the viewer of ctx may not see it;
	// nil: never. Then the subscription is over whatever Lasts would say: what was hidden when Load looked may be shown
	// again by the time that Lasts does, and others of the viewer's group may see it at any time.
	Hidden func(ctx context.Context, e event.Event) (bool, error)
}

// Stream is the body of a subscription's resolver. In a context of Prepare it runs s.Open, notes the topic and the
// place in the Request and returns a closed channel. In a context of WithEvent it returns a closed channel that holds
// the event's item, or nothing if there is none to deliver; then it notes in the Delivery whether the subscription is
// over. In any other context it fails.
func Stream[T any](ctx context.Context, s Source[T]) (<-chan T, error) {
	out := make(chan T, 1)
	defer close(out)
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		if s.After == nil {
			if err := r.now(ctx); err != nil {
				return nil, err
			}
		}
		if s.Open != nil {
			if err := s.Open(ctx); err != nil {
				return nil, err
			}
		}
		r.Topic, r.After = s.Topic, s.After
		return out, nil
	}
	d, ok := ctx.Value(deliveryKey{}).(*Delivery)
	if !ok {
		return nil, errors.New("subscriptions run over WebSocket or SSE")
	}
	if !s.Topic.Covers(d.event) {
		return nil, fmt.Errorf("delivering event %d: it is not of the topic", d.event.Position)
	}
	if d.event.Kind == s.Topic.Kind {
		item, ok, err := s.Load(ctx, d.event)
		if err != nil {
			return nil, err
		}
		if ok {
			out <- item
			return out, nil
		}
		if s.Hidden != nil {
			hidden, err := s.Hidden(ctx, d.event)
			if err != nil {
				return nil, err
			}
			if hidden {
				d.Over = true
				return out, nil
			}
		}
	}
	if s.Lasts != nil {
		lasts, err := s.Lasts(ctx)
		if err != nil {
			return nil, err
		}
		d.Over = !lasts
	}
	return out, nil
}
