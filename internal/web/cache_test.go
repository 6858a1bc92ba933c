package web

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tidings/internal/cost"
)

// productSchema is the server's own.
func productSchema(t testing.TB) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Input: string(text)})
}

func newTestDocuments(t testing.TB) *documents {
	t.Helper()
	judge, err := cost.New(productSchema(t), cost.Limits{}, false)
	if err != nil {
		t.Fatal(err)
	}
	return newDocuments(judge)
}

const paged = `query($n: Int) { posts(first: $n) { nodes { id title author { username } comments(first: 5) { nodes { id content author { username } } } } } }`

func with(variables map[string]any) *graphql.RawParams {
	return &graphql.RawParams{Variables: variables}
}

// TestKeptDocuments holds that a document is parsed once, priced each time, and
// not kept when it is refused.
func TestKeptDocuments(t *testing.T) {
	d := newTestDocuments(t)
	first, points, errs := d.admit(paged, with(map[string]any{"n": 1}))
	if errs != nil || points != 31 {
		t.Fatalf("%d, %v", points, errs)
	}
	again, points, errs := d.admit(paged, with(map[string]any{"n": 2}))
	if again != first || points != 60 || errs != nil {
		t.Errorf("parsed again: %v; %d, %v", again != first, points, errs)
	}
	dear := `query($n: Int) { posts(first: $n) { nodes { comments(first: $n) { nodes { author { posts { nodes { id } } } } } } } }`
	for _, text := range []string{`{`, `{ nothing }`, `{ viewer { id } ...F } fragment F on Query { ...F }`, strings.Repeat("{", 3000)} {
		if _, _, errs := d.admit(text, with(nil)); errs == nil || d.find(text) != nil {
			t.Errorf("%.20s: %v, kept: %v", text, errs, d.find(text) != nil)
		}
	}
	if _, _, errs := d.admit(dear, with(map[string]any{"n": 100})); errs == nil || d.find(dear) != nil {
		t.Errorf("%v, kept: %v", errs, d.find(dear) != nil)
	}
	if _, _, errs := d.admit(dear, with(map[string]any{"n": 2})); errs != nil || d.find(dear) == nil {
		t.Errorf("%v, kept: %v", errs, d.find(dear) != nil)
	}
	if _, _, errs := d.admit(dear, with(map[string]any{"n": 100})); errs == nil {
		t.Error("known documents aren't priced")
	}
}

// TestKeptDocumentsAreBounded fills the cache several times over with documents
// of several kinds, and looks at the memory they really take.
func TestKeptDocumentsAreBounded(t *testing.T) {
	for name, document := range map[string]func(i int) string{
		"fields": func(i int) string {
			return fmt.Sprintf("query Q%d { viewer { id %s } }", i, strings.Repeat("fullName ", 20))
		},
		"values": func(i int) string {
			return fmt.Sprintf("query Q%d { nodes(ids: [%s]) { id } }", i, strings.Repeat("1 ", 60))
		},
		"arguments": func(i int) string {
			return fmt.Sprintf("query Q%d { viewer { posts(first: 1, last: 1, after: %q, before: \"\") { totalCount } } }", i, "")
		},
		"objects": func(i int) string {
			return fmt.Sprintf("query Q%d { users(orderBy: {field: USERNAME, direction: ASC}) { totalCount } }", i)
		},
		"variables": func(i int) string {
			return fmt.Sprintf("query Q%d($a: ID! $b: ID! $c: ID! $d: ID! $e: ID!) { nodes(ids: [$a $b $c $d $e]) { id } }", i)
		},
		"directives": func(i int) string {
			return fmt.Sprintf("query Q%d { viewer { %s } }", i, strings.Repeat("id @skip(if: true) ", 20))
		},
		"fragments": func(i int) string {
			return fmt.Sprintf("query Q%d { viewer { ...F ... on User { ... { id } } } } fragment F on User { ...G } fragment G on User { id }", i)
		},
		"operations": func(i int) string { return fmt.Sprintf("query Q%d { liveCursor }%s", i, operations(10)) },
		"text":       func(i int) string { return fmt.Sprintf("query Q%d { liveCursor } #%s", i, strings.Repeat("a", 3000)) },
		"comments":   func(i int) string { return fmt.Sprintf("%squery Q%d { liveCursor }", strings.Repeat("#\n", 500), i) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newTestDocuments(t)
			d.limit = 2 << 20
			before := heap()
			for i := range 3000 {
				if _, _, errs := d.admit(document(i), with(map[string]any{"a": "", "b": "", "c": "", "d": "", "e": ""})); errs != nil {
					t.Fatal(errs)
				}
			}
			taken := heap() - before
			sum := 0
			for e := d.order.Front(); e != nil; e = e.Next() {
				sum += e.Value.(*keptDocument).document.Bytes()
			}
			if sum != d.bytes || sum > d.limit || sum < d.limit/2 || len(d.known) != d.order.Len() {
				t.Errorf("%d documents, %d in order, %d bytes, counted as %d", len(d.known), d.order.Len(), sum, d.bytes)
			}
			if taken > uint64(d.limit) {
				t.Errorf("%d bytes are taken, %d counted", taken, d.bytes)
			}
			t.Logf("%d documents: %d bytes are taken, %d counted", len(d.known), taken, d.bytes)
			if d.find(document(2999)) == nil || d.find(document(0)) != nil {
				t.Error("not the oldest went")
			}
			huge := "{ viewer { id } } #" + strings.Repeat("a", d.limit/8)
			if _, _, errs := d.admit(huge, with(nil)); errs != nil || d.find(huge) != nil {
				t.Errorf("%v; a document that takes much of the room is kept", errs)
			}
		})
	}
}

// TestKeptDocumentsInUse: what is asked for again stays.
func TestKeptDocumentsInUse(t *testing.T) {
	d := newTestDocuments(t)
	d.limit = 100 << 10
	for i := range 300 {
		for _, text := range []string{paged, fmt.Sprintf("query Q%d { liveCursor }", i)} {
			if _, _, errs := d.admit(text, with(map[string]any{"n": 1})); errs != nil {
				t.Fatal(errs)
			}
		}
	}
	first := d.find(paged)
	for i := range 300 {
		d.admit(fmt.Sprintf("query R%d { liveCursor }", i), with(nil))
		if i%3 == 0 && d.find(paged) != first {
			t.Fatalf("gone after %d others", i)
		}
	}
}

func operations(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " query More%d { liveCursor }", i)
	}
	return b.String()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkAdmit compares what is done for a document before it runs with what
// gqlgen's executor would do by itself, with nothing bounded.
func BenchmarkAdmit(b *testing.B) {
	schema := productSchema(b)
	large := "{ viewer { ...F0 } }"
	for i := range 30 {
		large += fmt.Sprintf(" fragment F%d on User { id posts(first: 1) { nodes { id title comments(first: 1) { totalCount } } } ...F%d }", i, i+1)
	}
	large += " fragment F30 on User { id }"
	few := map[string]any{"n": int64(20)}
	for _, doc := range []struct{ name, text string }{{"page", paged}, {"fragments", large}} {
		b.Run(doc.name+"/control", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				query, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: doc.text}, 2000)
				if err != nil {
					b.Fatal(err)
				}
				if errs := validator.ValidateWithRules(schema, query, rules.NewDefaultRules()); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
		b.Run(doc.name+"/new", func(b *testing.B) {
			d := newTestDocuments(b)
			d.limit = 0
			b.ReportAllocs()
			for b.Loop() {
				if _, _, errs := d.admit(doc.text, with(few)); errs != nil {
					b.Fatal(errs)
				}
			}
		})
		b.Run(doc.name+"/judged only", func(b *testing.B) {
			d := newTestDocuments(b)
			b.ReportAllocs()
			for b.Loop() {
				document, err := d.judge.Parse(doc.text)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := document.Cost("", few); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(doc.name+"/parsed only", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: doc.text}, 2000); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(doc.name+"/known", func(b *testing.B) {
			d := newTestDocuments(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, errs := d.admit(doc.text, with(few)); errs != nil {
					b.Fatal(errs)
				}
			}
		})
		b.Run(doc.name+"/known, without its cost", func(b *testing.B) {
			d := newTestDocuments(b)
			d.admit(doc.text, with(few))
			b.ReportAllocs()
			for b.Loop() {
				if d.find(doc.text) == nil {
					b.Fatal("not known")
				}
			}
		})
	}
}
