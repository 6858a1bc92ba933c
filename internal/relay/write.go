package relay

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// maxAnswer bounds what is written directly, and what is read for it, in bytes. What becomes larger is the executor's,
// which leaves off where a response may not become larger either.
const maxAnswer = 16 << 20

// writer appends the JSON of what was read. Its first error is kept, and what is appended after it means nothing.
type writer struct {
	*reading
	b     []byte
	spent int // of b
	err   error
}

// writer returns a writer of what was read. The error says that it might become too large: an alias repeats a text for two
// bytes of document.
func (r *reading) writer() (writer, error) {
	read := 0
	for _, rows := range r.used {
		read += len(rows.bytes)
	}
	if r.plan.most > 1 && read*r.plan.most > maxAnswer {
		return writer{}, fmt.Errorf("%w: up to %d bytes, some of them %d times", errNotDirect, read, r.plan.most)
	}
	return writer{reading: r, b: (*spareBytes.Get().(*[]byte))[:0]}, nil
}

func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// row is one of rows.
type row struct {
	of *rows
	at int
}

// object writes one row.
func (w *writer) object(o *shape, at row) {
	if len(w.b) > maxAnswer {
		w.fail(fmt.Errorf("%w: more than %d bytes", errNotDirect, maxAnswer))
	}
	if w.err == nil {
		w.err = w.spend(len(w.b) - w.spent)
		w.spent = len(w.b)
	}
	if w.err != nil {
		return
	}
	for i := range o.fields {
		m := &o.fields[i]
		w.b = append(w.b, m.before...)
		switch m.kind {
		case constant:
		case toOne:
			w.object(m.shape, at)
		case toPage:
			w.page(m.shape, &w.lists[m.list.number], w.pageOf(m.list, at))
		default:
			w.value(m, at)
		}
	}
	w.end(len(o.fields))
}

func (w *writer) end(fields int) {
	if fields == 0 {
		w.b = append(w.b, '{')
	}
	w.b = append(w.b, '}')
}

func (w *writer) value(m *member, at row) {
	v, ok := at.of.value(at.at, m.table.first+m.column)
	if !ok {
		if !m.nullable {
			w.fail(fmt.Errorf("%s has nothing in %s", m.table.typ.Name, m.table.columns[m.column]))
		}
		w.b = append(w.b, "null"...)
		return
	}
	switch m.kind {
	case text:
		w.b = appendText(w.b, v)
	case identity:
		w.b = append(m.table.typ.AppendID(append(w.b, '"'), uuid.UUID(v)), '"')
	case moment:
		w.b = append(momentOf(v).AppendFormat(append(w.b, '"'), time.RFC3339Nano), '"')
	case boolean:
		w.b = strconv.AppendBool(w.b, v[0] != 0)
	}
}

// pageOf finds the page of a row; nil if there is none.
func (w *writer) pageOf(l *list, at row) *onePage {
	of := &w.lists[l.number]
	i, ok := of.of[at.of.id(at.at, l.on.first+l.parent)]
	if !ok {
		return nil
	}
	return &of.pages[i]
}

// page writes one page of a list.
func (w *writer) page(s *shape, of *pagesOf, p *onePage) {
	if p == nil {
		w.fail(fmt.Errorf("a page was not loaded"))
		return
	}
	for i := range s.fields {
		m := &s.fields[i]
		w.b = append(w.b, m.before...)
		switch m.kind {
		case nodes, edges:
			w.b = append(w.b, '[')
			for n := range p.end - p.first {
				if n > 0 {
					w.b = append(w.b, ',')
				}
				if m.kind == nodes {
					w.object(m.shape, of.row(p, n))
				} else {
					w.edge(m, of, p, n)
				}
			}
			w.b = append(w.b, ']')
		case pageInfo:
			w.pageInfo(m, of, p)
		case totalCount:
			w.b = strconv.AppendInt(w.b, int64(p.total), 10)
		}
	}
	w.end(len(s.fields))
}

// row is the nth of a page.
func (p *pagesOf) row(page *onePage, n int) row {
	if p.window.backward {
		return row{p.rows, page.end - 1 - n}
	}
	return row{p.rows, page.first + n}
}

func (w *writer) edge(m *member, of *pagesOf, p *onePage, n int) {
	for i := range m.shape.fields {
		f := &m.shape.fields[i]
		w.b = append(w.b, f.before...)
		switch f.kind {
		case cursor:
			w.cursor(f.list, of, p, n)
		case node:
			w.object(f.shape, of.row(p, n))
		}
	}
	w.end(len(m.shape.fields))
}

func (w *writer) pageInfo(m *member, of *pagesOf, p *onePage) {
	for i := range m.shape.fields {
		f := &m.shape.fields[i]
		w.b = append(w.b, f.before...)
		switch f.kind {
		case hasNextPage:
			w.b = strconv.AppendBool(w.b, p.hasNext)
		case hasPreviousPage:
			w.b = strconv.AppendBool(w.b, p.hasPrevious)
		case startCursor:
			w.cursor(f.list, of, p, 0)
		case endCursor:
			w.cursor(f.list, of, p, p.end-p.first-1)
		}
	}
	w.end(len(m.shape.fields))
}

// cursor writes the cursor of the nth row of a page, null if it has none.
func (w *writer) cursor(l *list, of *pagesOf, p *onePage, n int) {
	if n < 0 || n >= p.end-p.first {
		w.b = append(w.b, "null"...)
		return
	}
	w.b = append(w.b, '"')
	if of.window.rank != nil {
		w.b = append(w.b, rankCursor(of.window.offset+n+1)...)
	} else {
		at := of.row(p, n)
		id := at.of.id(at.at, l.id)
		key, _ := at.of.value(at.at, l.key)
		b := append(make([]byte, 0, 64), cursorVersion, of.window.orderByte())
		b = append(append(b, id[:]...), keyIsText)
		if l.typ.Times[of.window.order.Column] {
			b[len(b)-1] = keyIsTime // and key is what belongs there
		}
		b = append(b, key...)
		w.b = base64.RawURLEncoding.AppendEncode(w.b, b)
	}
	w.b = append(w.b, '"')
}

// appendText appends a text as gqlgen writes it.
func appendText(b, text []byte) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	begin := 0
	for i, c := range text {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[begin:i]...)
		begin = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, text[begin:]...), '"')
}
