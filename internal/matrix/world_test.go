package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/internal/config"
	"tidings/internal/event"
	"tidings/internal/relay"
	"tidings/internal/testkit"
)

const secret = "Sesame-123"

// world is a server with something of everything in it, and the model of it.
type world struct {
	t       *testing.T
	node    *testkit.Node
	m       *model
	w       *writer
	viewers []*viewer // the columns
	made    int
	asked   int    // over HTTP
	start   string // the log's head before anything happened

	executor *testkit.Node // the same server, by gqlgen's executor; nil before it is needed

	anonymous, other, author, admin *viewer
	// What author wrote: public, never public, and public once. commented is a comment on the first.
	public, draft, takenBack, commented *object
}

// everywhere runs a test in a world on each database.
func everywhere(t *testing.T, test func(w *world)) {
	testkit.Databases(t, func(t *testing.T, d config.Database) { test(newWorld(t, d)) })
}

func newWorld(t *testing.T, d config.Database) *world {
	w := &world{t: t, node: testkit.Start(t, d), m: &model{}}
	w.w = &writer{schema: loaded(), ids: w.ids, named: w.fill}
	w.author, w.other, w.admin = w.signUp("author"), w.signUp("other"), w.signUp("admin")
	w.anonymous = &viewer{name: "anonymous"}
	w.promote(d, w.admin)
	w.viewers = []*viewer{w.anonymous, w.other, w.author, w.admin}

	w.start = w.node.Must("", `{ liveCursor }`, nil).Text("liveCursor")
	w.public = w.post(w.author, "A post about publicword", true)
	w.draft = w.post(w.author, "A post about unfinishedword", false)
	w.takenBack = w.post(w.author, "A post about takenbackword", true)
	w.post(w.other, "A post by somebody else", true)
	w.post(w.other, "A post about otherdraftword", false)
	w.commented = w.comment(w.author, w.public)
	w.comment(w.other, w.public)
	w.comment(w.author, w.draft)
	w.comment(w.author, w.takenBack)
	w.comment(w.other, w.takenBack) // hidden from who wrote it, as its post is
	w.takeBack(w.takenBack)
	return w
}

// promote makes an admin in the database, with the server down so that it can't have a stale idea of it.
func (w *world) promote(d config.Database, v *viewer) {
	w.t.Helper()
	w.node.Stop()
	db := testkit.OpenDatabase(w.t, d)
	if _, err := db.Exec(`UPDATE users SET role = 'ADMIN' WHERE username_key = $1`, v.user.values["username"]); err != nil {
		w.t.Fatal(err)
	}
	v.user.values["role"], v.admin = "ADMIN", true
	w.node, w.executor = testkit.Start(w.t, d), nil
	v.token = w.logIn(v.user.values["username"].(string))
}

// ids are those of the objects of some types, quoted.
func (w *world) ids(types string) (all []string) {
	for _, o := range w.m.objects {
		if strings.Contains(types, o.typ) {
			all = append(all, `"`+o.id+`"`)
		}
	}
	return all
}

// fill puts ids for $names.
func (w *world) fill(literal string) string {
	if v, ok := map[string]*viewer{"$author": w.author, "$other": w.other, "$admin": w.admin}[literal]; ok {
		return `"` + v.user.id + `"`
	}
	return literal
}

func (w *world) signUp(name string) *viewer {
	w.t.Helper()
	email, full := name+"@example.org", "Name of "+name
	id := w.node.Must("", `mutation($i: CreateUserInput!) { createUser(input: $i) { id } }`, map[string]any{"i": map[string]any{
		"username": name, "email": email, "fullName": full, "password": secret}}).Text("createUser", "id")
	u := w.m.add(&object{typ: "User", id: id, values: map[string]any{
		"id": id, "username": name, "email": email, "fullName": full, "role": "MEMBER", "isActive": true}})
	return &viewer{name: name, user: u, token: w.logIn(name)}
}

func (w *world) logIn(name string) string {
	w.t.Helper()
	return w.node.Must("", `mutation($i: LogInInput!) { logIn(input: $i) { accessToken } }`, map[string]any{"i": map[string]any{
		"login": name, "password": secret}}).Text("logIn", "accessToken")
}

// post writes a post; published or not it has a word in common with all others.
func (w *world) post(v *viewer, title string, public bool) *object {
	w.t.Helper()
	values := map[string]any{"title": title, "content": "as everywhere", "published": public}
	id := w.node.Must(v.token, `mutation($i: CreatePostInput!) { createPost(input: $i) { id } }`, map[string]any{"i": values}).Text("createPost", "id")
	values["id"], values["publishedAt"] = id, nil
	if public {
		values["publishedAt"] = text{}
	}
	return w.m.add(&object{typ: "Post", id: id, author: v.user, values: values})
}

func (w *world) takeBack(p *object) {
	w.t.Helper()
	w.node.Must(w.author.token, `mutation($p: ID!) { updatePost(id: $p, input: {published: false}) { id } }`, map[string]any{"p": p.id})
	p.values["published"] = false
}

func (w *world) comment(v *viewer, p *object) *object {
	w.t.Helper()
	w.made++
	content := fmt.Sprint("comment ", w.made)
	id := w.node.AddComment(v.token, p.id, content)
	return w.m.add(&object{typ: "Comment", id: id, author: v.user, post: p, values: map[string]any{"id": id, "content": content}})
}

// An asker is one way to run a query or a mutation. It gives the response to the byte, with what else the client is
// told of its outcome.
type asker func(document string) string

// ways are all of them for a viewer.
func (w *world) ways(v *viewer) map[string]asker {
	w.t.Helper()
	socket := w.node.Open(v.token)
	return map[string]asker{
		"HTTP": func(document string) string { return w.http(v, document) },
		"socket": func(document string) string {
			w.t.Helper()
			socket.Subscribe("x", document, nil)
			m := socket.Receive()
			if m.Type == "next" {
				if end := socket.Receive(); end.Type != "complete" {
					w.t.Fatalf("%s after the answer", end.Type)
				}
				return string(m.Payload)
			}
			return m.Type + " " + string(m.Payload)
		},
	}
}

// http runs a document over HTTP. What changes nothing is asked by the executor as well, every time in the long form and
// now and then in the short one, and must be the same to the byte.
func (w *world) http(v *viewer, document string) string {
	w.t.Helper()
	got := w.at(w.node, v, document)
	if w.asked++; !strings.HasPrefix(document, "mutation") && w.asked%testkit.Of(4, 1) == 0 {
		if w.executor == nil {
			w.executor = w.node.Within(relay.ByExecutor)
		}
		if want := w.at(w.executor, v, document); withoutHead(got) != withoutHead(want) {
			w.t.Errorf("%s: the two ways differ\n%s\ndirectly:    %s\nby executor: %s", v.name, document, got, want)
		}
	}
	return got
}

// withoutHead leaves out the log's head, which moves by itself.
func withoutHead(response string) string {
	return cursorText.ReplaceAllStringFunc(response, func(quoted string) string {
		if _, err := event.ParseCursor(strings.Trim(quoted, `"`)); err == nil {
			return "(a place in the stream)"
		}
		return quoted
	})
}

func (w *world) at(node *testkit.Node, v *viewer, document string) string {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"query": document})
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", node.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	resp, b, err := node.Send(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Status + " " + string(b)
	}
	return string(b)
}

// read is a response of either way.
func (w *world) read(response string) (r testkit.Response) {
	w.t.Helper()
	if errs, ok := strings.CutPrefix(response, "error "); ok {
		if err := json.Unmarshal([]byte(errs), &r.Errors); err != nil {
			w.t.Fatalf("%s: %v", response, err)
		}
		return r
	}
	if _, body, ok := strings.Cut(response, "{"); !ok || json.Unmarshal([]byte("{"+body), &r) != nil {
		w.t.Fatal("not a response: ", response)
	}
	return r
}

// code is that of a response's first error, "" without.
func code(r testkit.Response) string {
	if len(r.Errors) == 0 {
		return ""
	}
	return fmt.Sprint(r.Errors[0].Extensions["code"])
}
