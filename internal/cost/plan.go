package cost

import (
	"encoding/json"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"
)

// A plan is what a selection set costs: what is certain, and what depends on
// variables. Elements of the connection around it are counted apart, for their
// number is not known here: a fragment may be spread in several connections.
type plan struct {
	certain   pair
	fields    []*fieldPlan
	fragments []*plan // of the fragments spread here, those that depend on variables
}

// pair is a cost: that of what there is once, and that of what there is once
// for each element of the connection.
type pair struct{ once, each amount }

func (p pair) plus(q pair) pair { return pair{p.once.plus(q.once), p.each.plus(q.each)} }

func (p *plan) isCertain() bool { return len(p.fields) == 0 && len(p.fragments) == 0 }

// fieldPlan is a field whose cost depends on variables.
type fieldPlan struct {
	price  *price
	weight amount
	number number
	below  *plan
}

// cost is that of the field with n elements and what is below it.
func (f *fieldPlan) cost(n amount, below pair) (c pair) {
	switch {
	case f.price.connection:
		c.once = f.weight.plus(below.once).plus(n.times(below.each))
	case f.price.list:
		c.once = n.times(f.weight.plus(alone(below)))
	default:
		c.once = f.weight.plus(alone(below))
	}
	if f.price.sized {
		c.once, c.each = 0, c.once
	}
	return c
}

// alone is the cost of what stands in no connection that says how many.
func alone(p pair) amount { return p.once.plus(p.each.times(unsized)) }

// number is how many elements a field has: the larger of what literals say and
// what variables do.
type number struct {
	literal       amount // -1: none says
	variables     []slice
	initial, most amount
}

// slice is a slicing argument that is a variable.
type slice struct {
	variable string
	isList   bool
}

// numberOf reads the slicing arguments of a field.
func numberOf(s sizing, args ast.ArgumentList) number {
	n := number{literal: -1, initial: s.initial, most: s.most}
	for _, a := range args {
		isList, ok := s.arguments[a.Name]
		if !ok || a.Value == nil {
			continue
		}
		if a.Value.Kind == ast.Variable {
			n.variables = append(n.variables, slice{a.Value.Raw, isList})
			continue
		}
		n.literal = max(n.literal, n.ofLiteral(a.Value, isList))
	}
	return n
}

// ofLiteral returns -1 for null: that is as if the argument were not there.
func (n *number) ofLiteral(v *ast.Value, isList bool) amount {
	switch {
	case v.Kind == ast.NullValue:
		return -1
	case isList && v.Kind == ast.ListValue:
		return min(amount(len(v.Children)), n.most)
	case isList:
		return 1
	case v.Kind == ast.IntValue:
		return n.within(v.Raw)
	}
	return n.most
}

func (n *number) ofValue(v any, isList bool) amount {
	list, listed := v.([]any)
	switch v := v.(type) {
	case nil:
		return -1
	case json.Number:
		if !isList {
			return n.within(v.String())
		}
	case int:
		if !isList {
			return n.within(strconv.Itoa(v))
		}
	case int64:
		if !isList {
			return n.within(strconv.FormatInt(v, 10))
		}
	}
	switch {
	case listed && isList:
		return min(amount(len(list)), n.most)
	case isList:
		return 1
	}
	return n.most
}

// within is the most for whatever is no number from 0 to the most: it is
// refused later, or not, but it is never more than that.
func (n *number) within(text string) amount {
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil || i < 0 || amount(i) > n.most {
		return n.most
	}
	return amount(i)
}

// A reckoning is one operation with its variables.
type reckoning struct {
	operation *ast.OperationDefinition
	variables map[string]any
	known     map[*plan]pair
}

func (r *reckoning) plan(p *plan) pair {
	sum := p.certain
	for _, f := range p.fields {
		sum = sum.plus(f.cost(r.number(&f.number), r.plan(f.below)))
	}
	for _, f := range p.fragments {
		c, ok := r.known[f]
		if !ok {
			c = r.plan(f)
			if r.known == nil {
				r.known = map[*plan]pair{}
			}
			r.known[f] = c
		}
		sum = sum.plus(c)
	}
	return sum
}

func (r *reckoning) number(n *number) amount {
	largest := n.literal
	for _, s := range n.variables {
		largest = max(largest, r.variable(n, s))
	}
	if largest < 0 {
		return n.initial
	}
	return largest
}

// variable returns -1 if the variable has no value: GraphQL, section 6.4.1,
// takes the argument as not given then. One that the operation doesn't define
// is the worst case, for the document isn't validated yet.
func (r *reckoning) variable(n *number, s slice) amount {
	d := r.operation.VariableDefinitions.ForName(s.variable)
	if d == nil {
		return n.most
	}
	if v, ok := r.variables[s.variable]; ok {
		return n.ofValue(v, s.isList)
	}
	if d.DefaultValue != nil {
		return n.ofLiteral(d.DefaultValue, s.isList)
	}
	return -1
}
