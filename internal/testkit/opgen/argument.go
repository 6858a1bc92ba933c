package opgen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// arguments chooses what a field is given, and how.
func (g *Generator) arguments(key string, f *ast.FieldDefinition) (all []*Argument) {
	plain, bad := map[string]any{}, false
	for _, a := range f.Arguments {
		at := key + "." + a.Name
		if required := a.Type.NonNull && a.DefaultValue == nil; !required && !g.chance(0.25+0.5/float64(1+g.used[at])) {
			continue
		}
		g.used[at]++
		worse := g.bad && g.chance(0.3)
		bad = bad || worse
		plain[a.Name] = g.plain(at, a.Type, plain, worse)
	}
	if !bad {
		g.values.Settle(g.r, key, plain)
	}
	for _, a := range f.Arguments {
		x, ok := plain[a.Name]
		switch {
		case !ok && (a.Type.NonNull || g.chance(0.8-0.4/float64(1+g.used[key+"."+a.Name+" nothing"]))):
			continue
		case !ok: // null, which is nearly the same as nothing
			x = nil
		}
		at := key + "." + a.Name
		again := func(v *Variable) { v.Value = g.plain(at, a.Type, plain, g.bad && g.chance(0.3)) }
		all = append(all, &Argument{a.Name, g.rarest(at, a.Type, x, again), a.Type})
	}
	if g.chance(0.3) {
		g.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

// plain is a value of a type.
func (g *Generator) plain(at string, typ *ast.Type, siblings map[string]any, bad bool) any {
	if x, ok := g.values.Value(g.r, at, typ, siblings, bad); ok {
		return x
	}
	if typ.Elem != nil {
		list := []any{}
		for range 1 + g.r.IntN(3) {
			list = append(list, g.plain(at, typ.Elem, siblings, bad))
		}
		return list
	}
	def := g.schema.Types[typ.Name()]
	switch def.Kind {
	case ast.Enum:
		return Enum(def.EnumValues[g.r.IntN(len(def.EnumValues))].Name)
	case ast.InputObject:
		object := map[string]any{}
		for _, f := range def.Fields {
			if f.Type.NonNull && f.DefaultValue == nil || g.chance(0.6) {
				object[f.Name] = g.plain(def.Name+"."+f.Name, f.Type, object, bad)
			}
		}
		return object
	}
	if def.Name == "Boolean" {
		return g.chance(0.5)
	}
	panic(fmt.Sprintf("opgen: the test has no value for %s, a %s", at, typ))
}

// rarest writes a plain value in the way that the argument was seen or else had least often, of a few.
func (g *Generator) rarest(at string, typ *ast.Type, x any, again func(*Variable)) (least *Value) {
	fewest := [2]int{}
	for range 4 {
		v := g.value(at, typ, x, again)
		n := [2]int{g.seen["argument "+at+" "+v.form()], g.used[at+" "+v.form()]}
		if least == nil || slices.Compare(n[:], fewest[:]) < 0 {
			least, fewest = v, n
		}
	}
	g.used[at+" "+least.form()]++
	if x == nil {
		g.used[at+" nothing"]++
	}
	if least.Variable != nil {
		g.variables = append(g.variables, least.Variable)
	}
	return least
}

// value writes a plain value as a literal or a variable, or an object or a list with variables inside.
func (g *Generator) value(at string, typ *ast.Type, x any, again func(*Variable)) *Value {
	switch def := g.schema.Types[typ.Name()]; {
	case g.chance(0.4):
		return g.literal(typ, x)
	case typ.Elem != nil && x != nil && g.chance(0.5):
		v := &Value{List: []*Value{}}
		for _, each := range x.([]any) {
			v.List = append(v.List, g.value(at, typ.Elem, each, nil))
		}
		return v
	case def.Kind == ast.InputObject && x != nil && typ.Elem == nil && g.chance(0.5):
		v := &Value{Object: []Member{}}
		for _, name := range sortedKeys(x.(map[string]any)) {
			f := def.Fields.ForName(name)
			v.Object = append(v.Object, Member{name, g.value(def.Name+"."+name, f.Type, x.(map[string]any)[name], nil)})
		}
		return v
	}
	return &Value{Variable: g.variable(typ, x, again)}
}

// variable makes one for a value: given, or left to its default, or null, which is nearly the same as neither. again
// gives it another value of the same kind.
func (g *Generator) variable(typ *ast.Type, x any, again func(*Variable)) *Variable {
	v := &Variable{Type: typ.String(), Value: x, Given: true, again: again}
	if x == nil {
		v.Given, v.HasDefault = g.chance(0.5), g.chance(0.5)
		v.again = func(v *Variable) {
			if v.Given = g.chance(0.7); v.Given && g.chance(0.5) && again != nil {
				again(v)
			}
		}
		return v
	}
	nullable := strings.TrimSuffix(v.Type, "!")
	switch g.r.IntN(4) {
	case 0:
		v.HasDefault, v.Default, v.Given = true, x, false
		if again != nil {
			v.again = func(v *Variable) { again(v); v.Given = g.chance(0.6) }
		}
		if typ.NonNull && g.chance(0.5) {
			v.Type = nullable
		}
	case 1:
		v.HasDefault, v.Default = true, x
		if typ.NonNull {
			v.Type = nullable
		}
	case 2: // a stricter type than needed
		v.Type = nullable + "!"
		if again != nil {
			v.again = func(v *Variable) {
				if again(v); v.Value == nil {
					v.Value = x
				}
			}
		}
	}
	return v
}

// literal writes a plain value into the document: a list of one perhaps without its brackets, a text perhaps as a block.
func (g *Generator) literal(typ *ast.Type, x any) *Value {
	if list, ok := x.([]any); ok && typ.Elem != nil && len(list) == 1 && g.chance(0.3) {
		x = list[0]
	}
	s, ok := x.(string)
	block := ok && s != "" && g.chance(0.2) && !strings.ContainsAny(s, "\"\\\n\r\t") && strings.TrimSpace(s) == s &&
		!slices.ContainsFunc([]rune(s), func(r rune) bool { return r < ' ' })
	return &Value{Plain: x, Block: block}
}
