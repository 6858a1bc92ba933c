package relay

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
)

// The values of rows are held in one form, whatever form the database has:
//
//	identity and reference  the 16 bytes of the id
//	text                    UTF-8
//	moment                  microseconds since 1970, 8 bytes, big-endian, as cursors have them
//	boolean                 1 byte, 0 or 1

// momentOf is the time that a value is.
func momentOf(value []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(value))).UTC()
}

// add appends a value to a row.
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
			return err
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
	return b, fmt.Errorf("a %T is none of kind %d", v, k)
}

// parseMoment reads a time as Postgres and SQLite write it, with a zone of "+00" or of "+00:00".
func parseMoment(text string) (time.Time, error) {
	layout := "2006-01-02 15:04:05Z07:00" // and a fraction of seconds
	if n := len(text); n > 3 && text[n-3] == '+' {
		layout = "2006-01-02 15:04:05Z07"
	}
	return time.Parse(layout, text)
}

// What Postgres calls the types of columns (its catalog pg_type).
const (
	oidBool        = 16
	oidText        = 25
	oidVarchar     = 1043
	oidTimestamptz = 1184
	oidUUID        = 2950
)

// Postgres counts microseconds from the year 2000, and has two times that are none.
const (
	epochOfPostgres = 946_684_800_000_000
	infinity        = math.MaxInt64
	minusInfinity   = math.MinInt64
)

// takeRecord takes over a row that has come as one value: a record as Postgres sends it, which is the number of columns,
// and of each its type, its length or -1 for NULL, and its bytes (the functions record_send, uuid_send, textsend,
// timestamptz_send and boolsend).
func (r *rows) takeRecord() error {
	b, ok := r.values[0].([]byte)
	if !ok {
		return fmt.Errorf("a %T is no record", r.values[0])
	}
	const head = 4
	if len(b) < head || int(binary.BigEndian.Uint32(b)) != len(r.kinds) {
		return fmt.Errorf("a record has not %d columns", len(r.kinds))
	}
	b = b[head:]
	for _, k := range r.kinds {
		if len(b) < 2*head {
			return errShortRecord
		}
		oid, length := binary.BigEndian.Uint32(b), int(int32(binary.BigEndian.Uint32(b[head:])))
		b = b[2*head:]
		if length == -1 {
			r.addNull()
			continue
		}
		if length < 0 || length > len(b) {
			return errShortRecord
		}
		from := len(r.bytes)
		if r.bytes, ok = appendSent(r.bytes, k, oid, b[:length]); !ok {
			return fmt.Errorf("a column of type %d with %d bytes is none of kind %d", oid, length, k)
		}
		r.add(from)
		b = b[length:]
	}
	if len(b) > 0 {
		return fmt.Errorf("a record is longer than it says, by %d bytes", len(b))
	}
	return nil
}

var errShortRecord = errors.New("a record is shorter than it says")

func appendSent(b []byte, k kind, oid uint32, v []byte) ([]byte, bool) {
	switch {
	case k == text && (oid == oidText || oid == oidVarchar),
		(k == identity || k == reference) && oid == oidUUID && len(v) == 16,
		k == boolean && oid == oidBool && len(v) == 1:
		return append(b, v...), true
	case k == moment && oid == oidTimestamptz && len(v) == 8:
		at := int64(binary.BigEndian.Uint64(v))
		if at == infinity || at == minusInfinity {
			return b, false
		}
		return binary.BigEndian.AppendUint64(b, uint64(at+epochOfPostgres)), true
	}
	return b, false
}
