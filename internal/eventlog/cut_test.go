package eventlog_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// cutter passes on connections to Postgres, and cuts one once: in front of the execution of an insertion, or behind it, in
// place of the answer, politely (FIN) or not (RST).
type cutter struct {
	to   string
	mode atomic.Int32
	cuts atomic.Int32
}

const (
	passOn int32 = iota
	before
	behindFIN
	behindRST
)

func (c *cutter) serve(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go c.pass(client.(*net.TCPConn))
	}
}

func (c *cutter) pass(client *net.TCPConn) {
	network := "tcp"
	if c.to[0] == '/' {
		network = "unix"
	}
	server, err := net.Dial(network, c.to)
	if err != nil {
		client.Close()
		return
	}
	var armed atomic.Bool
	var inserts atomic.Bool
	var all sync.WaitGroup
	all.Go(func() {
		defer server.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := client.Read(b)
			if bytes.Contains(b[:n], []byte("inserted AS (INSERT")) { // prepared on this connection
				inserts.Store(true)
			}
			if n > 0 && b[0] == 'B' && inserts.Load() && bytes.Contains(b[:n], []byte("cut me")) { // the execution
				switch c.mode.Load() {
				case before:
					if c.mode.CompareAndSwap(before, passOn) {
						c.cuts.Add(1)
						client.Close()
						return
					}
				case behindFIN, behindRST:
					armed.Store(true)
				}
			}
			if _, werr := server.Write(b[:n]); err != nil || werr != nil {
				return
			}
		}
	})
	all.Go(func() {
		defer client.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			if mode := c.mode.Load(); n > 0 && armed.Load() && mode != passOn && c.mode.CompareAndSwap(mode, passOn) {
				c.cuts.Add(1)
				if mode == behindRST {
					_ = client.SetLinger(0)
				}
				return
			}
			if _, werr := client.Write(b[:n]); err != nil || werr != nil {
				return
			}
		}
	})
	all.Wait()
}

// TestInsertWhileTheConnectionDies: whenever it does, the row is there with its event, once, or neither; what is said to
// be there is.
func TestInsertWhileTheConnectionDies(t *testing.T) {
	u, err := url.Parse(testkit.MigratedPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &cutter{to: u.Host}
	if host := u.Query().Get("host"); host != "" {
		port := u.Query().Get("port")
		if port == "" {
			port = "5432"
		}
		c.to = host + "/.s.PGSQL." + port
	}
	go c.serve(l)
	q := u.Query()
	q.Del("host")
	q.Del("port")
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: u.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	about := newConversation(t, s, true)
	log := open(t, s, eventlog.Options{})
	want := 0
	for mode, name := range map[int32]string{passOn: "never", before: "before", behindFIN: "behind, politely", behindRST: "behind"} {
		for range 3 {
			e := added(about)
			for range 4 { // prepared on all connections
				if ok, err := log.Insert(by(t, about.reader), about.says(about.reader, "quiet", added(about))); !ok || err != nil {
					t.Fatal(ok, err)
				}
				want++
			}
			c.mode.Store(mode)
			ok, err := log.Insert(by(t, about.reader), about.says(about.reader, "cut me", e))
			c.mode.Store(passOn)
			there, rerr := s.Client().Comment.Get(by(t, about.reader), gid.CommentOf(e.Subject))
			t.Logf("cut %s: %v, %v (constraint %v); there: %v, %d cuts", name, ok, err, ent.IsConstraintError(err), there != nil, c.cuts.Load())
			if ok && (err != nil || rerr != nil) {
				t.Errorf("cut %s: said to be there: %v, %v", name, err, rerr)
			}
			if there != nil {
				want++
			}
		}
	}
	seen := map[event.Event]bool{}
	for _, e := range await(t, log, want) {
		if seen[event.Event{Subject: e.Subject}] {
			t.Errorf("%v comes twice", e)
		}
		seen[event.Event{Subject: e.Subject}] = true
	}
	if h := head(t, log); int(h.Position) != want {
		t.Errorf("%d events, want %d", h.Position, want)
	}
}
