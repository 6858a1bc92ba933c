package relay

import (
	"sync"

	"github.com/vektah/gqlparser/v2/ast"

	"tidings/ent"
)

// maxPlans bounds what plans take, in bytes of memory, with the documents that they hold.
const maxPlans = 16 << 20

// plans are kept from one run of a document to the next. There are two generations of them: what is looked for moves to
// the younger one, and when that has half of the room the older one is dropped. So what is used stays, whatever comes
// once in between.
type plans struct {
	mu         sync.Mutex
	young, old map[*ast.QueryDocument]*planned
	bytes      int // of the young
}

// planned are the plans of one document.
type planned struct {
	conditions []string // the variables that @skip and @include ask for; their values make other plans
	plans      map[planKey]*plan
	bytes      int
}

type planKey struct {
	op     *ast.OperationDefinition // of which several may share a field by a fragment, and merge other things with it
	field  *ast.Field
	typ    *ent.NodeType
	order  string
	values uint64 // of the conditions
}

// maxConditions is how many variables may decide what is selected, for plans to be kept.
const maxConditions = 64

// find returns a plan of the field, which it makes if there is none yet.
func (p *plans) find(l *loader, typ *ent.NodeType, order string, compile func() (*plan, error)) (*plan, error) {
	document := l.op.Doc
	if documentBytes(document) > maxPlans/8 {
		return compile()
	}
	key := planKey{op: l.op.Operation, field: l.field.Field.Field, typ: typ, order: order}
	p.mu.Lock()
	of := p.planned(document)
	p.mu.Unlock()
	if of == nil {
		of = &planned{conditions: conditions(document), plans: map[planKey]*plan{}}
		of.bytes = documentBytes(document)
		p.mu.Lock()
		if other := p.planned(document); other != nil {
			of = other
		} else {
			p.keep(document, of)
		}
		p.mu.Unlock()
	}
	if len(of.conditions) > maxConditions {
		return compile()
	}
	for i, name := range of.conditions {
		switch l.op.Variables[name] {
		case true:
			key.values |= 1 << i
		case nil:
			if _, given := l.op.Variables[name]; given {
				return compile() // null is neither
			}
		}
	}
	p.mu.Lock()
	known := of.plans[key]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	made, err := compile()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if of.bytes+made.bytes <= maxPlans/8 && of.plans[key] == nil {
		of.plans[key] = made
		of.bytes += made.bytes
		if p.young[document] == of {
			p.bytes += made.bytes
			p.age()
		}
	}
	return made, nil
}

// planned finds the plans of a document, which are of the young from then on.
func (p *plans) planned(document *ast.QueryDocument) *planned {
	if of := p.young[document]; of != nil {
		return of
	}
	of := p.old[document]
	if of != nil {
		delete(p.old, document)
		p.keep(document, of)
	}
	return of
}

func (p *plans) keep(document *ast.QueryDocument, of *planned) {
	if p.young == nil {
		p.young = map[*ast.QueryDocument]*planned{}
	}
	p.young[document] = of
	p.bytes += of.bytes
	p.age()
}

func (p *plans) age() {
	if p.bytes > maxPlans/2 {
		p.old, p.young, p.bytes = p.young, nil, 0
	}
}

// documentBytes is roughly what a document takes in memory.
func documentBytes(document *ast.QueryDocument) int {
	const perByte = 24 // what parsing makes of a byte of text
	for _, op := range document.Operations {
		if op.Position != nil && op.Position.Src != nil {
			return 1024 + perByte*len(op.Position.Src.Input)
		}
	}
	return 1024
}

// conditions are the variables by which @skip and @include decide anywhere in a document.
func conditions(document *ast.QueryDocument) (names []string) {
	seen := map[string]bool{}
	of := func(directives ast.DirectiveList) {
		for _, d := range directives {
			if d.Name != "skip" && d.Name != "include" {
				continue
			}
			if a := d.Arguments.ForName("if"); a != nil && a.Value.Kind == ast.Variable && !seen[a.Value.Raw] {
				seen[a.Value.Raw] = true
				names = append(names, a.Value.Raw)
			}
		}
	}
	var walk func(ast.SelectionSet)
	walk = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				of(s.Directives)
				walk(s.SelectionSet)
			case *ast.InlineFragment:
				of(s.Directives)
				walk(s.SelectionSet)
			case *ast.FragmentSpread:
				of(s.Directives)
			}
		}
	}
	for _, op := range document.Operations {
		walk(op.SelectionSet)
	}
	for _, f := range document.Fragments {
		walk(f.SelectionSet)
	}
	return names
}
