package web

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/cost"
)

// cachedDocuments bounds the documents that are kept, in bytes of memory.
const cachedDocuments = 32 << 20

// documents are what gqlgen's executor takes documents from: its query cache,
// the one place where it looks before it would parse and validate by itself,
// with none of the bounds that package cost has. It finds every document here.
//
// Documents are kept once they are valid, those asked for last, so that a
// client that repeats itself pays for parsing and validation once. What an
// operation costs depends on its variables, and is computed each time.
type documents struct {
	judge *cost.Judge
	limit int // bytes

	mu    sync.Mutex
	known map[string]*list.Element // by text
	order list.List                // of *keptDocument, the one asked for last in front
	bytes int
}

type keptDocument struct {
	text     string
	document *cost.Document
}

func newDocuments(judge *cost.Judge) *documents {
	return &documents{judge: judge, limit: cachedDocuments, known: map[string]*list.Element{}}
}

// An entrance is the way of one operation into the executor. Its context
// carries it.
type entrance struct {
	params *graphql.RawParams
	points int           // of a run
	once   int           // points of reading a document that wasn't known
	errs   gqlerror.List // why it is refused
}

type entranceKey struct{}

// Get implements graphql.Cache. Of a document that is refused it returns an
// empty one, which the executor can't run, and leaves the reason in the entrance.
func (d *documents) Get(ctx context.Context, text string) (*ast.QueryDocument, bool) {
	in := ctx.Value(entranceKey{}).(*entrance)
	known := d.find(text) != nil
	document, points, errs := d.admit(text, in.params)
	if in.points, in.errs = points, errs; errs != nil {
		return &ast.QueryDocument{}, true
	}
	if !known {
		in.once = document.Reading()
	}
	return document.Query, true
}

// Add implements graphql.Cache. It isn't called, for Get finds everything.
func (d *documents) Add(context.Context, string, *ast.QueryDocument) {}

// admit returns a document that may run, and what its operation costs.
func (d *documents) admit(text string, p *graphql.RawParams) (*cost.Document, int, gqlerror.List) {
	if known := d.find(text); known != nil {
		points, err := known.Cost(p.OperationName, p.Variables)
		return known, points, listOf(err)
	}
	document, err := d.judge.Parse(text)
	if err != nil {
		return nil, 0, listOf(err)
	}
	points, err := document.Cost(p.OperationName, p.Variables)
	if err != nil {
		return nil, 0, listOf(err)
	}
	if errs := document.Validate(); len(errs) > 0 {
		return nil, 0, errs
	}
	d.keep(text, document)
	return document, points, nil
}

func listOf(err error) gqlerror.List {
	if err == nil {
		return nil
	}
	if g, ok := errors.AsType[*gqlerror.Error](err); ok {
		return gqlerror.List{g}
	}
	return gqlerror.List{gqlerror.Wrap(err)}
}

func (d *documents) find(text string) *cost.Document {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.known[text]
	if e == nil {
		return nil
	}
	d.order.MoveToFront(e)
	return e.Value.(*keptDocument).document
}

// keep makes room for a document and keeps it, unless it would take much of
// the room by itself.
func (d *documents) keep(text string, document *cost.Document) {
	size := document.Bytes()
	if size > d.limit/8 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known[text] != nil {
		return // another request was as fast
	}
	for d.bytes += size; d.bytes > d.limit; {
		oldest := d.order.Remove(d.order.Back()).(*keptDocument)
		delete(d.known, oldest.text)
		d.bytes -= oldest.document.Bytes()
	}
	d.known[text] = d.order.PushFront(&keptDocument{text, document})
}
