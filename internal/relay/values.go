package relay

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The values of rows are held in one form, whatever form the database has:
//
//	identity and reference  the 16 bytes of the id
//	text                    UTF-8
//	moment                  microseconds since 1970, 8 bytes, big-endian, as cursors have them
//	boolean                 1 byte, 0 or 1

// String is what the log calls values of a kind.
func (k kind) String() string {
	return map[kind]string{identity: "id", reference: "id", text: "text", moment: "time", boolean: "boolean"}[k]
}

// momentOf is the time that a value is.
func momentOf(value []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(value))).UTC()
}

// add takes what was appended to bytes from there on for the row's next value.
func (r *rows) add(from int) {
	r.cells = append(r.cells, cell{uint32(from), uint32(len(r.bytes))})
}

func (r *rows) addNull() {
	r.cells = append(r.cells, cell{null, null})
}

// takeValues takes over a row that has come as one value for each column.
func (r *rows) takeValues() error {
	for i, v := range r.values {
		if v == nil {
			r.addNull()
			continue
		}
		from := len(r.bytes)
		var err error
		if r.bytes, err = appendValue(r.bytes, r.kinds[i], v); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
		r.add(from)
	}
	return nil
}

func appendValue(b []byte, k kind, v driver.Value) ([]byte, error) {
	if bytes, ok := v.([]byte); ok && k != text {
		v = string(bytes)
	}
	switch k {
	case text:
		switch v := v.(type) {
		case string:
			return append(b, v...), nil
		case []byte:
			return append(b, v...), nil
		}
	case identity, reference:
		if v, ok := v.(string); ok {
			id, err := uuid.Parse(v)
			return append(b, id[:]...), err
		}
	case moment:
		if v, ok := v.(string); ok {
			at, err := parseMoment(v)
			return binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro())), err
		}
		if v, ok := v.(time.Time); ok {
			return binary.BigEndian.AppendUint64(b, uint64(v.UnixMicro())), nil
		}
	case boolean:
		switch v {
		case false, int64(0): // of SQLite, which has no booleans
			return append(b, 0), nil
		case true, int64(1):
			return append(b, 1), nil
		}
	}
	return b, fmt.Errorf("a %T is no %s", v, k)
}

// parseMoment reads a time as Postgres and SQLite write it, with a zone of "+00" or of "+00:00".
func parseMoment(text string) (time.Time, error) {
	layout := "2006-01-02 15:04:05Z07:00" // and a fraction of seconds
	if n := len(text); n > 3 && text[n-3] == '+' {
		layout = "2006-01-02 15:04:05Z07"
	}
	return time.Parse(layout, text)
}

// sendFunctions give the form in which Postgres sends values: ids as 16 bytes, texts as they are, times as microseconds
// since the year 2000 in 8 bytes, booleans as one.
var sendFunctions = map[kind]string{identity: "uuid_send", reference: "uuid_send", text: "textsend", moment: "timestamptz_send", boolean: "boolsend"}

// packed is the expression for columns as one value, an array in the form in which Postgres sends it. It is an array and no
// record, since a connection of Postgres remembers each sequence of types that it has made a record of, and clients may
// write fields in any order.
func packed(kinds []kind, columns []string) string {
	sent := make([]string, len(columns))
	for i, c := range columns {
		sent[i] = sendFunctions[kinds[i]] + "(" + c + ")"
	}
	return "array_send(ARRAY[" + strings.Join(sent, ", ") + "])"
}

// Postgres counts microseconds from the year 2000, and has two times that are none.
const (
	epochOfPostgres = 946_684_800_000_000
	infinity        = math.MaxInt64
	minusInfinity   = math.MinInt64
)

// takePacked takes over a row that has come as packed has it: the number of dimensions, whether there are NULLs, the type of
// the elements (bytea), their number and the index of the first, 4 bytes each (array_send); and of each element its length
// in 4 bytes, -1 for NULL, and its bytes.
func (r *rows) takePacked() error {
	b, ok := r.values[0].([]byte)
	if !ok {
		return fmt.Errorf("a %T is no array", r.values[0])
	}
	const (
		size  = 4
		head  = 5 * size
		bytea = 17
	)
	if len(b) < head || binary.BigEndian.Uint32(b) != 1 || binary.BigEndian.Uint32(b[2*size:]) != bytea ||
		int(binary.BigEndian.Uint32(b[3*size:])) != len(r.kinds) {
		return fmt.Errorf("what came is no array of %d columns", len(r.kinds))
	}
	b = b[head:]
	for i, k := range r.kinds {
		if len(b) < size {
			return errShort
		}
		length := int(int32(binary.BigEndian.Uint32(b)))
		b = b[size:]
		if length == -1 {
			r.addNull()
			continue
		}
		if length < 0 || length > len(b) {
			return errShort
		}
		from := len(r.bytes)
		if r.bytes, ok = appendSent(r.bytes, k, b[:length]); !ok {
			return fmt.Errorf("column %d: %d bytes are no %s", i+1, length, k)
		}
		r.add(from)
		b = b[length:]
	}
	if len(b) > 0 {
		return fmt.Errorf("an array is longer than it says, by %d bytes", len(b))
	}
	return nil
}

var errShort = errors.New("an array is shorter than it says")

func appendSent(b []byte, k kind, v []byte) ([]byte, bool) {
	switch {
	case k == text,
		(k == identity || k == reference) && len(v) == 16,
		k == boolean && len(v) == 1:
		return append(b, v...), true
	case k == moment && len(v) == 8:
		at := int64(binary.BigEndian.Uint64(v))
		if at == minusInfinity || at > infinity-epochOfPostgres { // or so late that it can't be counted from 1970
			return b, false
		}
		return binary.BigEndian.AppendUint64(b, uint64(at+epochOfPostgres)), true
	}
	return b, false
}
