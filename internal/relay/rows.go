package relay

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

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

// rows are what a statement gave: the values of all columns of all rows, one behind the other.
type rows struct {
	width   int
	count   int
	bytes   []byte
	cells   []cell // count × width
	current []sql.RawBytes
	targets []any // pointers to current
}

// spareRows are used again, for most of what a small read allocated was the room for its rows.
var spareRows = sync.Pool{New: func() any { return new(rows) }}

// maxSpare bounds what is kept to be used again, in bytes.
const maxSpare = 256 << 10

// room returns empty rows of a width.
func (r *reading) room(width int) *rows {
	rows := spareRows.Get().(*rows)
	rows.width, rows.count, rows.bytes, rows.cells = width, 0, rows.bytes[:0], rows.cells[:0]
	for len(rows.current) < width {
		rows.current = append(rows.current, nil)
		rows.targets = nil
	}
	if rows.targets == nil {
		for i := range rows.current {
			rows.targets = append(rows.targets, &rows.current[i])
		}
	}
	r.used = append(r.used, rows)
	return rows
}

// release gives back the rows, of which nothing may be used any more.
func (r *reading) release() {
	for _, rows := range r.used {
		clear(rows.current) // which belong to the driver
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

// value returns a value, which is good for as long as nothing else is read; ok is false for NULL.
func (r *rows) value(row, column int) (b []byte, ok bool) {
	c := r.cells[row*r.width+column]
	if c.from == null {
		return nil, false
	}
	return r.bytes[c.from:c.to], true
}

// id returns the id in a column.
func (r *rows) id(row, column int) (uuid.UUID, error) {
	b, _ := r.value(row, column)
	return uuid.ParseBytes(b)
}

// read runs a source's statement: the one that q gives with its policy, to whose rows those that its edges to one lead
// to are joined, each as its own query and policy give them. No row of q is lost or doubled by that, for what is joined
// is found by its id, or not at all.
func (r *reading) read(q ent.NodeQuery, s *source) (*rows, error) {
	d := q.Dialect()
	names := s.tables[0].names[d]
	base, driver, err := q.Statement(r.ctx, names.own)
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
	if !masked {
		base.SelectExpr(entsql.Raw(names.all))
	}
	text, args := base.Query()
	if err := base.Err(); err != nil {
		return nil, err
	}
	var found entsql.Rows
	if err := driver.Query(r.ctx, text, args, &found); err != nil {
		return nil, err
	}
	into := r.room(s.width())
	return into, into.scan(&found, s, r.spend)
}

// scan takes over all rows, of which all that is joined must be there.
func (r *rows) scan(found *entsql.Rows, s *source, spend func(int) error) (err error) {
	defer func() {
		if closed := found.Close(); err == nil {
			err = closed
		}
	}()
	columns, targets := r.current[:r.width], r.targets[:r.width]
	for ; found.Next(); r.count++ {
		if err := found.Scan(targets...); err != nil {
			return err
		}
		before := len(r.bytes)
		for _, c := range columns {
			at := uint32(len(r.bytes))
			if c == nil {
				at = null
			}
			r.bytes = append(r.bytes, c...)
			r.cells = append(r.cells, cell{at, uint32(len(r.bytes))})
		}
		if err := spend(len(r.bytes) - before); err != nil {
			return err
		}
		for _, t := range s.tables {
			if columns[t.first+t.present] == nil {
				return fmt.Errorf("the %s of a row is gone or hidden", t.edge)
			}
		}
	}
	return found.Err()
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
			id, err := from.id(i, l.on.first+l.parent)
			if err != nil {
				return err
			}
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
			id, err := p.id(i, l.reference)
			if err != nil {
				return err
			}
			var ok bool
			if at, ok = p.of[id]; !ok || p.pages[at].end > 0 {
				return fmt.Errorf("a row of a page that is not its own")
			}
			whose, _ := p.value(i, l.reference)
			for i++; i < p.count; i++ {
				if other, _ := p.value(i, l.reference); string(other) != string(whose) {
					break
				}
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
