//go:build linux

package main

import (
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"tidings/internal/gid"
)

// postRow is a post with what of its author is asked for: nil what is not. It is good until the next row.
type postRow struct {
	id, title, content, at       sql.RawBytes
	authorID, username, fullName sql.RawBytes
	stamp                        [40]byte
}

// appendTo appends the post without the closing brace.
func (p *postRow) appendTo(b []byte) ([]byte, error) {
	b, err := appendID(append(b, `{"id":"`...), gid.PostOf, p.id)
	if err != nil {
		return b, err
	}
	b = appendText(append(b, `","title":`...), p.title)
	b = appendText(append(b, `,"content":`...), p.content)
	b = append(append(b, `,"createdAt":"`...), p.at...)
	b = append(b, `","author":{`...)
	if p.authorID != nil {
		if b, err = appendID(append(b, `"id":"`...), gid.UserOf, p.authorID); err != nil {
			return b, err
		}
		b = append(b, `",`...)
	}
	b = appendText(append(b, `"username":`...), p.username)
	if p.fullName != nil {
		b = appendText(append(b, `,"fullName":`...), p.fullName)
	}
	return append(b, '}'), nil
}

// comma separates the nth of a list from the one before.
func comma(b []byte, n int) []byte {
	if n > 0 {
		return append(b, ',')
	}
	return b
}

// appendID appends the id of a column, which both drivers give as text.
func appendID[I interface{ AppendText([]byte) ([]byte, error) }](b []byte, of func(uuid.UUID) I, column []byte) ([]byte, error) {
	u, err := uuid.ParseBytes(column)
	if err != nil {
		return b, err
	}
	return of(u).AppendText(b)
}

// appendText appends a JSON string (RFC 8259, section 7). What comes from the database is valid UTF-8.
func appendText(b, text []byte) []byte {
	const hex = "0123456789abcdef"
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

// A cursor is the server's (package relay), for the answers are to be the same: a version, a byte for the order, the id,
// a byte for the kind of key, and the time in microseconds.
const cursorLength = 2 + 16 + 1 + 8

var cursorHead = [2]byte{1, orderByte("created_at")}

// orderByte is the server's for a descending order by a column.
func orderByte(column string) (h byte) {
	for i := range len(column) {
		h = h*31 + column[i]
	}
	return h | 1
}

func appendCursor(b []byte, id gid.Post, at time.Time) []byte {
	var c [cursorLength]byte
	u := id.UUID()
	copy(c[:], cursorHead[:])
	copy(c[2:], u[:])
	binary.BigEndian.PutUint64(c[19:], uint64(at.UnixMicro()))
	return base64.RawURLEncoding.AppendEncode(b, c[:])
}

func parseCursor(text string) (at time.Time, id uuid.UUID, err error) {
	var c [cursorLength]byte
	if n, err := base64.RawURLEncoding.Decode(c[:], []byte(text[:min(len(text), 36)])); err != nil || n != cursorLength || len(text) != 36 || [2]byte(c[:2]) != cursorHead || c[18] != 0 || !utf8.ValidString(text) {
		return at, id, errors.New("not a cursor")
	}
	return time.UnixMicro(int64(binary.BigEndian.Uint64(c[19:]))).UTC(), uuid.UUID(c[2:18]), nil
}
