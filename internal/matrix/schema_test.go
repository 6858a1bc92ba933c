package matrix

import (
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"tidings/graph"
)

func loaded() *ast.Schema { return graph.NewExecutableSchema(graph.Config{}).Schema() }

// unknown lists what the schema has and the tables lack, and what the tables have and the schema lacks.
func unknown(s *ast.Schema) (found []string) {
	seen := map[string]bool{}
	check := func(name string, known bool) {
		seen[name] = true
		if !known {
			found = append(found, name)
		}
	}
	for name, typ := range s.Types {
		if typ.BuiltIn {
			continue
		}
		switch typ.Kind {
		case ast.Object, ast.Interface:
			for _, f := range typ.Fields {
				if strings.HasPrefix(f.Name, "__") {
					continue
				}
				key := name + "." + f.Name
				var known bool
				switch typ {
				case s.Mutation:
					_, known = mutations[f.Name]
				case s.Subscription:
					_, known = subscriptions[f.Name]
				default:
					_, known = fields[key]
				}
				check(key, known)
				if f.Type.Name() == "Session" && !slices.Contains(sessionsComeFrom, key) {
					found = append(found, key+" leads to a Session")
				}
				for _, a := range f.Arguments {
					row, known := arguments[key+"."+a.Name]
					check(key+"."+a.Name, known)
					if known && (a.Type.Name() == "ID") != (row.of != "" && row.kind != resume || strings.HasPrefix(strings.Join(row.values, ""), "$")) {
						found = append(found, key+"."+a.Name+" is an id in one of the two only")
					}
				}
			}
		case ast.InputObject:
			for _, f := range typ.Fields {
				row, known := inputs[name+"."+f.Name]
				check(name+"."+f.Name, known)
				if known && (f.Type.Name() == "ID") != (row.id != "") {
					found = append(found, name+"."+f.Name+" is an id in one of the two only")
				}
			}
		case ast.Enum:
			for _, v := range typ.EnumValues {
				check(name+"."+v.Name, slices.Contains(strings.Fields(others[name]), v.Name))
			}
		default: // a scalar has no parts; a union has no row, so each needs a decision
			_, known := others[name]
			check(name, known && typ.Kind == ast.Scalar)
		}
	}
	lacks := func(name string) {
		if !seen[name] {
			found = append(found, name+" is not in the schema")
		}
	}
	for name := range fields {
		lacks(name)
	}
	for name := range arguments {
		lacks(name)
	}
	for name := range inputs {
		lacks(name)
	}
	for name := range mutations {
		lacks("Mutation." + name)
	}
	for name := range subscriptions {
		lacks("Subscription." + name)
	}
	return found
}

func TestTheMatrixKnowsTheSchema(t *testing.T) {
	for _, name := range unknown(loaded()) {
		t.Errorf("%s: decide who may see or do this, and add it to the tables of rules_test.go", name)
	}
}

// Whatever is added to the schema is noticed.
func TestWhatIsAddedIsNoticed(t *testing.T) {
	sdl := graph.SDL(graph.NewExecutableSchema(graph.Config{}))
	for more, want := range map[string]string{
		`extend type User { phone: String }`:                     "User.phone",
		`extend type User { friends(of: ID!): [User!]! }`:        "User.friends",
		`extend type PostConnection { mostRead: Post }`:          "PostConnection.mostRead",
		`extend type Query { drafts: [Post!]! }`:                 "Query.drafts",
		`extend type Query { sessions: [Session!]! }`:            "Query.sessions leads to a Session",
		`extend type Mutation { ban(id: ID!): User! }`:           "Mutation.ban.id",
		`extend type Subscription { userChanged(id: ID): User }`: "Subscription.userChanged",
		`extend input CreatePostInput { authorId: ID }`:          "CreatePostInput.authorId",
		`extend enum Role { OWNER }`:                             "Role.OWNER",
		`type Draft { text: String }`:                            "Draft.text",
		`union Found = User | Post`:                              "Found",
		`scalar Secret`:                                          "Secret",
		`interface Named { name: String }`:                       "Named.name",
	} {
		s, err := gqlparser.LoadSchema(&ast.Source{Name: "more", Input: sdl + "\n" + more})
		if err != nil {
			t.Fatal(more, err)
		}
		if got := unknown(s); !slices.Contains(got, want) {
			t.Errorf("%s: %v, want %s", more, got, want)
		}
	}
	reloaded := func() *ast.Schema { return gqlparser.MustLoadSchema(&ast.Source{Name: "again", Input: sdl}) }
	// An argument more.
	s := reloaded()
	s.Query.Fields.ForName("posts").Arguments = append(slices.Clone(s.Query.Fields.ForName("posts").Arguments),
		&ast.ArgumentDefinition{Name: "hidden", Type: ast.NamedType("Boolean", nil)})
	if got := unknown(s); !slices.Contains(got, "Query.posts.hidden") {
		t.Errorf("an argument: %v", got)
	}
	// And a field less.
	s = reloaded()
	s.Types["User"].Fields = slices.DeleteFunc(slices.Clone(s.Types["User"].Fields), func(f *ast.FieldDefinition) bool { return f.Name == "email" })
	if got := unknown(s); !slices.Contains(got, "User.email is not in the schema") {
		t.Errorf("a field less: %v", got)
	}
}
