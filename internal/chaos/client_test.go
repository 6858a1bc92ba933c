package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
	"tidings/internal/testkit/npmtest"
)

// client runs docs/client/tidings.ts, the client that people copy, in its test's program.
func client(t testing.TB, url string, told map[string]any) *npmtest.Program {
	t.Helper()
	what, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	p := npmtest.Start(t, "../../docs/client", "built/test/follow.js", "ws"+strings.TrimPrefix(url, "http")+"/graphql")
	p.Tell(string(what))
	return p
}

// followByOurs is followBy with the client that people copy, which begins behind a cursor that it has stored.
func (c *crowd) followByOurs(url string, kind checker.Kind, scope string, viewer account, start string, attempts int) *subscriber {
	c.t.Helper()
	s := &subscriber{token: viewer.token, start: start, codes: map[int]int{}, last: map[string]int{},
		stream: checker.Stream{Name: "tidings.ts on " + string(kind), Kind: kind, Scope: scope, Viewer: viewer.id}}
	c.subscribers = append(c.subscribers, s)
	variables := map[string]any{}
	if scope != "" {
		variables["scope"] = scope
	}
	p := client(c.t, url, map[string]any{"query": queries[kind], "variables": variables, "cursor": start, "token": viewer.token, "attempts": attempts})
	c.following.Go(func() { s.listen(c.ctx, p) })
	return s
}

// The client that people copy lives through a server that is killed, also when it stays away for longer than graphql-ws
// tries, and one that is drained, and gets all that there is.
func TestOurClient(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		s := newServer(t, d)
		c := newCrowd(t, d, s.URL)
		ada, bob := c.account("ada"), c.account("bob")
		start := c.now()
		post := c.surely(func() (string, error) { return c.publish(ada) })
		giveUp := []*subscriber{c.followByOurs(s.URL, checker.PostCreated, "", account{}, start, 1), c.followByOurs(s.URL, checker.CommentAdded, post, bob, start, 1)}
		c.followByOurs(s.URL, checker.CommentAdded, post, account{}, start, 5)
		write := func() {
			t.Helper()
			for range 10 {
				c.surely(func() (string, error) { return c.publish(ada) })
				c.surely(func() (string, error) { return c.say(bob, post) })
			}
		}
		c.connected(1)
		for i, end := range []func(){s.kill, s.drain, s.kill} {
			write()
			end()
			if i == 0 {
				testkit.Eventually(t, func() error {
					for _, s := range giveUp {
						s.mu.Lock()
						failures := s.failures
						s.mu.Unlock()
						if failures < 2 {
							return fmt.Errorf("graphql-ws has given up %d times: %s", failures, s)
						}
					}
					return nil
				})
			}
			s.start()
			write() // while they wait to come back
			c.connected(i + 2)
		}
		write()
		c.settle(ada)
	})
}

// said is what the program of the client that people copy says.
type said struct {
	Connected, Complete, Renew, Expired bool
	Closed                              int
	Failure, Item, Cursor, Error        string
	List                                []string
}

// told is what one page was told: a list, and then one after another.
type told struct {
	t      testing.TB
	p      *npmtest.Program
	list   []string
	items  []string
	cursor string
}

// until takes what is said until something is; but for connections, closes and failures it is all kept.
func (p *told) until(what string, is func(said) bool) {
	p.t.Helper()
	for begin := time.Now(); ; {
		line := p.p.Line()
		if time.Since(begin) > patience {
			p.t.Fatalf("waiting for %s it said %s last", what, line)
		}
		var s said
		if err := json.Unmarshal([]byte(line), &s); err != nil || s.Error != "" || s.Complete {
			p.t.Fatalf("waiting for %s it said %s, %v", what, line, err)
		}
		switch {
		case s.List != nil:
			p.list, p.items = s.List, nil
		case s.Item != "":
			p.items, p.cursor = append(p.items, s.Item), s.Cursor
		}
		if is(s) {
			return
		}
	}
}

func (p *told) item(id string) {
	p.t.Helper()
	p.until(id, func(s said) bool { return s.Item == id })
}

// The client that people copy reads a list and what comes after it, without a gap; goes on where another page was; renews
// its token when its session ends; and is told when it can't go on, and reads the list again.
func TestOurClientStartsAnew(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		s := newServer(t, d)
		n := testkit.At(t, s.URL)
		ada := n.SignUp("ada")
		var posts []string
		post := func() string {
			t.Helper()
			posts = append(posts, n.CreatePost(ada, "A post"))
			return posts[len(posts)-1]
		}
		logIn := func() string {
			t.Helper()
			return n.Must("", `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken } }`, nil).Text("logIn", "accessToken")
		}
		logOut := func(token string) { t.Helper(); n.Must(token, `mutation { logOut }`, nil) }
		what := map[string]any{"query": queries[checker.PostCreated], "variables": map[string]any{},
			"list": `{ liveCursor items: posts(first: 100) { nodes { id } } }`}

		// A list, and what follows: both together are all, and each comes once.
		whole := func(p *told, from int) {
			t.Helper()
			got := slices.Clone(p.items)
			for _, id := range p.list {
				if !slices.Contains(got, id) { // a post that was being written may be in both
					got = append(got, id)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(posts[from:]))
			if !slices.Equal(got, want) {
				t.Errorf("in the list and behind it were %d posts, want %d: list %v, then %v", len(got), len(want), p.list, p.items)
			}
			if !slices.IsSorted(p.items) { // ids are in the order of their making
				t.Errorf("out of order: %v", p.items)
			}
		}
		first := &told{t: t, p: client(t, s.URL, what)}
		for range 50 {
			post() // before, while and after it reads the list
		}
		first.until("the list", func(s said) bool { return s.List != nil && !s.Expired })
		first.item(post())
		whole(first, 0)

		// Another page, with the cursor that was stored: no list.
		gone := len(posts)
		for range 5 {
			post()
		}
		session := logIn()
		what["cursor"], what["token"] = first.cursor, session
		second := &told{t: t, p: client(t, s.URL, what)}
		second.item(post())
		if second.list != nil {
			t.Error("it has read the list though it had a cursor")
		}
		if !slices.Equal(second.items, posts[gone:]) {
			t.Errorf("behind the cursor that was stored came %v, want %v", second.items, posts[gone:])
		}

		// The session ends: it is asked for another token.
		for range 2 {
			logOut(session)
			second.until("the renewal", func(s said) bool { return s.Renew })
			post()
			session = logIn()
			second.p.Tell(session)
			second.item(post())
		}
		whole(&told{t: t, items: second.items}, gone)

		// What it would go on from is not kept any more.
		s.kill()
		elsewhere := newServer(t, d)
		n = testkit.At(t, elsewhere.URL)
		for range 5 {
			post()
		}
		elsewhere.drain()
		forget(t, d)
		s.start()
		n = testkit.At(t, s.URL)
		second.until("the list", func(s said) bool { return s.List != nil && s.Expired })
		for range 5 {
			post()
		}
		second.item(posts[len(posts)-1])
		whole(second, 0)
		if len(second.items) != 5 {
			t.Errorf("behind the new list came %v", second.items)
		}
	})
}

// forget deletes all events but the newest.
func forget(t testing.TB, d config.Database) {
	t.Helper()
	db := testkit.OpenDatabase(t, d)
	if _, err := db.ExecContext(context.Background(), `DELETE FROM log WHERE pos < (SELECT max(pos) FROM log)`); err != nil {
		t.Fatal(err)
	}
}
