// Package relay answers connections and nodes: it reads what an operation selects and loads it, level by level.
//
// A resolver hands over an ent query that has not run; relay adds the page and reads only the columns that are selected.
// There are two ways from there. Direct makes JSON of the rows and hands that to gqlgen's executor: edges to one are
// joined, so there is one statement for each page. What it leaves alone is loaded level by level as entities, on which the
// edges that are selected are set, so that marshalling them runs no SQL: one statement for each page and for each edge of a
// level. Either way the number of statements depends on the fields of the operation, never on the number of rows, with one
// more for each of totalCount and a pageInfo that looks behind its own cursor, first-N of many parents is one statement,
// and reads N+1 rows a parent at most; and both answer the same.
//
// Connections are those of the Relay cursor spec (https://relay.dev/graphql/connections.htm), paged by keyset: page
// 1,000 costs what page 1 costs, and rows that come and go elsewhere move nothing. Policies apply to every statement,
// for every statement is an ent query.
//
// A row whose edge to one is gone or hidden by the time that edge is read is left out, as if it had gone an instant
// earlier.
package relay

import (
	"cmp"
	"context"
	"fmt"

	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tidings/ent"
	"tidings/internal/fault"
)

// Page sizes: how many nodes a page holds without first and last, and at most.
const (
	DefaultPageSize = 20
	MaxPageSize     = 100
)

// Args are the arguments of a connection field.
type Args struct {
	First  *int
	After  *string
	Last   *int
	Before *string
	Order  Order
	// Rank orders by how well rows match, the greatest first, instead of by Order, ties by id, the greatest first too.
	// Such pages are counted from the front and go forward only: cursors are numbers of rows, and deep pages cost more.
	Rank func(*sql.Selector) sql.Querier
}

// Order is by one column, ties by id in the same direction. The zero Order is the type's own.
type Order struct {
	Column     string // a string or time column, never NULL, with an index on (Column, id)
	Descending bool
}

// Page answers the connection field of ctx with the rows that q gives. Arguments out of bounds and cursors of another
// order are a *fault.Error, BAD_USER_INPUT.
func Page[C any](ctx context.Context, q interface {
	ent.NodeQuery
	Connection(ent.Page) C
}, args Args) (conn C, err error) {
	l, err := newLoader(ctx)
	if err != nil {
		return conn, err
	}
	w, err := newWindow(q.Type(), args)
	if err == nil {
		json, ok, err := directly(ctx, func(d *Direct) ([]byte, error) { return d.page(ctx, l, q, w) })
		if err != nil {
			return conn, l.failed(err)
		}
		if ok {
			return q.Connection(ent.Page{Answer: json}), nil
		}
	}
	fields := []selected{{graphql.GetFieldContext(ctx).Field, ""}}
	n, notSelected := l.connection(q.Type(), fields)
	if err := cmp.Or(notSelected, err); err != nil {
		return conn, err
	}
	pages, err := l.pages(ctx, q, nil, "", w, n)
	if err != nil {
		return conn, l.failed(err)
	}
	return q.Connection(pages[root]), nil
}

// Node answers the field of ctx with the one row that q gives, nil when there is none. Where the field's value holds
// the node further down, path names the fields that lead to it.
func Node[N any](ctx context.Context, q interface {
	ent.NodeQuery
	Typed(ent.Node) N
}, path ...string) (node N, err error) {
	nodes, err := Load(ctx, q, path...)
	if err != nil || len(nodes) == 0 {
		return node, err
	}
	return q.Typed(nodes[0]), nil
}

// Load answers the field of ctx with all the rows that q gives, in no order. The caller bounds their number.
func Load(ctx context.Context, q ent.NodeQuery, path ...string) ([]ent.Node, error) {
	l, err := newLoader(ctx)
	if err != nil {
		return nil, err
	}
	if len(path) == 0 {
		nodes, ok, err := directly(ctx, func(d *Direct) ([]ent.Node, error) { return d.nodes(ctx, l, q) })
		if err != nil {
			return nil, l.failed(err)
		}
		if ok {
			return nodes, nil
		}
	}
	n, err := l.node(q.Type(), l.at(path))
	if err != nil {
		return nil, err
	}
	nodes, err := l.rows(ctx, q, n)
	if err != nil {
		return nil, l.failed(err)
	}
	return nodes, nil
}

// Check says what Node and Load would say of the operation's selection below the field of ctx, without reading
// anything: a *fault.Error, BAD_USER_INPUT, for arguments out of bounds.
func Check(ctx context.Context, typ *ent.NodeType, path ...string) error {
	l, err := newLoader(ctx)
	if err != nil {
		return err
	}
	_, err = l.node(typ, l.at(path))
	return err
}

// A Farewell is a row that is about to be deleted.
type Farewell[N any] struct {
	loader *loader
	node   ent.Node
	need   *need
	typed  func(ent.Node) N
}

// Keep reads the row that q gives, so that it can be answered after its deletion: its own fields as they are now. It
// returns nil when there is no such row.
func Keep[N any](ctx context.Context, q interface {
	ent.NodeQuery
	Typed(ent.Node) N
}) (*Farewell[N], error) {
	l, err := newLoader(ctx)
	if err != nil {
		return nil, err
	}
	n, err := l.node(q.Type(), l.at(nil))
	if err != nil {
		return nil, err
	}
	nodes, err := q.Copy().Load(ctx, n.names())
	if err != nil || len(nodes) == 0 {
		return nil, err
	}
	return &Farewell[N]{l, nodes[0], n, q.Typed}, nil
}

// Node answers with the row after its deletion, in the same transaction: its edges to one as they are now, its
// connections empty. q is a query over the same type. It is NOT_FOUND when an edge has been hidden from the viewer.
func (f *Farewell[N]) Node(ctx context.Context, q ent.NodeQuery) (node N, err error) {
	for _, p := range f.need.many {
		f.node.SetPage(p.edge, p.key, ent.Page{})
	}
	one := *f.need
	one.many = nil
	nodes, err := f.loader.edges(ctx, q, []ent.Node{f.node}, &one)
	if err != nil {
		return node, fmt.Errorf("loading what is deleted: %w", err)
	}
	if len(nodes) == 0 {
		return node, fault.NotFound("what this belongs to is gone")
	}
	return f.typed(nodes[0]), nil
}

// loader reads the selection of one field of one operation.
type loader struct {
	op    *graphql.OperationContext
	field *graphql.FieldContext
}

func newLoader(ctx context.Context) (*loader, error) {
	field := graphql.GetFieldContext(ctx)
	if field == nil || !graphql.HasOperationContext(ctx) {
		return nil, fmt.Errorf("relay: outside of a field")
	}
	return &loader{graphql.GetOperationContext(ctx), field}, nil
}

func (l *loader) failed(err error) error {
	return fmt.Errorf("loading %s: %w", l.field.Field.Name, err)
}

// at gives the fields that select what is found behind path, from the field of ctx on.
func (l *loader) at(path []string) []selected {
	fields := []selected{{l.field.Field, ""}}
	for _, name := range path {
		var next []selected
		for _, f := range fields {
			typ := f.Definition.Type.Name()
			for _, sub := range graphql.CollectFields(l.op, f.Selections, []string{typ}) {
				if sub.Name == name {
					next = append(next, selected{sub, typ})
				}
			}
		}
		fields = next
	}
	return fields
}

// selected is a field as it is selected on a type.
type selected struct {
	graphql.CollectedField
	on string
}

func (l *loader) arguments(f *ast.Field) map[string]any { return f.ArgumentMap(l.op.Variables) }
