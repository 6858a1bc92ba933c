package matrix

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// A selection is a field of an operation, or a fragment on a type.
type selection struct {
	name  string
	alias string
	args  map[string]string // as GraphQL has them
	of    string            // the type of the field
	on    string            // a fragment's type
	subs  []*selection
}

func (s *selection) key() string {
	if s.alias != "" {
		return s.alias
	}
	return s.name
}

func (s *selection) String() string {
	var b strings.Builder
	switch {
	case s.on != "":
		b.WriteString("...on " + s.on)
	case s.alias != "":
		b.WriteString(s.alias + ":" + s.name)
	default:
		b.WriteString(s.name)
	}
	if len(s.args) > 0 {
		var all []string
		for _, name := range slices.Sorted(maps.Keys(s.args)) {
			all = append(all, name+": "+s.args[name])
		}
		b.WriteString("(" + strings.Join(all, ", ") + ")")
	}
	b.WriteString(braced(s.subs))
	return b.String()
}

func braced(sels []*selection) string {
	if len(sels) == 0 {
		return ""
	}
	var all []string
	for _, s := range sels {
		all = append(all, s.String())
	}
	return "{" + strings.Join(all, " ") + "}"
}

// most is the page size of every connection: more than there is of anything, so that what is hidden would show.
const most = "6"

// writer makes operations of a schema.
type writer struct {
	schema *ast.Schema
	ids    func(types string) []string // those that there are, quoted
	named  func(literal string) string // fills in $name
}

// calls are the ways to call a field that differ in what they give: base has no optional arguments but the page size,
// each of the others one more. Of what is required there is one call for each value.
func (g *writer) calls(typ string, f *ast.FieldDefinition) (base, more []map[string]string) {
	common := map[string]string{}
	if f.Arguments.ForName("first") != nil {
		common["first"] = most
	}
	with := func(name, value string) map[string]string {
		args := maps.Clone(common)
		args[name] = g.named(value)
		return args
	}
	oneOf := typ+"."+f.Name == "Query.user"
	if !slices.ContainsFunc(f.Arguments, func(a *ast.ArgumentDefinition) bool { return a.Type.NonNull }) && !oneOf {
		base = append(base, common)
	}
	for _, a := range f.Arguments {
		var values []string
		row := arguments[typ+"."+f.Name+"."+a.Name]
		switch row.kind {
		case choice:
			values = row.values
		case one:
			values = g.ids(row.of)
		case some: // one of each type, and all of them
			var each []string
			for of := range strings.FieldsSeq(row.of) {
				each = append(each, g.ids(of)[0])
			}
			values = []string{"[" + strings.Join(each, ", ") + "]", "[" + strings.Join(g.ids(row.of), ", ") + "]"}
		}
		for i, value := range values {
			// Of things that are chosen by their ids each is a way of its own.
			if a.Type.NonNull && (row.kind == one || i == 0) || oneOf && a.Name == "id" {
				base = append(base, with(a.Name, value))
			} else {
				more = append(more, with(a.Name, value))
			}
		}
	}
	return base, more
}

// leaf is all of a type that needs no way further: its scalars, and of each connection what it holds, by each call that
// there is.
func (g *writer) leaf(typ string) (sels []*selection) {
	def := g.schema.Types[typ]
	sels = append(sels, &selection{name: "__typename"})
	for _, f := range def.Fields {
		of := g.schema.Types[f.Type.Name()]
		switch {
		case strings.HasPrefix(f.Name, "__"):
		case of.IsLeafType():
			sels = append(sels, &selection{name: f.Name, of: of.Name})
		case g.flat(of):
			sels = append(sels, &selection{name: f.Name, of: of.Name, subs: g.leaf(of.Name)})
		case strings.HasSuffix(of.Name, "Connection") && def != g.schema.Query:
			base, more := g.calls(typ, f)
			for i, args := range append(base, more...) {
				sels = append(sels, &selection{name: f.Name, alias: fmt.Sprint(f.Name, i), of: of.Name, args: args, subs: []*selection{
					{name: "totalCount", of: "Int"},
					{name: "nodes", of: strings.TrimSuffix(of.Name, "Connection"), subs: []*selection{{name: "id", of: "ID"}}},
				}})
			}
		}
	}
	return sels
}

// flat tells the types that have scalars only.
func (g *writer) flat(def *ast.Definition) bool {
	return def.Kind == ast.Object && !slices.ContainsFunc(def.Fields, func(f *ast.FieldDefinition) bool {
		return !strings.HasPrefix(f.Name, "__") && !g.schema.Types[f.Type.Name()].IsLeafType()
	})
}

// chains are selections on a type that go every way from there, each as far as it goes without coming by a field again.
// With what stands at each step they select every field of every type by every way to it.
func (g *writer) chains(typ string, gone map[string]bool) (all [][]*selection) {
	def := g.schema.Types[typ]
	if def.IsLeafType() {
		return [][]*selection{nil}
	}
	if def.IsAbstractType() {
		for _, possible := range g.schema.GetPossibleTypes(def) {
			for _, chain := range g.chains(possible.Name, gone) {
				all = append(all, []*selection{{name: "__typename"}, {on: possible.Name, subs: chain}})
			}
		}
		return all
	}
	for _, f := range def.Fields {
		of, key := g.schema.Types[f.Type.Name()], typ+"."+f.Name
		if of.IsLeafType() || g.flat(of) || gone[key] || strings.HasPrefix(f.Name, "__") {
			continue
		}
		args := map[string]string{}
		if f.Arguments.ForName("first") != nil {
			args["first"] = most
		}
		gone[key] = true
		for _, chain := range g.chains(of.Name, gone) {
			all = append(all, append(g.leaf(typ), &selection{name: f.Name, alias: "on_" + f.Name, of: of.Name, args: args, subs: chain}))
		}
		delete(gone, key)
	}
	if all == nil {
		all = [][]*selection{g.leaf(typ)}
	}
	return all
}

// short is a selection on a type that goes to each of its neighbours and no further.
func (g *writer) short(typ string) (sels []*selection) {
	def := g.schema.Types[typ]
	if def.IsAbstractType() {
		sels = append(sels, &selection{name: "__typename"})
		for _, possible := range g.schema.GetPossibleTypes(def) {
			sels = append(sels, &selection{on: possible.Name, subs: g.short(possible.Name)})
		}
		return sels
	}
	sels = g.leaf(typ)
	for _, f := range def.Fields {
		of := g.schema.Types[f.Type.Name()]
		if of.IsCompositeType() && !g.flat(of) && !strings.HasSuffix(of.Name, "Connection") {
			sels = append(sels, &selection{name: f.Name, alias: "on_" + f.Name, of: of.Name, subs: g.leaf(of.Name)})
		}
	}
	return sels
}

// plain is short without connections: what does not change while other things are written.
func (g *writer) plain(typ string) []*selection {
	var strip func(sels []*selection) []*selection
	strip = func(sels []*selection) (left []*selection) {
		for _, s := range sels {
			if !strings.HasSuffix(s.of, "Connection") {
				s.subs = strip(s.subs)
				left = append(left, s)
			}
		}
		return left
	}
	return strip(g.short(typ))
}

// queries are all root fields of a query, by every call and every chain.
func (g *writer) queries() (all []*selection) {
	for _, f := range g.schema.Query.Fields {
		if strings.HasPrefix(f.Name, "__") {
			continue
		}
		base, more := g.calls("Query", f)
		for _, args := range base {
			chains := g.chains(f.Type.Name(), map[string]bool{})
			if arguments["Query."+f.Name+".id"].of != "" {
				// Of one thing only the chains on its type lead anywhere.
				kind := strings.ToUpper(args["id"][1:2]) + args["id"][2:strings.Index(args["id"], "_")]
				chains = slices.DeleteFunc(chains, func(c []*selection) bool { return len(c) == 2 && c[1].on != "" && c[1].on != kind })
			}
			for _, chain := range chains {
				all = append(all, &selection{name: f.Name, of: f.Type.Name(), args: args, subs: chain})
			}
		}
		for _, args := range more {
			s := &selection{name: f.Name, of: f.Type.Name(), args: args}
			if !g.schema.Types[s.of].IsLeafType() {
				s.subs = g.short(s.of)
			}
			all = append(all, s)
		}
	}
	return all
}
