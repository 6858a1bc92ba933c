package cost_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tidings/internal/cost"
)

// FuzzDocument holds that no document ends the process or takes long, that it
// fares the same each time, and that what passes is valid by gqlparser's own
// rules, too.
func FuzzDocument(f *testing.F) {
	for _, a := range attacks() {
		f.Add(a.document)
	}
	for _, m := range mergeable {
		f.Add(m.document)
	}
	schema, j := load(f), judge(f, cost.Limits{}, false)
	f.Fuzz(func(t *testing.T, document string) {
		if len(document) > 256<<10 {
			t.Skip()
		}
		start := time.Now()
		points, err := admit(j, document, "", nil)
		if d := time.Since(start); d > 5*time.Second { // fuzzing shares the machine with itself
			t.Errorf("took %v", d)
		}
		again, errAgain := admit(j, document, "", nil)
		if points != again || verdict(err) != verdict(errAgain) {
			t.Errorf("%d %v, then %d %v", points, err, again, errAgain)
		}
		if points < 0 || err == nil && points > 20_000 {
			t.Errorf("costs %d", points)
		}
		if len(document) > 1000 {
			return // gqlparser's rules could take long
		}
		query, parseErr := parser.ParseQueryWithTokenLimit(&ast.Source{Input: document}, 300)
		if parseErr != nil || !slices.Contains([]string{"ok", "GRAPHQL_VALIDATION_FAILED"}, verdict(err)) {
			return
		}
		theirs := validator.ValidateWithRules(schema, query, rules.NewDefaultRules())
		compare(t, document, query, err, theirs)
	})
}

// mergeable are documents for the schema of TestMerging, and whether their
// fields can be merged, mostly after section 5.3.2 of the specification.
var mergeable = []struct {
	document string
	ok       bool
}{
	{`{ dog { name name } }`, true},
	{`{ dog { a: name a: name } }`, true},
	{`{ dog { name: nick name } }`, false},
	{`{ dog { knows(x: 1) knows(x: 1) } }`, true},
	{`{ dog { knows(x: 1) knows(x: 2) } }`, false},
	{`{ dog { knows(x: 1) knows } }`, false},
	{`{ dog { knows knows(x: 1) } }`, false},
	{`{ dog { knows(x: 1, y: {a: [1]}) knows(y: {a: [1]}, x: 1) } }`, true},
	{`{ dog { knows(x: 1, y: {a: [1]}) knows(y: {a: [2]}, x: 1) } }`, false},
	{`query($v: Int $w: Int) { dog { knows(x: $v) knows(x: $w) } }`, false},
	{`query($v: Int) { dog { knows(x: $v) knows(x: $v) } }`, true},
	{`{ pet { ... on Dog { a: name } ... on Cat { a: nick } } }`, true},
	{`{ pet { ... on Dog { a: name } ... on Cat { a: lives } } }`, false},
	{`{ pet { ... on Dog { a: name } ... on Cat { a: maybe } } }`, false},
	{`{ pet { ... on Dog { a: names } ... on Cat { a: name } } }`, false},
	{`{ pet { ... on Dog { a: name } a: nick } }`, false},
	{`{ pet { a: name ... on Dog { a: name } ... on Cat { a: name } } }`, true},
	{`{ pet { ... on Dog { a: knows(x: 1) } ... on Cat { a: knows(x: 2) } } }`, true},
	{`{ pet { ... on Dog { a: friend { b: name } } ... on Cat { a: friend { b: nick } } } }`, true},
	{`{ pet { ... on Dog { a: friend { b: name } } ... on Cat { a: friend { ... on Cat { b: lives } } } } }`, false},
	{`{ pet { ... on Dog { a: dog { name } } ... on Cat { a: cat { lives } } } }`, true},
	{`{ dog { friend { a: name } friend { a: nick } } }`, false},
	{`{ dog { friend { friend { a: name } } friend { friend { a: nick } } } }`, false},
	{`{ dog { ...F ...G } } fragment F on Dog { a: name } fragment G on Dog { a: nick }`, false},
	{`{ dog { ...F a: nick } } fragment F on Dog { a: name }`, false},
	{`{ dog { friend { ...F } friend { ...G } } } fragment F on Pet { friend { a: name } } fragment G on Pet { friend { a: nick } }`, false},
	{`{ dog { ...F friend { a: nick } } } fragment F on Dog { ...G } fragment G on Dog { friend { a: name } }`, false},
	{`{ dog { ...F ...F } } fragment F on Dog { name friend { name } }`, true},
	{`{ dog { ... @include(if: true) { name } ... @skip(if: true) { name: nick } } }`, false},
	{`{ a: dog { name } b: dog { name: nick } }`, true},
	{`{ a: dog { name } a: dog { name: nick } }`, false},
	{`{ __typename __typename: dog { name } }`, false},
	{`query A { dog { name } } query B { dog { name: nick } }`, true},
	{`{ dog { a: names friend { name } } ...R } fragment R on Query { dog { a: name } }`, false},
}

var merging = gqlparser.MustLoadSchema(&ast.Source{Input: `
	type Query { dog: Dog! pet: Pet }
	interface Pet { name: String! nick: String! friend: Pet knows(x: Int, y: In): Boolean! }
	input In { a: [Int] }
	type Dog implements Pet { name: String! nick: String! names: [String!]! friend: Pet knows(x: Int, y: In): Boolean! dog: Dog! }
	type Cat implements Pet { name: String! nick: String! maybe: String lives: Int! friend: Pet knows(x: Int, y: In): Boolean! cat: Cat! }
`})

func mergingJudge(t testing.TB) *cost.Judge {
	t.Helper()
	j, err := cost.New(merging, cost.Limits{}, false)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestMerging(t *testing.T) {
	j := mergingJudge(t)
	for _, m := range mergeable {
		_, err := admit(j, m.document, "", nil)
		if err != nil && !strings.Contains(err.Error(), "conflict because") {
			t.Errorf("%s: %v", m.document, err)
		}
		if (err == nil) != m.ok {
			t.Errorf("%s: %v", m.document, err)
		}
	}
}

// TestMergingInterfaces: each level doubles what must be compared.
func TestMergingInterfaces(t *testing.T) {
	j, err := cost.New(merging, cost.Limits{Tokens: 400}, false)
	if err != nil {
		t.Fatal(err)
	}
	document := func(depth int) string {
		return "{ pet {" + strings.Repeat(" ... on Dog { friend { name } } ... on Cat { friend { name } } friend {", depth) + " name" + strings.Repeat(" }", depth) + " } }"
	}
	if _, err := admit(j, document(8), "", nil); err != nil {
		t.Error(err)
	}
	d, err := j.Parse(document(13))
	if err != nil {
		t.Fatal(err)
	}
	errs := d.Validate()
	if len(errs) != 1 || verdict(errs[0]) != cost.ReasonFragments {
		t.Errorf("%v", errs)
	}
}

// FuzzMerging compares our rule with gqlparser's, which takes all lists and all
// objects for equal as arguments.
func FuzzMerging(f *testing.F) {
	for _, m := range mergeable {
		f.Add(m.document)
	}
	j := mergingJudge(f)
	f.Fuzz(func(t *testing.T, document string) {
		query, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: document}, 100)
		if err != nil {
			t.Skip()
		}
		_, err = admit(j, document, "", nil)
		if v := verdict(err); v != "ok" && v != "GRAPHQL_VALIDATION_FAILED" {
			t.Skip()
		}
		theirs := validator.ValidateWithRules(merging, query, rules.NewDefaultRules())
		compare(t, document, query, err, theirs)
	})
}

func compare(t *testing.T, document string, query *ast.QueryDocument, ours error, theirs gqlerror.List) {
	t.Helper()
	valid := len(theirs) == 0 && len(query.Operations) > 0
	if valid && ours != nil && strings.Contains(ours.Error(), "differing arguments") && strings.ContainsAny(document, "[:") {
		return
	}
	if valid != (ours == nil) {
		t.Errorf("%s\nours: %v\ntheirs: %v", document, ours, theirs)
	}
}
