package opgen

import (
	"fmt"

	"github.com/vektah/gqlparser/v2/ast"
)

// Found is a field that an operation selects, with what the answer has for it.
type Found struct {
	Up    *Found // the field around it; nil at the root
	On    string // the type that the answer is of
	Field *Selection
	Args  map[string]any // as the server sees them
	Value any            // nil, a string, float64, bool, []any, map[string]any
}

// Visit goes over the data of an operation's answer as the document would have it: found is called with every field
// that is to be there, feature with a few words about each thing of the document that has played a part. Of long lists
// the first elements stand for all. Below an object of an abstract type it goes only where __typename is selected. The
// error says what is missing or too much.
func (d *Document) Visit(op *Operation, data map[string]any, found func(*Found), feature func(string)) error {
	root := d.schema.Query
	if op.Kind == ast.Mutation {
		root = d.schema.Mutation
	}
	v := &visit{schema: d.schema, found: found, feature: feature}
	if len(d.Operations) > 1 {
		feature("one operation of several")
	}
	v.object(root.Name, op.Set, data, nil)
	return v.err
}

// listed is how many elements of a list are visited.
const listed = 4

type visit struct {
	schema  *ast.Schema
	found   func(*Found)
	feature func(string)
	err     error
}

func (v *visit) object(typ string, set []*Selection, o map[string]any, up *Found) {
	wanted := map[string][]*Selection{}
	v.set(typ, typ, set, o, wanted, up, 0)
	for key := range o {
		if wanted[key] == nil && v.err == nil {
			v.err = fmt.Errorf("%s of %s was not asked for", key, typ)
		}
	}
	for key, all := range wanted {
		if _, ok := o[key]; !ok && v.err == nil {
			v.err = fmt.Errorf("%s of %s is missing", key, typ)
		}
		if len(all) > 1 && o[key] != nil {
			v.feature("several fields of one key")
			for _, s := range all[1:] {
				if len(s.Set) > 0 {
					v.feature("merged selections")
				}
			}
		}
		v.field(typ, all, o[key], up)
	}
}

// set notes what of a set applies to an object of typ, where it stands on the type named on.
func (v *visit) set(typ, on string, set []*Selection, o map[string]any, wanted map[string][]*Selection, up *Found, nested int) {
	if nested > 1 {
		v.feature("fragments in fragments")
	}
	for _, s := range set {
		if !v.included(s) {
			continue
		}
		switch {
		case s.Spread != nil:
			v.fragment("named fragment", typ, on, s.Spread.On, s.Spread.Set, o, wanted, up, nested)
		case s.Inline:
			v.fragment("inline fragment", typ, on, s.On, s.Set, o, wanted, up, nested)
		default:
			wanted[s.Key()] = append(wanted[s.Key()], s)
		}
	}
}

func (v *visit) fragment(kind, typ, on, cond string, set []*Selection, o map[string]any, wanted map[string][]*Selection, up *Found, nested int) {
	switch {
	case cond == "":
		v.feature(kind + " without a type")
		cond = on
	case !v.is(typ, cond):
		v.feature(kind + " on a type that it is not")
		return
	case v.schema.Types[cond].IsAbstractType() && !v.schema.Types[on].IsAbstractType():
		v.feature(kind + " on an interface of the type")
	case v.schema.Types[cond].IsAbstractType():
		v.feature(kind + " on the interface itself")
	case cond == on:
		v.feature(kind + " on the same type")
	default:
		v.feature(kind + " on a type of the interface")
	}
	v.set(typ, cond, set, o, wanted, up, nested+1)
}

func (v *visit) is(typ, cond string) bool {
	for _, possible := range v.schema.GetPossibleTypes(v.schema.Types[cond]) {
		if possible.Name == typ {
			return true
		}
	}
	return false
}

// included does what @skip and @include say (GraphQL, section 3.13).
func (v *visit) included(s *Selection) bool {
	in := true
	for _, d := range s.Directives {
		x, _ := d.If.resolved()
		b, _ := x.(bool)
		v.feature(fmt.Sprintf("@%s on %s: %t by %s", d.Name, s.what(), b, d.If.form()))
		in = in && b == (d.Name == "include")
	}
	if len(s.Directives) > 1 {
		v.feature(fmt.Sprintf("@skip and @include: %t", in))
	}
	return in
}

// what a selection is, in a few words.
func (s *Selection) what() string {
	switch {
	case s.Inline:
		return "an inline fragment"
	case s.Spread != nil:
		return "a spread"
	}
	return "a field"
}

func (v *visit) field(typ string, all []*Selection, value any, up *Found) {
	s := all[0]
	f := &Found{Up: up, On: typ, Field: s, Args: map[string]any{}, Value: value}
	for _, a := range s.Args {
		if x, ok := a.Value.resolved(); ok {
			f.Args[a.Name] = x
		}
	}
	v.found(f)
	switch {
	case s.Alias != "" && s.Name == "__typename":
		v.feature("__typename under an alias")
	case s.Alias != "" && v.schema.Types[typ].Fields.ForName(s.Alias) != nil:
		v.feature("an alias that is another field's name")
	case s.Alias != "":
		v.feature("an alias")
	}
	if s.def == nil {
		v.feature("__typename of " + typ)
		return
	}
	key := typ + "." + s.Name
	if value == nil {
		v.feature("null " + key)
		return
	}
	v.feature("field " + key)
	v.arguments(typ, s)
	below := []*Selection{}
	for _, each := range all {
		below = append(below, each.Set...)
	}
	if len(below) > 0 {
		v.below(s.def.Type.Name(), below, value, f)
	}
}

func (v *visit) arguments(typ string, s *Selection) {
	def := v.schema.Types[typ].Fields.ForName(s.Name)
	for _, a := range def.Arguments {
		form := "left out"
		for _, given := range s.Args {
			if given.Name == a.Name {
				form = given.Value.form()
			}
		}
		v.feature("argument " + typ + "." + s.Name + "." + a.Name + " " + form)
	}
}

// below goes into an object or a list.
func (v *visit) below(typ string, set []*Selection, value any, up *Found) {
	switch x := value.(type) {
	case []any:
		if len(x) == 0 {
			v.feature("an empty list")
		}
		for _, e := range x[:min(len(x), listed)] {
			v.below(typ, set, e, up)
		}
	case map[string]any:
		if v.schema.Types[typ].IsAbstractType() {
			name := ""
			for _, s := range set {
				if s.Name == "__typename" && len(s.Directives) == 0 {
					name, _ = x[s.Key()].(string)
				}
			}
			if name == "" {
				return
			}
			typ = name
		}
		v.object(typ, set, x, up)
	case nil:
		v.feature("null in a list")
	}
}

// form is how a value is given, in a few words.
func (v *Value) form() string {
	switch {
	case v.Variable != nil && v.Variable.Given && v.Variable.Value == nil:
		return "null by a variable"
	case v.Variable != nil && v.Variable.Given && v.Variable.HasDefault:
		return "a variable, whatever its default"
	case v.Variable != nil && v.Variable.Given:
		return "a variable"
	case v.Variable != nil && v.Variable.HasDefault:
		return "a variable's default"
	case v.Variable != nil:
		return "a variable that is not given"
	case v.List != nil:
		return "a list"
	case v.Object != nil:
		return "an object"
	case v.Plain == nil:
		return "null"
	}
	return "a literal"
}

// Features are the names that Visit has for what does not depend on the schema: a test can ask for all of them.
func Features() (all []string) {
	for _, on := range []string{"a field", "an inline fragment", "a spread"} {
		for _, name := range []string{"skip", "include"} {
			for _, b := range []bool{true, false} {
				for _, by := range []string{"a literal", "a variable", "a variable's default", "a variable, whatever its default"} {
					all = append(all, fmt.Sprintf("@%s on %s: %t by %s", name, on, b, by))
				}
			}
		}
	}
	for _, kind := range []string{"inline fragment", "named fragment"} {
		for _, on := range []string{"a type that it is not", "an interface of the type", "the interface itself", "the same type", "a type of the interface"} {
			all = append(all, kind+" on "+on)
		}
	}
	return append(all, "@skip and @include: true", "@skip and @include: false", "inline fragment without a type", "fragments in fragments",
		"several fields of one key", "merged selections", "an alias", "an alias that is another field's name", "__typename under an alias",
		"an empty list", "null in a list", "one operation of several")
}
