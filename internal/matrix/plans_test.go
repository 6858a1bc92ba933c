package matrix

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// TestPlansMeasured is a measurement (HEAVY=1) of what many documents and many conditions leave in memory.
func TestPlansMeasured(t *testing.T) {
	if os.Getenv("HEAVY") == "" {
		t.Skip("a measurement")
	}
	p := plant(t, config.Database{Dialect: config.SQLite, Path: t.TempDir() + "/test.db"})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc >> 20
	}
	v := p.viewers[0]
	// As many conditions as directives allow.
	var vars, fields strings.Builder
	for i := range 20 {
		fmt.Fprintf(&vars, "$v%d: Boolean! ", i)
		fmt.Fprintf(&fields, "a%d: comments(first: %d) @include(if: $v%d) { nodes { id content author { username } post { title author { email } } } } ", i, i+1, i)
	}
	many := "query(" + vars.String() + ") { posts(first: 1) { nodes { " + fields.String() + " } } }"
	for way, node := range map[string]*testkit.Node{"direct": p.node, "executor": p.executor} {
		if only := os.Getenv("ONLY"); only != "" && only != way {
			continue
		}
		t.Logf("%s: heap before %d MiB", way, heap())
		used, _, _ := measured(func() {
			for n := range 3000 {
				m := map[string]any{}
				for i := range 20 {
					m[fmt.Sprint("v", i)] = n>>i&1 == 1 || i > 12
				}
				if o := p.raw(node, v, many, "", m); !strings.HasPrefix(o.body, `{"data"`) {
					t.Fatal(o.body)
				}
			}
		})
		t.Logf("%s: %v CPU for 3000 variants of one document, heap after %d MiB", way, used, heap())
		used, _, _ = measured(func() {
			for n := range 3000 {
				var b strings.Builder
				for i := range 100 {
					fmt.Fprintf(&b, "a%d_%d: title ", n, i)
				}
				if o := p.raw(node, v, "{ posts(first: 1) { nodes { "+b.String()+" } } }", "", nil); !strings.HasPrefix(o.body, `{"data"`) {
					t.Fatal(o.body)
				}
			}
		})
		t.Logf("%s: %v CPU for 3000 documents, heap after %d MiB", way, used, heap())
	}
	// A document of maximal size with fragments in fragments.
	var frags strings.Builder
	frags.WriteString("fragment F0 on Post { id title }")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&frags, " fragment F%d on Post { ...F%d ...F%d author { id username } }", i, i-1, i-1)
	}
	deep := "{ posts(first: 1) { nodes { ...F11 } } } " + frags.String()
	for way, node := range map[string]*testkit.Node{"direct": p.node, "executor": p.executor} {
		var o outcome
		for range 2 {
			used, alloc, _ := measured(func() { o = p.raw(node, v, deep, "", nil) })
			t.Logf("%s: fragments in fragments: %v CPU, %d KiB, %.200s", way, used, alloc>>10, o.body)
		}
	}
}
