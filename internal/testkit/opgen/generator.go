package opgen

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Values are the test's part of a Generator: what arguments and fields of inputs are given.
type Values interface {
	// Value is one for a place such as "Query.posts.after" or "PostOrder.field", beside those that its siblings have by
	// now. bad asks for one that the server would better refuse. ok is false where the Generator shall choose by the type:
	// it can for enums, booleans, inputs and lists of these.
	Value(r *rand.Rand, at string, typ *ast.Type, siblings map[string]any, bad bool) (value any, ok bool)
	// Settle has the last word on all arguments of a field such as "Query.posts", unless they are to be bad: it may
	// change and delete them.
	Settle(r *rand.Rand, at string, args map[string]any)
}

// Shape bounds what is generated.
type Shape struct {
	Roots  int // root fields
	Fields int // of an operation, those of fragments counted once
	Depth  int
	// Bad is the share of documents in which some arguments are bad.
	Bad float64
}

// Generator makes documents. It is not safe for concurrent use.
type Generator struct {
	schema *ast.Schema
	r      *rand.Rand
	values Values
	shape  Shape
	used   map[string]int // fields and arguments, so that none is rare
	seen   map[string]int // features

	// Of the document that is being made.
	fields    int
	made      int // names
	bad       bool
	fragments []*Fragment
	variables []*Variable
}

// New returns a Generator. From one seed, and with equal values, it makes the same documents.
func New(schema *ast.Schema, seed uint64, values Values, shape Shape) *Generator {
	return &Generator{schema: schema, r: rand.New(rand.NewPCG(seed, 1)), values: values, shape: shape, used: map[string]int{}}
}

// Prefer makes g choose what was seen least often, where it has a choice: seen counts the features that Visit tells of,
// and may change at any time.
func (g *Generator) Prefer(seen map[string]int) { g.seen = seen }

func (g *Generator) begin() {
	g.fields, g.made, g.fragments, g.variables = 0, 0, nil, nil
	g.bad = g.chance(g.shape.Bad)
}

// Query makes a document of queries, mostly of one.
func (g *Generator) Query() *Document {
	g.begin()
	d := &Document{schema: g.schema}
	for n := 1 + b2i(g.chance(0.08)); len(d.Operations) < n; {
		op := &Operation{Kind: ast.Query, Set: g.set(g.schema.Query, 0, 1+g.r.IntN(g.shape.Roots))}
		if n > 1 || g.chance(0.3) {
			op.Name = fmt.Sprint("Operation", len(d.Operations))
		}
		d.Operations = append(d.Operations, op)
		g.fields = 0
	}
	return d
}

// Mutation makes a document of one mutation, of one field.
func (g *Generator) Mutation(field string) *Document {
	g.begin()
	s := g.field(g.schema.Mutation, g.schema.Mutation.Fields.ForName(field), 0)
	return &Document{Operations: []*Operation{{Kind: ast.Mutation, Set: []*Selection{s}}}, schema: g.schema}
}

// Vary gives the variables of a document other values, as far as they have any, and leaves its text as it is.
func (g *Generator) Vary(d *Document) (varied bool) {
	for _, op := range d.Operations {
		for _, v := range variables(op.Set) {
			if v.again != nil {
				v.again(v)
				varied = true
			}
		}
	}
	return varied
}

func (g *Generator) chance(p float64) bool { return g.r.Float64() < p }

// fresh is a name that the document has not yet.
func (g *Generator) fresh(prefix string) string {
	g.made++
	return fmt.Sprint(prefix, g.made)
}

// set makes about n selections on a type.
func (g *Generator) set(on *ast.Definition, depth, n int) (set []*Selection) {
	add := func(s *Selection) {
		if s == nil {
			return
		}
		if !g.fits(on.Name, append(slices.Clone(set), s)) {
			if s.Inline || s.Spread != nil {
				return
			}
			s.Alias = g.fresh("a")
			if !g.fits(on.Name, append(slices.Clone(set), s)) {
				return
			}
		}
		set = append(set, s)
	}
	if on.IsAbstractType() && g.chance(0.85) {
		add(g.typename(on)) // tells what else is to be there
	}
	for range n {
		s := g.selection(on, set, depth)
		if s != nil && g.chance(0.12) {
			s.Directives = g.directives(s.what())
		}
		add(s)
	}
	if len(set) == 0 {
		set = append(set, g.typename(on))
	}
	return set
}

func (g *Generator) typename(on *ast.Definition) *Selection {
	return &Selection{Parent: on.Name, Name: "__typename"}
}

func (g *Generator) selection(on *ast.Definition, beside []*Selection, depth int) *Selection {
	inline, named := 0.09, 0.08
	if on.IsAbstractType() {
		inline, named = 0.5, 0.25
	}
	switch x := g.r.Float64(); {
	case x < inline:
		s := &Selection{Inline: true}
		inner := on
		if g.chance(0.8) {
			inner = g.condition(on)
			s.On = inner.Name
		}
		s.Set = g.set(inner, depth, 1+g.r.IntN(3))
		return s
	case x < inline+named:
		if f := g.fragment(on, depth); f != nil {
			return &Selection{Spread: f}
		}
	case x < inline+named+0.14:
		if s := g.twin(on, beside, depth); s != nil {
			return s
		}
	}
	if g.chance(0.08) {
		s := g.typename(on)
		g.alias(s, on)
		return s
	}
	f := g.pick(on, depth)
	if f == nil {
		return g.typename(on)
	}
	s := g.field(on, f, depth)
	g.alias(s, on)
	return s
}

// condition is a type that a fragment on another may have.
func (g *Generator) condition(on *ast.Definition) *ast.Definition {
	var all []*ast.Definition
	for _, name := range sortedKeys(g.schema.Types) {
		typ := g.schema.Types[name]
		if typ.IsCompositeType() && !typ.BuiltIn && g.overlap(typ, on) {
			all = append(all, typ)
		}
	}
	return all[g.r.IntN(len(all))]
}

func (g *Generator) overlap(a, b *ast.Definition) bool {
	for _, p := range g.schema.GetPossibleTypes(a) {
		if slices.Contains(g.schema.GetPossibleTypes(b), p) {
			return true
		}
	}
	return false
}

// fragment is a new fragment, or one that the document has.
func (g *Generator) fragment(on *ast.Definition, depth int) *Fragment {
	if len(g.fragments) > 0 && g.chance(0.4) {
		f := g.fragments[g.r.IntN(len(g.fragments))]
		if g.overlap(g.schema.Types[f.On], on) {
			return f
		}
	}
	typ := g.condition(on)
	f := &Fragment{Name: g.fresh("f"), On: typ.Name}
	f.Set = g.set(typ, depth+1, 1+g.r.IntN(3))
	g.fragments = append(g.fragments, f) // not before: it can't spread itself
	return f
}

// twin is a field that is there already: once more under the same key, so that both are merged, or under another with
// equal or different arguments.
func (g *Generator) twin(on *ast.Definition, beside []*Selection, depth int) *Selection {
	var fields []*Selection
	for _, s := range beside {
		if s.def != nil && (s.Set == nil || depth < g.shape.Depth && g.fields < g.shape.Fields) {
			fields = append(fields, s)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	of := fields[g.r.IntN(len(fields))]
	s := g.field(on, of.def, depth)
	if g.chance(0.6) {
		s.Args = of.Args
	}
	if g.chance(0.6) {
		s.Alias, s.Args = of.Alias, of.Args
	} else {
		s.Alias = g.fresh("a")
	}
	return s
}

// alias names a field differently: by a name of its own, or by that of a field that it is not.
func (g *Generator) alias(s *Selection, on *ast.Definition) {
	switch x := g.r.Float64(); {
	case x < 0.05:
		s.Alias = on.Fields[g.r.IntN(len(on.Fields))].Name
		if strings.HasPrefix(s.Alias, "__") {
			s.Alias = ""
		}
	case x < 0.07:
		s.Alias = g.fresh(strings.Repeat("long_", 20))
	case x < 0.15:
		s.Alias = g.fresh("a")
	}
}

// pick chooses a field, of those that had their turn least often; nil if there is none that has room.
func (g *Generator) pick(on *ast.Definition, depth int) *ast.FieldDefinition {
	full := depth+1 >= g.shape.Depth || g.fields >= g.shape.Fields
	total, weights := 0.0, make([]float64, len(on.Fields))
	for i, f := range on.Fields {
		of := g.schema.Types[f.Type.Name()]
		switch {
		case strings.HasPrefix(f.Name, "__"), full && of.IsCompositeType() && on != g.schema.Query:
			continue
		}
		weights[i] = 1 / float64(1+g.used[on.Name+"."+f.Name])
		if of.IsCompositeType() {
			weights[i] *= 2
		}
		total += weights[i]
	}
	x := g.r.Float64() * total
	for i, w := range weights {
		if x -= w; w > 0 && x <= 0 {
			return on.Fields[i]
		}
	}
	return nil
}

func (g *Generator) field(on *ast.Definition, f *ast.FieldDefinition, depth int) *Selection {
	key := on.Name + "." + f.Name
	g.used[key]++
	g.fields++
	s := &Selection{Parent: on.Name, Name: f.Name, def: f, Args: g.arguments(key, f)}
	if of := g.schema.Types[f.Type.Name()]; of.IsCompositeType() {
		s.Set = g.set(of, depth+1, 1+g.r.IntN(4))
	}
	return s
}

// directives are for a selection of which it can be said that they are "on a field".
func (g *Generator) directives(on string) (all []*Directive) {
	names := []string{"skip", "include"}
	for _, name := range [][]string{names[:1], names[1:], names}[g.r.IntN(3)] {
		var least *Value
		fewest := 0
		for range 3 {
			b := g.chance(0.7) == (name == "include")
			v := g.condition01(b)
			if n := g.seen[fmt.Sprintf("@%s on %s: %t by %s", name, on, b, v.form())]; least == nil || n < fewest {
				least, fewest = v, n
			}
		}
		if least.Variable != nil {
			g.variables = append(g.variables, least.Variable)
		}
		all = append(all, &Directive{name, least})
	}
	return all
}

// condition01 is a boolean for a directive.
func (g *Generator) condition01(b bool) *Value {
	if g.chance(0.35) {
		return &Value{Plain: b}
	}
	for _, v := range g.variables { // used once more
		if (v.Type == "Boolean!" || v.Type == "Boolean" && v.HasDefault && v.Default != nil) && g.chance(0.3) {
			if _, ok := v.Value.(bool); ok || !v.Given {
				return &Value{Variable: v}
			}
		}
	}
	v := &Variable{Type: "Boolean!", Value: b, Given: true}
	v.again = func(v *Variable) { v.Value = g.chance(0.5) }
	switch g.r.IntN(3) {
	case 0:
		v.HasDefault, v.Default, v.Given = true, b, false
		v.again = func(v *Variable) { v.Value, v.Given = g.chance(0.5), g.chance(0.8) }
	case 1:
		v.Type, v.HasDefault, v.Default = "Boolean", true, !b
	}
	return &Value{Variable: v}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
