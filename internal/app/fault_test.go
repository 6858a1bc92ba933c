package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/internal/config"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/testkit"
)

// A failure is a way to make the server answer with an error, and the shape that the error must have.
type failure struct {
	code       string
	extensions string // those beside code, in order of the alphabet
	document   string // $post, $unknown stand for ids
	variables  map[string]any
	anonymous  bool
	request    func(r *http.Request) // changes a request that is well formed
	status     int                   // in application/graphql-response+json; 0: no way over HTTP
	asJSON     int                   // in application/json; 0 is 200
	socket     string                // the message that it comes in; "" if it can't come over a socket
	message    string                // how it begins; "" if that is not promised
	times      int                   // how often it is asked at once over one socket; 0 is once
	elsewhere  string                // why it is not provoked here
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func body(text string) func(*http.Request) {
	return func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
	}
}

var failures = map[string]failure{
	"an input":       {code: "BAD_USER_INPUT", extensions: "field", document: `mutation { createPost(input: {title: "x", content: "x"}) { id } }`, status: 200, socket: "next"},
	"a wrong id":     {code: "BAD_USER_INPUT", extensions: "field", document: `{ post(id: "x") { id } }`, status: 200, socket: "next"},
	"a variable":     {code: "BAD_USER_INPUT", extensions: "field", document: `query($n: Int) { posts(first: $n) { totalCount } }`, variables: map[string]any{"n": "x"}, status: 400, socket: "error"},
	"a subscription": {code: "BAD_USER_INPUT", document: `subscription { postCreated { id } }`, status: 400},
	"no JSON":        {code: "BAD_USER_INPUT", document: who, request: body("{"), status: 400, asJSON: 400},
	"no query":       {code: "BAD_USER_INPUT", document: who, request: body("{}"), status: 400, asJSON: 400},
	"too long":       {code: "BAD_USER_INPUT", document: who, request: body(`{"query":"{` + strings.Repeat(" ", 300<<10) + `viewer{id}}"}`), status: 413, asJSON: 413},
	"a method":       {code: "BAD_USER_INPUT", document: who, request: func(r *http.Request) { r.Method = "PUT" }, status: 405, asJSON: 405},
	"a media type":   {code: "BAD_USER_INPUT", document: who, request: header("Content-Type", "text/plain"), status: 415, asJSON: 415},
	"not acceptable": {code: "BAD_USER_INPUT", document: who, request: header("Accept", "text/html"), status: 406, asJSON: 406},
	"nothing there":  {code: "NOT_FOUND", document: `mutation { deletePost(id: "$unknown") { id } }`, status: 200, socket: "next"},
	"nobody":         {code: "UNAUTHENTICATED", document: `mutation { createPost(input: {title: "xxx", content: "x"}) { id } }`, anonymous: true, status: 200, socket: "next"},
	"a log-in":       {code: "UNAUTHENTICATED", document: `mutation { logIn(input: {login: "x", password: "x"}) { expiresAt } }`, status: 200, socket: "next"},
	"a bad token":    {code: "UNAUTHENTICATED", document: who, request: header("Authorization", "Bearer x"), status: 401, asJSON: 401},
	"another's":      {code: "FORBIDDEN", document: `mutation { deletePost(id: "$post") { id } }`, status: 200, socket: "next"},
	"another page":   {code: "FORBIDDEN", document: who, request: header("Origin", "https://elsewhere.example"), status: 403, asJSON: 403},
	"a name taken": {code: "CONFLICT", extensions: "field reason", status: 200, socket: "next",
		document: `mutation { createUser(input: {username: "ADA", email: "new@example.org", fullName: "x", password: "Sesame-123"}) { id } }`},
	"an old place":  {code: "CURSOR_EXPIRED", document: `subscription { postCreated(after: "$unknown") { id } }`, socket: "error"},
	"a stray word":  {code: "GRAPHQL_PARSE_FAILED", document: `{ viewer( }`, status: 400, socket: "error"},
	"no such field": {code: "GRAPHQL_VALIDATION_FAILED", document: `{ viewers { id } }`, status: 400, socket: "error"},
	"our own fault": {code: "INTERNAL", extensions: "id", message: "internal error ", document: `{ node(id: "$comment") { id } }`, status: 200, socket: "next"},

	"too many at once": {code: "RATE_LIMITED", document: `subscription { postCreated { id } }`, socket: "error", times: 129},
	"too dear":         {code: "QUERY_TOO_COMPLEX", extensions: "count limit reason", document: `{ node(id: "$post") { ...on Post { ` + strings.Repeat("author { posts { nodes { ", 6) + "id" + strings.Repeat(" } } }", 6) + ` } } }`, status: 400, socket: "error"},
	"an unknown hash": {code: "PERSISTED_QUERY_NOT_FOUND", document: who, status: 200,
		request: body(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"` + strings.Repeat("0", 64) + `"}}}`)},
	"gone meanwhile": {code: "CANCELLED", elsewhere: "its client no longer reads; package fault has a test"},
}

// Every error that a client can get has the shape that is documented: a code that is promised, the extensions that go
// with it and no others, a sentence, and a status; the same over HTTP and over a socket.
func TestShapesOfErrors(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		n := testkit.Start(t, d)
		ada, bob := n.SignUp("ada"), n.SignUp("bob")
		post := n.CreatePost(ada, "A post of ada's")
		comment := n.AddComment(ada, post, "A comment")
		lose(t, d, "comments")
		fill := strings.NewReplacer("$post", post, "$comment", comment, "$unknown", gid.NewPost().String())
		for name, f := range failures {
			if f.elsewhere != "" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				f.document = fill.Replace(f.document)
				viewer := bob
				if f.anonymous {
					viewer = ""
				}
				asJSON := f.asJSON
				if asJSON == 0 {
					asJSON = 200
				}
				if f.status != 0 {
					f.check(t, f.http(t, n, viewer, "application/graphql-response+json", f.status))
					f.check(t, f.http(t, n, viewer, "application/json", asJSON))
				}
				if f.socket != "" {
					s := n.Open(viewer)
					defer s.Close()
					for i := range max(1, f.times) {
						s.Subscribe(fmt.Sprint(i), f.document, f.variables)
					}
					m := s.Receive()
					if m.Type != f.socket {
						t.Fatalf("%s %s, want it in a message of type %s", m.Type, m.Payload, f.socket)
					}
					payload := m.Payload
					if m.Type == "error" {
						payload = []byte(`{"errors":` + string(m.Payload) + `}`)
					}
					f.check(t, payload)
				}
			})
		}
		if log := n.Log.String(); strings.Count(log, `"internal error"`) != 3 || !strings.Contains(log, "comments") {
			t.Error("the log does not have each internal error once, with its cause: ", log)
		}
	})
}

// lose takes a table from under the server.
func lose(t *testing.T, d config.Database, table string) {
	t.Helper()
	db := testkit.OpenDatabase(t, d)
	if _, err := db.Exec("ALTER TABLE " + table + " RENAME TO lost"); err != nil {
		t.Fatal(err)
	}
}

func (f failure) http(t *testing.T, n *testkit.Node, token, accept string, status int) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"query": f.document, "variables": f.variables})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", n.URL+"/graphql", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if f.request != nil {
		f.request(req)
	}
	resp, b, err := n.Send(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Errorf("%s in %s, want %d: %s", resp.Status, accept, status, b)
	}
	if want := req.Header.Get("Accept"); !strings.HasPrefix(resp.Header.Get("Content-Type"), want) && want != "text/html" {
		t.Errorf("%s, want %s", resp.Header.Get("Content-Type"), want)
	}
	return b
}

// check holds a response against the shape.
func (f failure) check(t *testing.T, response []byte) {
	t.Helper()
	var r struct{ Errors []map[string]any }
	if err := json.Unmarshal(response, &r); err != nil || len(r.Errors) != 1 {
		t.Fatalf("%s: %v, want one error", response, err)
	}
	e := r.Errors[0]
	for name := range e {
		if !slices.Contains([]string{"message", "path", "locations", "extensions"}, name) {
			t.Errorf("an error with %s: %s", name, response)
		}
	}
	extensions, _ := e["extensions"].(map[string]any)
	if extensions["code"] != f.code {
		t.Errorf("the code %v, want %s: %s", extensions["code"], f.code, response)
	}
	names := slices.Sorted(maps.Keys(extensions))
	names = slices.DeleteFunc(names, func(name string) bool { return name == "code" })
	if got := strings.Join(names, " "); got != f.extensions {
		t.Errorf("the extensions %q, want %q: %s", got, f.extensions, response)
	}
	for _, name := range names {
		if extensions[name] == "" {
			t.Errorf("%s is empty: %s", name, response)
		}
	}
	message, _ := e["message"].(string)
	if message == "" || !strings.HasPrefix(message, f.message) || f.message != "" && message != f.message+fmt.Sprint(extensions["id"]) {
		t.Errorf("the message %q: %s", message, response)
	}
}

// No code is without a row.
func TestEveryCodeHasAShape(t *testing.T) {
	promised := []string{"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}
	file, err := parser.ParseFile(token.NewFileSet(), "../fault/fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if typ, named := (*ast.Ident)(nil), false; ok {
			if typ, named = spec.Type.(*ast.Ident); named && typ.Name == "Code" {
				code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Error(err)
				}
				promised = append(promised, code)
			}
		}
		return true
	})
	if !slices.Contains(promised, string(fault.CodeInternal)) {
		t.Error("the codes of package fault are not found")
	}
	for _, code := range promised {
		if !slices.ContainsFunc(slices.Collect(maps.Values(failures)), func(f failure) bool { return f.code == code }) {
			t.Errorf("%s has no row", code)
		}
	}
	for name, f := range failures {
		if !slices.Contains(promised, f.code) {
			t.Errorf("%s: nobody promised %s", name, f.code)
		}
	}
}
