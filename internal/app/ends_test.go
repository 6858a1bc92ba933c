package app_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

const (
	takeBack   = `mutation($p: ID!) { updatePost(id: $p, input: {published: false}) { id } }`
	publish    = `mutation($p: ID!) { updatePost(id: $p, input: {published: true}) { id } }`
	deletePost = `mutation($p: ID!) { deletePost(id: $p) { id } }`
)

func on(post string) map[string]any            { return map[string]any{"p": post} }
func behind(post, after string) map[string]any { return map[string]any{"p": post, "after": after} }

// says takes the next comments, which must be these, and gives the cursor of the last.
func says(t *testing.T, s *testkit.Socket, contents ...string) (cursor string) {
	t.Helper()
	for _, want := range contents {
		r := s.Next()
		if got := r.Text("commentAdded", "content"); got != want {
			t.Fatalf("the comment %q, want %q", got, want)
		}
		cursor, _ = r.Extensions["cursor"].(string)
	}
	return cursor
}

// The whole life of a post, as strangers and its author see it who follow its comments.
func TestCommentsOnAPostThatIsHidden(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		ada, bob := n.SignUp("ada"), n.SignUp("bob")
		before := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		post, other := n.CreatePost(ada, "A post"), n.CreatePost(ada, "Another post")
		follow := func(token string) *testkit.Socket { return n.Subscribe(token, comments, behind(post, before)) }
		author, stranger, nobody := follow(ada), follow(bob), follow("")
		elsewhere := n.Subscribe(bob, comments, behind(other, before))
		first := n.AddComment(bob, post, "one")
		n.AddComment(ada, post, "two")
		all := []*testkit.Socket{author, stranger, nobody}
		cursor := map[*testkit.Socket]string{}
		for _, s := range all {
			cursor[s] = says(t, s, "one", "two")
		}

		n.Must(ada, takeBack, on(post))
		hidden := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		stranger.Complete()
		nobody.Complete()
		n.AddComment(ada, post, "three, among friends")
		cursor[author] = says(t, author, "three, among friends")
		if r, err := n.Post(bob, `mutation($p: ID!) { addComment(input: {postId: $p, content: "x"}) { id } }`, on(post)); err != nil || len(r.Errors) != 1 || r.Errors[0].Extensions["code"] != "NOT_FOUND" {
			t.Error(r, err)
		}
		// Wherever one wants to go on, it is as if there were no such post.
		for name, after := range map[string]any{"now": nil, "before": before, "id": first, "cursor": cursor[stranger], "behind the end": hidden} {
			for _, token := range []string{bob, ""} {
				if code := n.Subscribe(token, comments, map[string]any{"p": post, "after": after}).Ended(); code != "NOT_FOUND" {
					t.Errorf("resuming from %s: %q", name, code)
				}
			}
		}
		says(t, follow(ada), "one", "two", "three, among friends")
		says(t, n.Subscribe(ada, comments, behind(post, hidden)), "three, among friends")

		// Public again, the end that was does not matter any more; a new one does.
		n.Must(ada, publish, on(post))
		again := n.Subscribe(bob, comments, behind(post, cursor[stranger]))
		says(t, again, "three, among friends")
		n.AddComment(bob, post, "four")
		says(t, again, "four")
		says(t, author, "four")
		n.Must(ada, takeBack, on(post))
		again.Complete()

		n.AddComment(ada, post, "five")
		says(t, author, "five")
		n.Must(ada, deletePost, on(post))
		author.Complete()
		if code := n.Subscribe(ada, comments, behind(post, cursor[author])).Ended(); code != "NOT_FOUND" {
			t.Errorf("a deleted post, for its author: %q", code)
		}
		n.AddComment(bob, other, "undisturbed")
		says(t, elsewhere, "undisturbed")
	})
}

// Whoever deletes a post, or an account with its posts, ends what is subscribed to them, for everyone.
func TestCommentsOnAPostThatIsDeleted(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		ada, bob := n.SignUp("ada"), n.SignUp("bob")
		id := n.Must("", `{ user(username: "ada") { id } }`, nil).Text("user", "id")
		before := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		first, second := n.CreatePost(ada, "A post"), n.CreatePost(ada, "Another post")
		follow := func(post string) (all []*testkit.Socket) {
			for _, token := range []string{ada, bob, ""} {
				all = append(all, n.Subscribe(token, comments, behind(post, before)))
			}
			n.AddComment(bob, post, "one")
			for _, s := range all {
				says(t, s, "one")
			}
			return all
		}
		ofFirst, ofSecond := follow(first), follow(second)
		n.Must(ada, deletePost, on(first))
		for _, s := range ofFirst {
			s.Complete()
		}
		n.Must(ada, takeBack, on(second)) // and with a draft
		ofSecond[1].Complete()
		ofSecond[2].Complete()
		n.Must(ada, `mutation($p: ID!) { deleteUser(id: $p) { id } }`, on(id))
		if code, _ := ofSecond[0].Closed(); code != 4403 { // with the sessions of the account
			t.Errorf("the socket of a deleted user was closed with %d", code)
		}
		for _, post := range []string{first, second} {
			if code := n.Subscribe(bob, comments, on(post)).Ended(); code != "NOT_FOUND" {
				t.Errorf("afterwards: %q", code)
			}
		}
	})
}

// Whenever a post is hidden while somebody subscribes from now, they come to an end.
func TestHiddenWhileOneSubscribes(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		ada := n.SignUp("ada")
		ends := map[string]int{}
		for i := range 30 {
			post := n.CreatePost(ada, fmt.Sprint("Post ", i))
			var all sync.WaitGroup
			all.Go(func() {
				if r, err := n.Post(ada, takeBack, on(post)); err != nil || len(r.Errors) > 0 {
					t.Error(r.Errors, err)
				}
			})
			var sockets []*testkit.Socket
			for range 4 {
				sockets = append(sockets, n.Subscribe("", comments, on(post)))
			}
			all.Wait()
			for _, s := range sockets {
				ends[s.Ended()]++
				s.Close()
			}
		}
		t.Log("ends by code: ", ends)
		if len(ends) > 2 || ends[""]+ends["NOT_FOUND"] != 120 {
			t.Errorf("ends: %v", ends)
		}
	})
}

// Of those who comment while the post is hidden, each is before it in the log, and heard by its author, or is told that
// there is no such post. Those who listened get some of the first comments, and the end.
func TestCommentsWhileThePostIsHidden(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		n := testkit.Start(t, d)
		ada, bob := n.SignUp("ada"), n.SignUp("bob")
		before := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		late, said := 0, map[string]int{} // comments by post
		for i := range 12 {
			post, end := n.CreatePost(ada, fmt.Sprint("Post ", i)), takeBack
			if i%2 == 1 {
				end = deletePost
			}
			listener := n.Subscribe("", comments, behind(post, before))
			n.AddComment(ada, post, "first")
			says(t, listener, "first")
			said[post]++
			var mu sync.Mutex
			var all sync.WaitGroup
			begun := make(chan struct{}, 100)
			for range 4 {
				all.Go(func() {
					for range 8 {
						r, err := n.Post(bob, `mutation($i: AddCommentInput!) { addComment(input: $i) { id } }`, map[string]any{"i": map[string]any{"postId": post, "content": "me too"}})
						begun <- struct{}{}
						mu.Lock()
						switch {
						case err == nil && (len(r.Errors) == 0 || r.Errors[0].Message == "there is no such comment"):
							said[post]++ // and at once hidden again, in the latter case
						case err == nil && r.Errors[0].Extensions["code"] == "NOT_FOUND":
							late++
						default:
							t.Error(r.Errors, err)
						}
						mu.Unlock()
					}
				})
			}
			for range 4 {
				<-begun
			}
			n.Must(ada, end, on(post))
			all.Wait()
			heard := 1
			for listener.More() {
				heard++
			}
			if heard > said[post] {
				t.Errorf("%d comments were heard, %d made", heard, said[post])
			}
			listener.Close()
		}
		t.Logf("%d came too late", late)
		n.Stop()
		events := 12
		for _, n := range said {
			events += n
		}
		for post, es := range logged(t, d, events) {
			for i, k := range es {
				if last := i == len(es)-1; last != (k == event.PostHidden) || len(es) != said[post]+1 {
					t.Fatalf("%d were made of %v", said[post], es)
				}
			}
		}
	})
}

// logged reads n events, which are comments and ends of posts, from the log of a database that no server runs on.
func logged(t *testing.T, d config.Database, n int) map[string][]event.Kind {
	t.Helper()
	target := store.Target{Dialect: dialect.SQLite, DSN: d.Path}
	if d.Dialect == config.Postgres {
		target = store.Target{Dialect: dialect.Postgres, DSN: d.URL}
	}
	s, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	log := eventlog.New(s.Client(), s.Dialect(), eventlog.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = log.Run(ctx) }) // what may still wait in the inbox
	defer running.Wait()
	defer cancel()
	posts := map[string][]event.Kind{}
	at := int64(0)
	testkit.Eventually(t, func() error {
		es, err := log.Read(ctx, at, 1000)
		for _, e := range es {
			if e.Kind == event.CommentAdded || e.Kind == event.PostHidden {
				post := gid.PostOf(e.Scope).String()
				posts[post] = append(posts[post], e.Kind)
				n--
			}
			at = e.Position
		}
		if n != 0 && err == nil {
			err = fmt.Errorf("%d events are missing", n)
		}
		return err
	})
	return posts
}

// The node that hides the post is killed as soon as it has said that it did.
func TestHiddenByANodeThatDies(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		dying, kill := process(t, d)
		ada, bob := dying.SignUp("ada"), dying.SignUp("bob")
		post := dying.CreatePost(ada, "A post")
		before := dying.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		n := dying
		if d.Dialect == config.Postgres {
			n = testkit.Start(t, d)
		}
		author, stranger := n.Subscribe(ada, comments, behind(post, before)), n.Subscribe(bob, comments, behind(post, before))
		first := dying.AddComment(bob, post, "one")
		says(t, author, "one")
		cursor := says(t, stranger, "one")
		dying.Must(ada, takeBack, on(post))
		kill()
		if d.Dialect == config.Postgres {
			stranger.Complete()
		} else {
			n = testkit.Start(t, d)
			author = n.Subscribe(ada, comments, behind(post, first))
		}
		if code := n.Subscribe(bob, comments, behind(post, cursor)).Ended(); code != "NOT_FOUND" {
			t.Errorf("resuming: %q", code)
		}
		n.AddComment(ada, post, "two")
		says(t, author, "two")
		n.Must(ada, deletePost, on(post))
		author.Complete()
	})
}

// process runs a server in a process of its own, which can be killed.
func process(t *testing.T, d config.Database) (n *testkit.Node, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServerProcess$")
	cmd.Env = append(os.Environ(), "TEST_SERVE_DIALECT="+string(d.Dialect), "TEST_SERVE_PATH="+d.Path, "TEST_SERVE_URL="+d.URL)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill() // SIGKILL: nothing is drained
		_ = cmd.Wait()
	}
	t.Cleanup(kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "serving "); ok {
			return testkit.At(t, url), kill
		}
	}
	t.Fatal("the server does not start")
	return nil, nil
}

// TestServerProcess is the process of process, and nothing otherwise.
func TestServerProcess(t *testing.T) {
	d := config.Database{Dialect: config.Dialect(os.Getenv("TEST_SERVE_DIALECT")), Path: os.Getenv("TEST_SERVE_PATH"), URL: os.Getenv("TEST_SERVE_URL")}
	if d.Dialect == "" {
		t.Skip("run by other tests")
	}
	a, err := app.New(t.Context(), testkit.Config(d), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("serving", a.URL())
	if err := a.Run(t.Context()); err != nil {
		t.Error(err)
	}
}
