package relay

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"tidings/ent"
)

// root stands for the parent of a page that has none.
var root = uuid.UUID{}

// rows runs a query and loads what is needed behind its rows.
func (l *loader) rows(ctx context.Context, q ent.NodeQuery, n *need) ([]ent.Node, error) {
	run := q.Copy()
	nodes, err := run.Load(ctx, n.names())
	if err != nil {
		return nil, err
	}
	return l.edges(ctx, q, nodes, n)
}

// edges loads what is needed behind nodes, which q gave, and returns those whose edges to one are there.
func (l *loader) edges(ctx context.Context, q ent.NodeQuery, nodes []ent.Node, n *need) ([]ent.Node, error) {
	if len(nodes) == 0 {
		return nodes, nil
	}
	for _, edge := range n.oneKeys {
		column := n.typ.Edges[edge].Column
		others := q.Others(edge)
		others.WhereP(anyOf(idColumn, distinct(nodes, func(m ent.Node) uuid.UUID { return m.Ref(column) })))
		found, err := l.rows(ctx, others, n.one[edge])
		if err != nil {
			return nil, err
		}
		byID := make(map[uuid.UUID]ent.Node, len(found))
		for _, m := range found {
			byID[m.Key()] = m
		}
		nodes = slices.DeleteFunc(nodes, func(m ent.Node) bool {
			other, ok := byID[m.Ref(column)]
			if ok {
				m.SetOne(edge, other)
			}
			return !ok
		})
	}
	if len(nodes) == 0 {
		return nodes, nil
	}
	parents := distinct(nodes, ent.Node.Key)
	for _, p := range n.many {
		others := q.Others(p.edge)
		for _, f := range p.filters {
			others.WhereP(sql.FieldEQ(f.column, f.value))
		}
		pages, err := l.pages(ctx, others, parents, n.typ.Edges[p.edge].Column, p.window, p.connection)
		if err != nil {
			return nil, err
		}
		for _, m := range nodes {
			m.SetPage(p.edge, p.key, pages[m.Key()])
		}
	}
	return nodes, nil
}

// pages loads one page for each parent, or the page of root when column is empty.
func (l *loader) pages(ctx context.Context, q ent.NodeQuery, parents []uuid.UUID, column string, w window, c connection) (map[uuid.UUID]ent.Page, error) {
	pages := make(map[uuid.UUID]ent.Page, max(len(parents), 1))
	parentOf := func(m ent.Node) uuid.UUID {
		if column == "" {
			return root
		}
		return m.Ref(column)
	}
	if c.nodes != nil {
		if err := l.pageRows(ctx, q, parents, column, parentOf, w, c, pages); err != nil {
			return nil, err
		}
		if other, ok := w.beyond(); ok && (c.hasPrevious && !w.backward || c.hasNext && w.backward) {
			if err := l.lookBeyond(ctx, q, parents, column, parentOf, w, other, pages); err != nil {
				return nil, err
			}
		}
	}
	if c.total {
		if err := l.totals(ctx, q, parents, column, pages); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

func (l *loader) pageRows(ctx context.Context, q ent.NodeQuery, parents []uuid.UUID, column string, parentOf func(ent.Node) uuid.UUID,
	w window, c connection, pages map[uuid.UUID]ent.Page) error {
	if w.rank == nil {
		c.nodes.column(w.order.Column)
	}
	run := q.Copy()
	if column == "" {
		run.ModifyP(w.apply)
	} else {
		run.ModifyP(forEach(parents, column, w.apply, w.orderBy))
	}
	nodes, err := run.Load(ctx, c.nodes.names())
	if err != nil {
		return err
	}
	if w.rank != nil {
		pages[root] = ent.Page{PageInfo: ent.PageInfo{HasPreviousPage: w.offset > 0}}
	}
	count := map[uuid.UUID]int{}
	place := map[ent.Node]int{}
	kept := nodes[:0]
	for i, m := range nodes { // the row too many of each page tells that there are more, and goes
		parent := parentOf(m)
		if count[parent]++; count[parent] > w.size {
			p := pages[parent]
			if w.backward {
				p.PageInfo.HasPreviousPage = true
			} else {
				p.PageInfo.HasNextPage = true
			}
			pages[parent] = p
			continue
		}
		place[m] = w.offset + i + 1
		kept = append(kept, m)
	}
	if kept, err = l.edges(ctx, q, kept, c.nodes); err != nil {
		return err
	}
	if w.backward {
		slices.Reverse(kept)
	}
	for _, m := range kept {
		p := pages[parentOf(m)]
		var cursor string
		if w.rank != nil {
			cursor = rankCursor(place[m])
		} else {
			cursor = w.cursor(m)
		}
		p.Nodes, p.Cursors = append(p.Nodes, m), append(p.Cursors, cursor)
		if p.PageInfo.StartCursor == nil {
			p.PageInfo.StartCursor = &cursor
		}
		p.PageInfo.EndCursor = &cursor
		pages[parentOf(m)] = p
	}
	return nil
}

// lookBeyond finds out whether there is anything on the far side of the cursor from which a page starts.
func (l *loader) lookBeyond(ctx context.Context, q ent.NodeQuery, parents []uuid.UUID, column string, parentOf func(ent.Node) uuid.UUID,
	w, other window, pages map[uuid.UUID]ent.Page) error {
	run := q.Copy()
	apply := func(s *sql.Selector) { w.applyBeyond(s); other.orderBy(s) }
	columns := []string{idColumn}
	if column == "" {
		run.ModifyP(apply)
	} else {
		run.ModifyP(forEach(parents, column, apply, other.orderBy))
		columns = append(columns, column, w.order.Column)
	}
	nodes, err := run.Load(ctx, columns)
	for _, m := range nodes {
		p := pages[parentOf(m)]
		if w.backward {
			p.PageInfo.HasNextPage = true
		} else {
			p.PageInfo.HasPreviousPage = true
		}
		pages[parentOf(m)] = p
	}
	return err
}

func (l *loader) totals(ctx context.Context, q ent.NodeQuery, parents []uuid.UUID, column string, pages map[uuid.UUID]ent.Page) (err error) {
	run := q.Copy()
	counts := map[uuid.UUID]int{}
	if column == "" {
		counts[root], err = run.Count(ctx)
	} else {
		run.WhereP(anyOf(column, parents))
		counts, err = run.CountBy(ctx, column)
	}
	for parent, count := range counts {
		p := pages[parent]
		p.TotalCount = count
		pages[parent] = p
	}
	return err
}

// forEach turns a statement into one that runs apart for each parent, reading only the rows that apply leaves of each:
// LATERAL on Postgres, a correlated subquery of rowids on SQLite. The rows come parent by parent, in the order of these.
// Parents are one argument, so that the statement's text does not depend on their number.
func forEach(parents []uuid.UUID, column string, apply, order func(*sql.Selector)) func(*sql.Selector) {
	return func(s *sql.Selector) {
		name := s.TableName()
		d := sql.Dialect(s.Dialect())
		inner := new(sql.Selector)
		*inner = *s // Selector.Clone loses operators of predicates in ent v0.14.6
		reference := s.C(column)
		inner.Where(sql.P(func(b *sql.Builder) { b.Ident(reference).WriteString(" = parent.id") }))
		apply(inner)
		outer := d.Table(name)
		columns := s.UnqualifiedColumns()
		for i := range columns {
			columns[i] = outer.C(columns[i])
		}
		var from sql.Querier
		if s.Dialect() == dialect.Postgres {
			from = sql.ExprFunc(func(b *sql.Builder) {
				b.WriteString("unnest(").Arg(array(parents)).WriteString("::uuid[]) WITH ORDINALITY AS parent(id, n) CROSS JOIN LATERAL ")
				b.Wrap(func(b *sql.Builder) { b.Join(inner) })
				b.WriteString(" AS ").Ident(name)
			})
		} else {
			inner.Select(s.C("rowid"))
			from = sql.ExprFunc(func(b *sql.Builder) {
				b.WriteString("(SELECT value AS id, key AS n FROM json_each(").Arg(jsonArray(parents)).WriteString(")) AS parent CROSS JOIN ").Ident(name)
				b.WriteString(" ON ").Ident(name).WriteString(".rowid IN ")
				b.Wrap(func(b *sql.Builder) { b.Join(inner) })
			})
		}
		*s = *d.Select(columns...).From(outer).WithContext(s.Context()).OrderExpr(sql.Raw("parent.n"))
		order(s)
		s.FromExpr(from)
	}
}

// anyOf narrows a query to rows whose column is one of ids, which are one argument.
func anyOf(column string, ids []uuid.UUID) func(*sql.Selector) {
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(s.C(column))
			if s.Dialect() == dialect.Postgres {
				b.WriteString(" = ANY(").Arg(array(ids)).WriteString("::uuid[])")
			} else {
				b.WriteString(" IN (SELECT value FROM json_each(").Arg(jsonArray(ids)).WriteString("))")
			}
		}))
	}
}

// array is Postgres' text form of an array.
func array(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

func jsonArray(ids []uuid.UUID) string {
	b, _ := json.Marshal(ids) // text marshalers that don't fail
	return string(b)
}

func distinct(nodes []ent.Node, key func(ent.Node) uuid.UUID) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(nodes))
	ids := make([]uuid.UUID, 0, len(nodes))
	for _, m := range nodes {
		if id := key(m); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// cleanText reports whether both databases take b as text.
func cleanText(b []byte) bool { return utf8.Valid(b) && !slices.Contains(b, 0) }
