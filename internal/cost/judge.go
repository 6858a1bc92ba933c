package cost

import (
	"errors"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
)

const (
	parseFailed      = errcode.ParseFailed
	validationFailed = errcode.ValidationFailed
)

// A Judge knows a schema and the limits of its documents. It is safe for
// concurrent use.
type Judge struct {
	schema *ast.Schema
	prices prices
	limits Limits
	strict ruleSet // without suggestions
	kind   ruleSet // with them
}

// New returns a Judge of documents for a schema. With private set, documents
// that look at the schema are invalid, and errors don't suggest what it has.
// The error names what is wrong with the schema's directives.
func New(schema *ast.Schema, limits Limits, private bool) (*Judge, error) {
	prices, err := readPrices(schema)
	if err != nil {
		return nil, err
	}
	j := &Judge{schema: schema, prices: prices, limits: limits.withDefaults(), strict: newRules(false, private)}
	j.kind = j.strict
	if !private {
		j.kind = newRules(true, private)
	}
	return j, nil
}

// A Document is a parsed document within its limits. It isn't changed once it
// is validated, and can be used concurrently then.
type Document struct {
	Query *ast.QueryDocument
	judge *Judge
	plans map[*ast.OperationDefinition]*plan
	parts int
	text  int // its length in bytes
	nodes int // fields and fragments of all definitions, fragments written out
}

// Parse reads a document. What is no GraphQL, has no operation or a fragment
// within itself is a *gqlerror.Error with its code, what breaks a limit a
// *fault.Error.
func (j *Judge) Parse(text string) (*Document, error) {
	query, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, j.limits.Tokens)
	if err != nil {
		return nil, j.unreadable(err)
	}
	if len(query.Operations) == 0 {
		return nil, invalid(nil, "no operation provided")
	}
	d := &Document{Query: query, judge: j, plans: make(map[*ast.OperationDefinition]*plan, len(query.Operations)), text: len(text)}
	m := &meter{judge: j, doc: query, fragments: map[fragmentKey]*size{}}
	var written amount
	for _, op := range query.Operations {
		m.name(op.Name)
		s := m.set(j.root(op.Operation), op.SelectionSet, false)
		m.directives(&s, op.Directives)
		m.variables(&s, op.VariableDefinitions)
		if m.err == nil {
			m.err = j.within(s)
		}
		written = written.plus(s.nodes)
		d.plans[op] = s.plan
	}
	for _, f := range query.Fragments {
		written = written.plus(m.fragment(f, false, f.Position).nodes).plus(1)
	}
	if limit := maxWrittenOut * j.limits.Tokens; m.err == nil && written > amount(limit) {
		m.err = over(ReasonFragments, most(written), limit,
			"With all fragments written out the document has %d fields and fragments; at most %d are allowed.")
	}
	d.nodes = most(written)
	d.parts = m.parts + strings.Count(text, "#") // comments, at most
	return d, m.err
}

// unreadable is the parser's error. Its token limit has no type.
func (j *Judge) unreadable(err error) error {
	g, ok := errors.AsType[*gqlerror.Error](err)
	if !ok {
		return fmt.Errorf("parsing a document: %w", err)
	}
	if limit := j.limits.Tokens; g.Message == fmt.Sprintf("exceeded token limit of %d", limit) {
		return over(ReasonTokens, limit+1, limit, "The document has at least %d tokens; at most %d are allowed.")
	}
	errcode.Set(g, parseFailed)
	return g
}

func (j *Judge) root(o ast.Operation) string {
	var def *ast.Definition
	switch o {
	case ast.Query:
		def = j.schema.Query
	case ast.Mutation:
		def = j.schema.Mutation
	case ast.Subscription:
		def = j.schema.Subscription
	}
	if def == nil {
		return ""
	}
	return def.Name
}

// within holds one operation against the limits.
func (j *Judge) within(s size) error {
	for _, c := range []struct {
		reason   string
		count    amount
		limit    int
		sentence string
	}{
		{ReasonDepth, s.depth, j.limits.Depth, "The operation is %d fields deep; at most %d are allowed."},
		{ReasonIntrospection, s.introspection, maxIntrospection, "The introspection is %d fields deep; at most %d are allowed."},
		{ReasonRootFields, s.fields, j.limits.RootFields, "The operation has %d root fields; at most %d are allowed."},
		{ReasonAliases, s.aliases, j.limits.Aliases, "The operation has %d aliases; at most %d are allowed."},
		{ReasonDirectives, s.directives, j.limits.Directives, "The operation has %d directives; at most %d are allowed."},
		{ReasonAuthentications, s.authentications, 1, "The operation checks or sets %d passwords or sessions; at most %d is allowed."},
	} {
		if c.count > amount(c.limit) {
			return over(c.reason, most(c.count), c.limit, c.sentence)
		}
	}
	return nil
}

// Cost returns what it costs to run an operation, in points rounded up, and the
// refusal of one that costs too much. variables are as the client sent them:
// one that can't be a page's size counts as the largest. The cost of an
// operation that isn't there is 0.
func (d *Document) Cost(operation string, variables map[string]any) (int, error) {
	op := d.Query.Operations.ForName(operation)
	if op == nil {
		return 0, nil
	}
	sum := d.plans[op].certain
	if !d.plans[op].isCertain() {
		r := reckoning{operation: op, variables: variables}
		sum = r.plan(d.plans[op])
	}
	points := alone(sum).points()
	if limit := d.judge.limits.Cost; points > limit {
		return points, over(ReasonCost, points, limit, "The operation costs %d points; at most %d are allowed.")
	}
	return points, nil
}

// Reading is what it took to parse and validate the document, in points rounded
// down: next to nothing for most. All operations count, whichever is to run.
func (d *Document) Reading() int { return d.nodes/100 + d.text/(32<<10) }

// Bytes is what the document takes in memory, its text included: that or less,
// down to a third. (What the allocator rounds a text up to is a quarter of it at
// most.)
func (d *Document) Bytes() int { return 1500 + d.text*5/4 + 350*d.parts }
