package opgen_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tidings/internal/testkit/opgen"
)

var schema = gqlparser.MustLoadSchema(&ast.Source{Input: `
	type Query { dog(name: String!): Dog! pets(first: Int, order: Order = {by: NAME}, ids: [ID!]): [Pet] count: Int! }
	type Mutation { rename(name: String!): Dog! }
	enum By { NAME AGE }
	input Order { by: By!, down: Boolean! = false, then: By }
	interface Pet { name: String! friend(old: Boolean): Pet age(in: By = AGE): Int }
	type Dog implements Pet { name: String! friend(old: Boolean): Pet age(in: By = AGE): Int barks: Boolean! owner: Owner! }
	type Cat implements Pet { name: String! friend(old: Boolean): Pet age(in: By = AGE): Int lives: Int! }
	type Owner { name: String! pets(first: Int!): [Pet!]! }
`})

type values struct{}

func (values) Value(r *rand.Rand, _ string, typ *ast.Type, _ map[string]any, bad bool) (any, bool) {
	if typ.Elem != nil {
		return nil, false
	}
	switch typ.Name() {
	case "Int":
		if bad {
			return -r.IntN(5), true
		}
		return r.IntN(5), true
	case "String", "ID":
		return []string{"x", "a \"quoted\" text\n\\ and a line", "long  spaces", "ünï 😀"}[r.IntN(4)], true
	}
	return nil, false
}

func (values) Settle(*rand.Rand, string, map[string]any) {}

func generator(seed uint64) *opgen.Generator {
	return opgen.New(schema, seed, values{}, opgen.Shape{Roots: 3, Fields: 30, Depth: 6, Bad: 0.1})
}

func parsed(t *testing.T, d *opgen.Document) *ast.QueryDocument {
	t.Helper()
	q, errs := gqlparser.LoadQueryWithRules(schema, d.Text(), rules.NewDefaultRules())
	if errs != nil {
		t.Fatalf("%v\n%s", errs, d.Text())
	}
	return q
}

// What is made is valid, by gqlparser's rules, and so are its variables, which may vary.
func TestValid(t *testing.T) {
	for seed := range uint64(3) {
		g := generator(seed)
		for i := range 200 {
			d := g.Query()
			if i%10 == 0 {
				d = g.Mutation("rename")
			}
			text := d.Text()
			q := parsed(t, d)
			for range 3 {
				for i, op := range q.Operations {
					sent, err := json.Marshal(d.Variables(d.Operations[i]))
					if err != nil {
						t.Fatal(err)
					}
					var vars map[string]any
					decoder := json.NewDecoder(strings.NewReader(string(sent)))
					decoder.UseNumber()
					if err := decoder.Decode(&vars); err != nil {
						t.Fatal(err)
					}
					if _, err := validator.VariableValues(schema, op, vars); err != nil {
						t.Fatalf("%v\n%s\n%s", err, text, sent)
					}
				}
				g.Vary(d)
				if d.Text() != text {
					t.Fatal("other values of variables make another text")
				}
			}
		}
	}
}

// One seed makes the same documents each time, another one others.
func TestSeeds(t *testing.T) {
	texts := func(seed uint64) (all string) {
		g := generator(seed)
		for range 50 {
			d := g.Query()
			vars, err := json.Marshal(d.Variables(d.Operations[0]))
			if err != nil {
				t.Fatal(err)
			}
			all += d.Text() + string(vars)
			g.Vary(d)
		}
		return all
	}
	if once, again := texts(1), texts(1); once != again {
		t.Error("a seed makes different documents")
	}
	if texts(1) == texts(2) {
		t.Error("different seeds make the same documents")
	}
}

// Of a document of many fields what is left is the one that matters, and the way to it.
func TestShrink(t *testing.T) {
	shrunk := 0
	for seed := range uint64(50) {
		d := generator(seed).Query()
		fails := func() bool {
			_, errs := gqlparser.LoadQueryWithRules(schema, d.Text(), rules.NewDefaultRules())
			return errs == nil && strings.Contains(d.Text(), "lives")
		}
		if !fails() {
			continue
		}
		before := len(d.Text())
		opgen.Shrink(d, d.Operations[0], 1000, fails)
		parsed(t, d)
		if !fails() || strings.Count(d.Text(), "lives") != 1 || strings.Contains(d.Text(), "@") {
			t.Errorf("%s", d.Text())
		}
		if len(d.Text()) < before/2 {
			shrunk++
		}
	}
	if shrunk < 3 {
		t.Errorf("%d documents became small", shrunk)
	}
}

// An answer is held against the document: what is missing, and what was not asked for.
func TestVisit(t *testing.T) {
	g := generator(1)
	missing, more := 0, 0
	for range 200 {
		d := g.Query()
		op := d.Operations[0]
		data := answer(t, d, op)
		seen := map[string]int{}
		count := func(f string) { seen[f]++ }
		fields := 0
		if err := d.Visit(op, data, func(*opgen.Found) { fields++ }, count); err != nil {
			t.Fatalf("%v\n%s\n%v", err, d.Text(), data)
		}
		if fields < len(data) {
			t.Errorf("%d fields of %d", fields, len(data))
		}
		for key := range data {
			delete(data, key)
			if err := d.Visit(op, data, func(*opgen.Found) {}, count); err != nil {
				missing++
			}
			break
		}
		data["nobody"] = 1
		if err := d.Visit(op, data, func(*opgen.Found) {}, count); err != nil {
			more++
		}
	}
	if missing < 150 || more < 200 {
		t.Errorf("%d and %d of 200 mistakes are found", missing, more)
	}
}

// answer is null for every field at the root that the specification would have there.
func answer(t *testing.T, d *opgen.Document, op *opgen.Operation) map[string]any {
	t.Helper()
	q := parsed(t, d)
	b, err := json.Marshal(d.Variables(op))
	if err != nil {
		t.Fatal(err)
	}
	var vars map[string]any
	if err := json.Unmarshal(b, &vars); err != nil {
		t.Fatal(err)
	}
	def := q.Operations.ForName(op.Name)
	for _, v := range def.VariableDefinitions {
		if _, ok := vars[v.Variable]; !ok && v.DefaultValue != nil {
			if vars[v.Variable], err = v.DefaultValue.Value(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := map[string]any{}
	var collect func(set ast.SelectionSet)
	in := func(all ast.DirectiveList) bool {
		for _, d := range all {
			x, err := d.Arguments[0].Value.Value(vars)
			if err != nil {
				t.Fatal(err)
			}
			if x != (d.Name == "include") {
				return false
			}
		}
		return true
	}
	collect = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				if in(s.Directives) {
					data[s.Alias] = nil
				}
			case *ast.InlineFragment:
				if in(s.Directives) {
					collect(s.SelectionSet)
				}
			case *ast.FragmentSpread:
				if in(s.Directives) {
					collect(s.Definition.SelectionSet)
				}
			}
		}
	}
	collect(def.SelectionSet)
	return data
}
