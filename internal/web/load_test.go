package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/web"
)

const every = `subscription($after: Cursor) { posted(after: $after) { text } }`

// delivered returns a message's text and cursor.
func delivered(t *testing.T, message string) (text, cursor string) {
	t.Helper()
	rest, ok := strings.CutPrefix(message, `{"id":"1","type":"next","payload":{"data":{"posted":{"text":"`)
	text, cursor, also := strings.Cut(rest, `"}},"extensions":{"cursor":"`)
	if !ok || !also {
		t.Fatalf("got %.200s", message)
	}
	return text, strings.TrimSuffix(cursor, `"}}}`)
}

// TestStalledReader: of 50 subscribers one stops reading. The others get all
// of it, the one is closed, what the server holds for it is bounded, and it has
// missed nothing when it resumes.
func TestStalledReader(t *testing.T) {
	const posts, size = 60, 16 << 10
	w := newWorld(t, func(o *web.Options) {
		o.Limits.Queue = 64 << 10
		o.Limits.Write = 2 * time.Second
		o.Limits.Close = time.Second
	})
	var clients []*client // the first one stalls
	for i := range 50 {
		w.readBuffer = 0
		if i == 0 {
			w.readBuffer = 16 << 10
		}
		c := w.open("")
		c.subscribe("1", every, `{"after":"`+w.log.cursor(0)+`"}`)
		clients = append(clients, c)
	}
	stalled := clients[0]
	author := gid.NewUser()
	go func() {
		for range posts {
			w.log.post(author, fmt.Sprint("letters ", size))
		}
	}()
	var reading sync.WaitGroup
	for _, c := range clients[1:] {
		reading.Go(func() {
			for i := range posts {
				message, err := c.read()
				if err != nil {
					t.Errorf("post %d: %v", i, err)
					return
				}
				if len(message) < size {
					t.Errorf("got %.200s", message)
					return
				}
			}
		})
	}
	reading.Wait()
	eventually(t, "the stalled one to be closed", func() bool {
		return strings.Contains(w.lines.String(), `"msg":"socket closed"`)
	})
	if got := w.lines.String(); !strings.Contains(got, `"code":1013`) || strings.Count(got, `"msg":"socket closed"`) != 1 {
		t.Errorf("not the one, or not with 1013: %s", got)
	}

	// It wakes up, sees what was on its way, and resumes behind that.
	seen, after := 0, w.log.cursor(0)
	for {
		message, err := stalled.read()
		if err != nil {
			if closed, ok := err.(*websocket.CloseError); ok && closed.Code != 1013 && closed.Code != 1006 {
				t.Error(err)
			}
			break
		}
		_, after = delivered(t, message)
		seen++
	}
	if seen == posts {
		t.Fatal("it never stalled")
	}
	c := w.open("")
	c.subscribe("1", every, `{"after":"`+after+`"}`)
	for ; seen < posts; seen++ {
		if text, _ := delivered(t, c.next()); len(text) != size {
			t.Fatalf("got %.200s", text)
		}
	}
	c.quiet()
}

// TestSlowReader: who reads slowly, but reads, is waited for and gets all of it,
// also what is larger than the queue.
func TestSlowReader(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Queue = 8 << 10 })
	w.readBuffer = 256 << 10
	c := w.open("")
	c.subscribe("1", every, `{"after":"`+w.log.cursor(0)+`"}`)
	author := gid.NewUser()
	var sizes []int
	for i := range 40 {
		sizes = append(sizes, 1000+i*977)
		w.log.post(author, fmt.Sprint("letters ", sizes[i]))
	}
	w.gate("late")
	w.log.post(author, "gate late")
	for i, size := range sizes {
		if i == 20 {
			// Everything that can wait for it waits now: the rest is still in the log.
			c.send(`{"id":"2","type":"subscribe","payload":{"query":"{ hello }"}}`)
		}
		message := c.next()
		if strings.HasPrefix(message, `{"id":"2"`) {
			message = c.next()
		}
		if strings.HasPrefix(message, `{"id":"2"`) {
			message = c.next()
		}
		if text, _ := delivered(t, message); len(text) != size {
			t.Fatalf("post %d has %d letters, want %d", i, len(text), size)
		}
	}
}

// TestMemoryOfStalled: stalled sockets hold their queues and no more,
// however much there is to tell them.
func TestMemoryOfStalled(t *testing.T) {
	const sockets, posts, size, queue = 20, 2000, 16 << 10, 64 << 10
	w := newWorld(t, func(o *web.Options) { o.Limits.Queue = queue })
	author := gid.NewUser()
	for range posts { // 32 MB for each
		w.log.post(author, fmt.Sprint("letters ", size))
	}
	w.readBuffer = 64 << 10
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range sockets {
		c := w.open("")
		c.subscribe("1", every, `{"after":"`+w.log.cursor(0)+`"}`)
		c.next()
	}
	// The last of them is stuck when a query beside it has no answer: then its
	// queue is full, and the others had more time.
	g := w.gate("g")
	c := w.open("")
	c.subscribe("1", every, `{"after":"`+w.log.cursor(0)+`"}`)
	c.subscribe("2", `{ wait(key: "g") }`, "")
	within(t, g.entered, "the query")
	close(g.open)
	within(t, g.left, "the query")
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	if most := int64(sockets+1) * (queue + 5*size + 128<<10); held > most {
		t.Errorf("%d sockets hold %d KiB, want at most %d", sockets, held>>10, most>>10)
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Spread = 50 * time.Millisecond })
	g := w.gate("g")
	busy := w.open("")
	busy.subscribe("m", `mutation { wait(key: "g") }`, "")
	busy.subscribe("1", every, `{"after":"`+w.log.cursor(0)+`"}`)
	within(t, g.entered, "the mutation")
	var idle []*client
	for range 10 {
		c := w.open("")
		c.subscribe("1", every, "")
		c.subscribe("2", "{ hello }", "")
		c.expect(`{"id":"2","type":"next","payload":{"data":{"hello":"hello world"}}}`, `{"id":"2","type":"complete"}`)
		idle = append(idle, c)
	}

	drained := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		drained <- w.server.Drain(ctx)
	}()
	for _, c := range idle {
		c.expectClose(1001, "The server is going away")
	}
	if got := w.do("GET", "/readyz", ""); got.String() != "503 draining\n" {
		t.Error(got)
	}
	if got := w.do("GET", "/healthz", ""); got.status != 200 {
		t.Error(got)
	}
	w.dial().expectClose(1001, "The server is going away")
	// The mutation is waited for; what is asked now is left to the next server.
	eventually(t, "the busy socket to leave", func() bool {
		return strings.Contains(w.lines.String(), `"type":"subscription","request":"`+busy.resp.Header.Get("X-Request-Id"))
	})
	busy.subscribe("new", `mutation { post(text: "never") { id } }`, "")
	busy.quiet()
	close(g.open)
	busy.expect(`{"id":"m","type":"next","payload":{"data":{"wait":"g"}}}`, `{"id":"m","type":"complete"}`)
	busy.expectClose(1001, "The server is going away")
	if err := within(t, drained, "the end"); err != nil {
		t.Error(err)
	}
	if len(w.log.events) != 0 {
		t.Error("a mutation ran that was not answered")
	}
	if _, err := w.tryDial(); err == nil {
		t.Error("a socket was opened after the end")
	}
	if got := w.post(`{"query":"{ hello }"}`); got.status != 200 {
		t.Error(got)
	}
}

// TestDrainInOrder: before the first socket is closed /readyz fails, new sockets are sent away, and whoever subscribes on
// an old one is, too, when what they wait for has been answered. All others have their turn.
func TestDrainInOrder(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Spread = 24 * time.Hour }) // no turn comes
	stays, leaves, busy := w.open(""), w.open(""), w.open("")
	for _, c := range []*client{stays, leaves, busy} {
		c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "")
	}
	w.log.post(gid.NewUser(), "here")
	for _, c := range []*client{stays, leaves, busy} {
		if got := c.next(); !strings.Contains(got, "here") {
			t.Error(got)
		}
	}
	g := w.gate("g")
	busy.subscribe("m", `mutation { wait(key: "g") }`, "")
	within(t, g.entered, "the mutation")
	ctx, stop := context.WithCancel(context.Background())
	var draining sync.WaitGroup
	draining.Go(func() { _ = w.server.Drain(ctx) }) // it is stopped
	defer draining.Wait()
	defer stop()
	eventually(t, "/readyz to fail", func() bool { return w.do("GET", "/readyz", "").String() == "503 draining\n" })
	w.dial().expectClose(1001, "The server is going away")
	w.log.post(gid.NewUser(), "still here")
	for _, c := range []*client{stays, leaves, busy} {
		if got := c.next(); !strings.Contains(got, "still here") {
			t.Error(got)
		}
	}
	leaves.subscribe("2", `{ hello }`, "") // is no subscription
	leaves.expect(`{"id":"2","type":"next","payload":{"data":{"hello":"hello world"}}}`, `{"id":"2","type":"complete"}`)
	leaves.subscribe("2", `subscription { posted { id } }`, "")
	leaves.expectClose(1001, "The server is going away")
	busy.subscribe("2", `subscription { posted { id } }`, "")
	busy.quiet()
	close(g.open)
	busy.expect(`{"id":"m","type":"next","payload":{"data":{"wait":"g"}}}`, `{"id":"m","type":"complete"}`)
	busy.expectClose(1001, "The server is going away")
	stays.quiet()
}

// TestDrainDeadline: what is not done by then is cut off.
func TestDrainDeadline(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Spread = time.Hour })
	g := w.gate("g")
	busy, idle := w.open(""), w.open("")
	busy.subscribe("m", `mutation { wait(key: "g") }`, "")
	within(t, g.entered, "the mutation")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if err := w.server.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	select {
	case err := <-g.left:
		if err == nil {
			t.Error("the mutation ran to its end")
		}
	default:
		t.Error("Drain returned before the mutation had")
	}
	busy.expectClose(websocket.CloseAbnormalClosure, "unexpected EOF")
	idle.expectClose(1001, "The server is going away")
	if err := w.server.Drain(context.Background()); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

// TestGoneClient: the work for a client that is gone stops.
func TestGoneClient(t *testing.T) {
	w := newWorld(t)
	g := w.gate("g")
	c := w.open("")
	c.subscribe("m", `mutation { wait(key: "g") }`, "")
	c.subscribe("1", every, "")
	within(t, g.entered, "the mutation")
	c.ws.NetConn().Close()
	if err := within(t, g.left, "the mutation to stop"); err == nil {
		t.Error("it ran to its end")
	}

	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", w.http.URL+"/graphql", strings.NewReader(`{"query":"{ wait(key: \"g\") }"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", plainJSON)
	answered := make(chan error, 1)
	go func() {
		resp, err := w.http.Client().Do(req)
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	within(t, g.entered, "the query")
	cancel()
	within(t, answered, "the client")
	if err := within(t, g.left, "the query to stop"); err == nil {
		t.Error("it ran to its end")
	}
}

// TestOperationTimeout: an operation has its time, and then an answer.
func TestOperationTimeout(t *testing.T) {
	w := newWorld(t, func(o *web.Options) { o.Limits.Operation = 50 * time.Millisecond })
	if got := w.post(`{"query":"{ wait(key: \"g\") }"}`); !strings.Contains(got.body, `"code":"INTERNAL"`) {
		t.Error(got)
	}
	c := w.open("")
	c.subscribe("1", `{ wait(key: "g") }`, "")
	if got := c.next(); !strings.Contains(got, `"code":"INTERNAL"`) {
		t.Error(got)
	}
	c.expect(`{"id":"1","type":"complete"}`)
	w.log.post(gid.NewUser(), "gate g")
	c.subscribe("2", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "")
	if got := c.next(); !strings.HasPrefix(got, `{"id":"2","type":"error"`) {
		t.Error(got)
	}
}

// TestResponsesThatWait: of a client that is slow to read few operations run ahead of it, however many it has begun.
func TestResponsesThatWait(t *testing.T) {
	const most = 30
	w := newWorld(t, func(o *web.Options) { o.Limits.Executions, o.Limits.Queue = 2, 64<<10 })
	w.readBuffer = 16 << 10
	g := w.gate("open")
	close(g.open)
	c := w.open("")
	for i := range most {
		c.subscribe(fmt.Sprint(i), `{ wait(key: "open") letters(count: 1000000) }`, "")
	}
	for read := 1; read <= most; {
		if text := c.next(); !strings.Contains(text, `"next"`) {
			continue
		}
		// One is written, one waits in the queue, two for room there, and two may have begun meanwhile.
		if ran := len(g.left); ran > read+6 {
			t.Fatalf("%d have run when %d were read", ran, read)
		}
		read++
	}
}

// TestEventsThatWait: nor are more events delivered ahead of it, however many subscriptions it has.
func TestEventsThatWait(t *testing.T) {
	const most = 30
	var asked atomic.Int64 // who the viewer is: once by each subscription, and once for each event
	viewers := &changing{now: func(v auth.Viewer) (auth.Viewer, error) { asked.Add(1); return v, nil }}
	w := newWorld(t, func(o *web.Options) {
		o.Limits.Executions, o.Limits.Queue = 2, 64<<10
		viewers.Guard, o.Guard = o.Guard, viewers
	})
	w.readBuffer = 16 << 10
	w.log.post(gid.NewUser(), "letters 1000000")
	c := w.open("")
	for i := range most {
		c.subscribe(fmt.Sprint(i), every, `{"after":"`+w.log.cursor(0)+`"}`)
	}
	for read := 1; read <= most; read++ {
		if text := c.next(); !strings.Contains(text, `"next"`) {
			t.Fatal(text)
		}
		if ran := int(asked.Load()) - most; ran > read+6 {
			t.Fatalf("%d events were delivered when %d were read", ran, read)
		}
	}
}
