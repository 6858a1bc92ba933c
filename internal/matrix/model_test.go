package matrix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An object is one thing that was written to the server, and all that is known of it.
type object struct {
	typ    string
	id     string
	values map[string]any // by field; JSON values, or a matcher
	author *object        // of a post and a comment
	post   *object        // of a comment
}

// A viewer is one column of the matrix. Anonymous has no user.
type viewer struct {
	name  string
	token string
	user  *object
	admin bool
}

func (v *viewer) owns(o *object) bool {
	return v.user != nil && (o == v.user || o.author == v.user)
}

// may tells whether a viewer is among those for whom something about o is.
func (w who) may(v *viewer, o *object) bool {
	switch w {
	case signedIn:
		return v.user != nil
	case ownerAndAdmins:
		return v.owns(o) || v.admin
	case adminsOnly:
		return v.admin
	case holders:
		return false
	}
	return true
}

// text matches every string but the empty one: what is not for the matrix to know, such as times.
type text struct{}

// A model is all that there is, oldest first.
type model struct{ objects []*object }

func (m *model) add(o *object) *object {
	m.objects = append(m.objects, o)
	return o
}

func (m *model) byID(quoted string) *object {
	for _, o := range m.objects {
		if o.id == unquoted(quoted) {
			return o
		}
	}
	return nil
}

func (m *model) byIDs(list string) (found []*object) {
	for id := range strings.SplitSeq(strings.Trim(list, "[]"), ", ") {
		found = append(found, m.byID(id))
	}
	return found
}

func (m *model) userBy(args map[string]string) *object {
	if id, ok := args["id"]; ok {
		return m.byID(id)
	}
	for _, o := range m.objects {
		if o.typ == "User" && strings.EqualFold(o.values["username"].(string), unquoted(args["username"])) {
			return o
		}
	}
	return nil
}

func unquoted(literal string) string {
	s, err := strconv.Unquote(literal)
	if err != nil {
		return literal
	}
	return s
}

// A call is a field in an operation: of which object, for whom.
type call struct {
	m    *model
	v    *viewer
	o    any
	name string
	args map[string]string
}

// conn is a connection, of what the viewer may see.
type conn struct{ items []*object }

// edge is one of its edges.
type edge struct{ item *object }

// set is a list whose order the matrix leaves to other tests.
type set []any

func (c call) all(typ string, is func(*object) bool) conn {
	var found conn
	for _, o := range c.m.objects {
		if o.typ == typ && visible(c.v, o) && is(o) {
			found.items = append(found.items, o)
		}
	}
	return found
}

func (c call) posts(is func(*object) bool) conn {
	return c.all("Post", func(p *object) bool {
		wanted, ok := c.args["published"]
		return (!ok || wanted == fmt.Sprint(p.values["published"])) && is(p)
	})
}

func (c call) users() conn {
	search := strings.ToLower(unquoted(c.args["search"]))
	return c.all("User", func(u *object) bool {
		in := u.values["username"].(string) + "\n" + u.values["fullName"].(string)
		if c.v.admin {
			in += "\n" + u.values["email"].(string) // the contract: a search covers addresses for admins only
		}
		return strings.Contains(strings.ToLower(in), search)
	})
}

func stored(c call) any { return c.o.(*object).values[c.name] }
func anyText(call) any  { return text{} }
func author(c call) any { return c.o.(*object).author }
func itself(c call) any { return c.o }
func node(c call) any   { return c.o.(edge).item }
func count(c call) any  { return float64(len(c.o.(conn).items)) }

func edgeCursor(c call) any {
	if len(c.o.(conn).items) == 0 {
		return nil
	}
	return text{}
}

func edges(c call) any {
	all := set{}
	for _, o := range c.o.(conn).items {
		all = append(all, edge{o})
	}
	return all
}

func nodes(c call) any {
	all := set{}
	for _, o := range c.o.(conn).items {
		all = append(all, o)
	}
	return all
}

// answer is what a viewer is to be told of a selection on an object of a type: JSON values, matchers and sets.
func (m *model) answer(v *viewer, typ string, o any, sels []*selection) map[string]any {
	if thing, ok := o.(*object); ok {
		typ = thing.typ
	}
	all := map[string]any{}
	for _, s := range sels {
		switch {
		case s.on != "":
			if s.on == typ {
				for k, x := range m.answer(v, typ, o, s.subs) {
					all[k] = x
				}
			}
		case s.name == "__typename":
			all["__typename"] = typ
		default:
			row := fields[typ+"."+s.name]
			if thing, ok := o.(*object); ok && !row.who.may(v, thing) {
				all[s.key()] = nil
				continue
			}
			all[s.key()] = m.shown(v, s, row.value(call{m, v, o, s.name, s.args}))
		}
	}
	return all
}

// shown is how a value stands in an answer.
func (m *model) shown(v *viewer, s *selection, value any) any {
	switch x := value.(type) {
	case *object:
		if x == nil || !visible(v, x) {
			return nil
		}
		return m.answer(v, x.typ, x, s.subs)
	case []*object:
		list := []any{}
		for _, o := range x {
			list = append(list, m.shown(v, s, o))
		}
		return list
	case set:
		all := set{}
		for _, o := range x {
			all = append(all, m.shown(v, s, o))
		}
		return all
	case conn, edge:
		return m.answer(v, s.of, x, s.subs)
	}
	return value
}

// differs says where an answer is not what is wanted, and "" if it is.
func differs(path string, want, got any) string {
	switch w := want.(type) {
	case text:
		if s, ok := got.(string); !ok || s == "" {
			return fmt.Sprintf("%s is %v, want some text", path, got)
		}
		return ""
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want an object", path, got)
		}
		for k, x := range w {
			if _, there := g[k]; !there {
				return path + "." + k + " is missing"
			}
			if d := differs(path+"."+k, x, g[k]); d != "" {
				return d
			}
		}
		if len(g) > len(w) {
			return fmt.Sprintf("%s has more than was asked for: %v", path, g)
		}
		return ""
	case set:
		g, ok := got.([]any)
		if !ok {
			return fmt.Sprintf("%s is %v, want a list", path, got)
		}
		return differs(path, sorted(w), sorted(g))
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s is %v, want %d of it", path, got, len(w))
		}
		for i := range w {
			if d := differs(fmt.Sprint(path, ".", i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if want != got {
		return fmt.Sprintf("%s is %v, want %v", path, got, want)
	}
	return ""
}

// sorted orders nodes and edges by id.
func sorted[L ~[]any](list L) []any {
	id := func(x any) string {
		o, _ := x.(map[string]any)
		if node, ok := o["on_node"].(map[string]any); ok {
			o = node
		}
		s, _ := o["id"].(string)
		return s
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(id(a), id(b)) })
	return list
}
