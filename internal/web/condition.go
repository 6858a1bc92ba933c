package web

import (
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/fault"
)

// nullCondition refuses an operation in which @skip or @include is to decide by
// a variable that is null; nil for all others. Validation lets a variable through
// whose type may be null if it has a default (GraphQL, section 5.8.5), but null
// may be given in place of that, and is an error then (section 6.4.1). gqlgen's
// executor would panic.
func nullCondition(oc *graphql.OperationContext) error {
	for _, v := range oc.Operation.VariableDefinitions {
		value, given := oc.Variables[v.Variable]
		if given && value == nil && v.Type.NamedType == "Boolean" && decides(v.Variable, oc.Operation.SelectionSet, map[*ast.FragmentDefinition]bool{}) {
			return fault.BadInput(v.Variable, v.Variable+" can't be null: @skip or @include decides by it")
		}
	}
	return nil
}

// decides reports whether @skip or @include decides by a variable, in a selection
// or in the fragments that it spreads.
func decides(variable string, set ast.SelectionSet, seen map[*ast.FragmentDefinition]bool) bool {
	for _, s := range set {
		var directives ast.DirectiveList
		var below ast.SelectionSet
		switch s := s.(type) {
		case *ast.Field:
			directives, below = s.Directives, s.SelectionSet
		case *ast.InlineFragment:
			directives, below = s.Directives, s.SelectionSet
		case *ast.FragmentSpread:
			directives = s.Directives
			if !seen[s.Definition] {
				seen[s.Definition], below = true, s.Definition.SelectionSet
			}
		}
		for _, d := range directives {
			if d.Name != "skip" && d.Name != "include" {
				continue
			}
			if a := d.Arguments.ForName("if"); a != nil && a.Value.Kind == ast.Variable && a.Value.Raw == variable {
				return true
			}
		}
		if decides(variable, below, seen) {
			return true
		}
	}
	return false
}
