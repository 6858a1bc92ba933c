package web

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/fault"
	"tidings/internal/live"
)

// refusedError is the response of a subscription that can't go on.
type refusedError struct{ response *graphql.Response }

func (e *refusedError) Error() string { return e.response.Errors.Error() }

// open finds out what a subscription is about and whether it may, and the group
// of those who get the same. It returns the place where it starts.
//
// What everyone would get alike is asked for as an anonymous visitor. Who is
// signed in and may see more asks for themselves if that is refused.
//
// While the server drains nothing is subscribed to any more: the connection leaves
// now, before its turn, so that its client asks the next server.
func (op *operation) open(ctx context.Context) (at event.Cursor, err error) {
	c := op.conn
	if c.server.sockets.isDraining() {
		c.goAway()
		return at, errEnded
	}
	if err := c.countSubscription(op); err != nil {
		return at, err
	}
	if op.leave, err = c.meter.stand(op.points); err != nil {
		return at, err
	}
	op.shared = c.server.engine.shareable(op.oc)
	signedIn := auth.ViewerFrom(ctx).SignedIn()
	var request *live.Request
	if op.shared {
		request, err = op.prepare(auth.WithViewer(ctx, auth.Viewer{}))
	}
	if !op.shared || err != nil && signedIn {
		op.shared = false
		request, err = op.prepare(ctx)
	}
	if err != nil {
		return at, err
	}
	if err := op.join(ctx, request.Topic); err != nil {
		return at, err
	}
	return c.server.hub.Start(ctx, *request)
}

// prepare runs the operation once so that its resolver says what it is about.
func (op *operation) prepare(ctx context.Context) (*live.Request, error) {
	bounded, cancel := context.WithTimeout(ctx, op.conn.server.limits.Operation)
	defer cancel()
	preparing, request := op.conn.server.hub.Prepare(bounded)
	if resp := op.conn.server.engine.run(preparing, op.oc); resp != nil {
		return nil, &refusedError{resp}
	}
	if err := bounded.Err(); err != nil {
		return nil, err
	}
	if request.Topic == (event.Topic{}) {
		return nil, errors.New("subscribing: no subscription was prepared")
	}
	if last, ok := lastEvent(ctx); ok {
		request.After = &last
	}
	return request, nil
}

// join holds the operation's group.
func (op *operation) join(ctx context.Context, topic event.Topic) error {
	viewer := auth.Viewer{}
	if !op.shared {
		viewer.User = auth.ViewerFrom(ctx).User
	}
	s := op.conn.server
	group, err := s.hub.Group(ctx, groupKey(viewer, op.oc), topic, s.render(ctx, viewer, op.oc), payment(ctx, viewer, op.points))
	if err != nil {
		return err
	}
	op.group = group
	op.prefix = op.conn.prefix(op.id)
	return nil
}

// follow brings the operation to its group, from a place on.
func (op *operation) follow(ctx context.Context, at event.Cursor) error {
	op.conn.mu.Lock()
	turn := op.turn
	op.conn.mu.Unlock()
	m, err := op.group.Follow(ctx, at, op, op)
	if err != nil {
		return err
	}
	op.conn.mu.Lock()
	if op.turn == turn { // else the group has taken it out again, and another goroutine follows
		op.member = m
		if op.shared && !auth.ViewerFrom(ctx).SignedIn() {
			op.oc = nil // it will not ask for itself
		}
	}
	op.conn.mu.Unlock()
	if op.finished.Load() { // end may have looked before
		op.group.Leave(m)
	}
	return nil
}

// followed is what comes of an error of open and follow: "" if there is none,
// and the subscription is a member.
func (op *operation) followed(ctx context.Context, err error) string {
	c := op.conn
	switch refused := (*refusedError)(nil); {
	case err == nil:
		return ""
	case ctx.Err() != nil:
		return op.abandoned()
	case errors.Is(err, live.ErrOver):
		return op.over(ctx, live.OverAt(err))
	case errors.Is(err, errNoViewer):
		c.shutOut(err)
		return op.abandoned()
	case errors.Is(err, live.ErrStopped):
		c.goAway()
		return op.abandoned()
	case errors.Is(err, errEnded):
		return op.abandoned()
	case errors.As(err, &refused):
		return op.fail(ctx, refused.response)
	default:
		field := "after"
		if _, ok := lastEvent(ctx); ok {
			field = lastEventID
		}
		return op.fail(ctx, c.server.engine.refuse(graphql.WithOperationContext(ctx, op.oc), explain(err, field)))
	}
}

// over ends a subscription whose group is over, or goes on in a group of the
// viewer's own if that may see more.
func (op *operation) over(ctx context.Context, at event.Cursor) string {
	if viewer := auth.ViewerFrom(ctx); op.shared && viewer.SignedIn() {
		viewer, err := op.conn.current(viewer)
		if err != nil {
			return op.followed(ctx, err)
		}
		op.shared = false
		ctx = auth.WithViewer(ctx, viewer)
		request, err := op.prepare(ctx)
		if err == nil {
			op.group.Release()
			op.group = nil
			if err = op.join(ctx, request.Topic); err == nil {
				err = op.follow(ctx, at)
			}
		}
		if !isNotFound(err) { // else it is over for the viewer, too
			return op.followed(ctx, err)
		}
	}
	if op.send(ctx, op.conn.completion(op.id), true) != nil {
		return op.abandoned()
	}
	return "over"
}

// isNotFound reports whether a subscription was refused because there is no such
// thing, or none for its viewer.
func isNotFound(err error) bool {
	refused, ok := errors.AsType[*refusedError](err)
	return ok && len(refused.response.Errors) > 0 && codeOf(refused.response.Errors[0]) == string(fault.CodeNotFound)
}

// Put implements live.Sink, as do Deliver, Behind and End.
func (op *operation) Put(ctx context.Context, p *live.Payload) error {
	c := op.conn
	if err := c.put(ctx, item{event: p, op: op}); err != nil {
		return err
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	op.events++
	return nil
}

// Deliver is called by the goroutine of a group, for thousands one after the
// other.
func (op *operation) Deliver(ps []*live.Payload) int {
	c, o := op.conn, &op.conn.out
	o.mu.Lock()
	if o.ended || op.muted.Load() {
		o.mu.Unlock()
		return len(ps) // to where nobody wants them
	}
	atOnce := !o.writing && c.direct != nil // then nothing waits
	n, size := 0, o.size
	for n < len(ps) {
		it := item{event: ps[n], op: op}
		if !o.fits(it.size()) || len(o.turn) > 0 {
			break
		}
		if atOnce {
			o.size += it.size()
		} else {
			o.add(it)
		}
		n++
	}
	size = o.size - size
	write := false
	if n > 0 {
		op.events += n
		write = o.begin()
	}
	o.mu.Unlock()
	switch {
	case write && atOnce:
		c.direct.writeEvents(op, ps[:n], size)
	case write:
		c.write()
	}
	return n
}

// Behind makes the operation follow its group again, at the pace of its socket.
func (op *operation) Behind(at event.Cursor) {
	op.again(func(ctx context.Context) error { return op.follow(ctx, at) })
}

// End tells the client why its group has ended.
func (op *operation) End(err error) {
	op.again(func(context.Context) error { return err })
}

// again gives a member a goroutine for what has happened to it.
func (op *operation) again(f func(context.Context) error) {
	c := op.conn
	c.mu.Lock()
	op.busy++
	op.turn++
	c.mu.Unlock()
	if !c.spawn(func() { op.work(func(ctx context.Context) string { return op.followed(ctx, f(ctx)) }) }) {
		op.end(op.abandoned()) // it may have been completed a moment before, and then nobody else will
	}
}

// eventsRead is for how many events that are read from the log to find those of
// a subscription a point is due, beside the first: most are of other topics.
const eventsRead = 64

// Page implements live.Toll: what a subscription that resumes reads is paid for.
func (op *operation) Page(ctx context.Context, events int) error {
	return pace(ctx, 1+events/eventsRead)
}

// Event implements live.Toll.
func (op *operation) Event(ctx context.Context) error { return pace(ctx, op.points) }

// shareable reports whether what an operation selects is the same for everyone
// who may see it at all: every field is marked so in the schema.
func (e *engine) shareable(oc *graphql.OperationContext) bool {
	return allShared(oc.Operation.SelectionSet, 0)
}

func allShared(set ast.SelectionSet, depth int) bool {
	if depth > 200 { // which cost.Limits allow nobody
		return false
	}
	for _, s := range set {
		var below ast.SelectionSet
		switch s := s.(type) {
		case *ast.Field:
			if s.Name != "__typename" && s.Definition.Directives.ForName("shared") == nil {
				return false
			}
			below = s.SelectionSet
		case *ast.InlineFragment:
			below = s.SelectionSet
		case *ast.FragmentSpread:
			below = s.Definition.SelectionSet
		}
		if !allShared(below, depth+1) {
			return false
		}
	}
	return true
}

// groupKey names those who get the same: the same document, operation and
// variables but cursors, for everyone (the anonymous viewer) or one user.
func groupKey(viewer auth.Viewer, oc *graphql.OperationContext) live.Key {
	cursors := map[string]bool{}
	for _, v := range oc.Operation.VariableDefinitions {
		cursors[v.Variable] = v.Type.Name() == "Cursor"
	}
	variables := make(map[string]any, len(oc.Variables))
	for name, value := range oc.Variables {
		if !cursors[name] {
			variables[name] = value
		}
	}
	text, err := json.Marshal(variables)
	if err != nil { // can't be, they came as JSON
		text = fmt.Append(nil, variables)
	}
	h := sha256.New()
	part(h, viewer.User.String())
	part(h, oc.RawQuery)
	part(h, oc.Operation.Name)
	part(h, string(text))
	return live.Key(h.Sum(nil))
}

// part writes one of several texts, so that it can't be taken for two.
func part(h hash.Hash, text string) {
	fmt.Fprintf(h, "%d:", len(text))
	_, _ = io.Copy(h, strings.NewReader(text)) // never fails
}

// payment is what each live event of a group costs its user, who waits for the points, as an event can't be refused; nil
// if it is everyone's.
func payment(ctx context.Context, viewer auth.Viewer, points int) live.Pay {
	if !viewer.SignedIn() {
		return nil
	}
	client := auth.ClientFrom(ctx)
	meter, _ := ctx.Value(meterKey{}).(*meter)
	return func(ctx context.Context) error {
		return pace(withMeter(auth.WithClient(ctx, client), meter), points)
	}
}

// render makes events into payloads for a group: of everyone, who are told what
// an anonymous visitor may see, or of one user, as they are then.
func (s *Server) render(ctx context.Context, viewer auth.Viewer, oc *graphql.OperationContext) live.Render {
	client := auth.ClientFrom(ctx)
	return func(ctx context.Context, e event.Event, cursor string) (data []byte, over bool, err error) {
		ctx = auth.WithClient(ctx, client)
		now, err := s.current(viewer)
		if err != nil {
			return nil, false, err
		}
		bounded, cancel := context.WithTimeout(auth.WithViewer(ctx, now), s.limits.Operation)
		defer cancel()
		delivering, delivery := live.WithEvent(bounded, e)
		resp := s.engine.run(delivering, oc)
		switch {
		case resp == nil && bounded.Err() != nil: // an event is skipped only if there was time for it
			return nil, false, fmt.Errorf("%w: %w", live.ErrUnavailable, bounded.Err())
		case resp == nil:
			return nil, delivery.Over, nil
		case resp.Data != nil:
			data = appendResponse(make([]byte, 0, len(resp.Data)+128), resp, cursor)
			oneLine(data) // for streams
			return data, false, nil
		case len(resp.Errors) > 0 && codeOf(resp.Errors[0]) == string(fault.CodeInternal):
			return nil, false, fmt.Errorf("%w: %w", live.ErrUnavailable, &refusedError{resp})
		}
		return nil, false, &refusedError{resp}
	}
}
