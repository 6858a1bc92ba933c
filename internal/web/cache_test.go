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
	"github.com/vektah/gqlparser/v2/gqlerror"
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

// admitted is what the executor does with a document.
func (d *documents) admitted(text string, p *graphql.RawParams) (*cost.Document, int, gqlerror.List) {
	in := &entrance{params: p}
	document := d.admit(in, text)
	return document, in.points, in.errs
}

const paged = `query($n: Int) { posts(first: $n) { nodes { id title author { username } comments(first: 5) { nodes { id content author { username } } } } } }`

func with(variables map[string]any) *graphql.RawParams {
	return &graphql.RawParams{Variables: variables}
}

// TestKeptDocuments holds that a document is parsed once, priced each time, and
// not kept when it is refused.
func TestKeptDocuments(t *testing.T) {
	d := newTestDocuments(t)
	first, points, errs := d.admitted(paged, with(map[string]any{"n": 1}))
	if errs != nil || points != 31 {
		t.Fatalf("%d, %v", points, errs)
	}
	again, points, errs := d.admitted(paged, with(map[string]any{"n": 2}))
	if again != first || points != 60 || errs != nil {
		t.Errorf("parsed again: %v; %d, %v", again != first, points, errs)
	}
	dear := `query($n: Int) { posts(first: $n) { nodes { comments(first: $n) { nodes { author { posts { nodes { id } } } } } } } }`
	for _, text := range []string{`{`, `{ nothing }`, `{ viewer { id } ...F } fragment F on Query { ...F }`, strings.Repeat("{", 3000)} {
		if _, _, errs := d.admitted(text, with(nil)); errs == nil || d.find(text) != nil {
			t.Errorf("%.20s: %v, kept: %v", text, errs, d.find(text) != nil)
		}
	}
	if _, _, errs := d.admitted(dear, with(map[string]any{"n": 100})); errs == nil || d.find(dear) != nil {
		t.Errorf("%v, kept: %v", errs, d.find(dear) != nil)
	}
	if _, _, errs := d.admitted(dear, with(map[string]any{"n": 2})); errs != nil || d.find(dear) == nil {
		t.Errorf("%v, kept: %v", errs, d.find(dear) != nil)
	}
	if _, _, errs := d.admitted(dear, with(map[string]any{"n": 100})); errs == nil {
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
				if _, _, errs := d.admitted(document(i), with(map[string]any{"a": "", "b": "", "c": "", "d": "", "e": ""})); errs != nil {
					t.Fatal(errs)
				}
			}
			taken := heap() - before
			counted := d.count(t)
			if counted < d.limit/2 {
				t.Errorf("%d bytes counted", counted)
			}
			if taken > uint64(d.limit) {
				t.Errorf("%d bytes are taken, %d counted", taken, counted)
			}
			t.Logf("%d documents: %d bytes are taken, %d counted", len(d.byText), taken, counted)
			if d.find(document(2999)) == nil || d.find(document(0)) != nil {
				t.Error("not the oldest went")
			}
			huge := "{ viewer { id } } #" + strings.Repeat("a", d.limit/8)
			if _, _, errs := d.admitted(huge, with(nil)); errs != nil || d.find(huge) != nil {
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
			if _, _, errs := d.admitted(text, with(map[string]any{"n": 1})); errs != nil {
				t.Fatal(errs)
			}
		}
	}
	first := d.find(paged)
	for i := range 300 {
		d.admitted(fmt.Sprintf("query R%d { liveCursor }", i), with(nil))
		if i%3 == 0 && d.find(paged) != first {
			t.Fatalf("gone after %d others", i)
		}
	}
}

// count returns the bytes of what is kept, and holds that they are counted and bounded and that every document is found.
func (d *documents) count(t *testing.T) int {
	t.Helper()
	sum, number, hashes := 0, 0, 0
	for _, s := range []*segment{&d.once, &d.again} {
		in := 0
		for e := s.Front(); e != nil; e = e.Next() {
			k := e.Value.(*keptDocument)
			if in += k.size; k.size < k.document.Bytes() || d.byText[k.text] != e || d.segment(k) != s {
				t.Errorf("%.30s has %d bytes of %d, or is not found", k.text, k.size, k.document.Bytes())
			}
			if k.hash != nil {
				if hashes++; d.byHash[*k.hash] != e {
					t.Errorf("%.30s is not found by its hash", k.text)
				}
			}
		}
		if in != s.bytes {
			t.Errorf("%d bytes, counted as %d", in, s.bytes)
		}
		sum, number = sum+in, number+s.Len()
	}
	if sum > d.limit || d.again.bytes > d.limit*3/4 || number != len(d.byText) || hashes != len(d.byHash) {
		t.Errorf("%d bytes, %d of them asked for again; %d documents, %d by text; %d hashes, %d known", sum, d.again.bytes, number, len(d.byText), hashes, len(d.byHash))
	}
	return sum
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
				if _, _, errs := d.admitted(doc.text, with(few)); errs != nil {
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
				if _, _, errs := d.admitted(doc.text, with(few)); errs != nil {
					b.Fatal(errs)
				}
			}
		})
		b.Run(doc.name+"/known, without its cost", func(b *testing.B) {
			d := newTestDocuments(b)
			d.admitted(doc.text, with(few))
			b.ReportAllocs()
			for b.Loop() {
				if d.find(doc.text) == nil {
					b.Fatal("not known")
				}
			}
		})
	}
}

// BenchmarkFind compares finding a document with finding it while as many others as there are processors do, by its text
// and by its hash.
func BenchmarkFind(b *testing.B) {
	d := newTestDocuments(b)
	texts := make([]string, 100)
	for i := range texts {
		texts[i] = fmt.Sprintf("query Q%d { liveCursor } #%s", i, strings.Repeat("a", 1000))
		d.admit(&entrance{params: with(nil), hash: &documentHash{byte(i)}}, texts[i])
	}
	for name, find := range map[string]func(i int) bool{
		"text": func(i int) bool { return d.find(texts[i%100]) != nil },
		"hash": func(i int) bool { return d.findHash(documentHash{byte(i % 100)}) != nil },
	} {
		b.Run(name+"/alone", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if !find(i) {
					b.Fatal("not known")
				}
			}
		})
		b.Run(name+"/together", func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for i := 0; p.Next(); i++ {
					if !find(i) {
						b.Error("not known")
					}
				}
			})
		})
	}
}
