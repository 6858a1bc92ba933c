// Package opgen makes operations of a schema by chance: what a client may write, and most of what it hardly would.
//
// A [Generator] knows the schema and asks the test for values that mean something, such as ids. From one seed it makes
// the same documents each time. They are valid: fields that end up under one key can be merged, every variable and
// fragment is used. What runs of a document is told by its answer ([Document.Visit]), so that a test can count what it
// has really covered, and a document that shows a fault can be made smaller ([Shrink]).
package opgen

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Document is one or more operations, and the fragments that they spread.
type Document struct {
	Operations []*Operation
	schema     *ast.Schema
}

// Operation is a query or a mutation.
type Operation struct {
	Kind ast.Operation
	Name string // "" only in a document of one
	Set  []*Selection
}

// Selection is a field, or else a fragment: inline, or the spread of a named one.
type Selection struct {
	Directives []*Directive
	Set        []*Selection // of a field or an inline fragment

	// Of a field.
	Parent string // the type that it is selected on
	Name   string
	Alias  string
	Args   []*Argument
	def    *ast.FieldDefinition // nil for __typename

	// Of an inline fragment. On is "" where it names no type.
	Inline bool
	On     string

	Spread *Fragment
}

// Fragment is a named fragment.
type Fragment struct {
	Name, On string
	Set      []*Selection
}

// Argument is one that a field is given. What is left out has none.
type Argument struct {
	Name  string
	Value *Value
	typ   *ast.Type
}

// Directive is @skip or @include.
type Directive struct {
	Name string
	If   *Value
}

// Value is a variable, a list or an object with a variable in it somewhere, or else plain: nil, bool, int, float64,
// string, Enum, []any, map[string]any.
type Value struct {
	Variable *Variable
	List     []*Value
	Object   []Member
	Plain    any
	Block    bool // a block string
}

// Member is a field of an object.
type Member struct {
	Name  string
	Value *Value
}

// Enum is the name of an enum's value.
type Enum string

// Variable is a variable and what it is given.
type Variable struct {
	Type       string
	Default    any
	HasDefault bool
	Value      any
	Given      bool
	again      func(*Variable) // gives it another value
}

// Key is what the field stands under in an answer.
func (s *Selection) Key() string {
	if s.Alias != "" {
		return s.Alias
	}
	return s.Name
}

// Text is the document as it is sent.
func (d *Document) Text() string {
	p := &printer{names: map[*Variable]string{}}
	for _, op := range d.Operations {
		p.operation(op)
	}
	for i := 0; i < len(p.fragments); i++ { // printing one may find others
		f := p.fragments[i]
		fmt.Fprintf(&p.b, "fragment %s on %s ", f.Name, f.On)
		p.set(f.Set)
		p.b.WriteString("\n")
	}
	return p.b.String()
}

// Variables are what an operation is sent with.
func (d *Document) Variables(op *Operation) map[string]any {
	p := &printer{names: map[*Variable]string{}}
	for _, each := range d.Operations { // names are those of the document
		p.operation(each)
	}
	sent := map[string]any{}
	for _, v := range variables(op.Set) {
		if v.Given {
			sent[p.names[v]] = v.Value
		}
	}
	return sent
}

// variables are those of a selection set, fragments included, in their order.
func variables(set []*Selection) (all []*Variable) {
	var value func(v *Value)
	value = func(v *Value) {
		if v.Variable != nil && !slices.Contains(all, v.Variable) {
			all = append(all, v.Variable)
		}
		for _, each := range v.List {
			value(each)
		}
		for _, m := range v.Object {
			value(m.Value)
		}
	}
	each(set, func(s *Selection) {
		for _, a := range s.Args {
			value(a.Value)
		}
		for _, d := range s.Directives {
			value(d.If)
		}
	})
	return all
}

// each goes over all selections of a set, what fragments hold as often as they are spread.
func each(set []*Selection, do func(*Selection)) {
	for _, s := range set {
		do(s)
		each(s.Set, do)
		if s.Spread != nil {
			each(s.Spread.Set, do)
		}
	}
}

type printer struct {
	b         strings.Builder
	names     map[*Variable]string
	fragments []*Fragment
}

func (p *printer) operation(op *Operation) {
	p.b.WriteString(string(op.Kind))
	if op.Name != "" {
		p.b.WriteString(" " + op.Name)
	}
	if all := variables(op.Set); len(all) > 0 {
		p.b.WriteString("(")
		for i, v := range all {
			if p.names[v] == "" {
				p.names[v] = fmt.Sprint("v", len(p.names))
			}
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.b.WriteString("$" + p.names[v] + ": " + v.Type)
			if v.HasDefault {
				p.b.WriteString(" = ")
				p.plain(v.Default)
			}
		}
		p.b.WriteString(")")
	}
	p.b.WriteString(" ")
	p.set(op.Set)
	p.b.WriteString("\n")
}

func (p *printer) set(set []*Selection) {
	p.b.WriteString("{")
	for _, s := range set {
		p.b.WriteString(" ")
		p.selection(s)
	}
	p.b.WriteString(" }")
}

func (p *printer) selection(s *Selection) {
	switch {
	case s.Spread != nil:
		if !slices.Contains(p.fragments, s.Spread) {
			p.fragments = append(p.fragments, s.Spread)
		}
		p.b.WriteString("..." + s.Spread.Name)
	case s.Inline:
		p.b.WriteString("...")
		if s.On != "" {
			p.b.WriteString(" on " + s.On)
		}
	default:
		if s.Alias != "" {
			p.b.WriteString(s.Alias + ": ")
		}
		p.b.WriteString(s.Name)
	}
	for i, a := range s.Args {
		p.b.WriteString([]string{", ", "("}[b2i(i == 0)] + a.Name + ": ")
		p.value(a.Value)
	}
	if len(s.Args) > 0 {
		p.b.WriteString(")")
	}
	for _, d := range s.Directives {
		p.b.WriteString(" @" + d.Name + "(if: ")
		p.value(d.If)
		p.b.WriteString(")")
	}
	if len(s.Set) > 0 {
		p.b.WriteString(" ")
		p.set(s.Set)
	}
}

func (p *printer) value(v *Value) {
	switch {
	case v.Variable != nil:
		p.b.WriteString("$" + p.names[v.Variable])
	case v.List != nil:
		p.b.WriteString("[")
		for i, each := range v.List {
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.value(each)
		}
		p.b.WriteString("]")
	case v.Object != nil:
		p.b.WriteString("{")
		for i, m := range v.Object {
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.b.WriteString(m.Name + ": ")
			p.value(m.Value)
		}
		p.b.WriteString("}")
	case v.Block:
		p.b.WriteString(`"""` + v.Plain.(string) + `"""`)
	default:
		p.plain(v.Plain)
	}
}

func (p *printer) plain(x any) {
	switch x := x.(type) {
	case nil:
		p.b.WriteString("null")
	case Enum:
		p.b.WriteString(string(x))
	case []any:
		p.b.WriteString("[")
		for i, each := range x {
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.plain(each)
		}
		p.b.WriteString("]")
	case map[string]any:
		p.b.WriteString("{")
		for i, name := range sortedKeys(x) {
			if i > 0 {
				p.b.WriteString(", ")
			}
			p.b.WriteString(name + ": ")
			p.plain(x[name])
		}
		p.b.WriteString("}")
	default:
		b, err := json.Marshal(x) // strings escaped as JSON does are GraphQL's as well
		if err != nil {
			panic(fmt.Sprintf("opgen: a value of type %T: %v", x, err))
		}
		p.b.Write(b)
	}
}

// resolved is a value as the server sees it; ok is false for a variable that is not given and has no default.
func (v *Value) resolved() (x any, ok bool) {
	switch {
	case v.Variable != nil && v.Variable.Given:
		return v.Variable.Value, true
	case v.Variable != nil:
		return v.Variable.Default, v.Variable.HasDefault
	case v.List != nil:
		list := []any{}
		for _, each := range v.List {
			x, _ := each.resolved()
			list = append(list, x)
		}
		return list, true
	case v.Object != nil:
		object := map[string]any{}
		for _, m := range v.Object {
			if x, ok := m.Value.resolved(); ok {
				object[m.Name] = x
			}
		}
		return object, true
	}
	return v.Plain, true
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
