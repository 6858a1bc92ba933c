package chaos_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
)

// The server is killed again and again under load, while 200 subscribers resume: nothing is lost, nothing comes twice,
// and every mutation that was answered is delivered.
func TestKilledAgainAndAgain(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		s := newServer(t, d)
		c := newCrowd(t, d, s.URL)
		ada := c.load(200)
		for range of(4, 100) {
			c.more(20)
			time.Sleep(rand.N(200 * time.Millisecond)) // at any moment
			s.kill()
			s.start()
		}
		c.more(20)
		r := c.settle(ada)
		for _, s := range r.Streams[:200] { // the others came later
			if len(s.Runs) < of(4, 100) {
				t.Errorf("%s has subscribed %d times only", s.Name, len(s.Runs))
			}
		}
	})
}

// load begins to write, and makes n subscribers: to comments on ten posts, to all posts and to those of one author, and
// to comments on a post that is taken back and published again. It returns who may write everywhere.
func (c *crowd) load(n int) (ada account) {
	c.t.Helper()
	ada, bob, eve := c.account("ada"), c.account("bob"), c.account("eve")
	start := c.now()
	var posts []string
	for range 10 {
		posts = append(posts, c.surely(func() (string, error) { return c.publish(ada) }))
	}
	moody := c.surely(func() (string, error) { return c.publish(ada) })
	c.follow(n/20, checker.PostCreated, "", account{}, start)
	c.follow(n/20, checker.PostCreated, ada.id, bob, start)
	c.follow(n/40, checker.CommentAdded, moody, bob, start)
	c.follow(n/40, checker.CommentAdded, moody, ada, start)
	for i := len(c.subscribers); i < n; i++ {
		c.follow(1, checker.CommentAdded, posts[i%len(posts)], []account{{}, ada, bob, eve}[i%4], start)
	}
	c.write(4, 30*time.Millisecond, func() { _, _ = c.say(bob, posts[rand.IntN(len(posts))]) })
	c.write(2, 100*time.Millisecond, func() { _, _ = c.publish([]account{ada, eve}[rand.IntN(2)]) })
	c.write(2, 100*time.Millisecond, func() { _, _ = c.say(ada, moody) })
	c.write(1, 100*time.Millisecond, func() { // a draft that is published, and sometimes deleted
		id, err := c.do(eve, checker.Draft, "", createPost, map[string]any{"title": "A draft", "published": false})
		if err != nil {
			return
		}
		_, _ = c.do(eve, checker.Publish, id, setPublic, map[string]any{"id": id, "public": true})
		if rand.IntN(2) == 0 {
			_, _ = c.do(eve, checker.Delete, id, deletePost, map[string]any{"id": id})
		}
	})
	var public atomic.Bool
	public.Store(true)
	turn := func() error {
		deed := checker.Publish
		if public.Load() {
			deed = checker.Hide
		}
		_, err := c.do(ada, deed, moody, setPublic, map[string]any{"id": moody, "public": !public.Load()})
		if err == nil {
			public.Store(!public.Load())
		}
		return err
	}
	c.write(1, 300*time.Millisecond, func() { _ = turn() })
	c.last = func() error { // in the end it is public
		if public.Load() {
			return nil
		}
		return turn()
	}
	return ada
}
