package relay

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tidings/ent"
)

// plan is how one field is answered directly: which rows to read, and how JSON is made of them. It depends on the
// document and on what its @skip and @include say, and on no other variable. It is not changed once it is made.
type plan struct {
	rows  *source // of a node
	id    int     // the column of the node's id
	page  *list   // of a connection
	shape *shape
	lists []*list // all of them; a list's number is its place
	most  int     // how often one value is written, at most
	bytes int     // of memory, roughly
}

// source is one statement: rows of a type, each joined with those that its edges to one lead to.
type source struct {
	tables []*table // the type itself comes first
	kinds  []kind   // of the columns of all of them
	lists  []*list  // the connections behind any of them, which are statements of their own
	many   bool     // whether they are the rows of a list
	nested bool     // whether the type's rows are those of a statement within, which has but the columns that are read
	ranked bool     // and are those of a ranked window
}

// table is the columns that a source reads of one type.
type table struct {
	typ     *ent.NodeType
	parent  *table // whose edge leads here; nil for the first of a source
	edge    string
	alias   string
	columns []string
	within  []string // columns that only what is joined to it needs
	joins   map[string]*table
	first   int              // of its columns among those of the source
	present int              // the column that has a value wherever there is a row
	names   map[string]names // by dialect
}

// names are a table's columns as a statement in one dialect has them.
type names struct {
	own    []string  // within the table's own statement
	out    []string  // in the source's
	on     [2]string // what is equal where a row is joined: its id, and the reference to it
	all    string    // of the first table: what the source reads, in the order of its columns
	packed bool      // whether all is one value
}

// list is a connection: one page for each row of a table, or one page at the root.
type list struct {
	number      int
	on          *table // nil at the root
	edge        string
	typ         *ent.NodeType
	field       *ast.Field // whose arguments say which page; nil at the root
	source      *source    // nil when no node and no cursor is selected
	reference   int        // at the root -1, else the column that says whose page a row is of
	cursors     bool       // whether any are selected
	ranked      bool       // ordered by rank, and by no column
	key         int        // the column of the order, -1 when none is read
	id          int        // the column of the id, for cursors
	parent      int        // the column of the id among those of on
	total       bool
	hasNext     bool
	hasPrevious bool
}

// shape is how a node, a connection, an edge or a page info is written.
type (
	shape  struct{ fields []member }
	member struct {
		before   []byte // `{"title":`, `,"title":`, for a constant with its value
		kind     kind
		nullable bool
		table    *table
		column   int // of the table
		list     *list
		shape    *shape // of what has fields
	}
)

type kind uint8

const (
	constant kind = iota
	identity
	reference // an id of another type, which is read and not written
	text
	moment
	boolean
	toOne
	toPage
	nodes
	edges
	cursor
	node
	pageInfo
	hasNextPage
	hasPreviousPage
	startCursor
	endCursor
	totalCount
)

// errNotDirect says that the executor is the one to answer.
var errNotDirect = errors.New("relay: not to be answered directly")

// compiler makes a plan.
type compiler struct {
	*loader
	plan    *plan
	size    int // members
	written map[written]int
}

// written is a column, which aliases may repeat.
type written struct {
	table  *table
	column int
}

// compileNode plans the answer of a field that is a node of a type, or nodes.
func compileNode(l *loader, typ *ent.NodeType) (*plan, error) {
	c := &compiler{loader: l, plan: &plan{}, written: map[written]int{}}
	c.plan.rows = newSource(typ)
	c.plan.id = c.plan.rows.tables[0].column(typ.ID)
	var err error
	c.plan.shape, err = c.object(c.plan.rows, c.plan.rows.tables[0], l.field.Field.Selections)
	return c.done(), err
}

// compilePage plans the answer of a field that is a connection to a type, ordered by a column ("": by rank).
func compilePage(l *loader, typ *ent.NodeType, order string) (*plan, error) {
	c := &compiler{loader: l, plan: &plan{}, written: map[written]int{}}
	page := &list{typ: typ, reference: -1, key: -1, ranked: order == ""}
	c.plan.page, c.plan.lists = page, []*list{page}
	var err error
	c.plan.shape, err = c.connection(page, l.field.Field.Selections)
	if page.cursors && !page.ranked {
		page.key = page.source.tables[0].column(order)
		page.id = page.source.tables[0].column(typ.ID)
	}
	return c.done(), err
}

func (c *compiler) done() *plan {
	sources := []*source{}
	if c.plan.rows != nil {
		sources = append(sources, c.plan.rows)
	}
	for _, l := range c.plan.lists {
		if l.source != nil {
			sources = append(sources, l.source)
		}
	}
	// The sizes are such as TestPlansCountTheirMemory finds, and a little more.
	const base, ofMember, ofList, ofTable, ofColumn = 256, 120, 700, 1200, 250
	c.plan.bytes = base + ofMember*c.size + ofList*len(c.plan.lists)
	for _, s := range sources {
		s.layOut()
		c.plan.bytes += ofTable*len(s.tables) + ofColumn*len(s.kinds)
	}
	for _, times := range c.written {
		c.plan.most = max(c.plan.most, times)
	}
	return c.plan
}

func newSource(typ *ent.NodeType) *source {
	return &source{tables: []*table{{typ: typ}}}
}

// layOut decides where the columns of each table are, and how they are named: to do that for each statement anew was half
// of what it took to build one.
//
// Postgres gives a row of a list as one value: lib/pq then makes one value of a row and not one of each text, id and time,
// which was a quarter of what the server did for a page with comments. One row alone is read in columns, for Postgres has
// more to begin with when it packs. Times in columns are read as text.
func (s *source) layOut() {
	first := 0
	for i, t := range s.tables {
		if t.present = slices.IndexFunc(t.columns, func(c string) bool { return !t.typ.Nullable[c] }); t.present < 0 {
			t.present = t.column(t.typ.ID)
		}
		t.alias, t.first = "t"+strconv.Itoa(i), first
		first += len(t.columns)
		for _, c := range t.columns {
			s.kinds = append(s.kinds, kindOf(t.typ, c))
		}
		t.names = map[string]names{}
	}
	for _, d := range []string{dialect.Postgres, dialect.SQLite} {
		pack := d == dialect.Postgres && s.many
		var all []string
		for _, t := range s.tables {
			var n names
			for _, c := range t.columns {
				n.own = append(n.own, t.typ.Qualified(d, c))
				name := s.outside(t, d, c)
				n.out = append(n.out, name)
				if t.typ.Times[c] && !pack {
					name = "CAST(" + name + " AS text)"
				}
				all = append(all, name)
			}
			for _, c := range t.within {
				if !slices.Contains(t.columns, c) {
					n.own = append(n.own, t.typ.Qualified(d, c))
				}
			}
			if t.parent != nil {
				if !slices.Contains(t.columns, t.typ.ID) {
					n.own = append(n.own, t.typ.Qualified(d, t.typ.ID))
				}
				n.on = [2]string{s.outside(t, d, t.typ.ID), s.outside(t.parent, d, t.parent.typ.Edges[t.edge].Column)}
			}
			t.names[d] = n
		}
		whole := s.tables[0].names[d]
		whole.all, whole.packed = strings.Join(all, ", "), pack
		if pack {
			whole.all = packed(s.kinds, all)
		}
		s.tables[0].names[d] = whole
	}
}

// outside is the name of a table's column in the source's statement.
func (s *source) outside(t *table, d, column string) string {
	switch {
	case t.parent != nil:
		return sql.Dialect(d).Table(t.alias).C(column)
	case s.ranked:
		return sql.Dialect(d).Table(best).C(column)
	}
	return t.typ.Qualified(d, column)
}

// column returns the place of a column among those of the table, which it reads from now on.
func (t *table) column(name string) int {
	if i := slices.Index(t.columns, name); i >= 0 {
		return i
	}
	t.columns = append(t.columns, name)
	return len(t.columns) - 1
}

// join returns the table at the other end of an edge to one.
func (s *source) join(t *table, edge string) *table {
	if to := t.joins[edge]; to != nil {
		return to
	}
	e := t.typ.Edges[edge]
	if (t.parent != nil || s.nested) && !slices.Contains(t.within, e.Column) {
		t.within = append(t.within, e.Column)
	}
	to := &table{typ: types[e.To], parent: t, edge: edge}
	if t.joins == nil {
		t.joins = map[string]*table{}
	}
	t.joins[edge] = to
	s.tables = append(s.tables, to)
	return to
}

// collect gives the selected fields, and what is written before each of them.
func (c *compiler) collect(set ast.SelectionSet, types ...string) ([]graphql.CollectedField, []member) {
	fields := graphql.CollectFields(c.op, set, types)
	members := make([]member, len(fields))
	for i, f := range fields {
		before := byte('{')
		if i > 0 {
			before = ','
		}
		members[i].before = append(strconv.AppendQuote([]byte{before}, f.Alias), ':') // a name of GraphQL needs no escapes
	}
	c.size += len(fields)
	return fields, members
}

func (m *member) constant(typ string) {
	m.before = strconv.AppendQuote(m.before, typ)
}

// object plans how rows of a table are written by one selection.
func (c *compiler) object(s *source, t *table, set ast.SelectionSet) (*shape, error) {
	typ := t.typ
	fields, members := c.collect(set, typ.Name, "Node")
	for i, f := range fields {
		m := &members[i]
		m.table, m.nullable = t, !f.Definition.Type.NonNull
		if f.Name == "__typename" {
			m.constant(typ.Name)
			continue
		}
		if column, ok := typ.Columns[f.Name]; ok {
			if m.kind = kindOf(typ, column); m.kind == reference {
				return nil, errNotDirect
			}
			m.column = t.column(column)
			c.written[written{t, m.column}]++
			continue
		}
		edge, ok := typ.Edges[f.Name]
		if !ok {
			return nil, errNotDirect
		}
		var err error
		if edge.Many {
			m.kind, m.list = toPage, c.list(s, t, f)
			m.shape, err = c.connection(m.list, f.Selections)
		} else {
			m.kind, m.table = toOne, s.join(t, f.Name)
			m.shape, err = c.object(s, m.table, f.Selections)
		}
		if err != nil {
			return nil, err
		}
	}
	return &shape{members}, nil
}

// kindOf is the kind of a column.
func kindOf(typ *ent.NodeType, column string) kind {
	switch {
	case column == typ.ID:
		return identity
	case typ.Texts[column]:
		return text
	case typ.Times[column]:
		return moment
	case typ.Bools[column]:
		return boolean
	}
	return reference
}

// list returns the list behind an edge to many: one for all fields whose arguments are written in the same way.
func (c *compiler) list(s *source, on *table, f graphql.CollectedField) *list {
	for _, l := range s.lists {
		if l.on == on && l.edge == f.Name && sameArguments(l.field, f.Field) {
			return l
		}
	}
	l := &list{number: len(c.plan.lists), on: on, parent: on.column(on.typ.ID), edge: f.Name, typ: types[on.typ.Edges[f.Name].To], field: f.Field}
	s.lists = append(s.lists, l)
	c.plan.lists = append(c.plan.lists, l)
	return l
}

func sameArguments(a, b *ast.Field) bool {
	if len(a.Arguments) != len(b.Arguments) {
		return false
	}
	for _, x := range a.Arguments {
		y := b.Arguments.ForName(x.Name)
		if y == nil || x.Value.String() != y.Value.String() {
			return false
		}
	}
	return true
}

// rows makes a list read rows.
func (l *list) rows() *source {
	if l.source == nil {
		l.source = newSource(l.typ)
		first := l.source.tables[0]
		l.source.many = true
		l.source.ranked = l.ranked
		if l.source.nested = l.on != nil || l.ranked; l.source.nested {
			l.id = first.column(l.typ.ID) // by which, too, they are ordered
		}
		if l.on != nil {
			l.reference = first.column(l.on.typ.Edges[l.edge].Column)
			l.key = first.column(l.typ.CreatedAt)
		}
	}
	return l.source
}

// connection plans how a page of a list is written by one selection.
func (c *compiler) connection(l *list, set ast.SelectionSet) (*shape, error) {
	fields, members := c.collect(set, l.typ.Name+"Connection")
	for i, f := range fields {
		m := &members[i]
		m.list = l
		var err error
		switch f.Name {
		case "__typename":
			m.constant(l.typ.Name + "Connection")
		case "nodes":
			m.kind = nodes
			m.shape, err = c.object(l.rows(), l.rows().tables[0], f.Selections)
		case "edges":
			m.kind = edges
			m.shape, err = c.edge(l, f.Selections)
		case "pageInfo":
			m.kind = pageInfo
			m.shape, err = c.pageInfo(l, f.Selections)
		case "totalCount":
			m.kind, l.total = totalCount, true
		default:
			err = errNotDirect
		}
		if err != nil {
			return nil, err
		}
	}
	return &shape{members}, nil
}

func (c *compiler) edge(l *list, set ast.SelectionSet) (*shape, error) {
	rows := l.rows()
	fields, members := c.collect(set, l.typ.Name+"Edge")
	for i, f := range fields {
		m := &members[i]
		m.list = l
		switch f.Name {
		case "__typename":
			m.constant(l.typ.Name + "Edge")
		case "cursor":
			m.kind, l.cursors = cursor, true
		case "node":
			m.kind = node
			var err error
			if m.shape, err = c.object(rows, rows.tables[0], f.Selections); err != nil {
				return nil, err
			}
		default:
			return nil, errNotDirect
		}
	}
	return &shape{members}, nil
}

func (c *compiler) pageInfo(l *list, set ast.SelectionSet) (*shape, error) {
	l.rows()
	fields, members := c.collect(set, "PageInfo")
	for i, f := range fields {
		m := &members[i]
		m.list = l
		switch f.Name {
		case "__typename":
			m.constant("PageInfo")
		case "hasNextPage":
			m.kind, l.hasNext = hasNextPage, true
		case "hasPreviousPage":
			m.kind, l.hasPrevious = hasPreviousPage, true
		case "startCursor":
			m.kind, l.cursors = startCursor, true
		case "endCursor":
			m.kind, l.cursors = endCursor, true
		default:
			return nil, errNotDirect
		}
	}
	return &shape{members}, nil
}

// windows reads the arguments of the lists, of which the root's is given.
func (c *plan) windows(l *loader, root window) ([]page, error) {
	all := make([]page, len(c.lists))
	for i, list := range c.lists {
		if list.on == nil {
			all[i].window = root
			all[i].window.alone = list.alone(root)
			continue
		}
		given := l.arguments(list.field)
		args, err := pageArgs(list.field.Name, given)
		if err != nil {
			return nil, err
		}
		if all[i].window, err = newWindow(list.typ, args); err != nil {
			return nil, err
		}
		all[i].window.alone = list.alone(all[i].window)
		for _, name := range list.on.typ.Edges[list.edge].Filters {
			if value := given[name]; value != nil {
				all[i].filters = append(all[i].filters, filter{list.typ.Columns[name], value})
			}
		}
	}
	return all, nil
}

// alone reports whether nobody asks for what is beyond a window.
func (l *list) alone(w window) bool {
	return !(l.hasNext && !w.backward || l.hasPrevious && w.backward)
}

// page is what the arguments say of a list.
type page struct {
	window  window
	filters []filter
}
