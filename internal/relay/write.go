package relay

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
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

// row is where a writer is: a row, and on the way back to it the page that it is on.
type row struct {
	of *rows
	at int
}

// object writes one row.
func (w *writer) object(o *object, at row) {
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
			w.object(m.object, at)
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
		id, err := uuid.ParseBytes(v)
		if err != nil {
			w.fail(err)
		}
		w.b = append(m.table.typ.AppendID(append(w.b, '"'), id), '"')
	case moment:
		var ok bool
		if w.b, ok = appendMoment(w.b, v); !ok {
			w.fail(fmt.Errorf("%s is no time in UTC", m.table.columns[m.column]))
		}
	case boolean: // of which SQLite has none
		switch string(v) {
		case "true", "1":
			w.b = append(w.b, "true"...)
		case "false", "0":
			w.b = append(w.b, "false"...)
		default:
			w.fail(fmt.Errorf("%s is no boolean", m.table.columns[m.column]))
		}
	}
}

// pageOf finds the page of a row; nil if there is none.
func (w *writer) pageOf(l *list, at row) *onePage {
	of := &w.lists[l.number]
	id, err := at.of.id(at.at, l.on.first+l.parent)
	if err != nil {
		w.fail(err)
		return nil
	}
	i, ok := of.of[id]
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
					w.object(m.object, of.row(p, n))
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
			w.object(f.object, of.row(p, n))
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
		id, err := at.of.id(at.at, l.id)
		key, _ := at.of.value(at.at, l.key)
		if err != nil {
			w.fail(err)
		}
		b := append(make([]byte, 0, 64), cursorVersion, of.window.orderByte())
		b = append(b, id[:]...)
		if l.typ.Times[of.window.order.Column] {
			text, ok := appendMoment(nil, key)
			at, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(text))
			if !ok || err != nil {
				w.fail(fmt.Errorf("%s is no time in UTC", key))
			}
			b = binary.BigEndian.AppendUint64(append(b, keyIsTime), uint64(at.UnixMicro()))
		} else {
			b = append(append(b, keyIsText), key...)
		}
		w.b = base64.RawURLEncoding.AppendEncode(w.b, b)
	}
	w.b = append(w.b, '"')
}

// appendMoment appends a time as the schema has it. Text is what both databases make of it, with a zone of "+00" or
// "+00:00", as "2026-11-21 09:30:00.123456+00", zeros at the end of the fraction left out; or what database/sql does,
// which is what is written.
func appendMoment(b, text []byte) ([]byte, bool) {
	const day, second = len("2026-11-21"), len("2026-11-21 09:30:00")
	text, zulu := bytes.CutSuffix(text, []byte("Z"))
	if !zulu {
		var zone bool
		if text, zone = bytes.CutSuffix(bytes.TrimSuffix(text, []byte(":00")), []byte("+00")); !zone {
			return b, false
		}
	}
	if len(text) < second || text[4] != '-' || len(text) > second && text[second] != '.' {
		return b, false
	}
	b = append(append(append(b, '"'), text[:day]...), 'T')
	return append(append(b, text[day+1:]...), 'Z', '"'), true
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
