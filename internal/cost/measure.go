package cost

import (
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// size is what was counted in a selection set, fragments written out.
type size struct {
	depth, introspection amount // of nesting
	fields               amount // at the top
	aliases, directives  amount
	nodes                amount // fields and fragments, all of them
	authentications      amount
	plan                 *plan
}

// add counts what stands beside the rest.
func (s *size) add(t size) {
	s.depth, s.introspection = max(s.depth, t.depth), max(s.introspection, t.introspection)
	s.fields = s.fields.plus(t.fields)
	s.addBelow(t)
}

// addBelow counts what stands below a field of the set, as far as it isn't
// counted by levels.
func (s *size) addBelow(t size) {
	s.aliases = s.aliases.plus(t.aliases)
	s.directives = s.directives.plus(t.directives)
	s.nodes = s.nodes.plus(t.nodes)
	s.authentications = s.authentications.plus(t.authentications)
}

// A meter measures one document, each fragment once. It stops at the first
// thing that is wrong, which is err then.
type meter struct {
	judge     *Judge
	doc       *ast.QueryDocument
	fragments map[fragmentKey]*size // nil while it is being measured
	parts     int                   // names, values, fields, ...: what the document takes in memory
	err       error
}

// fragmentKey is a fragment and what introspection it stands in: its lists are
// longer in some places than in others.
type fragmentKey struct {
	fragment *ast.FragmentDefinition
	listed   bool
}

// set measures a selection set on a type. listed is true where introspection
// goes over all types of the schema.
func (m *meter) set(parent string, selections ast.SelectionSet, listed bool) size {
	s := size{plan: &plan{}}
	for _, each := range selections {
		if m.err != nil {
			return s
		}
		switch each := each.(type) {
		case *ast.Field:
			m.field(&s, parent, each, listed)
		case *ast.InlineFragment:
			m.name(each.TypeCondition)
			m.directives(&s, each.Directives)
			on := parent
			if each.TypeCondition != "" {
				on = each.TypeCondition
			}
			s.nodes = s.nodes.plus(1)
			m.merge(&s, m.set(on, each.SelectionSet, listed))
		case *ast.FragmentSpread:
			m.name(each.Name)
			m.directives(&s, each.Directives)
			s.nodes = s.nodes.plus(1)
			if f := m.doc.Fragments.ForName(each.Name); f != nil {
				m.merge(&s, m.fragment(f, listed, each.Position))
			}
		}
	}
	return s
}

// merge adds a fragment's size and cost to those of the set that it stands in.
func (m *meter) merge(s *size, t size) {
	s.add(t)
	if t.plan.isCertain() {
		s.plan.certain = s.plan.certain.plus(t.plan.certain)
	} else {
		s.plan.fragments = append(s.plan.fragments, t.plan)
	}
}

func (m *meter) fragment(f *ast.FragmentDefinition, listed bool, at *ast.Position) size {
	key := fragmentKey{f, listed}
	if known, ok := m.fragments[key]; ok {
		if known == nil {
			m.fail(invalid(at, `Cannot spread fragment "%s" within itself.`, f.Name))
			return size{plan: &plan{}}
		}
		return *known
	}
	m.fragments[key] = nil
	m.name(f.Name)
	m.name(f.TypeCondition)
	s := m.set(f.TypeCondition, f.SelectionSet, listed)
	m.variables(&s, f.VariableDefinition)
	m.directives(&s, f.Directives)
	m.fragments[key] = &s
	return s
}

func (m *meter) field(s *size, parent string, f *ast.Field, listed bool) {
	m.name(f.Name)
	if f.Alias != f.Name {
		m.name(f.Alias)
		s.aliases = s.aliases.plus(1)
	}
	m.directives(s, f.Directives)
	m.arguments(f.Arguments)

	p := m.judge.prices.of(parent, f)
	within := listed
	if p.introspection {
		within = f.Name == "types" || listed && p.typ != "__Type"
	}
	below := m.set(p.typ, f.SelectionSet, within)
	s.nodes, s.fields = s.nodes.plus(1), s.fields.plus(1)
	s.addBelow(below)
	if p.authenticates {
		s.authentications = s.authentications.plus(1)
	}
	if p.introspection {
		s.introspection = max(s.introspection, below.introspection.plus(1))
		s.depth = max(s.depth, below.depth)
	} else {
		s.depth = max(s.depth, below.depth.plus(1))
		s.introspection = max(s.introspection, below.introspection)
	}

	plan := fieldPlan{price: p, weight: p.weight, number: numberOf(p.size, f.Arguments), below: below.plan}
	if p.introspection && listed {
		plan.number.initial = p.average
	}
	for _, a := range f.Arguments {
		if a.Value != nil && a.Value.Kind != ast.NullValue {
			plan.weight = plan.weight.plus(p.arguments[a.Name])
		}
	}
	if len(plan.number.variables) > 0 || !below.plan.isCertain() {
		s.plan.fields = append(s.plan.fields, &plan)
		return
	}
	n := plan.number.literal
	if n < 0 {
		n = plan.number.initial
	}
	s.plan.certain = s.plan.certain.plus(plan.cost(n, below.plan.certain))
}

func (m *meter) directives(s *size, directives ast.DirectiveList) {
	s.directives = s.directives.plus(amount(len(directives)))
	for _, d := range directives {
		m.name(d.Name)
		m.arguments(d.Arguments)
	}
}

func (m *meter) arguments(args ast.ArgumentList) {
	for _, a := range args {
		m.name(a.Name)
		m.value(a.Value, 1)
	}
}

// value bounds how deep a value nests: lists and objects.
func (m *meter) value(v *ast.Value, depth int) {
	if v == nil || m.err != nil {
		return
	}
	if v.Kind == ast.EnumValue || v.Kind == ast.Variable {
		m.name(v.Raw)
	}
	m.nested(depth)
	m.parts++
	for _, c := range v.Children {
		m.name(c.Name)
		m.value(c.Value, depth+1)
	}
}

// variables bounds the types and defaults of an operation's variables.
func (m *meter) variables(s *size, defs ast.VariableDefinitionList) {
	for _, d := range defs {
		m.name(d.Variable)
		depth := 0
		for t := d.Type; t != nil && m.err == nil; t = t.Elem {
			m.name(t.NamedType)
			depth++
			m.nested(depth)
		}
		m.value(d.DefaultValue, 1)
		m.directives(s, d.Directives)
	}
}

func (m *meter) nested(depth int) {
	if limit := m.judge.limits.Depth; depth > limit {
		m.fail(over(ReasonDepth, depth, limit, "Values or types are nested %d deep; at most %d are allowed."))
	}
}

func (m *meter) name(name string) {
	m.parts++
	if len(name) > maxName {
		m.fail(over(ReasonNames, len(name), maxName, "A name is %d bytes long; at most %d are allowed."))
	}
}

func (m *meter) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// invalid is an error as validation finds it.
func invalid(at *ast.Position, format string, args ...any) *gqlerror.Error {
	err := gqlerror.Errorf(format, args...)
	if at != nil {
		err = gqlerror.ErrorPosf(at, format, args...)
	}
	err.Extensions = map[string]any{"code": validationFailed}
	return err
}
