package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"

	"tidings/ent"
)

// Direct answers reads with JSON that is made of rows, without entities in between, where it can; gqlgen's executor
// answers the others. It is an extension of gqlgen's executor: without it, every read goes by entities.
//
// What a resolver returns then carries finished JSON in place of fields and edges, and is handed to the executor as a
// graphql.Marshaler, which it takes where it expects the typed value. Resolvers, their arguments and directives run as
// they always do.
type Direct struct {
	log                         *slog.Logger
	plans                       plans
	direct, executor, surprises atomic.Int64
}

// NewDirect returns a Direct that has answered nothing. It tells log of surprises.
func NewDirect(log *slog.Logger) *Direct { return &Direct{log: log} }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationInterceptor
	graphql.FieldInterceptor
} = (*Direct)(nil)

// Counts are how many reads (each a call of Page, Node or Load) went which way.
type Counts struct {
	Direct    int64 // answered from rows
	Executor  int64 // left to the executor from the beginning, for what they are
	Surprises int64 // begun directly, discarded and answered by the executor
}

// Counts returns the counts since d was made.
func (d *Direct) Counts() Counts {
	return Counts{d.direct.Load(), d.executor.Load(), d.surprises.Load()}
}

type (
	byExecutor struct{}
	directKey  struct{}
)

// operation is one run of an operation, whose root fields share what may be read and written for it, in bytes: as much as
// the rows and the JSON of the largest answer. Joined texts come once with each row, and fields run at once.
type operation struct {
	*Direct
	left atomic.Int64
}

// spend takes n bytes of what is left.
func (o *operation) spend(n int) error {
	if o.left.Add(-int64(n)) < 0 {
		return fmt.Errorf("%w: more than %d bytes for one operation", errNotDirect, 2*maxAnswer)
	}
	return nil
}

func operationOf(ctx context.Context) *operation {
	o, _ := ctx.Value(directKey{}).(*operation)
	return o
}

// ByExecutor returns a context below which every read goes by entities and gqlgen's executor.
func ByExecutor(ctx context.Context) context.Context {
	return context.WithValue(ctx, byExecutor{}, true)
}

// ExtensionName implements graphql.HandlerExtension.
func (*Direct) ExtensionName() string { return "Direct" }

// Validate implements graphql.HandlerExtension.
func (*Direct) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptOperation implements graphql.OperationInterceptor.
func (d *Direct) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if ctx.Value(byExecutor{}) == nil {
		o := &operation{Direct: d}
		o.left.Store(2 * maxAnswer)
		ctx = context.WithValue(ctx, directKey{}, o)
	}
	return next(ctx)
}

// InterceptField implements graphql.FieldInterceptor.
func (d *Direct) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	value, err := next(ctx)
	if err != nil || !graphql.GetFieldContext(ctx).IsResolver {
		return value, err
	}
	switch v := value.(type) {
	case interface{ Answer() []byte }:
		if b := v.Answer(); b != nil {
			return &answer{b}, nil
		}
	case []ent.Node:
		if b, ok := answers(v); ok {
			return &answer{b}, nil
		}
		if slices.ContainsFunc(v, func(n ent.Node) bool { return n != nil && n.Answer() != nil }) {
			// Some have their answers and others their fields: all of them are read again, for their fields.
			return next(context.WithValue(ctx, directKey{}, nil))
		}
	default:
		return streamed(ctx, value), nil
	}
	return value, nil
}

// streamed is InterceptField for what a subscription's resolver returns: a closed channel with the nodes to deliver, of
// which there is one at most (live.Stream). The executor takes what it delivers from a channel, or from a function as this
// one is.
func streamed(ctx context.Context, value any) any {
	nodes := reflect.ValueOf(value)
	if nodes.Kind() != reflect.Chan || !nodes.Type().Elem().Implements(nodeType) || nodes.Len() != 1 {
		return value
	}
	first, _ := nodes.Recv()
	var json []byte
	if node, ok := first.Interface().(ent.Node); ok {
		json = node.Answer()
	}
	if json == nil {
		again := reflect.MakeChan(reflect.ChanOf(reflect.BothDir, nodes.Type().Elem()), 1)
		again.Send(first)
		again.Close()
		return again.Convert(nodes.Type()).Interface()
	}
	b := append(strconv.AppendQuote([]byte{'{'}, graphql.GetFieldContext(ctx).Field.Alias), ':') // a name of GraphQL needs no escapes
	whole := &answer{append(append(b, json...), '}')}
	return func(context.Context) graphql.Marshaler {
		if whole == nil {
			return nil
		}
		defer func() { whole = nil }()
		return whole
	}
}

var nodeType = reflect.TypeFor[ent.Node]()

// answer is finished JSON.
type answer struct{ json []byte }

// MarshalGQL implements graphql.Marshaler. It is called once.
func (a *answer) MarshalGQL(w io.Writer) {
	_, _ = w.Write(a.json) // gqlgen's writers are buffers: they don't fail
	if spare := a.json; cap(spare) <= maxSpare {
		spareBytes.Put(&spare)
	}
	a.json = nil
}

// Len is how many bytes a has.
func (a *answer) Len() int { return len(a.json) }

// spareBytes are what answers are written to.
var spareBytes = sync.Pool{New: func() any { return new([]byte) }}

// answers joins those of a list, of which all that are there have one.
func answers(all []ent.Node) ([]byte, bool) {
	b := []byte{'['}
	for i, n := range all {
		if i > 0 {
			b = append(b, ',')
		}
		if n == nil {
			b = append(b, "null"...)
			continue
		}
		json := n.Answer()
		if json == nil {
			return nil, false
		}
		b = append(b, json...)
	}
	return append(b, ']'), true
}

// directly answers a read by rows. ok is false where the executor is to answer: the read is none for rows, or it was
// begun and something was not as it should be. What ended because ctx did is not begun again.
func directly[T any](ctx context.Context, read func(*Direct) (T, error)) (v T, ok bool, err error) {
	o := operationOf(ctx)
	if o == nil {
		return v, false, nil
	}
	d := o.Direct
	v, err = recovered(d, read)
	if err == nil {
		d.direct.Add(1)
		return v, true, nil
	}
	var none T
	switch {
	case errors.Is(err, errNotDirect), errors.Is(err, ent.ErrNoStatement):
		d.executor.Add(1)
	case ctx.Err() != nil:
		return none, true, err
	default:
		d.surprises.Add(1)
		d.log.LogAttrs(ctx, slog.LevelWarn, "a read is begun again, by the executor", slog.String("path", graphql.GetPath(ctx).String()), slog.Any("err", err))
	}
	return none, false, nil
}

// recovered turns a panic into an error, with where it was.
func recovered[T any](d *Direct, read func(*Direct) (T, error)) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return read(d)
}

// page answers a connection.
func (d *Direct) page(ctx context.Context, l *loader, q ent.NodeQuery, w window) ([]byte, error) {
	order := w.order.Column
	if w.rank != nil {
		order = ""
	}
	p, err := d.plans.find(l, q.Type(), order, func() (*plan, error) { return compilePage(l, q.Type(), order) })
	if err != nil {
		return nil, err
	}
	r, err := begin(ctx, l, p, w)
	if err != nil {
		return nil, err
	}
	defer r.release()
	if err := r.load(p.page, q, nil); err != nil {
		return nil, err
	}
	out, err := r.writer()
	if err != nil {
		return nil, err
	}
	out.page(p.shape, &r.lists[0], &r.lists[0].pages[0])
	return out.b, out.err
}

// nodes answers rows, in no order.
func (d *Direct) nodes(ctx context.Context, l *loader, q ent.NodeQuery) ([]ent.Node, error) {
	p, err := d.plans.find(l, q.Type(), "", func() (*plan, error) { return compileNode(l, q.Type()) })
	if err != nil {
		return nil, err
	}
	r, err := begin(ctx, l, p, window{})
	if err != nil {
		return nil, err
	}
	defer r.release()
	if r.nodes, err = r.read(q.Copy(), p.rows); err != nil {
		return nil, err
	}
	if err := r.behind(p.rows, q, r.nodes, nil); err != nil {
		return nil, err
	}
	out, err := r.writer()
	if err != nil {
		return nil, err
	}
	all := make([]ent.Node, r.nodes.count)
	for i := range all {
		first := len(out.b)
		out.object(p.shape, row{r.nodes, i})
		all[i] = q.Answered(r.nodes.id(i, p.id), out.b[first:])
	}
	return all, out.err
}

// begin reads the arguments of a plan's lists. Where they are out of bounds the executor says so.
func begin(ctx context.Context, l *loader, p *plan, root window) (*reading, error) {
	pages, err := p.windows(l, root)
	if err != nil {
		return nil, errors.Join(errNotDirect, err)
	}
	return &reading{loader: l, ctx: ctx, operation: operationOf(ctx), plan: p, pages: pages, lists: make([]pagesOf, len(p.lists))}, nil
}
