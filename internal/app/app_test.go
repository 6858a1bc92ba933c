package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/gid"
	"tidings/internal/testkit"
	"tidings/internal/testkit/leak"
	"tidings/internal/testkit/npmtest"
)

const comments = `subscription($p: ID!, $after: Cursor) { commentAdded(postId: $p, after: $after) { id content author { username } } }`
const posts = `subscription($author: ID, $after: Cursor) { postCreated(authorId: $author, after: $after) { id title author { username } } }`

func TestEventsArriveLiveAndFromACursor(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		ada := n.SignUp("ada")
		before := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		post := n.CreatePost(ada, "A post")
		all, one := n.Subscribe("", posts, map[string]any{"after": before}), n.Subscribe("", comments, map[string]any{"p": post, "after": before})
		if got := all.Next().Text("postCreated", "title"); got != "A post" {
			t.Error(got)
		}
		var cursors, ids []string
		for i := range 5 {
			ids = append(ids, n.AddComment(ada, post, fmt.Sprint("comment ", i)))
			r := one.Next()
			if got := r.Text("commentAdded", "content"); got != fmt.Sprint("comment ", i) || r.Text("commentAdded", "author", "username") != "ada" {
				t.Errorf("comment %d is %q", i, got)
			}
			cursor, _ := r.Extensions["cursor"].(string)
			cursors = append(cursors, cursor)
		}
		for i := range 5 { // from every place, by cursor and by id, the exact rest and then what is new
			byCursor := n.Subscribe("", comments, map[string]any{"p": post, "after": cursors[i]})
			byID := n.Subscribe(ada, comments, map[string]any{"p": post, "after": ids[i]})
			for _, s := range []*testkit.Socket{byCursor, byID} {
				for j := i + 1; j < 5; j++ {
					if got := s.Next().Text("commentAdded", "id"); got != ids[j] {
						t.Errorf("behind %d: %s, want %s", i, got, ids[j])
					}
				}
			}
			if i == 4 {
				last := n.AddComment(ada, post, "last")
				for _, s := range []*testkit.Socket{byCursor, byID} {
					if got := s.Next().Text("commentAdded", "id"); got != last {
						t.Errorf("then %s, want %s", got, last)
					}
				}
			}
			byCursor.Close()
			byID.Close()
		}
	})
}

func TestWhatIsHiddenIsNotDelivered(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		ada, bob := n.SignUp("ada"), n.SignUp("bob")
		before := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		hidden, gone, kept := n.CreatePost(ada, "To be hidden"), n.CreatePost(ada, "To be deleted"), n.CreatePost(ada, "To be kept")
		n.AddComment(bob, hidden, "on what is hidden")
		n.Must(ada, `mutation($p: ID!) { updatePost(id: $p, input: {published: false}) { id } }`, map[string]any{"p": hidden})
		n.Must(ada, `mutation($p: ID!) { deletePost(id: $p) { id } }`, map[string]any{"p": gone})
		if got := n.Subscribe(bob, posts, map[string]any{"after": before}).Next().Text("postCreated", "id"); got != kept {
			t.Errorf("delivered %s, want only %s", got, kept)
		}
		for _, c := range []struct {
			query     string
			variables map[string]any
			code      string
		}{
			{comments, map[string]any{"p": hidden}, "NOT_FOUND"},
			{comments, map[string]any{"p": gone}, "NOT_FOUND"},
			{comments, map[string]any{"p": "post_x"}, "BAD_USER_INPUT"},
			{posts, map[string]any{"after": "x"}, "BAD_USER_INPUT"},
			{posts, map[string]any{"after": strings.Replace(kept, "post", "user", 1)}, "BAD_USER_INPUT"},
			{posts, map[string]any{"after": gid.NewPost().String()}, "CURSOR_EXPIRED"},
		} {
			errs := n.Subscribe(bob, c.query, c.variables).Error()
			if len(errs) != 1 || errs[0].Extensions["code"] != c.code {
				t.Errorf("%v: %v, want %s", c.variables, errs, c.code)
			}
		}
		// The author is still shown the comment.
		if got := n.Subscribe(ada, comments, map[string]any{"p": hidden, "after": before}).Next().Text("commentAdded", "content"); got != "on what is hidden" {
			t.Error(got)
		}
	})
}

func TestARealClientIsCutOffAndResumes(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		ada := n.SignUp("ada")
		post := n.CreatePost(ada, "A post")
		client := npmtest.Start(t, "testdata/npm", "comments.mjs", "ws"+strings.TrimPrefix(leak.Proxy(t, n.URL), "http")+"/graphql", post)
		expect := func(want string) {
			t.Helper()
			if got := client.Line(); got != want {
				t.Fatalf("the client says %q, want %q", got, want)
			}
		}
		expect("ready")
		// Acknowledged is not yet subscribed: comments are made until one arrives, and the last of them is seen.
		made := 0
		testkit.Eventually(t, func() error {
			made++
			n.AddComment(ada, post, fmt.Sprint("are you there? ", made))
			if _, ok := client.Said(); !ok {
				return errors.New("no comment arrives")
			}
			return nil
		})
		n.AddComment(ada, post, "good")
		for client.Line() != "good" {
		}
		client.Tell("cut")
		for i := range 10 {
			n.AddComment(ada, post, fmt.Sprint("missed ", i))
		}
		client.Tell("resume")
		expect("ready")
		for i := range 10 {
			expect(fmt.Sprint("missed ", i))
		}
		n.AddComment(ada, post, "live again")
		expect("live again")
	})
}

func TestTwoNodesOnOnePostgres(t *testing.T) {
	d := config.Database{}
	testkit.Databases(t, func(t *testing.T, db config.Database) {
		if db.Dialect != config.Postgres {
			t.Skip("SQLite has one node")
		}
		d = db
		first, second := testkit.Start(t, d), testkit.Start(t, d)
		ada := first.SignUp("ada")
		before := first.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		elsewhere := second.Subscribe(ada, posts, map[string]any{"after": before}) // the token of one node is good at the other
		for i := range 20 {
			title := fmt.Sprint("Post ", i)
			begin := time.Now()
			first.CreatePost(ada, title)
			if got := elsewhere.Next().Text("postCreated", "title"); got != title {
				t.Fatalf("%q, want %q", got, title)
			}
			if late := time.Since(begin); late > time.Second {
				t.Errorf("%s late", late)
			}
		}
		first.Stop()
		second.CreatePost(ada, "without the other")
		if got := elsewhere.Next().Text("postCreated", "title"); got != "without the other" {
			t.Error(got)
		}
	})
}

func TestDrain(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		socket := n.Dial()
		begin := time.Now()
		go n.Stop()
		if code, reason := socket.Closed(); code != websocket.CloseGoingAway && code != websocket.CloseServiceRestart {
			t.Errorf("a stock client would not come back: %d %s", code, reason)
		}
		if resp, err := http.Get(n.URL + "/readyz"); err == nil { // the port may be closed already
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable {
				t.Error("a socket was closed while the server was ready: ", resp.Status)
			}
		}
		n.Stop()
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the drain took %s", took)
		}
		if resp, err := http.Get(n.URL + "/readyz"); err == nil {
			resp.Body.Close()
			t.Error("still listening")
		}
	})
}

// The last line of the log says how reads were answered.
func TestStoppedSaysHowReadsWereAnswered(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		for range 3 {
			n.Must("", `{ posts(first: 1) { nodes { id } } }`, nil)
		}
		n.Stop()
		lines := strings.Split(strings.TrimSpace(n.Log.String()), "\n")
		var last struct {
			Msg   string
			Reads map[string]int
		}
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"direct": 3, "by entities": 0, "begun again": 0}; last.Msg != "stopped" || !maps.Equal(last.Reads, want) {
			t.Errorf("the last line is %s", lines[len(lines)-1])
		}
	})
}

func TestNothingSecretIsLogged(t *testing.T) {
	n := testkit.Start(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	token := n.SignUp("ada")
	n.CreatePost(token, "Words of the body")
	n.Subscribe(token, posts, nil).Close()
	r, err := n.Post("", `mutation LogMeIn { logIn(input: {login: "ada", password: "Wrong-4711"}) { accessToken } }`, nil)
	if err != nil || len(r.Errors) != 1 || r.Errors[0].Extensions["code"] != "UNAUTHENTICATED" {
		t.Error(r, err)
	}
	n.Stop()
	for _, secret := range []string{token, "Sesame-123", "Wrong-4711", "argon2", "tidings_rt_", "testtest", "Words of the body"} {
		if strings.Contains(n.Log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	for _, wanted := range []string{`"LogMeIn"`, `"duration"`, `"UNAUTHENTICATED"`} {
		if !strings.Contains(n.Log.String(), wanted) {
			t.Errorf("the log lacks %s: %s", wanted, n.Log)
		}
	}
}

func TestWhatKeepsItFromStarting(t *testing.T) {
	dir := t.TempDir()
	db := config.Database{Dialect: config.SQLite, Path: filepath.Join(dir, "test.db")}
	running := testkit.Start(t, db)
	taken, absent := testkit.Config(db), testkit.Config(config.Database{Dialect: config.SQLite, Path: filepath.Join(dir, "absent", "x.db")})
	taken.Addr = strings.TrimPrefix(running.URL, "http://")
	for want, cfg := range map[string]config.Config{"is in use": taken, "does not exist": absent} {
		_, err := app.New(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want a line with %q", err, want)
		}
	}
}

// The operations of README.md and others that newcomers try, against the demo.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // a demo may run on this machine
	cfg := testkit.Config(config.Database{})
	cfg.Demo, cfg.Secrets = true, nil
	ctx, stop := context.WithCancel(t.Context())
	a, err := app.New(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "tidings-demo-*", "demo.db")); len(left) > 0 {
			t.Errorf("the demo leaves its database behind: %v", left)
		}
	}()
	n := testkit.At(t, a.URL())
	token := n.Must("", `mutation($i: LogInInput!) { logIn(input: $i) { accessToken } }`, map[string]any{"i": map[string]any{
		"login": a.Account().Username, "password": a.Account().Password}}).Text("logIn", "accessToken")
	before := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
	live := n.Subscribe("", `subscription { postCreated { id title author { username } } }`, nil)
	trickle := n.Subscribe("", posts, map[string]any{"after": before})

	n.Must("", `query { users(first: 10) { nodes { id username posts(first: 3) { nodes { id title published } } } } }`, nil)
	n.Must("", `query($q: String!) { searchPosts(query: $q) { nodes { id title content author { username } } } }`, map[string]any{"q": "accordion"})
	post := n.Must(token, `mutation($input: CreatePostInput!) { createPost(input: $input) { id title content published createdAt } }`,
		map[string]any{"input": map[string]any{"title": "Hello", "content": "I am new here."}}).Text("createPost", "id")
	n.Must(token, `mutation($id: ID!, $input: UpdatePostInput!) { updatePost(id: $id, input: $input) { id title content published updatedAt } }`,
		map[string]any{"id": post, "input": map[string]any{"published": true}})
	n.Must("", `query($id: ID!) { post(id: $id) { id title content author { username } comments(first: 5) { nodes { id content author { username } } totalCount } } }`, map[string]any{"id": post})
	for trickle.Next().Text("postCreated", "id") != post { // somebody of the demo may have been quicker
	}
	thread := n.Subscribe("", comments, map[string]any{"p": post, "after": before})
	n.AddComment(token, post, "and another thing")
	if thread.Next().Text("commentAdded", "content") != "and another thing" {
		t.Error("the comment does not arrive")
	}
	if live.Next().Text("postCreated", "author", "username") == "" { // life without anybody's doing
		t.Error("a post without its author")
	}
}
