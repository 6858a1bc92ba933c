package cost

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// A merger holds that fields of equal response name can be merged (GraphQL,
// section 5.3.2), in time that grows with the written-out document, where the
// specification's own algorithm compares all pairs of fields and of fragments.
//
// It merges as execution does, level by level, and compares each field of a
// group with one: to be of the same shape, and to be the same field with the
// same arguments, are equivalences. That all of a group have one shape is asked
// whatever their types; that they are one field only of those that can meet in
// one object. These two are gone through apart, as Simon Adameit describes for
// Sangria and graphql-java have it.
//
// What is selected of an interface is compared once for each object type beside
// it, level by level, so that a few fields can become very many comparisons: they
// are counted, and a document is refused that needs more than five for each of
// the fields that it may have.
//
// The document must be valid otherwise.
type merger struct {
	schema *ast.Schema
	fail   func(*gqlerror.Error)
	limit  int
	done   int             // fields compared
	failed map[string]bool // response name and reason: both passes find the same
}

func newMerger(j *Judge, fail func(*gqlerror.Error)) *merger {
	return &merger{schema: j.schema, fail: fail, limit: 5 * maxWrittenOut * j.limits.Tokens, failed: map[string]bool{}}
}

// count counts the fields of a group, and tells whether they may be compared.
func (m *merger) count(group []*ast.Field) bool {
	if m.done > m.limit {
		return false
	}
	if m.done += len(group); m.done > m.limit {
		m.fail(gqlerror.Wrap(over(ReasonFragments, m.done, m.limit, "To see whether fields can be merged, %d must be compared; at most %d are allowed.")))
		return false
	}
	return true
}

func (m *merger) operation(op *ast.OperationDefinition) {
	clear(m.failed)
	sets := []ast.SelectionSet{op.SelectionSet}
	m.shapes(sets)
	m.sameFields(sets)
}

// shapes: SameResponseShape.
func (m *merger) shapes(sets []ast.SelectionSet) {
	for _, group := range collect(sets) {
		if !m.count(group) {
			return
		}
		first := group[0]
		for _, f := range group[1:] {
			if f != first && !m.sameShape(f.Definition.Type, first.Definition.Type) {
				m.conflict(first, f, fmt.Sprintf("they return conflicting types %q and %q", first.Definition.Type, f.Definition.Type))
			}
		}
		if below := selections(group); len(below) > 0 {
			m.shapes(below)
		}
	}
}

// sameFields: FieldsInSetCanMerge for those whose parent types can be one.
func (m *merger) sameFields(sets []ast.SelectionSet) {
	for _, group := range collect(sets) {
		for _, together := range meeting(group) {
			if !m.count(together) {
				return
			}
			first := together[0]
			for _, f := range together[1:] {
				switch {
				case f == first:
				case f.Name != first.Name:
					m.conflict(first, f, fmt.Sprintf("%q and %q are different fields", first.Name, f.Name))
				case !sameArguments(f.Arguments, first.Arguments):
					m.conflict(first, f, "they have differing arguments")
				}
			}
			if below := selections(together); len(below) > 0 {
				m.sameFields(below)
			}
		}
	}
}

// collect groups the fields of sets that are merged by their response name, in
// the order of the document.
func collect(sets []ast.SelectionSet) [][]*ast.Field {
	var groups [][]*ast.Field
	index := map[string]int{}
	spread := map[string]bool{}
	var add func(ast.SelectionSet)
	add = func(set ast.SelectionSet) {
		for _, each := range set {
			switch each := each.(type) {
			case *ast.Field:
				i, ok := index[each.Alias]
				if !ok {
					i = len(groups)
					index[each.Alias], groups = i, append(groups, nil)
				}
				groups[i] = append(groups[i], each)
			case *ast.InlineFragment:
				add(each.SelectionSet)
			case *ast.FragmentSpread:
				if !spread[each.Name] {
					spread[each.Name] = true
					add(each.Definition.SelectionSet)
				}
			}
		}
	}
	for _, set := range sets {
		add(set)
	}
	return groups
}

// selections are what the fields of a group select, each of them once.
func selections(group []*ast.Field) (sets []ast.SelectionSet) {
	seen := make(map[*ast.Field]bool, len(group))
	for _, f := range group {
		if len(f.SelectionSet) > 0 && !seen[f] {
			seen[f] = true
			sets = append(sets, f.SelectionSet)
		}
	}
	return sets
}

// meeting splits a group into those that can stand in one object: of each
// object type, and with them those of interfaces and unions.
func meeting(group []*ast.Field) [][]*ast.Field {
	var names []string
	var abstract []*ast.Field
	of := map[string][]*ast.Field{}
	for _, f := range group {
		parent := f.ObjectDefinition
		if parent.Kind != ast.Object {
			abstract = append(abstract, f)
			continue
		}
		if of[parent.Name] == nil {
			names = append(names, parent.Name)
		}
		of[parent.Name] = append(of[parent.Name], f)
	}
	if len(names) == 0 {
		return [][]*ast.Field{abstract}
	}
	all := make([][]*ast.Field, len(names))
	for i, name := range names {
		all[i] = append(of[name], abstract...)
	}
	return all
}

func (m *merger) sameShape(a, b *ast.Type) bool {
	for ; a.Elem != nil || b.Elem != nil; a, b = a.Elem, b.Elem {
		if a.Elem == nil || b.Elem == nil || a.NonNull != b.NonNull {
			return false
		}
	}
	if a.NonNull != b.NonNull {
		return false
	}
	if m.schema.Types[a.NamedType].IsLeafType() || m.schema.Types[b.NamedType].IsLeafType() {
		return a.NamedType == b.NamedType
	}
	return true
}

func sameArguments(a, b ast.ArgumentList) bool {
	if len(a) != len(b) {
		return false
	}
	for _, x := range a {
		y := b.ForName(x.Name)
		if y == nil || !sameValue(x.Value, y.Value) {
			return false
		}
	}
	return true
}

func sameValue(a, b *ast.Value) bool {
	if a.Kind != b.Kind || a.Raw != b.Raw || len(a.Children) != len(b.Children) {
		return false
	}
	for i, c := range a.Children {
		if c.Name != b.Children[i].Name || !sameValue(c.Value, b.Children[i].Value) {
			return false
		}
	}
	return true
}

func (m *merger) conflict(a, b *ast.Field, why string) {
	if m.failed[a.Alias+" "+why] {
		return
	}
	m.failed[a.Alias+" "+why] = true
	err := gqlerror.ErrorPosf(b.Position, `Fields %q conflict because %s. Use different aliases on the fields to fetch both if this was intentional.`, a.Alias, why)
	err.Rule = "OverlappingFieldsCanBeMerged"
	m.fail(err)
}
