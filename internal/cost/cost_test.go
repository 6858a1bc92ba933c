package cost_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/cost"
	"tidings/internal/fault"
)

// load reads the server's own schema.
func load(t testing.TB) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../../schema.graphqls")
	if err != nil {
		t.Fatal(err)
	}
	return gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphqls", Input: string(text)})
}

func judge(t testing.TB, limits cost.Limits, private bool) *cost.Judge {
	t.Helper()
	j, err := cost.New(load(t), limits, private)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// admit takes a document through all steps, and returns its cost or the first
// thing that is wrong with it.
func admit(j *cost.Judge, text, operation string, variables map[string]any) (int, error) {
	d, err := j.Parse(text)
	if err != nil {
		return 0, err
	}
	points, err := d.Cost(operation, variables)
	if err != nil {
		return points, err
	}
	if errs := d.Validate(); len(errs) > 0 {
		return points, errs
	}
	return points, nil
}

// verdict says in short how a document fared: "ok", the reason of a refusal, or
// the code of what is wrong with it.
func verdict(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Reason
	}
	if list, ok := errors.AsType[gqlerror.List](err); ok {
		err = list[0]
	}
	if g, ok := errors.AsType[*gqlerror.Error](err); ok {
		code, _ := g.Extensions["code"].(string)
		return code
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func variables(t testing.TB, text string) (v map[string]any) {
	t.Helper()
	if text == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestCost has each cost worked out by hand. Objects cost 1, other fields 0.1,
// a post's content 3, a comment's 1, totalCount 2, search 20.
func TestCost(t *testing.T) {
	j := judge(t, cost.Limits{Cost: cost.MaxCost}, false)
	const paged = `query($n: Int, $m: Int = 7, $ids: [ID!] = ["a"]) { `
	for name, c := range map[string]struct {
		document, operation, variables string
		want                           int
	}{
		"leaf":                     {document: `{ liveCursor }`, want: 1},
		"ten leaves":               {document: `{ viewer { id username fullName email role isActive createdAt updatedAt __typename } }`, want: 2},
		"page, default":            {document: `{ posts { nodes { author { id } } } }`, want: 1 + 20*(1+1) + 2},
		"page, literal":            {document: `{ posts(first: 5) { nodes { author { id } } } }`, want: 1 + 10 + 1},
		"page, last":               {document: `{ posts(last: 5) { nodes { author { id } } } }`, want: 1 + 10 + 1},
		"page, first and last":     {document: `{ posts(first: 3, last: 5) { nodes { author { id } } } }`, want: 1 + 10 + 1},
		"page, null":               {document: `{ posts(first: null) { nodes { author { id } } } }`, want: 1 + 20*2 + 2},
		"page, negative":           {document: `{ posts(first: -1) { nodes { author { id } } } }`, want: 1 + 200 + 10},
		"page, too large":          {document: `{ posts(first: 100000000000000000000) { nodes { author { id } } } }`, want: 1 + 200 + 10},
		"page, not a number":       {document: `{ posts(first: "1") { nodes { author { id } } } }`, want: 1 + 200 + 10},
		"empty page":               {document: `{ posts(first: 0) { nodes { author { id } } } }`, want: 1},
		"edges cost nothing":       {document: `{ posts(first: 5) { edges { node { author { id } } } } }`, want: 1 + 10 + 1},
		"edges and nodes":          {document: `{ posts(first: 5) { edges { node { author { id } } } nodes { author { id } } } }`, want: 1 + 20 + 1},
		"no page":                  {document: `{ posts { totalCount pageInfo { hasNextPage } } }`, want: 1 + 10 + 1 + 1},
		"nested pages":             {document: `{ posts(first: 10) { nodes { comments(first: 10) { nodes { author { id } } } } } }`, want: 1 + 10*(1+1+10*2) + 10},
		"content":                  {document: `{ posts(first: 10) { nodes { content comments(first: 2) { nodes { content } } } } }`, want: 1 + 10*(1+10+1+2*(1+3))},
		"search":                   {document: `{ users(search: "a", first: 1) { nodes { id } } }`, want: 1 + 50 + 1 + 1},
		"search, null":             {document: `{ users(search: null, first: 1) { nodes { id } } }`, want: 1 + 1 + 1},
		"full text":                {document: `{ searchPosts(query: "a", first: 1) { nodes { id } } }`, want: 200 + 1 + 1},
		"ids":                      {document: `{ nodes(ids: ["a", "b", "c"]) { id } }`, want: 3 + 1},
		"ids, one":                 {document: `{ nodes(ids: "a") { id } }`, want: 2},
		"mutation":                 {document: `mutation { createPost(input: {title: "t", content: "c"}) { id } }`, want: 11},
		"log-in":                   {document: `mutation { logIn(input: {login: "a", password: "b"}) { accessToken } }`, want: 101},
		"subscription":             {document: `subscription { postCreated { id } }`, want: 2},
		"SECURITY.md's small one":  {document: `{ posts { nodes { id title content author { username } comments(first: 5) { nodes { content author { username } } } } } }`, want: 777},
		"SECURITY.md's large one":  {document: `{ posts(first: 100) { nodes { id comments(first: 100) { nodes { id author { id } } } } } }`, want: 22211},
		"skipped counts":           {document: `{ viewer @skip(if: true) { id } }`, want: 2},
		"fragment":                 {document: `{ posts(first: 5) { ...F } } fragment F on PostConnection { nodes { author { id } } }`, want: 1 + 10 + 1},
		"fragment in two pages":    {document: `{ a: posts(first: 5) { ...F } b: posts(first: 7) { ...F } } fragment F on PostConnection { nodes { author { id } } }`, want: 2 + 24 + 2},
		"inline fragment":          {document: `{ node(id: "a") { ... on User { posts(first: 2) { nodes { author { id } } } } } }`, want: 1 + 1 + 4 + 1},
		"one operation of two":     {document: `query A { liveCursor } query B { posts { nodes { id } } }`, operation: "A", want: 1},
		"the other":                {document: `query A { liveCursor } query B { posts { nodes { id } } }`, operation: "B", want: 1 + 20 + 2},
		"variable":                 {document: paged + `posts(first: $n) { nodes { author { id } } } }`, variables: `{"n": 5}`, want: 1 + 10 + 1},
		"variable, absent":         {document: paged + `posts(first: $n) { nodes { author { id } } } }`, want: 1 + 40 + 2},
		"variable, null":           {document: paged + `posts(first: $n) { nodes { author { id } } } }`, variables: `{"n": null}`, want: 1 + 40 + 2},
		"variable, default":        {document: paged + `posts(first: $m) { nodes { author { id } } } }`, want: 1 + 14 + 1},
		"variable over default":    {document: paged + `posts(first: $m) { nodes { author { id } } } }`, variables: `{"m": 2}`, want: 1 + 4 + 1},
		"variable, text":           {document: paged + `posts(first: $n) { nodes { author { id } } } }`, variables: `{"n": "5"}`, want: 1 + 200 + 10},
		"variable, fraction":       {document: paged + `posts(first: $n) { nodes { author { id } } } }`, variables: `{"n": 5.5}`, want: 1 + 200 + 10},
		"variable, list":           {document: paged + `posts(first: $n) { nodes { author { id } } } }`, variables: `{"n": [5]}`, want: 1 + 200 + 10},
		"variable, huge":           {document: paged + `posts(first: $n) { nodes { author { id } } } }`, variables: `{"n": 1e999}`, want: 1 + 200 + 10},
		"variable, undefined":      {document: paged + `posts(first: $x) { nodes { author { id } } } }`, variables: `{"x": 1}`, want: 1 + 200 + 10},
		"variables in both":        {document: paged + `posts(first: $n, last: $m) { nodes { author { id } } } }`, variables: `{"n": 3}`, want: 1 + 14 + 1},
		"variable in a fragment":   {document: paged + `...F } fragment F on Query { posts(first: $n) { ...G ...G } } fragment G on PostConnection { nodes { comments(first: $m) { totalCount } } }`, variables: `{"n": 10}`, want: 1 + 2*10*(1+1+2)},
		"variable below a literal": {document: paged + `posts(first: 2) { nodes { comments(first: $n) { nodes { author { id } } } } } }`, variables: `{"n": 5}`, want: 1 + 2*(1+1+10) + 1},
		"variable ids":             {document: paged + `nodes(ids: $ids) { id } }`, variables: `{"ids": ["a", "b"]}`, want: 3},
		"variable ids, default":    {document: paged + `nodes(ids: $ids) { id } }`, want: 2},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := j.Parse(c.document)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := d.Cost(c.operation, variables(t, c.variables)); got != c.want || err != nil {
				t.Errorf("%d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// TestLimits takes each limit to its edge and over it.
func TestLimits(t *testing.T) {
	j := judge(t, cost.Limits{}, false)
	fragments := func(n int, body string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " fragment F%d on Query { %s ...F%d ...F%d }", i, body, i+1, i+1)
		}
		fmt.Fprintf(&b, " fragment F%d on Query { %s }", n, body)
		return b.String()
	}
	deep := func(n int) string { // n fields
		return "{ post(id: 1) " + strings.Repeat("{ author { posts(first: 1) { nodes ", (n-3)/3) + strings.Repeat("{ author ", (n-2)-(n-3)/3*3) + "{ id }" +
			strings.Repeat("} ", (n-2)-(n-3)/3*3) + strings.Repeat("} } }", (n-3)/3) + "}"
	}
	ofType := func(n int) string {
		return `{ __type(name: "Post") ` + strings.Repeat("{ ofType ", n-2) + "{ name }" + strings.Repeat(" }", n-1)
	}
	for name, c := range map[string]struct{ within, over, reason string }{
		"tokens":           {"{ viewer { " + strings.Repeat("id ", 1995) + "} }", "{ viewer { " + strings.Repeat("id ", 1996) + "} }", cost.ReasonTokens},
		"comments":         {"{ viewer { id } } " + strings.Repeat("#\n", 1900), "{ viewer { id } } " + strings.Repeat("#\n", 2000), cost.ReasonTokens},
		"depth":            {deep(15), deep(16), cost.ReasonDepth},
		"depth, fragments": {"{ ...F } fragment F on Query " + deep(15), "{ ...F } fragment F on Query " + deep(16), cost.ReasonDepth},
		"introspection":    {ofType(20), ofType(21), cost.ReasonIntrospection},
		"root fields":      {"{" + strings.Repeat(" liveCursor", 30) + " }", "{" + strings.Repeat(" liveCursor", 31) + " }", cost.ReasonRootFields},
		"root fields of a fragment": {"{ ...F ...F } fragment F on Query {" + strings.Repeat(" liveCursor", 15) + " }",
			"{ ...F ...F } fragment F on Query {" + strings.Repeat(" liveCursor", 16) + " }", cost.ReasonRootFields},
		"aliases": {"{ viewer {" + aliases(100) + "} }", "{ viewer {" + aliases(101) + "} }", cost.ReasonAliases},
		"aliases of a fragment": {"{ viewer { ...F } u: user(id: 1) { ...F } } fragment F on User {" + aliases(49) + "}",
			"{ viewer { ...F } u: user(id: 1) { ...F } } fragment F on User {" + aliases(50) + "}", cost.ReasonAliases},
		"directives": {"{ viewer {" + strings.Repeat(" id @skip(if: false)", 50) + "} }", "{ viewer {" + strings.Repeat(" id @skip(if: false)", 51) + "} }", cost.ReasonDirectives},
		"directives of fragments": {"{ viewer { ...F @skip(if: false) ... on User @skip(if: false) { ...F } } } fragment F on User {" + strings.Repeat(" id @skip(if: false)", 24) + "}",
			"{ viewer { ...F @skip(if: false) ... on User @skip(if: false) { ...F } } } fragment F on User {" + strings.Repeat(" id @skip(if: false)", 25) + "}", cost.ReasonDirectives},
		"cost": {"{ posts(first: 95) { nodes { comments(first: 99) { nodes { author { role } } } } } }",
			"{ posts(first: 100) { nodes { comments(first: 100) { nodes { author { role } } } } } }", cost.ReasonCost},
		"a name":    {"query " + strings.Repeat("a", 128) + " { viewer { id } }", "query " + strings.Repeat("a", 129) + " { viewer { id } }", cost.ReasonNames},
		"an alias":  {"{ " + strings.Repeat("a", 128) + ": liveCursor }", "{ " + strings.Repeat("a", 129) + ": liveCursor }", cost.ReasonNames},
		"fragments": {"{ viewer { id } ...F0 }" + fragments(3, "viewer { id }"), "{ viewer { ...F0 } }" + fragments(40, "viewer { id }"), cost.ReasonFragments},
		"authentications": {`mutation { logIn(input: {login: "a", password: "b"}) { accessToken } }`,
			`mutation { logIn(input: {login: "a", password: "b"}) { accessToken } ...F } fragment F on Mutation { again: logIn(input: {login: "a", password: "c"}) { accessToken } }`, cost.ReasonAuthentications},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := admit(j, c.within, "", nil); verdict(err) != "ok" {
				t.Errorf("within: %v", err)
			}
			_, err := admit(j, c.over, "", nil)
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Code != fault.CodeTooComplex || f.Reason != c.reason || f.Over == nil || f.Over.Value <= f.Over.Limit {
				t.Errorf("over: %v", err)
			}
		})
	}
}

func aliases(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d: id", i)
	}
	return b.String()
}

// introspection is what GraphiQL sends, as graphql-js's getIntrospectionQuery
// writes it with all options.
const introspection = `query IntrospectionQuery {
  __schema { description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } } } }
fragment FullType on __Type { kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) { name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue isDeprecated deprecationReason }
fragment TypeRef on __Type { kind name ` + ofTypes + `}`

const ofTypes = `ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name
  ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } } }`

// TestIntrospection holds that tools work: what they ask is within the limits,
// and costs about a tenth of a point for each thing that the answer has.
func TestIntrospection(t *testing.T) {
	points, err := admit(judge(t, cost.Limits{}, false), introspection, "", nil)
	if err != nil || points < 500 || points > 4000 {
		t.Errorf("%d, %v", points, err)
	}
	t.Log(points)
	if _, err := admit(judge(t, cost.Limits{}, true), introspection, "", nil); verdict(err) != "GRAPHQL_VALIDATION_FAILED" {
		t.Errorf("private: %v", err)
	}
}

// TestSchema holds that New refuses directives that say nothing or too little.
func TestSchema(t *testing.T) {
	const directives = `
		directive @cost(weight: String!) on FIELD_DEFINITION | ARGUMENT_DEFINITION
		directive @listSize(assumedSize: Int, slicingArguments: [String!], slicingArgumentDefaultValue: Int, sizedFields: [String!]) on FIELD_DEFINITION
	`
	for schema, want := range map[string]string{
		`type Query { a: Int @cost(weight: "2.5") }`:                                                                                        "",
		`type Query { a: Int @cost(weight: "much") }`:                                                                                       `cost: Query.a: "much" is not a weight from 0 to 1000`,
		`type Query { a: Int @cost(weight: "-1") }`:                                                                                         `cost: Query.a: "-1" is not a weight from 0 to 1000`,
		`type Query { a: Int @cost(weight: "NaN") }`:                                                                                        `cost: Query.a: "NaN" is not a weight from 0 to 1000`,
		`type Query { a(b: Int @cost(weight: "")): Int }`:                                                                                   `cost: Query.a: "" is not a weight from 0 to 1000`,
		`type Query { a: [Int] @listSize(slicingArguments: ["b"]) }`:                                                                        `cost: Query.a: there is no argument b`,
		`type Query { a: A @listSize(sizedFields: ["b"]) } type A { a: [Int] }`:                                                             `cost: A has no field b, which @listSize(sizedFields:) names`,
		`type Query { i: I } interface I { a: [Int] } type A implements I { a: [Int] @listSize(assumedSize: 1000) }`:                        `cost: I.a must have the @listSize of A.a`,
		`type Query { i: I } interface I { a: [Int] @listSize(assumedSize: 9) } type A implements I { a: [Int] @listSize(assumedSize: 9) }`: "",
	} {
		parsed, err := gqlparser.LoadSchema(&ast.Source{Input: directives + schema})
		if err != nil {
			t.Fatal(err)
		}
		_, err = cost.New(parsed, cost.Limits{}, false)
		if got := fmt.Sprint(err); err == nil && want != "" || err != nil && got != want {
			t.Errorf("%s: %v, want %s", schema, err, want)
		}
	}
}

// TestInterfacesAreDear holds that an interface's field costs what the dearest
// that implements it does.
func TestInterfacesAreDear(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		directive @cost(weight: String!) on FIELD_DEFINITION | ARGUMENT_DEFINITION
		type Query { i: I @cost(weight: "0") }
		interface I { a(b: Int): Int }
		type A implements I { a(b: Int @cost(weight: "3")): Int @cost(weight: "5") }
		type B implements I { a(b: Int): Int @cost(weight: "2") }
	`})
	j, err := cost.New(schema, cost.Limits{}, false)
	if err != nil {
		t.Fatal(err)
	}
	for document, want := range map[string]int{
		`{ i { a } }`: 5, `{ i { a(b: 1) } }`: 8, `{ i { ... on B { a } } }`: 2,
	} {
		if got, err := admit(j, document, "", nil); got != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", document, got, err, want)
		}
	}
}

// TestSaturation: numbers that would wrap around end at the largest cost.
func TestSaturation(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: `
		directive @listSize(assumedSize: Int) on FIELD_DEFINITION
		type Query { a: [Query!]! @listSize(assumedSize: 1000000000) }
	`})
	j, err := cost.New(schema, cost.Limits{Cost: cost.MaxCost - 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range []string{`{ a { a { __typename } } }`, `{ a { a { a { a { __typename } } } } }`, `{ a { ...F ...F } } fragment F on Query { a { a { a { __typename } } } }`} {
		d, err := j.Parse(document)
		if err != nil {
			t.Fatal(err)
		}
		if points, err := d.Cost("", nil); points != cost.MaxCost || verdict(err) != cost.ReasonCost {
			t.Errorf("%s: %d, %v", document, points, err)
		}
	}
}

// TestErrorsAreFew holds that validation ends at some number of errors, and
// makes no suggestions for documents where that takes long.
func TestErrorsAreFew(t *testing.T) {
	j := judge(t, cost.Limits{}, false)
	for n, suggests := range map[int]bool{40: true, 1000: false} {
		d, err := j.Parse("{ viewer {" + strings.Repeat(" usernam", n) + " } } #" + strings.Repeat("a", n*8))
		if err != nil {
			t.Fatal(err)
		}
		errs := d.Validate()
		if len(errs) != min(n, 50) || strings.Contains(errs[0].Message, "Did you mean") != suggests {
			t.Errorf("%d wrong fields: %d errors, %v", n, len(errs), errs[0])
		}
	}
}
