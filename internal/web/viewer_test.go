package web_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"tidings/internal/auth"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/web"
)

// changing is a Guard whose viewers change after they were verified.
type changing struct {
	web.Guard
	mu  sync.Mutex
	now func(auth.Viewer) (auth.Viewer, error)
}

func (c *changing) Current(v auth.Viewer) (auth.Viewer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now(v)
}

func (c *changing) set(now func(auth.Viewer) (auth.Viewer, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func newChanging(t *testing.T) (*world, *changing) {
	viewers := &changing{now: func(v auth.Viewer) (auth.Viewer, error) { return v, nil }}
	return newWorld(t, func(o *web.Options) {
		viewers.Guard = o.Guard
		o.Guard = viewers
	}), viewers
}

// TestViewerOfEachDelivery: each event is delivered to the viewer as of then,
// and so is each operation run.
func TestViewerOfEachDelivery(t *testing.T) {
	w, viewers := newChanging(t)
	token, user := w.token()
	c := w.open(`{"authorization":"` + token + `"}`)
	c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { viewer } }`, "")
	for i := range 3 {
		w.log.post(gid.NewUser(), "a post")
		c.expect(fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"posted":{"viewer":"%s"}},"extensions":{"cursor":"%s"}}}`, user, w.log.cursor(int64(i+1))))
		c.subscribe("2", "{ viewer }", "")
		c.expect(fmt.Sprintf(`{"id":"2","type":"next","payload":{"data":{"viewer":"%s"}}}`, user), `{"id":"2","type":"complete"}`)
		user = gid.NewUser()
		next := auth.Viewer{User: user}
		viewers.set(func(auth.Viewer) (auth.Viewer, error) { return next, nil })
	}
}

// TestViewerGone: to a viewer who is none any more nothing is delivered and
// nothing is answered; the socket ends.
func TestViewerGone(t *testing.T) {
	gone := fmt.Errorf("it was revoked")
	for reason, cause := range map[string]error{"The session has ended": gone, "The access token has expired": auth.ErrToken} {
		for what, ask := range map[string]func(*world, *client){
			"an event":       func(w *world, _ *client) { w.log.post(gid.NewUser(), "not for them") },
			"a query":        func(_ *world, c *client) { c.subscribe("2", "{ viewer }", "") },
			"a subscription": func(_ *world, c *client) { c.subscribe("2", "subscription { posted { text } }", "") },
		} {
			t.Run(reason+", "+what, func(t *testing.T) {
				w, viewers := newChanging(t)
				token, user := w.token()
				c, other := w.open(`{"authorization":"`+token+`"}`), w.open("")
				w.log.post(user, "first")
				for _, s := range []*client{c, other} {
					s.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "")
					if got := s.next(); !strings.Contains(got, "first") {
						t.Fatal(got)
					}
				}
				viewers.set(func(v auth.Viewer) (auth.Viewer, error) {
					if v.User == user {
						return auth.Viewer{}, cause
					}
					return v, nil
				})
				ask(w, c)
				c.expectClose(4403, reason)
				w.log.post(user, "for the other")
				for got := ""; !strings.Contains(got, "for the other"); {
					got = other.next()
				}
			})
		}
	}
}

// TestOverForEveryoneElse: when everyone's subscription is over, who is signed in goes on if they may see more. If they
// may not, it is over for them, too; if that can't be told, they are told so, and not that it is over.
func TestOverForEveryoneElse(t *testing.T) {
	const complete = `{"id":"1","type":"complete"}`
	for name, c := range map[string]struct {
		shut error
		want string // how it begins
	}{
		"more":               {nil, `{"id":"1","type":"next","payload":{"data":{"posted":{"public":"among friends"}},"extensions"`},
		"no more":            {fault.NotFound("There is no such thing."), complete},
		"the database, away": {errors.New("hidden cause"), `{"id":"1","type":"error","payload":[{"message":"internal error `},
		"less":               {fault.Forbidden("Not you."), `{"id":"1","type":"error","payload":[{"message":"Not you."`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			token, _ := w.token()
			anonymous, signedIn := w.open(""), w.open(`{"authorization":"`+token+`"}`)
			for _, c := range []*client{anonymous, signedIn} {
				c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { public } }`, "")
			}
			w.log.post(gid.NewUser(), "for all")
			for _, c := range []*client{anonymous, signedIn} {
				if got := c.next(); !strings.Contains(got, "for all") {
					t.Fatal(got)
				}
			}
			w.mu.Lock()
			w.shut = c.shut
			w.mu.Unlock()
			w.lasts.Store(true)
			w.over.Store(true)
			w.log.post(gid.NewUser(), "hidden")
			w.log.post(gid.NewUser(), "among friends")
			for who, want := range map[*client]string{anonymous: complete, signedIn: c.want} {
				if got := who.next(); !strings.HasPrefix(got, want) || strings.Contains(got, "hidden") {
					t.Errorf("\n got %s\nwant %s", got, want)
				}
				who.quiet()
				if c.shut != nil || who == anonymous {
					who.subscribe("1", "{ hello }", "") // the id is free
					who.next()
				}
			}
		})
	}
}

// TestOverForWhoHasGone: whose session has ended just then isn't told that there is no more, for to them there may be
// when they are back.
func TestOverForWhoHasGone(t *testing.T) {
	w := newWorld(t)
	token, _ := w.token()
	viewer, err := w.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	c := w.open(`{"authorization":"` + token + `"}`)
	c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { public } }`, "")
	w.log.post(gid.NewUser(), "for all")
	if got := c.next(); !strings.Contains(got, "for all") {
		t.Fatal(got)
	}
	w.mu.Lock()
	w.ended[viewer.Session] = true // nobody has been told yet
	w.mu.Unlock()
	w.over.Store(true)
	w.log.post(gid.NewUser(), "hidden")
	c.expectClose(4403, "The session has ended")
}

// TestOver: a subscription that doesn't last is completed, behind all that was
// delivered, and its id is free again.
func TestOver(t *testing.T) {
	w := newWorld(t)
	c := w.open("")
	for _, text := range []string{"first", "hidden", "second"} {
		w.log.post(gid.NewUser(), text)
	}
	const all = `subscription { posted(after: "%s") { text } }`
	next := func(text string, position int64) string {
		return fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"posted":{"text":"%s"}},"extensions":{"cursor":"%s"}}}`, text, w.log.cursor(position))
	}
	c.subscribe("1", fmt.Sprintf(all, w.log.cursor(0)), "")
	c.expect(next("first", 1), next("second", 3)) // what is passed over is not the end
	w.over.Store(true)
	w.log.post(gid.NewUser(), "third")
	w.log.post(gid.NewUser(), "hidden")
	w.log.post(gid.NewUser(), "unheard")
	c.expect(next("third", 4), `{"id":"1","type":"complete"}`)
	c.quiet()
	w.over.Store(false)
	c.subscribe("1", fmt.Sprintf(all, w.log.cursor(4)), "")
	c.expect(next("unheard", 6))
	eventually(t, "the log says so", func() bool { return strings.Contains(w.lines.String(), `"events":3,"outcome":"over"`) })
}
