package matrix

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/gid"
	"tidings/internal/testkit/opgen"
)

// choices give arguments values that mean something in a planted server.
type choices struct {
	p       *planted
	cursors map[string][]string // those that were seen, by connection and order
	made    int
	good    func(cursor string) bool // whether one is worth keeping; nil: all are
}

func (c *choices) Value(r *rand.Rand, at string, typ *ast.Type, siblings map[string]any, bad bool) (any, bool) {
	field := at[:strings.LastIndex(at, ".")]
	switch name := at[len(field)+1:]; {
	case at == "Query.user.username":
		name := c.p.m.objects[r.IntN(8)].values["username"].(string)
		if bad || r.IntN(10) == 0 {
			name = "nobody_at_all"
		}
		return []string{name, strings.ToUpper(name), strings.ToLower(name)}[r.IntN(3)], true
	case typ.Name() == "ID" && typ.Elem != nil:
		list := []any{}
		for range r.IntN(6) {
			list = append(list, c.id(r, at, bad && r.IntN(3) == 0))
		}
		return list, true
	case typ.Name() == "ID":
		return c.id(r, at, bad), true
	case (name == "first" || name == "last") && bad:
		return []any{0, -1, 101, 1_000_000_000, 1<<31 - 1, 4_000_000_000}[r.IntN(6)], true
	case name == "first" || name == "last":
		return 1 + r.IntN(6), true
	case name == "after" || name == "before":
		return c.cursor(r, connection(field, siblings), bad), true
	case at == "Query.users.search":
		return c.search(r, bad), true
	case at == "Query.searchPosts.query":
		return c.query(r, bad), true
	}
	return c.input(r, at, typ, bad)
}

// connection names a connection in an order.
func connection(field string, args map[string]any) string { return fmt.Sprint(field, args["orderBy"]) }

// id is one of a type that the tables have for the argument.
func (c *choices) id(r *rand.Rand, at string, bad bool) string {
	of := arguments[at].of + inputs[at].id
	if of == "" {
		of = "User" // those that are chosen by $names
	}
	if bad {
		return []string{"", "5", "post_", gid.NewSession().String(), "user_zzzzzzzzzzzzzzzzzzzzzzzzzz", c.any(r, anything)}[r.IntN(6)]
	}
	if r.IntN(15) == 0 {
		return unheardOf(strings.Fields(of)[r.IntN(len(strings.Fields(of)))])
	}
	if at == "Mutation.deleteUser.id" && r.IntN(6) > 0 {
		return c.p.m.objects[3+r.IntN(5)].id // none of the viewers
	}
	return c.any(r, of)
}

// any is the id of something that there is, hidden or not, of each type as often.
func (c *choices) any(r *rand.Rand, types string) string {
	typ := strings.Fields(types)[r.IntN(len(strings.Fields(types)))]
	all := slices.DeleteFunc(slices.Clone(c.p.m.objects), func(o *object) bool { return o.typ != typ })
	return all[r.IntN(len(all))].id
}

func (c *choices) cursor(r *rand.Rand, of string, bad bool) any {
	if bad {
		others := []string{"", "garbage", "AQ", strings.Repeat("A", 2049), "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
		for _, name := range slices.Sorted(keys(c.cursors)) {
			others = append(others, c.cursors[name][r.IntN(len(c.cursors[name]))])
		}
		return others[r.IntN(len(others))]
	}
	if known := c.cursors[of]; len(known) > 0 {
		return known[r.IntN(len(known))]
	}
	return nil
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// learn remembers the cursors of an answer.
func (c *choices) learn(f *opgen.Found) {
	text, ok := f.Value.(string)
	if !ok || !slices.Contains([]string{"cursor", "startCursor", "endCursor"}, f.Field.Name) || c.good != nil && !c.good(text) {
		return
	}
	for at := f.Up; at != nil; at = at.Up {
		if field := at.On + "." + at.Field.Name; arguments[field+".after"].kind == place {
			of := connection(field, at.Args)
			if known := c.cursors[of]; len(known) < 200 && !slices.Contains(known, text) {
				c.cursors[of] = append(known, text)
			}
			return
		}
	}
}

func (c *choices) search(r *rand.Rand, bad bool) string {
	if bad {
		return strings.Repeat("x", 101)
	}
	return []string{"", "zoe", "AUTHOR", "a", "secret", "example", `\`, "%", "_", "é", "nobody_at_all", "secret1q"}[r.IntN(12)]
}

func (c *choices) query(r *rand.Rand, bad bool) string {
	if bad {
		return strings.Repeat("x", 501)
	}
	return []string{"everywhere", "word1", "word1 or word2", `"the title"`, "everywhere -word3", "script", "nothing_like_it", "", "title", fmt.Sprintf("secret%dq", r.IntN(len(c.p.marks)))}[r.IntN(10)]
}

// input is for the fields of mutations' inputs, and what else is a mutation's.
func (c *choices) input(r *rand.Rand, at string, typ *ast.Type, bad bool) (any, bool) {
	c.made++
	text := nasty[r.IntN(len(nasty))]
	switch at[strings.LastIndex(at, ".")+1:] {
	case "title", "fullName":
		line := []string{`A "title" with \ and \u0041`, "Title of 漢字 😀 e\u0301", "</script><!-- & '", "A title\u2028two lines"}[r.IntN(4)]
		return map[bool]string{true: "", false: line}[bad], true
	case "content":
		return map[bool]string{true: " ", false: text + " everywhere"}[bad], true
	case "username":
		return map[bool]string{true: "?", false: fmt.Sprint("New_", c.made)}[bad], true
	case "email":
		return map[bool]string{true: "?", false: fmt.Sprint("new.", c.made, "@example.org")}[bad], true
	case "login":
		return map[bool]string{true: "nobody", false: []string{"Author", "AUTHOR", "author"}[r.IntN(3)]}[bad], true
	case "password", "oldPassword", "newPassword":
		if at == "CreateUserInput.password" || at == "ChangePasswordInput.newPassword" {
			return map[bool]string{true: "simple", false: "Sesame-123"}[bad], true
		}
		return map[bool]string{true: "wrong", false: "password"}[bad], true
	case "refreshToken":
		return "nobody's", true
	case "isActive": // no viewer may lose or gain anything: the other nodes would be told some time
		return true, true
	case "role":
		return opgen.Enum("MEMBER"), true
	}
	return nil, false
}

// Settle keeps to what the contract says of arguments that go together, and pages small for the most part.
func (c *choices) Settle(r *rand.Rand, at string, args map[string]any) {
	if at == "Query.user" {
		clear(args) // one of the two
		if r.IntN(2) == 0 {
			args["id"] = c.id(r, at+".id", false)
		} else {
			args["username"], _ = c.Value(r, at+".username", nil, args, false)
		}
	}
	if arguments[at+".first"].kind != page {
		return
	}
	if args["first"] != nil && args["last"] != nil {
		delete(args, []string{"first", "last"}[r.IntN(2)])
	}
	if args["first"] == nil && args["last"] == nil && r.IntN(4) > 0 {
		args["first"] = 1 + r.IntN(6)
	}
	for _, name := range []string{"after", "before"} { // there are no cursors yet
		if x, ok := args[name]; ok && x == nil {
			delete(args, name)
		}
	}
}
