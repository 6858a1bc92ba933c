package relay

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"

	"tidings/ent"
	"tidings/internal/fault"
)

// window is the part of an ordered list that a page shows: at most size rows, from the front or from the back, strictly
// between two places.
type window struct {
	order         Order
	size          int
	backward      bool
	after, before *place
	alone         bool // nobody asks whether there are others beyond

	rank   func(*sql.Selector) sql.Querier // instead of order
	offset int                             // with rank: how many rows stand before the page
}

// place is where a row stands in an order. A row need not be there any more.
type place struct {
	key any // a string or a time.Time
	id  uuid.UUID
}

// newWindow checks a connection's arguments: first and last from 1 to MaxPageSize and not both, cursors of this order.
func newWindow(typ *ent.NodeType, args Args) (w window, err error) {
	w.order, w.size = args.Order, DefaultPageSize
	if w.order.Column == "" {
		w.order = Order{typ.CreatedAt, typ.NewestFirst}
	}
	if args.First != nil && args.Last != nil {
		return w, fault.BadInput("last", "ask for first or for last, not for both")
	}
	for _, arg := range [...]struct {
		name  string
		value *int
	}{{"first", args.First}, {"last", args.Last}} {
		if arg.value == nil {
			continue
		}
		if *arg.value < 1 || *arg.value > MaxPageSize {
			return w, fault.BadInput(arg.name, fmt.Sprintf("%s must be from 1 to %d", arg.name, MaxPageSize))
		}
		w.size = *arg.value
	}
	w.backward = args.Last != nil
	if args.Rank != nil {
		w.rank = args.Rank
		w.offset, err = parseRankCursor("after", args.After)
		return w, err
	}
	if w.after, err = parseCursor("after", args.After, w.order, typ.Times[w.order.Column]); err != nil {
		return w, err
	}
	w.before, err = parseCursor("before", args.Before, w.order, typ.Times[w.order.Column])
	return w, err
}

// apply gives a statement the window, and one row more, which tells whether there are others beyond, unless it is alone.
func (w window) apply(s *sql.Selector) {
	if w.rank != nil {
		s.OrderExpr(descending(w.rank(s))).OrderBy(sql.Desc(s.C(idColumn))).Offset(w.offset)
	} else {
		w.bound(s).orderBy(s)
	}
	if w.alone {
		s.Limit(w.size)
	} else {
		s.Limit(w.size + 1)
	}
}

// best is what a statement calls the rows of a ranked window.
const best = "best"

// applyRanked is apply for a ranked window, such that what is joined to its rows is joined to no others, and leaves them
// in their order: only the best rows of many are shown.
func (w window) applyRanked(s *sql.Selector) {
	const rank = "rank"
	d, columns := sql.Dialect(s.Dialect()), s.UnqualifiedColumns()
	inner := new(sql.Selector)
	*inner = *s
	w.apply(inner.AppendSelectExprAs(w.rank(inner), rank))
	outer := d.Table(best)
	*s = *d.Select(outer.Columns(columns...)...).WithContext(s.Context()).FromExpr(sql.ExprFunc(func(b *sql.Builder) {
		b.Wrap(func(b *sql.Builder) { b.Join(inner) })
		b.WriteString(" AS ").Ident(best)
	}))
	s.OrderBy(sql.Desc(outer.C(rank)), sql.Desc(outer.C(idColumn)))
}

func descending(x sql.Querier) sql.Querier {
	return sql.ExprFunc(func(b *sql.Builder) { b.Join(x).WriteString(" DESC") })
}

func (w window) bound(s *sql.Selector) window {
	above, below := " > ", " < "
	if w.order.Descending {
		above, below = below, above
	}
	if w.after != nil {
		s.Where(w.compare(s, above, w.after))
	}
	if w.before != nil {
		s.Where(w.compare(s, below, w.before))
	}
	return w
}

// compare compares rows with a place as a pair, which an index on (column, id) answers.
func (w window) compare(s *sql.Selector, op string, p *place) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.Wrap(func(b *sql.Builder) { b.IdentComma(s.C(w.order.Column), s.C(idColumn)) })
		b.WriteString(op)
		b.Wrap(func(b *sql.Builder) { b.Args(p.key, p.id.String()) })
	})
}

// orderBy reads in the order of the window: from the back for a page of the last ones.
func (w window) orderBy(s *sql.Selector) {
	for _, column := range []string{s.C(w.order.Column), s.C(idColumn)} {
		s.OrderExpr(sql.ExprFunc(func(b *sql.Builder) {
			b.Ident(column)
			if w.order.Descending != w.backward {
				b.WriteString(" DESC")
			}
		}))
	}
}

// beyond is the window of the one nearest row on the other side of the cursor from which this one starts; ok is false
// when it starts at an end of the list, beyond which there is nothing.
func (w window) beyond() (other window, ok bool) {
	from := w.after
	if w.backward {
		from = w.before
	}
	if from == nil {
		return other, false
	}
	return window{order: w.order, backward: !w.backward}, true
}

// applyBeyond looks for a row at the cursor itself or behind it.
func (w window) applyBeyond(s *sql.Selector) {
	from, op := w.after, " <= "
	if w.backward {
		from = w.before
	}
	if w.order.Descending != w.backward {
		op = " >= "
	}
	s.Where(w.compare(s, op, from)).Limit(1)
}

// Every type's id is in a column of this name; ent's default.
const idColumn = "id"

// A cursor is base64url of a version, the order it belongs to, the id and the sort key. It is opaque to clients and
// good for ever in its own order; it holds nothing that the client was not shown.
const (
	cursorVersion     = 1
	rankCursorVersion = 2
)

const (
	keyIsTime byte = iota
	keyIsText
)

func (w window) cursor(n ent.Node) string {
	id := n.Key()
	b := append([]byte{cursorVersion, w.orderByte()}, id[:]...)
	switch key := n.SortKey(w.order.Column).(type) {
	case time.Time:
		b = binary.BigEndian.AppendUint64(append(b, keyIsTime), uint64(key.UnixMicro()))
	case string:
		b = append(append(b, keyIsText), key...)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// orderByte tells the orders of one type apart.
func (w window) orderByte() byte {
	h := byte(0)
	for i := range len(w.order.Column) {
		h = h*31 + w.order.Column[i]
	}
	h &^= 1
	if w.order.Descending {
		h |= 1
	}
	return h
}

const maxCursor = 2048 // characters; the longest sort key is a title of 200 characters

func parseCursor(arg string, text *string, order Order, isTime bool) (*place, error) {
	if text == nil {
		return nil, nil
	}
	bad := fault.BadInput(arg, arg+" is not a cursor of this connection")
	if len(*text) > maxCursor {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(*text)
	const head = 2 + 16 + 1
	if err != nil || len(b) < head || b[0] != cursorVersion {
		return nil, bad
	}
	if b[1] != (window{order: order}).orderByte() {
		return nil, fault.BadInput(arg, arg+" is a cursor of another order than the one asked for")
	}
	p := &place{id: uuid.UUID(b[2:18])}
	switch key := b[head:]; {
	case isTime && b[18] == keyIsTime && len(key) == 8:
		at := time.UnixMicro(int64(binary.BigEndian.Uint64(key))).UTC()
		if at.Year() < 1 || at.Year() > 9999 { // which not every database takes
			return nil, bad
		}
		p.key = at
	case !isTime && b[18] == keyIsText && cleanText(key):
		p.key = string(key)
	default:
		return nil, bad
	}
	return p, nil
}

// maxOffset bounds how deep ranked pages go.
const maxOffset = 10_000

// rankCursor is the cursor of the nth row of a ranked list.
func rankCursor(n int) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32([]byte{rankCursorVersion}, uint32(n)))
}

func parseRankCursor(arg string, text *string) (int, error) {
	if text == nil {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(*text)
	if err != nil || len(b) != 5 || b[0] != rankCursorVersion {
		return 0, fault.BadInput(arg, arg+" is not a cursor of this connection")
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n > maxOffset {
		return 0, fault.BadInput(arg, fmt.Sprintf("a search goes %d posts deep: narrow it down", maxOffset))
	}
	return int(n), nil
}
