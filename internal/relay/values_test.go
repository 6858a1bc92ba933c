package relay

import (
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
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

// A row as Postgres 15 sent it: an id, a text, a boolean, a time, and a text that is NULL.
const row15 = "00000001" + "00000001" + "00000011" + "00000005" + "00000001" +
	"00000010" + "0194263e3a807c7f956235eabf265b31" +
	"00000003" + "68c3a9" +
	"00000001" + "01" +
	"00000008" + "0002cdb427dca400" +
	"ffffffff"

func TestPackedRows(t *testing.T) {
	whole, err := hex.DecodeString(row15)
	if err != nil {
		t.Fatal(err)
	}
	kinds := []kind{identity, text, boolean, moment, text}
	take := func(b any, kinds ...kind) (*rows, error) {
		r := &rows{kinds: kinds, values: []driver.Value{b}}
		return r, r.takePacked()
	}
	r, err := take(whole, kinds...)
	if err != nil {
		t.Fatal(err)
	}
	if want := "0194263e-3a80-7c7f-9562-35eabf265b31 hé true 2025-01-02T09:00:00Z null"; got(r) != want {
		t.Errorf("the row is %s, want %s", got(r), want)
	}
	for n := range len(whole) {
		if _, err := take(whole[:n], kinds...); err == nil {
			t.Errorf("%d bytes of it were taken for a row", n)
		}
	}
	if _, err := take(append(whole[:len(whole):len(whole)], 0), kinds...); err == nil {
		t.Error("a row was taken with a byte too many")
	}
	for i := range 5 * 4 { // the head
		if i/4 == 1 || i/4 == 4 {
			continue // which says nothing that is not there anyway
		}
		b := slices.Clone(whole)
		b[i]++
		if _, err := take(b, kinds...); err == nil {
			t.Errorf("a row was taken with another head, at %d", i)
		}
	}
	for i := range kinds {
		for k := range kind(boolean + 1) {
			others := slices.Clone(kinds)
			others[i] = k
			_, err := take(whole, others...)
			if ok := k == kinds[i] || i == 0 && k == reference || i == 4 || k == text; ok != (err == nil) {
				t.Errorf("column %d as kind %d: %v", i, k, err)
			}
		}
	}
	if _, err := take(string(whole), kinds...); err == nil {
		t.Error("a text was taken for a row")
	}
	for _, never := range []int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - epochOfPostgres + 1} {
		b := append(slices.Clone(whole[:12]), 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 8)
		if r, err := take(binary.BigEndian.AppendUint64(b, uint64(never)), moment); err == nil {
			t.Errorf("a time without end became %s", got(r))
		}
	}
}
