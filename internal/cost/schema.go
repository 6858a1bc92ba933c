package cost

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// unsized is how many elements a list is taken to have that nothing is said of.
const unsized = 100

// price is what the schema says of a field.
type price struct {
	typ       string // of what it returns, without lists
	weight    amount
	arguments map[string]amount // those that cost something
	// list: there are as many as size says, of the field itself or, for a
	// connection, of the sized fields of what it returns.
	list, connection bool
	sized            bool // an element of the connection above
	size             sizing
	authenticates    bool
	introspection    bool
	average          amount // of an introspection list, for all of the schema's types together
}

// sizing is a @listSize.
type sizing struct {
	arguments     map[string]bool // the slicing arguments; true for those whose length counts
	initial, most amount
}

// prices are the fields of each type by name.
type prices map[string]map[string]*price

// readPrices reads the directives of a schema. The error names what can't be
// read: the schema's author should know, not a client.
func readPrices(schema *ast.Schema) (prices, error) {
	all := make(prices, len(schema.Types))
	sized := map[string][]string{} // type → fields
	for name, typ := range schema.Types {
		all[name] = make(map[string]*price, len(typ.Fields))
		for _, f := range typ.Fields {
			p, fields, err := readPrice(schema, f)
			if err != nil {
				return nil, fmt.Errorf("cost: %s.%s: %w", name, f.Name, err)
			}
			all[name][f.Name] = p
			sized[p.typ] = append(sized[p.typ], fields...)
		}
	}
	for name, fields := range sized {
		for _, f := range fields {
			p := all[name][f]
			if p == nil {
				return nil, fmt.Errorf("cost: %s has no field %s, which @listSize(sizedFields:) names", name, f)
			}
			p.sized, p.list = true, false
		}
	}
	if err := all.interfaces(schema); err != nil {
		return nil, err
	}
	all.introspection(schema)
	return all, nil
}

// interfaces gives the fields of an interface the price of the dearest of those
// that implement them: any of them may be what is asked for. How many elements
// there are must be said by the interface itself, for only it says by which of
// its arguments.
func (all prices) interfaces(schema *ast.Schema) error {
	for name, typ := range schema.Types {
		if typ.Kind != ast.Interface {
			continue
		}
		for field, p := range all[name] {
			for _, of := range schema.PossibleTypes[name] {
				q := all[of.Name][field]
				if q == nil {
					continue // __typename
				}
				if q.connection != p.connection || q.list != p.list || q.size.most > p.size.most {
					return fmt.Errorf("cost: %s.%s must have the @listSize of %s.%s", name, field, of.Name, field)
				}
				p.weight, p.authenticates = max(p.weight, q.weight), p.authenticates || q.authenticates
				for argument, w := range q.arguments {
					if p.arguments == nil {
						p.arguments = map[string]amount{}
					}
					p.arguments[argument] = max(p.arguments[argument], w)
				}
			}
		}
	}
	return nil
}

func readPrice(schema *ast.Schema, f *ast.FieldDefinition) (p *price, sizedFields []string, err error) {
	p = &price{typ: f.Type.Name(), weight: 1, list: f.Type.Elem != nil}
	p.size = sizing{initial: unsized, most: unsized}
	if typ := schema.Types[p.typ]; typ != nil && typ.IsCompositeType() {
		p.weight = point
	}
	if p.weight, err = weight(f.Directives, p.weight); err != nil {
		return nil, nil, err
	}
	for _, a := range f.Arguments {
		w, err := weight(a.Directives, 0)
		if err != nil {
			return nil, nil, err
		}
		if w > 0 {
			if p.arguments == nil {
				p.arguments = map[string]amount{}
			}
			p.arguments[a.Name] = w
		}
	}
	p.authenticates = f.Directives.ForName("authenticates") != nil
	d := f.Directives.ForName("listSize")
	if d == nil {
		return p, nil, nil
	}
	given := map[string]any{}
	for _, a := range d.Arguments {
		if given[a.Name], err = a.Value.Value(nil); err != nil {
			return nil, nil, err
		}
	}
	if n, ok := given["assumedSize"].(int64); ok {
		p.size.initial, p.size.most = amount(n), amount(n)
	}
	if n, ok := given["slicingArgumentDefaultValue"].(int64); ok {
		p.size.initial = amount(n)
	}
	p.size.arguments = map[string]bool{}
	for _, name := range texts(given["slicingArguments"]) {
		a := f.Arguments.ForName(name)
		if a == nil {
			return nil, nil, fmt.Errorf("there is no argument %s", name)
		}
		p.size.arguments[name] = a.Type.Elem != nil
	}
	sizedFields = texts(given["sizedFields"])
	p.connection, p.list = len(sizedFields) > 0, len(sizedFields) == 0
	return p, sizedFields, nil
}

// weight reads @cost(weight:). It is a string there, for the specification has
// no type for decimals.
func weight(directives ast.DirectiveList, initial amount) (amount, error) {
	d := directives.ForName("cost")
	if d == nil {
		return initial, nil
	}
	a := d.Arguments.ForName("weight")
	if a == nil {
		return 0, fmt.Errorf("@cost has no weight")
	}
	w, err := strconv.ParseFloat(a.Value.Raw, 64)
	if err != nil || !(w >= 0 && w <= 1000) {
		return 0, fmt.Errorf("%q is not a weight from 0 to 1000", a.Value.Raw)
	}
	return amount(math.Ceil(w * float64(point))), nil
}

func texts(list any) (all []string) {
	items, _ := list.([]any)
	for _, i := range items {
		if s, ok := i.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// introspection prices the fields of the specification's own types (section
// 4.2). How long their lists are is known: it is the schema's own size. Where
// all types are listed the average is what counts, elsewhere the longest.
func (all prices) introspection(schema *ast.Schema) {
	lists := map[string][]int{}
	count := func(list string, n int) { lists[list] = append(lists[list], n) }
	for _, typ := range schema.Types {
		if typ.Kind == ast.InputObject {
			count("__Type.inputFields", len(typ.Fields))
		} else {
			shown := slices.DeleteFunc(slices.Clone(typ.Fields), func(f *ast.FieldDefinition) bool { return strings.HasPrefix(f.Name, "__") })
			count("__Type.fields", len(shown))
			for _, f := range shown {
				count("__Field.args", len(f.Arguments))
			}
		}
		count("__Type.enumValues", len(typ.EnumValues))
		count("__Type.interfaces", len(typ.Interfaces))
		possible := 0
		if typ.IsAbstractType() {
			possible = len(schema.PossibleTypes[typ.Name])
		}
		count("__Type.possibleTypes", possible)
	}
	for _, d := range schema.Directives {
		count("__Directive.args", len(d.Arguments))
		count("__Directive.locations", len(d.Locations))
	}
	count("__Schema.types", len(schema.Types))
	count("__Schema.directives", len(schema.Directives))

	for typ, fields := range all {
		for name, p := range fields {
			if !strings.HasPrefix(typ, "__") && !strings.HasPrefix(name, "__") {
				continue
			}
			p.introspection, p.weight = true, 1
			sum, longest := 0, 1
			each := lists[typ+"."+name]
			for _, n := range each {
				sum, longest = sum+n, max(longest, n)
			}
			p.size = sizing{initial: amount(longest), most: amount(longest)}
			p.average = 1
			if len(each) > 0 {
				p.average = amount(max(1, (sum+len(each)-1)/len(each)))
			}
		}
	}
}

// of returns the price of a field, that of an unknown one if parent has none:
// it won't run, but may be what makes the document too large.
func (all prices) of(parent string, f *ast.Field) *price {
	if p := all[parent][f.Name]; p != nil {
		return p
	}
	if f.Name == "__typename" {
		return &typename
	}
	return &unknown
}

var (
	typename = price{typ: "String", weight: 1, introspection: true}
	unknown  = price{weight: point}
)
