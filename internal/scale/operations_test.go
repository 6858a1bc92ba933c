package scale

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"tidings/graph"
)

// An operation that reads: one root field, or one connection below one.
type operation struct {
	document string
	cursors  string // the path to the connection whose cursors stand for AFTER and BEFORE; "": there are none
	first    string // the document that gives them
}

// paging are the ways to ask for a page. AFTER and BEFORE are cursors of the same list, ten rows apart.
var paging = []string{"first: 20", "last: 20", "first: 20, after: AFTER", "last: 20, before: BEFORE",
	"last: 20, after: AFTER", "first: 20, before: BEFORE", "first: 5, after: AFTER, before: BEFORE"}

// commonPaging is how many of these are tried with several other arguments at once.
const commonPaging = 4

// arguments are what is tried of each argument that is not of paging, "" where it is left out.
func (w *world) arguments(field, name string) []string {
	switch field + "." + name {
	case "node.id":
		return []string{quoted(userID(7)), quoted(postID(7)), quoted(postID(8)), quoted(commentID(7))}
	case "nodes.ids":
		var ids []string
		for n := range 30 {
			ids = append(ids, quoted(userID(n+1)), quoted(postID(n+1)), quoted(commentID(n+1)))
		}
		return []string{"[" + strings.Join(ids, ", ") + "]"}
	case "user.id": // one of the two
		return []string{quoted(userID(2))}
	case "user.username":
		return []string{""}
	case "post.id":
		return []string{quoted(postID(7)), quoted(postID(8))}
	case "users.search":
		return []string{"", quoted("er_77")}
	case "users.orderBy":
		return append([]string{""}, w.orders("UserOrderField")...)
	case "posts.orderBy":
		return append([]string{""}, w.orders("PostOrderField")...)
	case "posts.published":
		return []string{"", "true", "false"}
	case "posts.authorId":
		return []string{"", quoted(userID(2))}
	case "searchPosts.query":
		return []string{quoted("ferry"), quoted(`"word ferry" or -boat`)}
	}
	w.t.Fatalf("it is not known what to try of %s.%s", field, name)
	return nil
}

func quoted(s string) string {
	b, _ := json.Marshal(s) // a string
	return string(b)
}

func (w *world) orders(enum string) (all []string) {
	for _, v := range w.schema().Types[enum].EnumValues {
		for _, direction := range []string{"ASC", "DESC"} {
			all = append(all, fmt.Sprintf("{field: %s, direction: %s}", v.Name, direction))
		}
	}
	return all
}

func (w *world) schema() *ast.Schema { return graph.NewExecutableSchema(graph.Config{}).Schema() }

// operations are all root fields with every combination of their arguments, and below them every connection of every
// type in every way of paging; and, apart, what counts.
func (w *world) operations() (all []operation) {
	all = append(all, operation{document: fmt.Sprintf("{ user(username: %s) { %s } }", quoted("user_2"), w.fields("User", 1))})
	for _, f := range w.schema().Query.Fields {
		if strings.HasPrefix(f.Name, "__") || f.Name == "liveCursor" {
			continue
		}
		pages, others := w.split(f)
		for _, arguments := range w.combinations(f.Name, others) {
			typ := w.schema().Types[f.Type.Name()]
			if !isConnection(typ) {
				selection := w.fields(typ.Name, 1)
				if typ.Kind == ast.Interface {
					selection = ""
					for _, t := range w.schema().PossibleTypes[typ.Name] {
						selection += fmt.Sprintf("... on %s { %s } ", t.Name, aliased(t.Name, w.fields(t.Name, 1)))
					}
				}
				all = append(all, operation{document: fmt.Sprintf("{ %s%s { %s } }", f.Name, parenthesized(arguments), selection)})
				continue
			}
			for i, p := range paging {
				if !allows(pages, p) || i >= commonPaging && len(arguments) > 1 {
					continue
				}
				given := parenthesized(append(slices.Clone(arguments), p))
				all = append(all, operation{
					document: fmt.Sprintf("{ c: %s%s { %s } }", f.Name, given, w.page(typ, 1)),
					first:    fmt.Sprintf("{ c: %s%s { edges { cursor } } }", f.Name, parenthesized(append(slices.Clone(arguments), "first: 30"))),
					cursors:  "c",
				})
			}
			all = append(all, operation{document: fmt.Sprintf("{ %s%s { totalCount } }", f.Name, parenthesized(arguments))})
		}
	}
	return append(all, w.nested()...)
}

// nested are the connections of the types, below lists of these and below a single one.
func (w *world) nested() (all []operation) {
	parents := map[string][]string{ // a list of them, and one that has many
		"User": {"users(first: 30)", "user(id: " + quoted(userID(2)) + ")"},
		"Post": {"posts(first: 30)", "post(id: " + quoted(postID(w.size.posts-2)) + ")"},
	}
	filters := map[string][]string{"User.posts": {"", "published: true", "published: false"}, "Post.comments": {""}}
	for name, typ := range w.schema().Types {
		for _, f := range typ.Fields {
			to := w.schema().Types[f.Type.Name()]
			if !isConnection(to) || typ == w.schema().Query {
				continue
			}
			if parents[name] == nil || filters[name+"."+f.Name] == nil {
				w.t.Fatalf("it is not known what to try of %s.%s", name, f.Name)
			}
			for _, filter := range filters[name+"."+f.Name] {
				for i, around := range []string{"{ p: %s { nodes { %s } } }", "{ p: %s { %s } }"} {
					for _, p := range paging {
						page := fmt.Sprintf("c: %s%s { %s }", f.Name, parenthesized([]string{filter, p}), w.page(to, 1))
						all = append(all, operation{
							document: fmt.Sprintf(around, parents[name][i], page),
							first:    fmt.Sprintf("{ p: %s { c: %s%s { edges { cursor } } } }", parents[name][1], f.Name, parenthesized([]string{filter, "first: 30"})),
							cursors:  "p.c",
						})
					}
					count := fmt.Sprintf("c: %s%s { totalCount }", f.Name, parenthesized([]string{filter}))
					all = append(all, operation{document: fmt.Sprintf(around, parents[name][i], count)})
				}
			}
		}
	}
	// And all of it at once, as deep as it goes.
	return append(all, operation{document: "{ users(first: 10) { nodes { id posts(first: 5) { nodes { " + w.fields("Post", 0) +
		" comments(first: 5) { nodes { " + w.fields("Comment", 1) + " } } } } } } }"})
}

// page selects everything of a connection but its totalCount.
func (w *world) page(typ *ast.Definition, depth int) string {
	node := strings.TrimSuffix(typ.Name, "Connection")
	return "edges { cursor node { " + w.fields(node, depth) + " } } nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
}

// fields selects what a type has of its own, and so deep of what its edges to one lead to.
func (w *world) fields(name string, depth int) string {
	var selected []string
	for _, f := range w.schema().Types[name].Fields {
		switch typ := w.schema().Types[f.Type.Name()]; {
		case strings.HasPrefix(f.Name, "__"):
		case typ.Kind == ast.Scalar || typ.Kind == ast.Enum:
			selected = append(selected, f.Name)
		case typ.Kind == ast.Object && !isConnection(typ) && depth > 0:
			selected = append(selected, f.Name+" { "+w.fields(typ.Name, depth-1)+" }")
		}
	}
	return strings.Join(selected, " ")
}

// aliased gives fields names that say their type, for fields of several types have to be alike.
func aliased(typ, fields string) string {
	var all []string
	depth := 0
	for _, word := range strings.Fields(fields) {
		switch {
		case word == "{":
			depth++
		case word == "}":
			depth--
		case depth == 0:
			word = typ + "_" + word + ": " + word
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

func isConnection(typ *ast.Definition) bool { return strings.HasSuffix(typ.Name, "Connection") }

// split tells the arguments of paging from the others.
func (w *world) split(f *ast.FieldDefinition) (pages, others []string) {
	for _, a := range f.Arguments {
		if slices.Contains([]string{"first", "after", "last", "before"}, a.Name) {
			pages = append(pages, a.Name)
		} else {
			others = append(others, a.Name)
		}
	}
	return pages, others
}

func allows(pages []string, given string) bool {
	for _, name := range []string{"first", "after", "last", "before"} {
		if strings.Contains(given, name+":") && !slices.Contains(pages, name) {
			return false
		}
	}
	return true
}

// combinations are all of a field's arguments.
func (w *world) combinations(field string, names []string) [][]string {
	all := [][]string{nil}
	for _, name := range names {
		var more [][]string
		for _, value := range w.arguments(field, name) {
			for _, before := range all {
				if value != "" {
					more = append(more, append(slices.Clone(before), name+": "+value))
				} else {
					more = append(more, before)
				}
			}
		}
		all = more
	}
	return all
}

func parenthesized(arguments []string) string {
	arguments = slices.DeleteFunc(slices.Clone(arguments), func(a string) bool { return a == "" })
	if len(arguments) == 0 {
		return ""
	}
	return "(" + strings.Join(arguments, ", ") + ")"
}

// run asks for an operation as a viewer. One whose list is too short for cursors is not asked for.
func (w *world) run(viewer string, o operation, byExecutor bool) {
	w.t.Helper()
	document := o.document
	if strings.Contains(document, "AFTER") || strings.Contains(document, "BEFORE") {
		key := viewer + o.first
		if w.lists[key] == "" {
			w.lists[key] = w.ask(viewer, o.first, byExecutor)
		}
		var data any
		if err := json.Unmarshal([]byte(w.lists[key]), &data); err != nil {
			w.t.Fatal(err)
		}
		for _, name := range strings.Split(o.cursors, ".") {
			data = data.(map[string]any)[name]
		}
		edges := data.(map[string]any)["edges"].([]any)
		if len(edges) < 3 {
			return
		}
		at := func(i int) string { return quoted(edges[i].(map[string]any)["cursor"].(string)) }
		document = strings.NewReplacer("AFTER", at(0), "BEFORE", at(len(edges)-1)).Replace(document)
	}
	w.ask(viewer, document, byExecutor)
}
