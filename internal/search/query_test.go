package search

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	many := strings.TrimSpace(strings.Repeat("ferry ", maxWords+5))
	for _, c := range []struct{ text, fts5, websearch string }{
		{"ferry", `("ferry")`, `"ferry"`},
		{"night ferry", `("night" AND "ferry")`, `"night" "ferry"`},
		{`"night ferry" timetable`, `("night ferry" AND "timetable")`, `"night ferry" "timetable"`},
		{"“night ferry”", `("night ferry")`, `"night ferry"`},
		{"ferry -night", `("ferry" NOT ("night"))`, `"ferry" -"night"`},
		{`ferry -"night boat" -fog`, `("ferry" NOT ("night boat" OR "fog"))`, `"ferry" -"night boat" -"fog"`},
		{"ferry or boat fog", `("ferry") OR ("boat" AND "fog")`, `"ferry" or "boat" "fog"`},
		{"or ferry OR or boat or", `("ferry") OR ("boat")`, `"ferry" or "boat"`},
		{`ferry "or" boat`, `("ferry" AND "boat")`, `"ferry" "boat"`}, // a stop word
		{"ferry or -boat", `("ferry")`, `"ferry"`},
		{"-ferry", "", ""},
		{"the -ferry", "", ""},
		{"the ferry of the night", `("ferry" AND "night")`, `"ferry" "night"`},
		{"to be or not to be", "", ""},
		{"don't", "", ""},
		{"--force", `("force")`, `"force"`},
		{"ferry - boat", `("ferry" AND "boat")`, `"ferry" "boat"`},
		{"night-ferry", `("night ferry")`, `"night ferry"`},
		{"ada@example.com", `("ada example com")`, `"ada example com"`},
		{"École \ufeffnaïve", `("Ecole" AND "naive")`, `"Ecole" "naive"`},
		{`"lone ferry`, `("lone" AND "ferry")`, `"lone" "ferry"`},
		{`"night ferry" "boat`, `("night ferry" AND "boat")`, `"night ferry" "boat"`},
		{`NEAR(ferry boat, 2) AND title:fog* ^x + y`, `("NEAR ferry" AND "boat" AND "2" AND "title fog" AND "x" AND "y")`, `"NEAR ferry" "boat" "2" "title fog" "x" "y"`},
		{"渡し船 の 時刻表", `("渡し船" AND "の" AND "時刻表")`, `"渡し船" "の" "時刻表"`},
		{"ferry\x00boat \xff\xfe", `("ferry boat")`, `"ferry boat"`},
		{"½", "", ""},
		{"🚢⛴", "", ""},
		{"", "", ""}, {" \t\n", "", ""}, {"*", "", ""}, {`"`, "", ""}, {`""`, "", ""}, {`-""`, "", ""}, {`'; DROP TABLE posts; --`, `("DROP" AND "TABLE" AND "posts")`, `"DROP" "TABLE" "posts"`},
		{strings.Repeat(".", 10_000), "", ""},
		{strings.Repeat("x", maxWordBytes+1) + " ferry", `("ferry")`, `"ferry"`},
		{many, "(" + strings.TrimSuffix(strings.Repeat(`"ferry" AND `, maxWords), " AND ") + ")", strings.TrimSpace(strings.Repeat(`"ferry" `, maxWords))},
		{`"` + many + `" boat`, `("` + strings.TrimSpace(strings.Repeat("ferry ", maxWords)) + `")`, `"` + strings.TrimSpace(strings.Repeat("ferry ", maxWords)) + `"`},
		{strings.Repeat(" ", maxBytes) + "ferry", "", ""},
	} {
		e := parse(c.text)
		if got := e.fts5(); got != c.fts5 {
			t.Errorf("%.40q: for FTS5 %s, want %s", c.text, got, c.fts5)
		}
		if got := e.websearch(); got != c.websearch {
			t.Errorf("%.40q: for websearch %s, want %s", c.text, got, c.websearch)
		}
	}
}
