package relay

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

	"tidings/ent"
)

// asked is the loader of the first field of a document.
func asked(t testing.TB, document string, variables map[string]any) *loader {
	t.Helper()
	doc, err := parser.ParseQuery(&ast.Source{Input: document})
	if err != nil {
		t.Fatal(err)
	}
	return again(doc, variables)
}

// again is the loader of the next run of a document.
func again(doc *ast.QueryDocument, variables map[string]any) *loader {
	field := doc.Operations[0].SelectionSet[0].(*ast.Field)
	return &loader{
		&graphql.OperationContext{Doc: doc, Operation: doc.Operations[0], Variables: variables},
		&graphql.FieldContext{Field: graphql.CollectedField{Field: field, Selections: field.SelectionSet}},
	}
}

func TestPlansAreMadeOnce(t *testing.T) {
	var p plans
	made := 0
	find := func(l *loader, order string) *plan {
		t.Helper()
		found, err := p.find(l, ent.PostType, order, func() (*plan, error) { made++; return &plan{bytes: 100}, nil })
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	l := asked(t, `query($a: Boolean!, $b: Boolean!, $n: Int) { posts { ...F x @skip(if: $a) } } fragment F on P { y @include(if: $b) z(n: $n) }`,
		map[string]any{"a": true, "b": false, "n": 1})
	first := find(l, "created_at")
	if find(again(l.op.Doc, map[string]any{"a": true, "b": false, "n": 2}), "created_at") != first || made != 1 {
		t.Error("a plan was made again for another argument")
	}
	seen := map[*plan]bool{first: true}
	for _, other := range []*plan{
		find(again(l.op.Doc, map[string]any{"a": false, "b": false}), "created_at"),
		find(again(l.op.Doc, map[string]any{"a": true, "b": true}), "created_at"),
		find(again(l.op.Doc, map[string]any{"a": false, "b": true}), "created_at"),
		find(l, "title"),
		find(asked(t, `{ posts { x } }`, nil), "created_at"),
	} {
		if seen[other] {
			t.Error("a plan serves what it was not made for")
		}
		seen[other] = true
	}
}

// TestPlansAreBounded: however many documents come, plans take no more than they may, and the one that is asked for all
// the time stays.
func TestPlansAreBounded(t *testing.T) {
	var p plans
	made := 0
	compile := func() (*plan, error) { made++; return &plan{bytes: 4096}, nil }
	hot := asked(t, `{ hot { id } }`, nil)
	for i := range 20_000 {
		l := asked(t, fmt.Sprintf(`{ posts { id %s } }`, strings.Repeat("a ", i%500)), nil)
		if _, err := p.find(l, ent.PostType, "", compile); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if _, err := p.find(hot, ent.PostType, "", compile); err != nil {
				t.Fatal(err)
			}
		}
		kept := 0
		for _, generation := range []map[*ast.QueryDocument]*planned{p.young, p.old} {
			if i%1000 == 999 {
				for _, of := range generation {
					kept += of.bytes
				}
			}
		}
		if kept > maxPlans {
			t.Fatalf("%d bytes are kept after %d documents", kept, i+1)
		}
	}
	if made != 20_001 {
		t.Errorf("%d plans were made for 20,001 documents", made)
	}
}

// TestPlansOfOneDocument: a document whose conditions make many plans of it has few of them kept.
func TestPlansOfOneDocument(t *testing.T) {
	var text, declared strings.Builder
	for i := range 20 {
		fmt.Fprintf(&declared, "$v%d: Boolean! ", i)
		fmt.Fprintf(&text, "a%d: x @skip(if: $v%d) ", i, i)
	}
	l := asked(t, "query("+declared.String()+") { posts { "+text.String()+"} }", nil)
	var p plans
	for i := range 1 << 12 {
		variables := map[string]any{}
		for v := range 20 {
			variables[fmt.Sprint("v", v)] = i>>v&1 == 1
		}
		if _, err := p.find(again(l.op.Doc, variables), ent.PostType, "", func() (*plan, error) { return &plan{bytes: 4096}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if kept := p.young[l.op.Doc].bytes; kept > maxPlans/8 {
		t.Errorf("the plans of one document take %d bytes", kept)
	}
}

// TestPlansCountTheirMemory: what is bounded is what is taken, and not much less of it.
func TestPlansCountTheirMemory(t *testing.T) {
	text, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: string(text)})
	lists := strings.Builder{}
	for i := range 40 {
		fmt.Fprintf(&lists, "c%d: comments(first: %d) { totalCount nodes { id post { title } } } ", i, i+1)
	}
	for name, fields := range map[string]string{
		"one field": "id", "many fields": strings.Repeat("id title createdAt ", 3) + "content published author { id username fullName }",
		"aliases": func() string {
			var b strings.Builder
			for i := range 200 {
				fmt.Fprintf(&b, "a%d: title ", i)
			}
			return b.String()
		}(),
		"lists": lists.String(),
		"edges": "comments { edges { cursor node { content author { posts { pageInfo { endCursor hasNextPage } nodes { title } } } } } }",
	} {
		doc, errs := gqlparser.LoadQueryWithRules(schema, "{ posts { nodes { "+fields+" } } }", nil)
		if errs != nil {
			t.Fatal(errs)
		}
		l := again(doc, nil)
		const n = 200
		all, counted := make([]*plan, n), 0
		before := heap()
		for i := range all {
			if all[i], err = compilePage(l, ent.PostType, ent.PostType.CreatedAt); err != nil {
				t.Fatal(err)
			}
			counted += all[i].bytes
		}
		took := int(heap() - before)
		runtime.KeepAlive(all)
		t.Logf("%s: %d bytes are counted as %d", name, took/n, counted/n)
		if counted < took || counted > 4*took {
			t.Errorf("%s: %d bytes are counted as %d", name, took/n, counted/n)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestPanicsAreErrors(t *testing.T) {
	_, err := recovered(nil, func(*Direct) (int, error) { panic("out of range") })
	if err == nil || !strings.Contains(err.Error(), "out of range") || !strings.Contains(err.Error(), "TestPanicsAreErrors") {
		t.Errorf("a panic became %v, without where it was", err)
	}
}
