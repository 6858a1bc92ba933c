package wake_test

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"tidings/internal/testkit"
	"tidings/internal/wake"
)

// link carries connections to Postgres, and can fall silent: what is open then stays open and carries nothing any more,
// as when a machine or a firewall between is gone without a word.
type link struct {
	dsn     string
	running sync.WaitGroup

	mu     sync.Mutex
	silent chan struct{} // closed when those of now fall silent
	open   []net.Conn
}

func newLink(t *testing.T, dsn string) *link {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	network, address := "tcp", u.Host
	if dir := q.Get("host"); dir != "" {
		network, address = "unix", dir+"/.s.PGSQL.5432"
		q.Del("host")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = listener.Addr().String(), q.Encode()
	l := &link{dsn: u.String(), silent: make(chan struct{})}
	l.running.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial(network, address)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.open = append(l.open, near, far)
			silent := l.silent
			l.mu.Unlock()
			for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
				l.running.Go(func() {
					_, _ = io.Copy(quiet{ends[0], silent}, ends[1]) // however it ends
					select {
					case <-silent: // not even that is told
					default:
						near.Close()
						far.Close()
					}
				})
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		l.mu.Lock()
		for _, c := range l.open {
			c.Close()
		}
		l.mu.Unlock()
		l.running.Wait()
	})
	return l
}

// hush makes the open connections silent. New ones are not.
func (l *link) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.silent)
	l.silent = make(chan struct{})
}

// quiet takes what is written to it, and passes it on until it is silent.
type quiet struct {
	net.Conn
	silent <-chan struct{}
}

func (q quiet) Write(b []byte) (int, error) {
	select {
	case <-q.silent:
		return len(b), nil
	default:
		return q.Conn.Write(b)
	}
}

// A connection that has died without a word is found by pinging, and replaced; a live one that is idle is kept.
func TestPostgresFindsADeadConnection(t *testing.T) {
	l := newLink(t, testkit.Postgres(t))
	var printed lockedBuffer
	p, err := wake.NewPostgres(l.dsn, database(t, l.dsn), slog.New(slog.NewTextHandler(&printed, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.Ping(50*time.Millisecond, 2*time.Second)
	woken, _ := listen(t, p)
	receive(t, woken, "it has connected")
	for range 10 {
		if err := p.Notify(t.Context()); err != nil {
			t.Fatal(err)
		}
		receive(t, woken, "it was notified")
		<-time.After(20 * time.Millisecond) // some pings
	}
	if printed.String() != "" {
		t.Fatalf("a connection that lives was replaced: %s", printed.String())
	}
	l.hush()
	receive(t, woken, "it has connected again")
	other := database(t, l.dsn) // p's own pool was silenced, too
	if _, err := other.Exec("NOTIFY tidings_log"); err != nil {
		t.Fatal(err)
	}
	receive(t, woken, "it listens again")
}

// Listening takes nothing from the pool that everything else goes through, and is given back at the end.
func TestPostgresListensOnItsOwnConnection(t *testing.T) {
	dsn := testkit.Postgres(t)
	watching, db := database(t, dsn), database(t, dsn)
	db.SetMaxOpenConns(1)
	named, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := named.Query()
	q.Set("application_name", "listener")
	named.RawQuery = q.Encode()
	p, err := wake.NewPostgres(named.String(), db, slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	connections := func() (n int) {
		t.Helper()
		if err := watching.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'listener'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	woken, stop := listen(t, p)
	receive(t, woken, "it has connected")
	tx, err := db.Begin() // all that the pool has
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watching.Exec("NOTIFY tidings_log"); err != nil {
		t.Fatal(err)
	}
	receive(t, woken, "it was notified while the pool was busy")
	if n := connections(); n != 1 {
		t.Errorf("it has %d connections", n)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	stop()
	for deadline := time.Now().Add(10 * time.Second); connections() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("its connection is left behind")
		}
	}
}
