package web

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"tidings/internal/cost"
)

// maximal are documents as large as the limits allow, of several shapes: what each fills is one of them, or several.
var maximal = map[string]func(i int) string{
	"fields": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s } }", i, strings.Repeat("fullName ", 1990))
	},
	"values": func(i int) string {
		return fmt.Sprintf("query Q%d { nodes(ids: [%s]) { id } }", i, strings.Repeat("1 ", 100)) + operations(370)
	},
	"lists": func(i int) string {
		return fmt.Sprintf("query Q%d($a: [ID!]! = [%s]) { nodes(ids: $a) { id } }", i, strings.Repeat(`"" `, 1970))
	},
	"directives": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s } }", i, strings.Repeat("id @skip(if: true) ", 50)+strings.Repeat("id ", 1580))
	},
	"aliases": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s %s } }", i, many(100, "a%d: id "), strings.Repeat("id ", 1650))
	},
	"inline fragments": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s } }", i, strings.Repeat("... { id } ", 490))
	},
	"typed fragments": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s } }", i, strings.Repeat("... on User { id } ", 320))
	},
	"fragments": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s } } %s", i, many(190, "...F%d "), many(190, "fragment F%d on User { id } "))
	},
	"operations": func(i int) string { return fmt.Sprintf("query Q%d { liveCursor } ", i) + operations(395) },
	"variables": func(i int) string {
		return fmt.Sprintf("query Q%d(%s) { nodes(ids: [%s]) { id } }", i, many(100, "$a%d: ID! "), many(100, "$a%d ")) + operations(250)
	},
	"plans": func(i int) string { // whose cost depends on a variable, in each field
		return fmt.Sprintf("query Q%d($n: Int = 0) { viewer { %s } }", i, many(99, "a%d: posts(first: $n) { totalCount } ")+strings.Repeat("posts(first: 1) { totalCount } ", 30))
	},
	"text": func(i int) string {
		return fmt.Sprintf("query Q%d { liveCursor } #%s", i, strings.Repeat("a", 250<<10))
	},
	"comments": func(i int) string { return fmt.Sprintf("%squery Q%d { liveCursor }", strings.Repeat("#\n", 1990), i) },
	"long names": func(i int) string {
		return fmt.Sprintf("query Q%d { viewer { %s %s } }", i, many(100, "a"+strings.Repeat("a", 120)+"%d: id "), strings.Repeat("id ", 1650))
	},
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestDocumentsAreCountedInFull: what a document of any shape really takes is no more than is counted for it, and what
// is counted is not much more than what the dearest of its kind takes.
func TestDocumentsAreCountedInFull(t *testing.T) {
	for name, document := range maximal {
		t.Run(name, func(t *testing.T) {
			const n = 24
			d := newTestDocuments(t)
			d.limit = 1 << 30
			texts := make([]string, n)
			for i := range texts {
				texts[i] = document(i)
			}
			before := heap()
			for i := range texts {
				in := &entrance{params: with(nil), hash: &documentHash{byte(i)}}
				if d.admit(in, texts[i]); in.errs != nil {
					t.Fatalf("%.200v", in.errs)
				}
			}
			taken, counted := int(heap()-before), d.count(t)
			runtime.KeepAlive(texts) // d has copies
			t.Logf("%d bytes each, counted as %d: %.2f", taken/n, counted/n, float64(taken)/float64(counted))
			if taken > counted {
				t.Errorf("%d bytes are taken, %d counted", taken, counted)
			}
		})
	}
}

// TestDocumentsKeepNoRequest: the text of a document may be a part of a URL, which is not kept with it.
func TestDocumentsKeepNoRequest(t *testing.T) {
	d := newTestDocuments(t)
	before := heap()
	for i := range 50 {
		p, err := paramsOfURL(fmt.Sprintf("query={liveCursor,a%d:liveCursor}&more=%s", i, strings.Repeat("a", 900<<10)))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, errs := d.admitted(p.Query, p); errs != nil {
			t.Fatal(errs)
		}
	}
	if taken, counted := int(heap()-before), d.count(t); len(d.byText) != 50 || taken > counted {
		t.Errorf("%d documents are kept: %d bytes are taken, %d counted", len(d.byText), taken, counted)
	}
}

// TestDocumentsTogether has many ask for, name and push out documents at once. What is found is what was asked for, by its
// hash too, and the counts are right in the end.
func TestDocumentsTogether(t *testing.T) {
	d := newTestDocuments(t)
	d.limit = 200 << 10 // of some sixty
	texts := make([]string, 150)
	hashes := make([]documentHash, len(texts))
	for i := range texts {
		texts[i] = fmt.Sprintf("query Q%d { liveCursor }", i)
		hashes[i] = sha256.Sum256([]byte(texts[i]))
	}
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			pick := rand.New(rand.NewPCG(1, uint64(worker)))
			for range 1000 {
				i := int(math.Abs(pick.NormFloat64()) * 50)
				if i >= len(texts) {
					continue
				}
				in := &entrance{params: with(nil)}
				switch pick.IntN(3) {
				case 0:
					in.hash = &hashes[i]
				case 1:
					if in.known = d.findHash(hashes[i]); in.known != nil && in.known.text != texts[i] {
						t.Errorf("%q is found for %q", in.known.text, texts[i])
					}
				}
				document := d.admit(in, texts[i])
				if in.errs != nil || document.Query.Operations[0].Name != fmt.Sprintf("Q%d", i) {
					t.Errorf("%q: %v", texts[i], in.errs)
				}
			}
		})
	}
	all.Wait()
	d.count(t)
	if len(d.byHash) == 0 || d.again.Len() == 0 || d.once.Len() == 0 {
		t.Errorf("%d hashes, %d and %d documents", len(d.byHash), d.once.Len(), d.again.Len())
	}
}

// TestDocumentsWithstandAFlood sends ten thousand different documents, each as large as the limits allow, and now and then
// asks for one of a few that are in use: these are never parsed again, and what is kept stays within its bound.
func TestDocumentsWithstandAFlood(t *testing.T) {
	const flood, hot = 10_000, 20
	d := newTestDocuments(t)
	shapes := slices.Sorted(maps.Keys(maximal))
	quick := []string{"comments", "inline fragments", "plans", "typed fragments"} // to parse and validate
	before := heap()
	kept := make([]*cost.Document, hot)
	ask := func(i int) *cost.Document {
		document, _, errs := d.admitted(strings.Replace(paged, "query", fmt.Sprintf("query Hot%d", i), 1), with(map[string]any{"n": 1}))
		if errs != nil {
			t.Fatal(errs)
		}
		return document
	}
	for i := range hot {
		ask(i)
		kept[i] = ask(i)
	}
	most, largest := uint64(0), 0
	for i := range flood {
		shape := quick[i%len(quick)]
		if i%10 == 0 {
			shape = shapes[i/10%len(shapes)]
		}
		text := maximal[shape](i)
		document, _, errs := d.admitted(text, with(nil))
		if errs != nil {
			t.Fatalf("%.200v", errs)
		}
		largest = max(largest, document.Bytes())
		if i%100 == 0 {
			if again := ask(i / 100 % hot); again != kept[i/100%hot] {
				t.Fatalf("after %d others document %d is parsed again", i, i/100%hot)
			}
		}
		if i%1000 == 999 {
			d.count(t)
			document, text = nil, ""
			most = max(most, heap()-before)
		}
	}
	for i := range hot {
		if ask(i) != kept[i] {
			t.Errorf("document %d is parsed again", i)
		}
	}
	t.Logf("%d documents are kept; %.1f MiB are taken at most, %.1f MiB counted; the largest is %d bytes", len(d.byText), float64(most)/(1<<20), float64(d.count(t))/(1<<20), largest)
	if most > uint64(d.limit)*5/4 {
		t.Errorf("%d bytes are taken", most)
	}
}
