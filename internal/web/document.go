package web

import (
	"container/list"
	"context"
	"errors"
	"strings"
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
// Documents are kept once they are valid, so that a client that repeats itself
// pays for parsing and validation once. What an operation costs depends on its
// variables, and is computed each time.
//
// Of those that are kept the ones that were asked for only once make room for
// others first: any number of documents that nobody asks for again leaves alone
// those that are in use, however seldom. The latter have three quarters of the
// room at most; those asked for longest ago then count as asked for once. (This
// is a segmented LRU: Karedla, Love and Wherry, Caching strategies to improve
// disk system performance, 1994.)
type documents struct {
	judge *cost.Judge
	limit int // bytes

	mu     sync.Mutex
	byText map[string]*list.Element
	byHash map[documentHash]*list.Element // those that clients know by their hash
	once   segment
	again  segment
}

// A segment is a part of the documents, the one asked for last in front.
type segment struct {
	list.List // of *keptDocument
	bytes     int
}

type keptDocument struct {
	text     string
	document *cost.Document
	size     int           // in bytes
	hash     *documentHash // in byHash; nil for none
	again    bool          // it was asked for more than once
}

func newDocuments(judge *cost.Judge) *documents {
	return &documents{judge: judge, limit: cachedDocuments, byText: map[string]*list.Element{}, byHash: map[documentHash]*list.Element{}}
}

// An entrance is the way of one operation into the executor. Its context
// carries it.
type entrance struct {
	params *graphql.RawParams
	known  *keptDocument // found by its hash; nil otherwise
	hash   *documentHash // of the text, to keep the document under; nil if the client has given none
	points int           // of a run
	once   int           // points of reading a document that wasn't known
	errs   gqlerror.List // why it is refused
}

type entranceKey struct{}

func entranceOf(ctx context.Context) *entrance { return ctx.Value(entranceKey{}).(*entrance) }

// Get implements graphql.Cache. Of a document that is refused it returns an
// empty one, which the executor can't run, and leaves the reason in the entrance.
func (d *documents) Get(ctx context.Context, text string) (*ast.QueryDocument, bool) {
	in := entranceOf(ctx)
	document := d.admit(in, text)
	if in.errs != nil {
		return &ast.QueryDocument{}, true
	}
	return document.Query, true
}

// Add implements graphql.Cache. It isn't called, for Get finds everything.
func (d *documents) Add(context.Context, string, *ast.QueryDocument) {}

// admit returns a document that may run, and writes into the entrance what its
// operation costs, or why it may not.
func (d *documents) admit(in *entrance, text string) *cost.Document {
	var document *cost.Document
	if in.known != nil && in.known.text == text {
		document = in.known.document
	} else {
		document = d.find(text)
	}
	if document == nil {
		return d.read(in, text)
	}
	points, err := document.Cost(in.params.OperationName, in.params.Variables)
	if in.points, in.errs = points, listOf(err); err == nil && in.hash != nil {
		d.name(text, in.hash)
	}
	return document
}

// read is admit for a document that isn't known yet.
func (d *documents) read(in *entrance, text string) *cost.Document {
	text = strings.Clone(text) // it may be a part of a URL, all of which would be kept with it
	document, err := d.judge.Parse(text)
	if err != nil {
		in.errs = listOf(err)
		return nil
	}
	points, err := document.Cost(in.params.OperationName, in.params.Variables)
	if err != nil {
		in.errs = listOf(err)
		return nil
	}
	if errs := document.Validate(); len(errs) > 0 {
		in.errs = errs
		return nil
	}
	d.keep(text, document, in.hash)
	in.points, in.once = points, document.Reading()
	return document
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

// find returns a document that is kept, and nil if there is none of that text.
func (d *documents) find(text string) *cost.Document {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.touch(d.byText[text]); k != nil {
		return k.document
	}
	return nil
}

// findHash returns the document that is kept under a hash, and nil if there is none.
func (d *documents) findHash(hash documentHash) *keptDocument {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.touch(d.byHash[hash])
}

// touch notes that a document is asked for again. It is called with mu held, as
// are move, put and take.
func (d *documents) touch(e *list.Element) *keptDocument {
	if e == nil {
		return nil
	}
	k := e.Value.(*keptDocument)
	if k.again {
		d.again.MoveToFront(e)
		return k
	}
	d.move(e, true)
	for d.again.bytes > d.limit/4*3 {
		d.move(d.again.Back(), false)
	}
	return k
}

// move puts a document in front of one of the segments.
func (d *documents) move(e *list.Element, again bool) {
	k := d.take(e)
	k.again = again
	d.put(k)
}

func (d *documents) segment(k *keptDocument) *segment {
	if k.again {
		return &d.again
	}
	return &d.once
}

// put adds a document.
func (d *documents) put(k *keptDocument) {
	in := d.segment(k)
	in.bytes += k.size
	e := in.PushFront(k)
	d.byText[k.text] = e
	if k.hash != nil {
		d.byHash[*k.hash] = e
	}
}

// take removes a document.
func (d *documents) take(e *list.Element) *keptDocument {
	k := e.Value.(*keptDocument)
	from := d.segment(k)
	from.Remove(e)
	from.bytes -= k.size
	delete(d.byText, k.text)
	if k.hash != nil {
		delete(d.byHash, *k.hash)
	}
	return k
}

// keep makes room for a document and keeps it, under its hash too unless that
// is nil. One that would take much of the room by itself is not kept.
func (d *documents) keep(text string, document *cost.Document, hash *documentHash) {
	size := document.Bytes()
	if size > d.limit/8 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byText[text] != nil {
		return // another request was as fast
	}
	for d.once.bytes+d.again.bytes+size > d.limit {
		// What was asked for again has less than all the room: there is one.
		d.take(d.once.Back())
	}
	d.put(&keptDocument{text: text, document: document, size: size, hash: hash})
}

// name makes a document be found by its hash as well, if it is kept.
func (d *documents) name(text string, hash *documentHash) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.byText[text]; e != nil {
		e.Value.(*keptDocument).hash = hash
		d.byHash[*hash] = e
	}
}
