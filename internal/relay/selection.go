package relay

import (
	"fmt"
	"slices"

	"github.com/99designs/gqlgen/graphql"

	"tidings/ent"
	"tidings/internal/fault"
)

// need is what must be loaded of the rows of one type. Aliases don't matter to it: fields of equal name and arguments
// are one, and what they select is merged.
type need struct {
	typ     *ent.NodeType
	columns []string
	one     map[string]*need // by edge
	oneKeys []string         // in the order of selection, for statements that come in the same order each time
	many    []*pageNeed
}

// pageNeed is a connection behind an edge, with its arguments.
type pageNeed struct {
	edge    string
	key     ent.PageKey
	window  window
	filters []filter
	fields  []selected
	connection
}

// filter is an equality that an argument asks for.
type filter struct {
	column string
	value  any
}

// connection is what must be loaded of a connection.
type connection struct {
	nodes       *need // nil when no node and no cursor is selected
	total       bool
	hasNext     bool
	hasPrevious bool
}

// names are the columns to read: always the id, and what edges and sort orders need.
func (n *need) names() []string { return n.columns }

func (n *need) column(name string) {
	if !slices.Contains(n.columns, name) {
		n.columns = append(n.columns, name)
	}
}

// node merges what the fields select of a type. Fields may be of the type itself or of an interface that it implements.
func (l *loader) node(typ *ent.NodeType, fields []selected) (*need, error) {
	n := &need{typ: typ, columns: []string{typ.ID}, one: map[string]*need{}}
	one := map[string][]selected{}
	for _, f := range fields {
		for _, sub := range graphql.CollectFields(l.op, f.Selections, []string{typ.Name, "Node"}) {
			if column, ok := typ.Columns[sub.Name]; ok {
				n.column(column)
				continue
			}
			edge, ok := typ.Edges[sub.Name]
			switch {
			case !ok: // __typename and what has a resolver of its own
			case edge.Many:
				if err := l.many(n, edge, selected{sub, typ.Name}); err != nil {
					return nil, err
				}
			default:
				n.column(edge.Column)
				if one[sub.Name] == nil {
					n.oneKeys = append(n.oneKeys, sub.Name)
				}
				one[sub.Name] = append(one[sub.Name], selected{sub, typ.Name})
			}
		}
	}
	for edge, fields := range one {
		to, err := l.node(types[typ.Edges[edge].To], fields)
		if err != nil {
			return nil, err
		}
		n.one[edge] = to
	}
	for _, p := range n.many {
		var err error
		if p.connection, err = l.connection(types[typ.Edges[p.edge].To], p.fields); err != nil {
			return nil, err
		}
		if p.nodes != nil {
			p.nodes.column(typ.Edges[p.edge].Column)
		}
	}
	return n, nil
}

// many adds a connection to a need, or merges it with one of equal arguments.
func (l *loader) many(n *need, edge ent.Edge, f selected) error {
	to, given := types[edge.To], l.arguments(f.Field)
	args, err := pageArgs(f.Name, given)
	if err != nil {
		return err
	}
	var filters []filter
	var texts []string
	for _, name := range edge.Filters {
		value := given[name]
		if value == nil {
			texts = append(texts, "")
			continue
		}
		texts = append(texts, ent.Filter(name, &value))
		filters = append(filters, filter{to.Columns[name], value})
	}
	key := ent.NewPageKey(args.First, args.After, args.Last, args.Before, texts...)
	for _, p := range n.many {
		if p.edge == f.Name && p.key == key {
			p.fields = append(p.fields, f)
			return nil
		}
	}
	w, err := newWindow(to, args)
	if err != nil {
		return err
	}
	n.many = append(n.many, &pageNeed{edge: f.Name, key: key, window: w, filters: filters, fields: []selected{f}})
	return nil
}

// connection merges what the fields select of a connection to rows of a type.
func (l *loader) connection(typ *ent.NodeType, fields []selected) (c connection, err error) {
	var nodes []selected
	rows := false
	for _, f := range fields {
		for _, sub := range graphql.CollectFields(l.op, f.Selections, []string{typ.Name + "Connection"}) {
			switch sub.Name {
			case "nodes":
				rows = true
				nodes = append(nodes, selected{sub, typ.Name})
			case "edges":
				rows = true
				for _, in := range graphql.CollectFields(l.op, sub.Selections, []string{typ.Name + "Edge"}) {
					if in.Name == "node" {
						nodes = append(nodes, selected{in, typ.Name})
					}
				}
			case "pageInfo":
				rows = true
				for _, in := range graphql.CollectFields(l.op, sub.Selections, []string{"PageInfo"}) {
					c.hasNext = c.hasNext || in.Name == "hasNextPage"
					c.hasPrevious = c.hasPrevious || in.Name == "hasPreviousPage"
				}
			case "totalCount":
				c.total = true
			}
		}
	}
	if rows {
		c.nodes, err = l.node(typ, nodes)
	}
	return c, err
}

// pageArgs reads the arguments of a connection as literals and variables give them.
func pageArgs(field string, given map[string]any) (args Args, err error) {
	if args.First, err = intArg(field, given, "first"); err != nil {
		return args, err
	}
	if args.Last, err = intArg(field, given, "last"); err != nil {
		return args, err
	}
	if args.After, err = textArg(field, given, "after"); err != nil {
		return args, err
	}
	args.Before, err = textArg(field, given, "before")
	return args, err
}

func intArg(field string, given map[string]any, name string) (*int, error) {
	value := given[name]
	if value == nil {
		return nil, nil
	}
	i, err := graphql.UnmarshalInt(value)
	if err != nil {
		return nil, fault.BadInput(name, fmt.Sprintf("%s of %s is not an integer", name, field))
	}
	return &i, nil
}

// textArg reads a text as gqlgen does, which takes a number for one.
func textArg(field string, given map[string]any, name string) (*string, error) {
	value := given[name]
	if value == nil {
		return nil, nil
	}
	s, err := graphql.UnmarshalString(value)
	if err != nil {
		return nil, fault.BadInput(name, fmt.Sprintf("%s of %s is not a text", name, field))
	}
	return &s, nil
}

// types are the types that connections lead to, by name.
var types = func() map[string]*ent.NodeType {
	m := map[string]*ent.NodeType{}
	for _, t := range ent.Types {
		m[t.Name] = t
	}
	return m
}()
