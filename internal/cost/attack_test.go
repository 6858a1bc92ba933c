package cost_test

import (
	"fmt"
	"strings"
)

// attack is a document made to hurt.
type attack struct {
	name, document, variables string
	want                      string // its verdict
}

// attacks are documents that take parsers, validators or servers seconds,
// gigabytes or their lives if nothing stops them. None is larger than a body
// may be by default.
func attacks() []attack {
	const (
		body        = 256 << 10
		invalid     = "GRAPHQL_VALIDATION_FAILED"
		unreadable  = "GRAPHQL_PARSE_FAILED"
		tooMany     = "TOKENS"
		tooDeep     = "DEPTH"
		writtenOut  = "FRAGMENTS"
		introspects = "INTROSPECTION_DEPTH"
	)
	many := func(n int, part string) string { return strings.Repeat(part, n) }
	each := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprint(&b, strings.NewReplacer("<i>", fmt.Sprint(i), "<next>", fmt.Sprint(i+1)).Replace(format))
		}
		return b.String()
	}
	name := many(128, "n")
	return []attack{
		// Fragments.
		{name: "chained fragments, each spread twice", document: "{ viewer { ...F0 } }" + each(30, " fragment F<i> on User { ...F<next> ...F<next> }") + " fragment F30 on User { id }", want: writtenOut},
		{name: "chained fragments with pages", document: "{ viewer { ...F0 } }" + each(30, " fragment F<i> on User { posts { nodes { author { ...F<next> } } } p: posts { nodes { author { ...F<next> } } } }") + " fragment F30 on User { id }", want: tooDeep},
		{name: "chained fragments with variables", document: "query($n: Int) { viewer { ...F0 } }" + each(4, " fragment F<i> on User { posts(first: $n) { nodes { author { ...F<next> } } } p: posts(first: $n) { nodes { author { ...F<next> } } } }") + " fragment F4 on User { id }", variables: `{"n": 100}`, want: "COST"},
		{name: "chained fragments in introspection", document: "{ __schema { types { ...F0 } } }" + each(40, " fragment F<i> on __Type { ...F<next> ...F<next> }") + " fragment F40 on __Type { name }", want: writtenOut},
		{name: "chained fragments, nobody spreads them", document: "{ viewer { id } }" + each(150, " fragment F<i> on User { ...F<next> ...F<next> }") + " fragment F150 on User { id }", want: writtenOut},
		{name: "long chain of fragments", document: "{ viewer { ...F0 } }" + each(210, " fragment F<i> on User { ...F<next> }") + " fragment F210 on User { id }", want: writtenOut},
		{name: "chain of fragments as long as may be", document: "{ viewer { ...F0 } }" + each(130, " fragment F<i> on User { id ...F<next> }") + " fragment F130 on User { id }", want: "ok"},
		{name: "chain of fragments with errors", document: "{ viewer { ...F0 } }" + each(130, " fragment F<i> on User { x ...F<next> }") + " fragment F130 on User { id }", want: invalid},
		{name: "cycle of one fragment", document: "{ viewer { ...F } } fragment F on User { ...F }", want: invalid},
		{name: "cycle of one fragment, in a field", document: "{ viewer { ...F } } fragment F on User { posts { nodes { author { ...F } } } }", want: invalid},
		{name: "cycle of many fragments", document: "{ viewer { ...F0 } }" + each(200, " fragment F<i> on User { ...F<next> }") + " fragment F200 on User { ...F0 }", want: invalid},
		{name: "cycle that nobody spreads", document: "{ viewer { id } } fragment F on User { ...G } fragment G on User { ...F }", want: invalid},
		{name: "every fragment spreads every other", document: "{ viewer { ...F0 } }" + each(25, " fragment F<i> on User {"+each(25, " ...F<i>")+" }"), want: invalid},
		{name: "every fragment spreads all after it", document: func() string {
			var b strings.Builder
			b.WriteString("{ viewer { ...F0 } }")
			for i := range 30 {
				fmt.Fprintf(&b, " fragment F%d on User { id", i)
				for k := i + 1; k < 30; k++ {
					fmt.Fprintf(&b, " ...F%d", k)
				}
				b.WriteString(" }")
			}
			return b.String()
		}(), want: writtenOut},
		{name: "one fragment spread often", document: "{ viewer {" + many(900, " ...F") + " } } fragment F on User {" + many(15, " id") + " }", want: "ok"},
		{name: "many fragments spread side by side", document: "{ viewer {" + each(200, " ...F<i>") + " } }" + each(200, " fragment F<i> on User { id }"), want: "ok"},
		{name: "fragments of equal name", document: "{ viewer { ...F } }" + many(220, " fragment F on User { id }"), want: invalid},
		{name: "deep inline fragments", document: "{ viewer {" + many(600, " ... {") + " id" + many(600, " }") + " } }", want: "ok"},
		{name: "many operations spread large fragments", document: each(120, " query Q<i> { ...F0 }") + each(100, " fragment F<i> on Query { viewer { id } ...F<next> }") + " fragment F100 on Query { viewer { id } }", want: "ROOT_FIELDS"},
		{name: "many operations spread large fragments below the root", document: each(100, " query Q<i> { viewer { ...F0 } }") + each(100, " fragment F<i> on User { id ...F<next> }") + " fragment F100 on User { id }", want: writtenOut},
		{name: "unknown fragments", document: "{ viewer {" + each(900, " ...F<i>") + " } }", want: invalid},

		// Fields that must be compared.
		{name: "2,000 fields of one name", document: "{ viewer {" + many(1990, " id") + " } }", want: "ok"},
		{name: "2,000 root fields of one name", document: "{" + many(1990, " liveCursor") + " }", want: "ROOT_FIELDS"},
		{name: "2,000 repeated fields with selections", document: "{" + many(2000, " node(id: 1) { id }") + " }", want: tooMany},
		{name: "repeated fields with selections", document: "{ viewer {" + many(60, " posts(first: 1) { nodes {"+many(20, " id")+" } }") + " } }", want: "ok"},
		{name: "repeated fields in three levels", document: "{ viewer {" + many(12, " posts(first: 1) {"+many(12, " nodes { author {"+many(5, " id")+" } }")+" }") + " } }", want: "ok"},
		{name: "repeated fields that differ", document: "{ viewer {" + each(320, " posts(first: <i>) { totalCount }") + " } }", want: tooMany},
		{name: "repeated fields that differ, fewer", document: "{ viewer {" + each(200, " posts(first: <i>) { totalCount }") + " } }", want: invalid},
		{name: "repeated fields through fragments", document: "{ viewer { ...A ...B } } fragment A on User {" + many(80, " posts(first: 1) { ...P }") + " } fragment B on User {" + many(80, " posts(first: 1) { ...P }") + " } fragment P on PostConnection {" + many(25, " nodes { id }") + " }", want: "ok"},
		{name: "repeated fields and fragments in each other", document: "{ viewer { ...F0 } }" + each(4, " fragment F<i> on User { posts(first: 1) { nodes { author { id ...F<next> } } } posts(first: 1) { nodes { author { id ...F<next> } } } }") + " fragment F4 on User { id }", want: "ok"},
		{name: "aliases", document: "{ viewer {" + each(600, " a<i>: id") + " } }", want: "ALIASES"},
		{name: "aliases of a mutation", document: "mutation {" + each(25, ` a<i>: logIn(input: {login: "a", password: "b"}) { expiresAt }`) + " }", want: "AUTHENTICATIONS"},
		{name: "root fields of a mutation", document: "mutation {" + many(31, ` addComment(input: {postId: "a", content: "b"}) { id }`) + " }", want: "ROOT_FIELDS"},

		// Nesting.
		{name: "deep selections", document: many(body/2-10, "{a") + "{", want: tooMany},
		{name: "deep selections, closed", document: many(600, "{ a ") + many(600, "}"), want: tooDeep},
		{name: "deep selections that could run", document: "{ viewer " + many(100, "{ posts(first: 1) { nodes { author ") + "{ id }" + many(100, "} } }") + "}", want: tooDeep},
		{name: "deep lists", document: "{ nodes(ids: " + many(body-100, "[") + ") { id } }", want: tooMany},
		{name: "deep lists, closed", document: "{ nodes(ids: " + many(900, "[") + many(900, "]") + ") { id } }", want: tooDeep},
		{name: "deep lists in a custom scalar", document: "subscription { postCreated(after: " + many(900, "[") + many(900, "]") + ") { id } }", want: tooDeep},
		{name: "deep input objects", document: "mutation { createPost(input: " + many(50_000, "{a:") + ") { id } }", want: tooMany},
		{name: "deep input objects, closed", document: "mutation { createPost(input: " + many(480, "{a:") + "1" + many(480, "}") + ") { id } }", want: tooDeep},
		{name: "deep default", document: "query($a: [ID!] = " + many(900, "[") + many(900, "]") + ") { nodes(ids: $a) { id } }", want: tooDeep},
		{name: "deep type", document: "query($a: " + many(900, "[") + "ID" + many(900, "]") + ") { nodes(ids: $a) { id } }", want: tooDeep},
		{name: "deep type of a fragment's variable", document: "{ viewer { ...F } } fragment F($a: " + many(900, "[") + "ID" + many(900, "]") + ") on User { id }", want: tooDeep},
		{name: "deep type, for a custom scalar", document: "subscription($a: " + many(400, "[") + "ID" + many(400, "]") + ") { postCreated(after: {a: $a}) { id } }", want: tooDeep},
		{name: "deep directive argument", document: "{ viewer @skip(if: " + many(900, "[") + many(900, "]") + ") { id } }", want: tooDeep},

		// Introspection.
		{name: "introspection, fields of types of fields", document: "{ __schema { types" + many(3, " { fields { type") + " { name }" + many(3, " } }") + " } }", want: invalid},
		{name: "introspection, deep", document: "{ __schema { types { fields { type" + many(30, " { ofType") + " { name }" + many(30, " }") + " } } } }", want: introspects},
		{name: "introspection, fields twice for each level", document: "{ __schema { types { ...F } } } fragment F on __Type { fields { type { ...G } } f: fields { type { ...G } } interfaces { ...G } possibleTypes { ...G } } fragment G on __Type { fields { args { type { name } } } f: fields { args { type { name } } } }", want: "COST"},
		{name: "introspection, many aliases", document: "{ __schema {" + each(60, " a<i>: types { fields { type { fields { type { name } } } } }") + " } }", want: "COST"},
		{name: "introspection, many roots", document: "{" + each(29, ` a<i>: __type(name: "Query") { fields { args { type { fields { args { name } } } } } }`) + " }", want: "COST"},
		{name: "introspection within itself", document: "{" + many(9, " __schema {") + " types { name }" + many(9, " }") + " }", want: invalid},

		// Introspection counts for less, so other things are dressed as it.
		{name: "a fragment called __schema", document: "{ ...__schema } fragment __schema on Query { posts(first: 100) { nodes { comments(first: 100) { nodes { author { posts { nodes { id } } } } } } } }", want: "COST"},
		{name: "an operation called __schema", document: "query __schema { posts(first: 100) { nodes { comments(first: 100) { nodes { author { posts { nodes { id } } } } } } } }", want: "COST"},
		{name: "a field called __schema by an alias", document: "{ __schema: posts(first: 100) { nodes { __type: comments(first: 100) { nodes { author { posts { nodes { id } } } } } } } }", want: "COST"},
		{name: "deep, in a fragment called __schema", document: "{ ...__schema } fragment __schema on Query { viewer " + many(6, "{ posts(first: 1) { nodes { author ") + "{ id }" + many(6, "} } }") + "}", want: tooDeep},
		{name: "deep, in a fragment on __Type", document: "{ viewer { ...F } } fragment F on __Type { kind fields { name } posts { nodes { id } } }", want: invalid},
		{name: "introspection below other fields", document: "{ viewer { __schema { types { name } } } }", want: invalid},
		{name: "deep where a fragment is spread a second time", document: "{ viewer { ...F posts(first: 1) { nodes { author { posts(first: 1) { nodes { author { ...F } } } } } } } } fragment F on User { posts(first: 1) { nodes { author { posts(first: 1) { nodes { author { posts(first: 1) { nodes { id } } } } } } } } }", want: tooDeep},

		// Cost.
		{name: "pages in pages", document: "{ posts(first: 100) { nodes { author { posts(first: 100) { nodes { comments(first: 100) { nodes { id } } } } } } } }", want: "COST"},
		{name: "pages in pages by variables", document: "query($n: Int!) { posts(first: $n) { nodes { author { posts(last: $n) { nodes { comments(first: $n) { nodes { id } } } } } } } }", variables: `{"n": 100}`, want: "COST"},
		{name: "pages in pages until numbers overflow", document: "{ users(first: 100) { nodes { posts(first: 100) { nodes { comments(first: 100) { nodes { author { posts(first: 100) { nodes { comments(first: 100) { nodes { id } } } } } } } } } } } }", want: "COST"},
		{name: "totals of many pages", document: "{ posts(first: 100) { nodes {" + each(95, " c<i>: comments { totalCount }") + " } } }", want: "COST"},
		{name: "many ids with pages", document: "{ nodes(ids: [" + each(100, ` "<i>"`) + "]) { ... on User { posts(first: 100) { nodes { author { id } } } } } }", want: "COST"},
		{name: "large fields often", document: "{ users(first: 100) { nodes { posts(first: 100) { nodes { content } } } } }", want: "COST"},

		// Text.
		{name: "a huge string", document: `{ searchPosts(query: "` + many(body-100, "a") + `") { totalCount } }`, want: "ok"},
		{name: "a huge string of escapes", document: `{ searchPosts(query: "` + many(body/6-100, `\u00e9`) + `") { totalCount } }`, want: "ok"},
		{name: "a huge string for an enum", document: `{ users(orderBy: {field: "` + many(body-100, "a") + `"}) { totalCount } }`, want: invalid},
		{name: "a huge string for a number", document: `{ users(first: "` + many(body-100, "\u00e9"[:1]+"\u00e9"[1:])[:body/2] + `") { totalCount } }`, want: invalid},
		{name: "a huge string in a list for text", document: `{ searchPosts(query: [[[[[[[[[["` + many(body-200, "a") + `"]]]]]]]]]]) { totalCount } }`, want: invalid},
		{name: "a huge string that doesn't end", document: `{ searchPosts(query: "` + many(body-100, "a"), want: unreadable},
		{name: "a huge string with a bad escape", document: `{ searchPosts(query: "\q` + many(body-100, "a"), want: unreadable},
		{name: "a huge block string", document: `{ searchPosts(query: """` + many(body-100, "a") + `""") { totalCount } }`, want: "ok"},
		{name: "a huge block string of lines", document: `{ searchPosts(query: """` + many(body-100, "\n") + `""") { totalCount } }`, want: "ok"},
		{name: "a huge block string of indents", document: `{ searchPosts(query: """` + many(body/8, "  a    \n")[:body-100] + `""") { totalCount } }`, want: "ok"},
		{name: "a huge block string of quotes", document: `{ searchPosts(query: """` + many(40_000, `\""" `) + `""") { totalCount } }`, want: "ok"},
		{name: "a block string of double quotes", document: `{ searchPosts(query: """` + many(body/3-50, `""a`) + `""") { totalCount } }`, want: "ok"},
		{name: "a huge number", document: `{ users(first: ` + many(body-100, "9") + `) { totalCount } }`, want: invalid},
		{name: "a huge decimal", document: `{ users(first: 1.` + many(body-100, "9") + `) { totalCount } }`, want: invalid},
		{name: "a huge number for a custom scalar", document: `subscription { postCreated(after: ` + many(body-100, "9") + `) { id } }`, want: "ok"},
		{name: "a huge comment", document: "#" + many(body-100, "a") + "\n{ liveCursor }", want: "ok"},
		{name: "comments", document: many(body/2-100, "#\n") + "{ liveCursor }", want: tooMany},
		{name: "nothing but spaces", document: many(body, " "), want: invalid},
		{name: "nothing but commas", document: many(body, ","), want: invalid},
		{name: "byte order marks", document: many(body/3, "\ufeff"), want: invalid},
		{name: "zeroes", document: many(body, "\x00"), want: unreadable},

		// Names.
		{name: "a huge field name", document: "{ " + many(body-100, "a") + " }", want: "NAME_LENGTH"},
		{name: "a huge alias below pages", document: "{ posts(first: 100) { nodes { " + many(body-100, "a") + ": id } } }", want: "NAME_LENGTH"},
		{name: "a huge type", document: "{ viewer { ... on " + many(body-100, "A") + " { id } } }", want: "NAME_LENGTH"},
		{name: "a huge enum value", document: "{ users(orderBy: {field: " + many(body-100, "A") + "}) { totalCount } }", want: "NAME_LENGTH"},
		{name: "a huge input field", document: "{ users(orderBy: {" + many(body-100, "A") + ": 1}) { totalCount } }", want: "NAME_LENGTH"},
		{name: "a huge argument", document: "{ users(" + many(body-100, "A") + ": 1) { totalCount } }", want: "NAME_LENGTH"},
		{name: "a huge directive", document: "{ users @" + many(body-100, "A") + " { totalCount } }", want: "NAME_LENGTH"},
		{name: "a huge variable", document: "query($" + many(body-100, "A") + ": Int) { users { totalCount } }", want: "NAME_LENGTH"},
		{name: "a huge type of a variable", document: "query($a: " + many(body-100, "A") + ") { users(first: $a) { totalCount } }", want: "NAME_LENGTH"},
		{name: "a huge operation name", document: "query " + many(body-100, "A") + " { users { totalCount } }", want: "NAME_LENGTH"},
		{name: "unknown fields", document: "{ viewer {" + each(1900, " f<i>") + " } }", want: invalid},
		{name: "long unknown fields", document: "{ viewer {" + each(60, " "+name[:120]+"<i>") + " } }", want: invalid},
		{name: "long unknown types", document: "{ viewer { id } }" + each(50, " fragment F<i> on "+name[:120]+"<i> { id }"), want: invalid},
		{name: "unknown arguments", document: "{ users(" + each(600, " a<i>: 1") + ") { totalCount } }", want: invalid},
		{name: "unknown input fields", document: "{ users(orderBy: {" + each(600, " a<i>: 1") + "}) { totalCount } }", want: invalid},
		{name: "unknown fields in many fragments", document: "{ viewer { ...F0 } }" + each(70, " fragment F<i> on User { aa bb cc dd ee ...F<next> }") + " fragment F70 on User { id }", want: invalid},

		// Many of something.
		{name: "operations", document: each(300, " query Q<i> { liveCursor }"), want: "ok"},
		{name: "operations of one name", document: many(300, " query Q { liveCursor }"), want: invalid},
		{name: "operations without a name", document: many(600, "{ liveCursor }"), want: invalid},
		{name: "subscriptions with many fields", document: each(25, " subscription S<i> {"+many(28, " postCreated { id }")[:28*19]+" }"), want: tooMany},
		{name: "variables", document: "query(" + each(450, " $v<i>: Int") + ") { liveCursor }", want: invalid},
		{name: "variables that are used", document: "query(" + each(220, " $v<i>: ID!") + ") { nodes(ids: [" + each(220, " $v<i>") + "]) { id } }", want: "ok"},
		{name: "variables that are used in many fragments", document: "query(" + each(150, " $v<i>: Int") + ") { viewer { ...F0 } }" + each(40, " fragment F<i> on User { posts(first: $v149) { totalCount } ...F<next> }") + " fragment F40 on User { id }", want: invalid},
		{name: "variables of one name", document: "query(" + many(450, " $v: Int") + ") { users(first: $v) { totalCount } }", want: invalid},
		{name: "undefined variables", document: "{ nodes(ids: [" + each(900, " $v<i>") + "]) { id } }", want: invalid},
		{name: "directives", document: "{ viewer" + many(250, " @skip(if: true)") + " { id } }", want: "DIRECTIVES"},
		{name: "unknown directives", document: "{ viewer" + each(900, " @d<i>") + " { id } }", want: "DIRECTIVES"},
		{name: "directives of fragments", document: "{ viewer {" + many(150, " ...F @skip(if: false)") + " } } fragment F on User @skip(if: true) { id }", want: "DIRECTIVES"},
		{name: "directives of variables", document: "query($a: Int" + many(900, " @a") + ") { users(first: $a) { totalCount } }", want: "DIRECTIVES"},
		{name: "arguments of one name", document: "{ users(" + many(600, " first: 1") + ") { totalCount } }", want: invalid},
		{name: "values of a list", document: "{ nodes(ids: [" + many(1900, " 1") + "]) { id } }", want: "ok"},
		{name: "wrong values of a list", document: "{ nodes(ids: [" + many(1900, " A") + "]) { id } }", want: invalid},
		{name: "input objects in lists", document: "{ users(orderBy: " + many(13, "[") + many(380, " {a: 1}") + many(13, "]") + ") { totalCount } }", want: invalid},
	}
}
