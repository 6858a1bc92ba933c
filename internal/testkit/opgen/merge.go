package opgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// fits reports whether the fields of a set can be merged (GraphQL, section 5.3.2). It is stricter than that in one
// point: below fields of equal key, on types that can't meet, what is selected must fit as if they could.
func (g *Generator) fits(on string, set []*Selection) bool {
	groups := map[string][]occurrence{}
	gather(on, set, groups)
	return g.mergeable(groups)
}

// occurrence is a field on the type where it is selected.
type occurrence struct {
	on string
	s  *Selection
}

func gather(on string, set []*Selection, groups map[string][]occurrence) {
	for _, s := range set {
		switch {
		case s.Spread != nil:
			gather(s.Spread.On, s.Spread.Set, groups)
		case s.Inline && s.On != "":
			gather(s.On, s.Set, groups)
		case s.Inline:
			gather(on, s.Set, groups)
		default:
			groups[s.Key()] = append(groups[s.Key()], occurrence{on, s})
		}
	}
}

func (g *Generator) mergeable(groups map[string][]occurrence) bool {
	for _, group := range groups {
		below := map[string][]occurrence{}
		for i, a := range group {
			for _, b := range group[:i] {
				if a.s.typ() != b.s.typ() || !g.apart(a.on, b.on) && (a.s.Name != b.s.Name || a.s.signature() != b.s.signature()) {
					return false
				}
			}
			if a.s.def != nil {
				gather(a.s.def.Type.Name(), a.s.Set, below)
			}
		}
		if len(group) > 1 && !g.mergeable(below) { // one alone was looked at when it was made
			return false
		}
	}
	return true
}

// apart reports whether nothing is of both types.
func (g *Generator) apart(a, b string) bool {
	return a != b && g.schema.Types[a].Kind == ast.Object && g.schema.Types[b].Kind == ast.Object
}

func (s *Selection) typ() string {
	if s.def == nil {
		return "__typename" // String! by the specification, String to gqlparser: best kept apart from both
	}
	return s.def.Type.String()
}

// signature tells arguments apart, in whatever order. Variables are equal if they are the same.
func (s *Selection) signature() string {
	var all []string
	for _, a := range s.Args {
		all = append(all, a.Name+":"+a.Value.signature())
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

func (v *Value) signature() string {
	switch {
	case v.Variable != nil:
		return fmt.Sprintf("$%p", v.Variable)
	case v.List != nil:
		var b strings.Builder
		for _, each := range v.List {
			b.WriteString(each.signature() + ";")
		}
		return "[" + b.String() + "]"
	case v.Object != nil:
		var b strings.Builder
		for _, m := range v.Object {
			b.WriteString(m.Name + "=" + m.Value.signature() + ";")
		}
		return "{" + b.String() + "}"
	}
	return fmt.Sprintf("%t%#v", v.Block, v.Plain)
}
