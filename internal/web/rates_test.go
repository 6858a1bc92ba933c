package web_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidings/internal/gid"
	"tidings/internal/rate"
	"tidings/internal/web"
)

// purse is the points of a test, by a time that stands still until it is moved.
type purse struct {
	mu  sync.Mutex
	now time.Time
	web.Rates
}

// newPurse holds 100 points for an address, 10 more each second, and three times as much for a viewer.
func newPurse() *purse {
	p := &purse{now: time.Unix(1_000_000, 0)}
	p.Addresses = rate.NewBuckets(rate.Limit{Burst: 100, Refill: 10}, 1000, p.time)
	p.Viewers = rate.NewBuckets(rate.Limit{Burst: 300, Refill: 30}, 1000, p.time)
	return p
}

func (p *purse) time() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *purse) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

// limits are options with the points of p, behind a proxy on this machine that tests name clients with.
func (p *purse) limits(o *web.Options) {
	o.Rates = &p.Rates
	o.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// from is the header of a request from an address.
func from(addr string) []string { return []string{"X-Forwarded-For", addr} }

// wantLeft holds the RateLimit headers against what must be left.
func wantLeft(t *testing.T, got response, limit, remaining, reset int) {
	t.Helper()
	for name, want := range map[string]int{"RateLimit-Limit": limit, "RateLimit-Remaining": remaining, "RateLimit-Reset": reset} {
		if h := got.header.Get(name); h != strconv.Itoa(want) {
			t.Errorf("%s is %q, want %d: %v", name, h, want, got)
		}
	}
}

const tooMany = `{"errors":[{"message":"Too many requests: wait before you ask for more.","extensions":{"code":"RATE_LIMITED","retryAfter":1}}]}`

// one and ten cost so many points, while a root field costs one.
const (
	one = `{"query":"{ hello }"}`
	ten = `{"query":"{ a: hello b: hello c: hello d: hello e: hello f: hello g: hello h: hello i: hello j: hello }"}`
)

func TestRates(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	for i := range 9 {
		got := w.post(ten, from("198.51.100.1")...)
		if got.status != 200 {
			t.Fatal(got)
		}
		wantLeft(t, got, 100, 90-10*i, 1+i)
	}
	// A refused document costs 10, whatever is wrong with it.
	got := w.post(`{"query":"{ nothing }"}`, from("198.51.100.1")...)
	if got.status != 200 || !strings.Contains(got.body, "GRAPHQL_VALIDATION_FAILED") {
		t.Error(got)
	}
	wantLeft(t, got, 100, 0, 10)

	for _, accept := range []string{responseJSON, plainJSON} {
		got := w.post(one, append(from("198.51.100.1"), "Accept", accept)...)
		if got.status != 429 || got.body != tooMany || got.header.Get("Retry-After") != "1" || got.header.Get("Content-Type") != accept+"; charset=utf-8" {
			t.Errorf("%v %v", got, got.header)
		}
		wantLeft(t, got, 100, 0, 10)
	}
	if got := w.do("GET", "/graphql?query={hello}", "", from("198.51.100.1")...); got.status != 429 {
		t.Error(got)
	}
	if got := w.post(one, from("198.51.100.2")...); got.status != 200 {
		t.Errorf("another address: %v", got)
	}
	p.pass(900 * time.Millisecond) // 9 points: too few to be looked at
	if got := w.post(one, from("198.51.100.1")...); got.status != 429 {
		t.Error(got)
	}
	p.pass(100 * time.Millisecond)
	got = w.post(one, from("198.51.100.1")...)
	if got.status != 200 {
		t.Error(got)
	}
	wantLeft(t, got, 100, 9, 10)
	if got := w.do("GET", "/schema.graphql", "", from("198.51.100.1")...); got.status != 200 {
		t.Errorf("what is no operation: %v", got)
	}
	if n := strings.Count(w.lines.String(), `"msg":"security","event":"request_refused","reason":"rate","user":"","viewer":"","address":"198.51.100.1","request":"`); n != 1 {
		t.Errorf("%d security events, want one for all refusals of these seconds:\n%s", n, w.lines.String())
	}
}

// TestRatesOfDear: what costs more than is left is refused and costs nothing, with the time until it can be paid.
func TestRatesOfDear(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	for range 8 {
		w.post(ten)
	}
	twentyFive := `{"query":"{` + strings.Repeat(" hello", 25) + ` }"}`
	for range 3 {
		got := w.post(twentyFive)
		if got.status != 429 || got.header.Get("Retry-After") != "1" {
			t.Errorf("%v %v", got, got.header)
		}
		wantLeft(t, got, 100, 20, 8)
	}
	w.post(ten)
	if got := w.post(twentyFive); got.header.Get("Retry-After") != "2" || !strings.Contains(got.body, `"retryAfter":2`) {
		t.Errorf("%v %v", got, got.header)
	}
	p.pass(1500 * time.Millisecond)
	if got := w.post(twentyFive); got.status != 200 {
		t.Error(got)
	}
}

// TestRatesOfBodies: a body that is no request costs as much as a document that is refused; what is refused before its
// body is read costs nothing.
func TestRatesOfBodies(t *testing.T) {
	w := newWorld(t, newPurse().limits)
	for i, body := range []string{`{`, `{}`, `{"query":1}`, `{"query":"{"}`, "\xff"} {
		wantLeft(t, w.post(body), 100, 90-10*i, 1+i)
	}
	for _, got := range []response{
		w.do("PUT", "/graphql", one),
		w.do("POST", "/graphql", one, "Accept", "text/html"),
		w.post(one, "Authorization", "Bearer nonsense"),
		w.post(one, "Origin", "https://stranger.example", "Sec-Fetch-Site", "cross-site"),
	} {
		wantLeft(t, got, 100, 50, 5)
	}
}

// TestRatesOfReading: a document costs what it takes to read it as well, all its operations and whichever runs; but
// only the first time.
func TestRatesOfReading(t *testing.T) {
	w := newWorld(t, newPurse().limits)
	const others = `query B { ...F } query C { ...F } query D { ...F } fragment F on Query {`
	document := `query A { hello } ` + others + strings.Repeat(" hello", 29) + strings.Repeat(" ... {", 100) + " __typename " + strings.Repeat("}", 101)
	body := `{"query":"` + document + `","operationName":"A"}` // 4 · (30 + 100) fields and fragments, and few more
	wantLeft(t, w.post(body), 100, 94, 1)
	wantLeft(t, w.post(body), 100, 93, 1)
	wantLeft(t, w.post(strings.Replace(body, "query A", "query  A", 1)), 100, 87, 2)
}

// TestRatesOfWaiting: an operation too many for a socket isn't looked at, but costs as much as one that is refused.
func TestRatesOfWaiting(t *testing.T) {
	w := newWorld(t, newPurse().limits, func(o *web.Options) { o.Limits.Subscriptions, o.Limits.Executions = 1, 1 })
	c := w.open("")
	for i := range 9 {
		c.subscribe(fmt.Sprint("q", i), `{ wait(key: "held") }`, "")
	}
	within(t, w.gate("held").entered, "the first to run") // for a point, as the init
	for i := range 3 {
		c.subscribe(fmt.Sprint("r", i), `{ hello }`, "")
		if got := c.next(); !strings.Contains(got, "Too many operations wait") {
			t.Fatal(got)
		}
	}
	wantLeft(t, w.post(one), 100, 100-2-30-1, 4)
	close(w.gate("held").open)
}

// TestRatesOfViewers: a viewer has three times the points of an address, and pays from wherever; each address pays too.
func TestRatesOfViewers(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	token, user := w.token()
	other, _ := w.token()
	as := func(token, addr string) []string { return append(from(addr), "Authorization", "Bearer "+token) }
	for addr := range 3 {
		for i := range 10 {
			got := w.post(ten, as(token, fmt.Sprintf("198.51.100.%d", addr))...)
			if got.status != 200 {
				t.Fatal(got)
			}
			if addr == 2 && i == 8 {
				wantLeft(t, got, 100, 10, 9)
			}
		}
	}
	if got := w.post(one, as(other, "198.51.100.1")...); got.status != 429 {
		t.Errorf("another viewer at an address that has nothing left: %v", got)
	}
	got := w.post(one, as(token, "203.0.113.1")...)
	if got.status != 429 {
		t.Errorf("the viewer from another address: %v", got)
	}
	wantLeft(t, got, 300, 0, 10)
	p.pass(500 * time.Millisecond) // 15 points for the viewer
	if got := w.post(`{"query":"{`+strings.Repeat(" hello", 16)+` }"}`, as(token, "203.0.113.1")...); got.status != 429 {
		t.Errorf("more than the viewer has: %v", got)
	}
	if got := w.post(one, as(other, "203.0.113.1")...); got.status != 200 {
		t.Errorf("another viewer: %v", got)
	}
	if got := w.post(one, from("203.0.113.1")...); got.status != 200 || got.header.Get("RateLimit-Remaining") != "98" {
		t.Errorf("what was refused has cost something: %v %v", got, got.header)
	}
	if !strings.Contains(w.lines.String(), `"reason":"rate","user":"","viewer":"`+user.String()+`","address":"203.0.113.1"`) {
		t.Error("the security event doesn't say who")
	}
}

func TestRatesOfNetworks(t *testing.T) {
	w := newWorld(t, newPurse().limits)
	for i := range 10 {
		if got := w.post(ten, from(fmt.Sprintf("2001:db8::%x", i))...); got.status != 200 {
			t.Fatal(got)
		}
	}
	if got := w.post(one, from("2001:db8::ffff:ffff:ffff:ffff")...); got.status != 429 {
		t.Errorf("the same /64: %v", got)
	}
	if got := w.post(one, from("2001:db8:0:1::1")...); got.status != 200 {
		t.Errorf("another /64: %v", got)
	}
}

// TestRatesAtOnce: of many that come at once no more are answered than there are points for.
func TestRatesAtOnce(t *testing.T) {
	w := newWorld(t, newPurse().limits)
	var all sync.WaitGroup
	status := make(chan int, 50)
	for range 50 {
		all.Go(func() { status <- w.post(ten).status })
	}
	all.Wait()
	close(status)
	count := map[int]int{}
	for s := range status {
		count[s]++
	}
	if count[200] != 10 || count[429] != 40 {
		t.Error(count)
	}
}

func TestRatesOfSockets(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	token, _ := w.token()
	c := w.open(`{"authorization":"Bearer `+token+`"}`, from("198.51.100.1")...)
	const tenFields = `{ a: hello b: hello c: hello d: hello e: hello f: hello g: hello h: hello i: hello j: hello }`
	for range 8 { // after one point for the connection_init
		c.subscribe("1", tenFields, "")
		if got := c.next(); !strings.Contains(got, `"type":"next"`) {
			t.Fatal(got)
		}
		c.expect(`{"id":"1","type":"complete"}`)
	}
	c.subscribe("1", `{ nothing }`, "")
	if got := c.next(); !strings.Contains(got, `"GRAPHQL_VALIDATION_FAILED"`) {
		t.Fatal(got)
	}
	const refused = `,"type":"error","payload":[{"message":"Too many requests: wait before you ask for more.","extensions":{"code":"RATE_LIMITED","retryAfter":1}}]}`
	for _, query := range []string{`{ hello }`, `mutation { post(text: \"a\") { id } }`, `subscription { posted { id } }`, `{ nothing }`} {
		c.send(`{"id":"1","type":"subscribe","payload":{"query":"` + query + `"}}`)
		c.expect(`{"id":"1"` + refused)
	}
	if got := w.post(one, from("198.51.100.1")...); got.status != 429 {
		t.Errorf("the address over HTTP: %v", got)
	}
	if got := w.post(one, append(from("198.51.100.2"), "Authorization", "Bearer "+token)...); got.status != 200 || got.header.Get("RateLimit-Remaining") != "99" {
		t.Errorf("%v %v", got, got.header)
	}
	p.pass(time.Second)
	c.subscribe("1", `{ hello }`, "")
	c.expect(`{"id":"1","type":"next","payload":{"data":{"hello":"hello world"}}}`, `{"id":"1","type":"complete"}`)
	if len(w.log.events) != 0 {
		t.Error("what was refused has run")
	}
}

// TestRatesOfMessages: what a client sends beside its operations is paid for too. It isn't refused, but read no faster
// than there are points for it.
func TestRatesOfMessages(t *testing.T) {
	const pong = `{"type":"pong"}`
	for name, send := range map[string]func(c *client){
		"ping":  func(c *client) { c.send(`{"type":"ping"}`) },
		"frame": func(c *client) { c.pingFrame() },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPurse()
			w := newWorld(t, p.limits)
			c := w.open("") // for one point
			got := make(chan string, 1000)
			c.ws.SetPongHandler(func(string) error { got <- pong; return nil })
			go func() {
				for {
					text, err := c.read()
					if err != nil {
						return
					}
					got <- text
				}
			}()
			for range 100 {
				send(c)
			}
			for range 99 {
				if text := within(t, got, "a pong"); text != pong {
					t.Fatal(text)
				}
			}
			eventually(t, "the client to be made to wait", func() bool { return strings.Contains(w.lines.String(), `"reason":"rate"`) })
			if len(got) > 0 {
				t.Fatal("a pong that isn't paid for")
			}
			p.pass(100 * time.Millisecond)
			within(t, got, "the last pong")
		})
	}
	w := newWorld(t, newPurse().limits)
	c := w.open("")
	c.send(`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 200<<10) + `"}}`)
	c.next()
	wantLeft(t, w.post(one), 100, 100-1-7-1, 1)

	w = newWorld(t, newPurse().limits)
	c = w.open("")
	c.send(`{"type":"ping","payload":{"a":"` + strings.Repeat("x", 15<<10) + `"}}`) // which is looked through for a token
	c.next()
	wantLeft(t, w.post(one), 100, 100-1-31-1, 4)
}

// TestRatesOfEvents: each event costs what its operation does, a replayed one too. Where there are no points it waits,
// and none is lost.
func TestRatesOfEvents(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	author := gid.NewUser()
	for i := range 60 {
		w.log.post(author, fmt.Sprint("post ", i))
	}
	c := w.open("")                                                                               // for one point
	c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { id text } }`, "null") // for two, as each event, and one for reading them
	got := make(chan string, 100)
	go func() {
		for {
			text, err := c.read()
			if err != nil {
				return
			}
			got <- text
		}
	}()
	seen := 0
	wait := func(n int) {
		t.Helper()
		for range n {
			if text := within(t, got, "an event"); !strings.Contains(text, fmt.Sprintf(`"text":"post %d"`, seen)) {
				t.Fatalf("instead of post %d: %s", seen, text)
			}
			seen++
		}
	}
	wait(48)
	eventually(t, "the subscription to be made to wait", func() bool { return strings.Contains(w.lines.String(), `"reason":"rate"`) })
	if got := w.post(ten); got.status != 429 {
		t.Errorf("there were points left: %v", got)
	}
	if len(got) > 0 {
		t.Fatal("an event that isn't paid for")
	}
	p.pass(200 * time.Millisecond)
	wait(1)
	if got := w.post(one); got.status != 429 {
		t.Errorf("there were points left: %v", got)
	}
	p.pass(10 * time.Second)
	wait(11)
	c.send(`{"id":"1","type":"complete"}`)
}

// TestRatesHoldUpNobody: whoever has no points left for the events of ever so many subscriptions waits alone.
func TestRatesHoldUpNobody(t *testing.T) {
	const subscriptions = 100 // more than events may be rendered at once
	p := newPurse()
	refused := &refusals{Points: p.Addresses}
	p.Addresses = refused
	w := newWorld(t, p.limits)
	token, _ := w.token()
	poor := w.open(`{"authorization":"`+token+`"}`, from("198.51.100.1")...)
	other := w.open("", from("198.51.100.2")...)
	w.log.post(gid.NewUser(), "first")
	after := `(after: "` + w.log.cursor(0) + `")`
	other.subscribe("1", `subscription { posted`+after+` { public } }`, "")
	other.next()
	for i := range subscriptions {
		p.pass(10 * time.Second)
		poor.subscribe(fmt.Sprint(i), fmt.Sprintf(`subscription S%d { posted%s { viewer } }`, i, after), "")
		poor.next()
	}
	for w.post(ten, from("198.51.100.1")...).status == 200 {
	}
	w.log.post(gid.NewUser(), "second")
	before := refused.n.Load()
	eventually(t, "all to wait for points", func() bool { return refused.n.Load() > before+5*subscriptions })
	w.log.post(gid.NewUser(), "third")
	for _, want := range []string{"second", "third"} {
		if got := other.next(); !strings.Contains(got, want) {
			t.Errorf("instead of the %s: %s", want, got)
		}
	}
}

// TestWaitingForPointsEnds: whoever leaves while an event waits for points is gone.
func TestWaitingForPointsEnds(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	token, _ := w.token()
	for range 60 {
		w.log.post(gid.NewUser(), "post")
	}
	c := w.open(`{"authorization":"` + token + `"}`)
	c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { viewer } }`, "")
	eventually(t, "the subscription to be made to wait", func() bool { return strings.Contains(w.lines.String(), `"reason":"rate"`) })
	c.ws.Close()
	eventually(t, "the socket to end", func() bool { return strings.Contains(w.lines.String(), `"msg":"socket closed"`) })
}

// TestStandingEnds: who is told that a subscription has ended may begin another at once.
func TestStandingEnds(t *testing.T) {
	p := newPurse()
	p.Standing = 2 // one of it
	w := newWorld(t, p.limits)
	c := w.open("")
	for i := range 500 {
		p.pass(10 * time.Second)
		c.subscribe("1", `subscription { posted(after: "nonsense") { text } }`, "")
		if got := c.next(); !strings.Contains(got, "BAD_USER_INPUT") {
			t.Fatalf("the %dth: %s", i+1, got)
		}
	}
}

// refusals counts what Points refuse.
type refusals struct {
	web.Points
	n atomic.Int64
}

func (r *refusals) Look(key string, points int) rate.State {
	s := r.Points.Look(key, points)
	if !s.OK {
		r.n.Add(1)
	}
	return s
}

// TestRatesOfReplays: to look for a subscription's events among others costs something too, in a long log.
func TestRatesOfReplays(t *testing.T) {
	p := newPurse()
	w := newWorld(t, p.limits)
	author, other := gid.NewUser(), gid.NewUser()
	for range 5_200 { // a page of 256 costs five points: there are points for 4,864
		w.log.post(other, "of somebody else")
	}
	w.published() // else some of it might come live
	w.log.post(author, "wanted")
	w.published()
	c := w.open("")
	c.subscribe("1", `subscription { posted(author: "`+author.String()+`", after: "`+w.log.cursor(0)+`") { text } }`, "null")
	eventually(t, "the subscription to be made to wait", func() bool { return strings.Contains(w.lines.String(), `"reason":"rate"`) })
	p.pass(2 * time.Second)
	if text, _ := delivered(t, c.next()); text != "wanted" {
		t.Error(text)
	}
	c.send(`{"id":"1","type":"complete"}`)
}

// TestSocketsOfAnAddress: the one too many is refused before it is one, whoever is signed in, and there is room again
// when another has gone, however it went.
func TestSocketsOfAnAddress(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		newPurse().limits(o)
		o.Rates.AddressSockets = 3
	})
	here := from("2001:db8::1")
	open := []*client{w.dial(here...), w.open("", here...), w.open("", from("2001:db8::2")...)}
	for range 3 {
		c, err := w.tryDial(here...)
		if err == nil || c.resp == nil || c.resp.StatusCode != 429 || c.resp.Header.Get("Retry-After") != "10" {
			t.Fatalf("%v %v", err, c.resp)
		}
	}
	w.open("", from("198.51.100.1")...)
	for i, c := range open {
		switch i {
		case 0:
			c.ws.NetConn().Close()
		case 1:
			c.send(`{`)
			c.expectClose(4400, "The request is not one valid JSON value.")
			c.ws.Close()
		case 2:
			c.ws.Close()
		}
		testEventually(t, func() error {
			_, err := w.tryDial(here...)
			return err
		})
		if _, err := w.tryDial(here...); err == nil {
			t.Fatal("more than one has room now")
		}
	}
	// What never becomes a socket takes no room.
	for range 10 {
		w.do("GET", "/graphql", "", append(from("198.51.100.9"), "Connection", "upgrade", "Upgrade", "websocket")...)
	}
	w.open("", from("198.51.100.9")...)
	if !strings.Contains(w.lines.String(), `"event":"request_refused","reason":"sockets"`) {
		t.Error("no security event")
	}
}

// TestSocketsOfAViewer: a surplus one is closed with a code on which clients come back.
func TestSocketsOfAViewer(t *testing.T) {
	w := newWorld(t, func(o *web.Options) {
		newPurse().limits(o)
		o.Rates.ViewerSockets = 2
	})
	token, _ := w.token()
	init := `{"authorization":"Bearer ` + token + `"}`
	first := w.open(init, from("198.51.100.1")...)
	w.open(init, from("198.51.100.2")...)
	surplus := w.dial(from("198.51.100.3")...)
	surplus.send(`{"type":"connection_init","payload":` + init + `}`)
	surplus.expectClose(1013, "Try again later")
	for range 5 {
		w.open("", from("198.51.100.3")...) // nobody's
	}
	other, _ := w.token()
	w.open(`{"authorization":"Bearer `+other+`"}`, from("198.51.100.3")...)
	first.ws.Close()
	testEventually(t, func() error {
		c := w.dial(from("198.51.100.1")...)
		c.send(`{"type":"connection_init","payload":` + init + `}`)
		got, err := c.read()
		if err == nil && got != `{"type":"connection_ack"}` {
			return errors.New(got)
		}
		return err
	})
}

// testEventually polls until done says nil.
func testEventually(t *testing.T, done func() error) {
	t.Helper()
	var err error
	eventually(t, "something to succeed", func() bool { err = done(); return err == nil })
}

// TestRatesOff: without limits nothing is said of any.
func TestRatesOff(t *testing.T) {
	w := newWorld(t)
	for range 300 {
		if got := w.post(ten); got.status != 200 || got.header.Get("RateLimit-Limit") != "" {
			t.Fatalf("%v %v", got, got.header)
		}
	}
}

// TestStandingSubscriptions: what one event can take is bounded for an address and for a viewer, by what their open
// subscriptions cost together.
func TestStandingSubscriptions(t *testing.T) {
	p := newPurse()
	p.Standing = 5
	w := newWorld(t, p.limits)
	token, _ := w.token()
	const refused = `{"id":"%s","type":"error","payload":[{"message":"The open subscriptions cost too much together: end some of them first.","extensions":{"code":"RATE_LIMITED"}}]}`
	// subscribe fails the test unless a subscription of two points an event is there, or refused.
	subscribe := func(c *client, id string, want bool) {
		t.Helper()
		c.subscribe(id, `subscription { posted(after: "`+w.log.cursor(0)+`") { id } }`, "")
		got := c.next()
		if want && !strings.Contains(got, `"type":"next"`) || !want && got != fmt.Sprintf(refused, id) {
			t.Errorf("subscription %s: %s", id, got)
		}
	}
	w.log.post(gid.NewUser(), "there is one")
	first, second := w.open("", from("198.51.100.1")...), w.open("", from("198.51.100.1")...)
	subscribe(first, "1", true)
	subscribe(second, "1", true)
	subscribe(first, "2", false)
	other := w.open("", from("198.51.100.2")...)
	subscribe(other, "1", true)
	second.send(`{"id":"1","type":"complete"}`)
	eventually(t, "room for one more", func() bool {
		p.pass(time.Minute)
		first.subscribe("3", `subscription { posted(after: "`+w.log.cursor(0)+`") { id } }`, "")
		return strings.Contains(first.next(), `"type":"next"`)
	})

	for i := range 8 {
		c := w.open(`{"authorization":"Bearer `+token+`"}`, from(fmt.Sprint("203.0.113.", i))...)
		subscribe(c, "1", i < 7)
	}
}
