package relay

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"testing"
	"time"
)

// got writes the values of the last row, each by its kind, "null" for NULL.
func got(r *rows) string {
	all := make([]string, len(r.kinds))
	for i, k := range r.kinds {
		v, ok := r.value(r.count, i)
		switch {
		case !ok:
			all[i] = "null"
		case k == moment:
			all[i] = momentOf(v).Format(time.RFC3339Nano)
		case k == identity || k == reference:
			all[i] = r.id(r.count, i).String()
		case k == boolean:
			all[i] = map[byte]string{0: "false", 1: "true"}[v[0]]
		default:
			all[i] = string(v)
		}
	}
	return strings.Join(all, " ")
}

func TestValues(t *testing.T) {
	const refused = "refused"
	const id = "0194263e-3a80-7c7f-9562-35eabf265b31"
	for _, test := range []struct {
		kind  kind
		value driver.Value
		want  string
	}{
		{text, "words", "words"},
		{text, []byte("words"), "words"},
		{text, "", ""},
		{text, nil, "null"},
		{text, int64(7), refused},
		{identity, id, id},
		{identity, []byte(id), id},
		{reference, nil, "null"},
		{identity, "0194263e", refused},
		{identity, int64(1), refused},
		{moment, "2026-11-21 09:30:00.123456+00", "2026-11-21T09:30:00.123456Z"}, // of Postgres
		{moment, "2026-11-21 09:30:00+00", "2026-11-21T09:30:00Z"},
		{moment, []byte("2026-11-21 09:30:00.1+00:00"), "2026-11-21T09:30:00.1Z"}, // of SQLite
		{moment, "1969-12-31 23:59:59.999999+00:00", "1969-12-31T23:59:59.999999Z"},
		{moment, "2026-11-21 10:30:00+01:00", "2026-11-21T09:30:00Z"},
		{moment, time.Date(2026, 11, 21, 10, 30, 0, 500_000_000, time.FixedZone("", 3600)), "2026-11-21T09:30:00.5Z"},
		{moment, "2026-11-21 09:30:00", refused},
		{moment, "2026-13-21 09:30:00+00", refused},
		{moment, "10000-11-21 09:30:00+00", refused},
		{moment, "0044-03-15 09:30:00+00 BC", refused},
		{moment, "infinity", refused},
		{moment, "", refused},
		{moment, int64(0), refused},
		{boolean, true, "true"},
		{boolean, false, "false"},
		{boolean, int64(1), "true"},
		{boolean, int64(0), "false"},
		{boolean, int64(2), refused},
		{boolean, "true", refused},
	} {
		r := &rows{kinds: []kind{test.kind}, values: []driver.Value{test.value}}
		is := refused
		if err := r.takeValues(); err == nil {
			is = got(r)
		}
		if is != test.want {
			t.Errorf("%v of kind %d is %s, want %s", test.value, test.kind, is, test.want)
		}
	}
}

// A record as Postgres 15 sent it, of the types uuid, varchar, boolean, timestamptz, and a text that is NULL.
const record = "00000005" +
	"00000b86" + "00000010" + "0194263e3a807c7f956235eabf265b31" +
	"00000413" + "00000003" + "68c3a9" +
	"00000010" + "00000001" + "01" +
	"000004a0" + "00000008" + "0002cdb427dca400" +
	"00000019" + "ffffffff"

var recordKinds = []kind{identity, text, boolean, moment, text}

func TestRecords(t *testing.T) {
	whole, err := hex.DecodeString(record)
	if err != nil {
		t.Fatal(err)
	}
	take := func(b any, kinds ...kind) (*rows, error) {
		r := &rows{kinds: kinds, values: []driver.Value{b}}
		return r, r.takeRecord()
	}
	r, err := take(whole, recordKinds...)
	if err != nil {
		t.Fatal(err)
	}
	if want := "0194263e-3a80-7c7f-9562-35eabf265b31 hé true 2025-01-02T09:00:00Z null"; got(r) != want {
		t.Errorf("the record is %s, want %s", got(r), want)
	}
	for n := range len(whole) {
		if _, err := take(whole[:n], recordKinds...); err == nil {
			t.Errorf("%d bytes of it were taken for a record", n)
		}
	}
	if _, err := take(append(whole[:len(whole):len(whole)], 0), recordKinds...); err == nil {
		t.Error("a record was taken with a byte too many")
	}
	for i := range recordKinds {
		for k := range kind(boolean + 1) {
			kinds := append([]kind(nil), recordKinds...)
			kinds[i] = k
			_, err := take(whole, kinds...)
			if ok := k == recordKinds[i] || i == 0 && k == reference || i == 4; ok != (err == nil) {
				t.Errorf("column %d as kind %d: %v", i, k, err)
			}
		}
	}
	if _, err := take(string(whole), recordKinds...); err == nil {
		t.Error("a text was taken for a record")
	}
	for _, never := range []int64{math.MaxInt64, math.MinInt64} {
		b := binary.BigEndian.AppendUint64([]byte{0, 0, 0, 1, 0, 0, 4, 0xa0, 0, 0, 0, 8}, uint64(never))
		if r, err := take(b, moment); err == nil {
			t.Errorf("a time without end became %s", got(r))
		}
	}
}
