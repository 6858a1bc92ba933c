package relay

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"sync"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"tidings/ent"
)

// reading runs the statements of a plan and holds what they gave, until it is written.
type reading struct {
	*loader
	ctx context.Context
	*operation
	plan  *plan
	pages []page
	lists []pagesOf // by the lists' numbers
	nodes *rows
	used  []*rows // to be released
}

// rows are what a statement gave: the values of all columns of all rows, one behind the other, as kinds has them.
type rows struct {
	kinds  []kind
	count  int
	bytes  []byte
	cells  []cell         // count × len(kinds)
	values []driver.Value // of the row that is being read
}

// spareRows are used again, for most of what a small read allocated was the room for its rows.
var spareRows = sync.Pool{New: func() any { return new(rows) }}

// maxSpare bounds what is kept to be used again, in bytes.
const maxSpare = 256 << 10

// room returns empty rows, whose columns are of these kinds and are read as so many values.
func (r *reading) room(kinds []kind, values int) *rows {
	rows := spareRows.Get().(*rows)
	rows.kinds, rows.count, rows.bytes, rows.cells = kinds, 0, rows.bytes[:0], rows.cells[:0]
	rows.values = slices.Grow(rows.values[:0], values)[:values]
	r.used = append(r.used, rows)
	return rows
}

// release gives back the rows, of which nothing may be used any more.
func (r *reading) release() {
	for _, rows := range r.used {
		clear(rows.values) // which belong to the driver
		if cap(rows.bytes)+8*cap(rows.cells) <= maxSpare {
			spareRows.Put(rows)
		}
	}
}

// cell says where a value is; from is null for NULL.
type cell struct{ from, to uint32 }

const null = ^uint32(0)

// pagesOf are the pages of a list.
type pagesOf struct {
	*rows  // nil when none are wanted
	window window
	of     map[uuid.UUID]int // by the id of what has them
	pages  []onePage
}

// onePage is the rows of a page, in the order of the statement, and what is known of those beyond.
type onePage struct {
	first, end           int
	hasNext, hasPrevious bool
	total                int
}

// value returns a value, which is good until the rows are released; ok is false for NULL.
func (r *rows) value(row, column int) (b []byte, ok bool) {
	c := r.cells[row*len(r.kinds)+column]
	if c.from == null {
		return nil, false
	}
	return r.bytes[c.from:c.to], true
}

// id returns the id in a column, which is that of a row: it is there.
func (r *rows) id(row, column int) uuid.UUID {
	b, _ := r.value(row, column)
	return uuid.UUID(b)
}

// read runs a source's statement: the one that q gives with its policy, to whose rows those that its edges to one lead
// to are joined, each as its own query and policy give them. No row of q is lost or doubled by that, for what is joined
// is found by its id, or not at all.
func (r *reading) read(q ent.NodeQuery, s *source) (*rows, error) {
	d := q.Dialect()
	names := s.tables[0].names[d]
	base, ran, err := q.Statement(r.ctx, names.own)
	if err != nil {
		return nil, err
	}
	masked := len(base.SelectedColumns()) < len(names.own) // for then some are expressions
	if masked && len(names.own) > len(s.tables[0].columns) {
		return nil, fmt.Errorf("%w: what is masked stands beside what is not asked for", errNotDirect)
	}
	for _, t := range s.tables[1:] {
		names := t.names[d]
		joined, err := queryOf(q, t).Joined(r.ctx, names.own)
		if err != nil {
			return nil, err
		}
		if joined == nil {
			base.LeftJoin(entsql.Table(t.typ.Table).As(t.alias))
		} else {
			base.LeftJoin(joined.As(t.alias))
		}
		base.On(names.on[0], names.on[1])
		if masked {
			base.AppendSelect(names.out...)
		}
	}
	into := r.room(s.kinds, len(s.kinds))
	take := into.takeValues
	if !masked {
		base.SelectExpr(entsql.Raw(names.all))
		if names.packed {
			into.values, take = into.values[:1], into.takePacked
		}
	}
	text, args := base.Query()
	if err := base.Err(); err != nil {
		return nil, err
	}
	return into, queryRows(r.ctx, ran, text, args, into.values, func() error {
		before := len(into.bytes)
		if err := take(); err != nil {
			return err
		}
		into.count++
		if err := r.spend(len(into.bytes) - before); err != nil {
			return err
		}
		for _, t := range s.tables {
			if _, ok := into.value(into.count-1, t.first+t.present); !ok {
				return fmt.Errorf("the %s of a row is gone or hidden", t.edge)
			}
		}
		return nil
	})
}

// queryRows is ent.RowReader's QueryRows on any driver: a transaction, or what somebody has put before one, has rows by
// way of database/sql only.
func queryRows(ctx context.Context, d dialect.ExecQuerier, query string, args []any, into []driver.Value, each func() error) (err error) {
	if d, ok := d.(ent.RowReader); ok {
		return d.QueryRows(ctx, query, args, into, each)
	}
	var rows entsql.Rows
	if err := d.Query(ctx, query, args, &rows); err != nil {
		return err
	}
	defer func() {
		if closed := rows.Close(); err == nil {
			err = closed
		}
	}()
	values, targets := make([]any, len(into)), make([]any, len(into))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i, v := range values {
			into[i] = v
		}
		if err := each(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// load reads the pages of a list for each of the parents, or the one at the root, and all lists behind them.
func (r *reading) load(l *list, q ent.NodeQuery, parents []uuid.UUID) error {
	into, w := &r.lists[l.number], r.pages[l.number].window
	into.window = w
	for _, f := range r.pages[l.number].filters {
		q.WhereP(entsql.FieldEQ(f.column, f.value))
	}
	column := ""
	if l.on != nil {
		column = l.on.typ.Edges[l.edge].Column
	}
	into.of = make(map[uuid.UUID]int, max(len(parents), 1))
	if l.on == nil {
		into.of[root] = 0
	}
	for i, id := range parents {
		into.of[id] = i
	}
	into.pages = make([]onePage, len(into.of))
	if l.source != nil {
		run := q.Copy()
		switch {
		case w.rank != nil:
			run.ModifyP(w.applyRanked)
		case l.on == nil:
			run.ModifyP(w.apply)
		default:
			run.ModifyP(forEach(parents, column, w.apply, w.orderBy))
		}
		var err error
		if into.rows, err = r.read(run, l.source); err != nil {
			return err
		}
		if err := into.divide(l); err != nil {
			return err
		}
	}
	if err := r.around(l, q, parents, column); err != nil {
		return err
	}
	if l.source == nil {
		return nil
	}
	return r.behind(l.source, q, into.rows, into.kept())
}

// behind loads the lists behind the rows of a source.
func (r *reading) behind(s *source, q ent.NodeQuery, from *rows, kept []bool) error {
	for _, l := range s.lists {
		seen := make(map[uuid.UUID]bool, from.count)
		var parents []uuid.UUID
		for i := range from.count {
			if kept != nil && !kept[i] {
				continue
			}
			id := from.id(i, l.on.first+l.parent)
			if !seen[id] {
				seen[id] = true
				parents = append(parents, id)
			}
		}
		if len(parents) == 0 {
			continue
		}
		if err := r.load(l, queryOf(q, l.on).Others(l.edge), parents); err != nil {
			return err
		}
	}
	return nil
}

// queryOf returns a new query over the type of a table, of which q is one over that of its source.
func queryOf(q ent.NodeQuery, t *table) ent.NodeQuery {
	if t.parent == nil {
		return q
	}
	return queryOf(q, t.parent).Others(t.edge)
}

// divide finds the rows of each page. The one too many tells that there are more, and goes.
func (p *pagesOf) divide(l *list) error {
	for i := 0; i < p.count; {
		at, first := 0, i
		if l.on == nil {
			i = p.count
		} else {
			id := p.id(i, l.reference)
			var ok bool
			if at, ok = p.of[id]; !ok || p.pages[at].end > 0 {
				return fmt.Errorf("a row of a page that is not its own")
			}
			for i++; i < p.count && p.id(i, l.reference) == id; i++ {
			}
		}
		page := &p.pages[at]
		page.first, page.end = first, i
		if page.end-page.first > p.window.size {
			page.end = page.first + p.window.size
			if p.window.backward {
				page.hasPrevious = true
			} else {
				page.hasNext = true
			}
		}
	}
	if p.window.rank != nil {
		p.pages[0].hasPrevious = p.window.offset > 0
	}
	return nil
}

// kept tells the rows that are on a page from those that were one too many.
func (p *pagesOf) kept() []bool {
	kept := make([]bool, p.count)
	for _, page := range p.pages {
		for i := page.first; i < page.end; i++ {
			kept[i] = true
		}
	}
	return kept
}

// around finds out what is wanted of pages beside their rows.
func (r *reading) around(l *list, q ent.NodeQuery, parents []uuid.UUID, column string) error {
	into := &r.lists[l.number]
	w := into.window
	found := map[uuid.UUID]ent.Page{}
	if other, ok := w.beyond(); ok && l.source != nil && (l.hasPrevious && !w.backward || l.hasNext && w.backward) {
		parentOf := func(m ent.Node) uuid.UUID {
			if column == "" {
				return root
			}
			return m.Ref(column)
		}
		if err := r.lookBeyond(r.ctx, q, parents, column, parentOf, w, other, found); err != nil {
			return err
		}
	}
	if l.total {
		if err := r.totals(r.ctx, q, parents, column, found); err != nil {
			return err
		}
	}
	for id, p := range found {
		page := &into.pages[into.of[id]]
		page.hasNext = page.hasNext || p.PageInfo.HasNextPage
		page.hasPrevious = page.hasPrevious || p.PageInfo.HasPreviousPage
		page.total = p.TotalCount
	}
	return nil
}
