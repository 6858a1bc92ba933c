package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
)

// crowd is many subscribers and writers at one database's servers, and the record of what they did and were told.
type crowd struct {
	t           testing.TB
	d           config.Database
	urls        []string
	http        *http.Client
	subscribers []*subscriber

	ctx       context.Context
	stop      context.CancelFunc
	following sync.WaitGroup
	writing   sync.WaitGroup
	quit      chan struct{} // closed when the writers are to end

	last func() error // what is still to be done before the last items; nil: nothing

	posted         atomic.Int64 // requests, to take turns at the servers
	acked, unacked atomic.Int64

	mu   sync.Mutex
	acts []checker.Act
	mark map[string]checker.Mark
	odd  map[string]int // errors that mutations got, by code
}

type account struct{ id, token string }

func newCrowd(t testing.TB, d config.Database, urls ...string) *crowd {
	c := &crowd{t: t, d: d, urls: urls, quit: make(chan struct{}), mark: map[string]checker.Mark{}, odd: map[string]int{},
		http: &http.Client{Timeout: testkit.Wait, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	c.ctx, c.stop = context.WithCancel(context.Background())
	t.Cleanup(func() {
		c.hush()
		c.stop()
		c.following.Wait()
		c.http.CloseIdleConnections()
	})
	return c
}

func (c *crowd) account(name string) account {
	c.t.Helper()
	n := testkit.At(c.t, c.urls[0])
	token := n.SignUp(name)
	return account{n.Must(token, `{ viewer { id } }`, nil).Text("viewer", "id"), token}
}

// now is a cursor behind which is all that is written from now on.
func (c *crowd) now() string {
	c.t.Helper()
	cursor := testkit.At(c.t, c.urls[0]).Must("", `{ liveCursor }`, nil).Text("liveCursor")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mark[cursor] = checker.Mark{Answered: time.Now()}
	return cursor
}

// follow makes n subscribers of a topic, from that cursor on.
func (c *crowd) follow(n int, kind checker.Kind, scope string, viewer account, start string) {
	for range n {
		i := len(c.subscribers)
		s := &subscriber{urls: append(slices.Clone(c.urls[i%len(c.urls):]), c.urls[:i%len(c.urls)]...), token: viewer.token, start: start, byID: i%2 == 1, sse: i%3 == 2,
			codes: map[int]int{}, last: map[string]int{}, closed: map[string][]time.Time{},
			stream: checker.Stream{Name: fmt.Sprintf("subscriber %d of %s", i, kind), Kind: kind, Scope: scope, Viewer: viewer.id}}
		c.subscribers = append(c.subscribers, s)
		c.following.Go(func() { s.follow(c.ctx) })
	}
}

// The mutations, all of which give the item as "it".
const (
	createPost = `mutation($title: String!, $published: Boolean!) { it: createPost(input: {title: $title, content: "x", published: $published}) { id } }`
	setPublic  = `mutation($id: ID!, $public: Boolean!) { it: updatePost(id: $id, input: {published: $public}) { id } }`
	addComment = `mutation($post: ID!) { it: addComment(input: {postId: $post, content: "x"}) { id } }`
	deletePost = `mutation($id: ID!) { it: deletePost(id: $id) { id } }`
)

func (c *crowd) publish(by account) (string, error) {
	return c.do(by, checker.Publish, "", createPost, map[string]any{"title": "A post", "published": true})
}

func (c *crowd) publishAt(url string, by account) (string, error) {
	return c.doAt(url, by, checker.Publish, "", createPost, map[string]any{"title": "A post", "published": true})
}

func (c *crowd) say(by account, post string) (string, error) {
	return c.do(by, checker.Say, "", addComment, map[string]any{"post": post})
}

// do runs a mutation at one of the servers, once, and writes down what becomes of it. item is "" of what is made.
func (c *crowd) do(by account, deed checker.Deed, item, query string, variables map[string]any) (string, error) {
	return c.doAt(c.urls[int(c.posted.Add(1))%len(c.urls)], by, deed, item, query, variables)
}

func (c *crowd) doAt(url string, by account, deed checker.Deed, item, query string, variables map[string]any) (string, error) {
	act := checker.Act{Deed: deed, Item: item, Sent: time.Now()}
	made, err := c.mutate(url, by.token, query, variables)
	if err == nil {
		act.Item, act.Acked = made, time.Now()
		c.acked.Add(1)
	} else {
		c.unacked.Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acts = append(c.acts, act)
	return made, err
}

func (c *crowd) mutate(url, token, query string, variables map[string]any) (string, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequest(http.MethodPost, url+"/graphql", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var r payload
	if err := json.Unmarshal(text, &r); err != nil {
		return "", fmt.Errorf("%s: %s", resp.Status, text)
	}
	if len(r.Errors) > 0 || r.Data.It.ID == "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		var code any = resp.Status
		if len(r.Errors) > 0 {
			code = r.Errors[0].Extensions["code"]
		}
		c.odd[fmt.Sprint(code)]++
		return "", fmt.Errorf("%s", text)
	}
	return r.Data.It.ID, nil
}

// write calls fn again and again, as so many writers that each think for about that long in between, until hush.
func (c *crowd) write(writers int, think time.Duration, fn func()) {
	for range writers {
		c.writing.Go(func() {
			for {
				fn()
				select {
				case <-c.quit:
					return
				case <-time.After(rand.N(2 * think)):
				}
			}
		})
	}
}

// hush ends the writers. It may be called again.
func (c *crowd) hush() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	c.writing.Wait()
}

// more waits until n further mutations have been answered, so that what is done next is done under load.
func (c *crowd) more(n int64) {
	c.t.Helper()
	from := c.acked.Load()
	testkit.Eventually(c.t, func() error {
		if done := c.acked.Load() - from; done < n {
			return fmt.Errorf("%d mutations were answered, want %d", done, n)
		}
		return nil
	})
}

// surely repeats what must succeed in the end.
func (c *crowd) surely(do func() (string, error)) (item string) {
	c.t.Helper()
	testkit.Eventually(c.t, func() (err error) {
		item, err = do()
		return err
	})
	return item
}

// settle ends the writing, waits until every subscriber has got the last item of its topic, which by makes, and checks
// what there is. It returns the record.
func (c *crowd) settle(by account) *checker.Record {
	c.t.Helper()
	c.hush()
	if c.last != nil {
		testkit.Eventually(c.t, c.last)
	}
	last := map[string]string{}
	for _, s := range c.subscribers {
		topic := string(s.stream.Kind) + s.stream.Scope
		if last[topic] != "" {
			continue
		}
		last[topic] = c.surely(func() (string, error) {
			if s.stream.Kind == checker.CommentAdded {
				return c.say(by, s.stream.Scope)
			}
			return c.publish(by)
		})
	}
	begin := time.Now()
	c.await(last)
	waited := time.Since(begin)
	c.probe(40, last)
	c.await(last)
	c.stop()
	c.following.Wait()
	return c.check(waited)
}

// patience bounds the wait for a client's next attempt to come back: the fourth of graphql-ws is after 8 to 11 s, the
// fifth after 16 to 19 s.
const patience = 30 * time.Second

// await waits until every subscriber has got the last item of its topic.
func (c *crowd) await(last map[string]string) {
	c.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	begin := time.Now()
	for missing := c.without(last); len(missing) > 0; missing = c.without(last) {
		if time.Since(begin) > patience { // what else is wrong is yet to be seen
			c.t.Errorf("%d of %d subscribers don't get the last item: %v", len(missing), len(c.subscribers), missing[:min(len(missing), 5)])
			return
		}
		<-tick.C
	}
}

// probe makes n more subscribers, each of which resumes at a place that another one was given, whichever, by cursor or by
// id.
func (c *crowd) probe(n int, last map[string]string) {
	given := c.subscribers
	ends := map[string]bool{}
	for _, item := range last {
		ends[item] = true
	}
	for i := range n {
		s := given[rand.IntN(len(given))]
		s.mu.Lock()
		run := s.stream.Runs[rand.IntN(len(s.stream.Runs))]
		s.mu.Unlock()
		if len(run.Got) == 0 {
			continue
		}
		at := run.Got[rand.IntN(len(run.Got))]
		if ends[at.Item] {
			continue // nothing, or not the one that is waited for, is to come
		}
		place := []string{at.Cursor, at.Item}[i%2]
		c.follow(1, s.stream.Kind, s.stream.Scope, account{s.stream.Viewer, s.token}, place)
		c.subscribers[len(c.subscribers)-1].late = true
	}
}

// without gives the subscribers that have not got the last item of their topic.
func (c *crowd) without(last map[string]string) (missing []*subscriber) {
	for _, s := range c.subscribers {
		if !s.has(last[string(s.stream.Kind)+s.stream.Scope]) {
			missing = append(missing, s)
		}
	}
	return missing
}

// closed gives the times at which a server has closed sockets of subscribers, in order.
func (c *crowd) closed(url string) (at []time.Time) {
	for _, s := range c.subscribers {
		s.mu.Lock()
		at = append(at, s.closed[url]...)
		s.mu.Unlock()
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// check holds the record against the database.
func (c *crowd) check(waited time.Duration) *checker.Record {
	c.t.Helper()
	driver, dsn := "sqlite", c.d.Path
	if c.d.Dialect == config.Postgres {
		driver, dsn = "postgres", c.d.URL
	}
	database, err := checker.Load(context.Background(), driver, dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	r := &checker.Record{Acts: c.acts, Marks: c.mark}
	codes, ends, deliveries, runs := map[int]int{}, map[checker.End]int{}, 0, 0
	for _, s := range c.subscribers {
		r.Streams = append(r.Streams, s.stream)
		for code, n := range s.codes {
			codes[code] += n
		}
		for _, run := range s.stream.Runs {
			ends[run.End]++
			runs++
			deliveries += len(run.Got)
		}
	}
	for _, err := range checker.Check(database, r) {
		c.t.Error(err)
	}
	for end, n := range ends {
		if end != checker.Open && end != checker.Cut && end != checker.Completed && end != "NOT_FOUND" { // that is of a hidden post
			c.t.Errorf("%d subscriptions ended with %s", n, end)
		}
	}
	for code, n := range codes {
		if !retried(code) {
			c.t.Errorf("%d connections were closed with %d, on which a stock client does not come back", n, code)
		}
	}
	c.t.Logf("%d mutations answered, %d not %v; %d events; %d subscribers, %d subscriptions, %d payloads; ends %v, close codes %v; the last items within %v",
		c.acked.Load(), c.unacked.Load(), c.odd, len(database.Events), len(c.subscribers), runs, deliveries, ends, codes, waited.Round(time.Millisecond))
	if deliveries == 0 || len(database.Posts) == 0 {
		c.t.Error("nothing was checked")
	}
	return r
}

// retried reports whether the client of graphql-ws comes back after a close code (isFatalInternalCloseCode, and the
// codes that it throws on). 0 is none.
func retried(code int) bool {
	switch code {
	case 0, 1000, 1001, 1005, 1006, 1012, 1013, 1014, 4403, 4408:
		return true
	}
	return false
}
