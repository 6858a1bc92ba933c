package chaos_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
)

// nodes starts two servers on one Postgres. The database tells their connections apart by their names, "0" and "1".
func nodes(t *testing.T) (c *crowd, db *sql.DB, servers []*server) {
	t.Helper()
	d := config.Database{Dialect: config.Postgres, URL: testkit.Postgres(t)}
	db, err := sql.Open("postgres", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var urls []string
	for i := range 2 {
		named := d
		named.URL += fmt.Sprint("&application_name=node", i)
		s := newServer(t, named)
		servers, urls = append(servers, s), append(urls, s.URL)
	}
	return newCrowd(t, d, urls...), db, servers
}

// front stands before servers as a balancer does: it carries each connection to the first that takes it, beginning with
// another one each time. It is gone when the test ends.
func front(t *testing.T, servers []*server) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	carry := func(near net.Conn, turn int) {
		defer near.Close()
		for i := range servers {
			far, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(servers[(turn+i)%len(servers)].URL, "http://"))
			if err != nil {
				continue
			}
			closeBoth := func() { _, _ = near.Close(), far.Close() }
			defer context.AfterFunc(ctx, closeBoth)()
			running.Go(func() { _, _ = io.Copy(far, near); closeBoth() })
			_, _ = io.Copy(near, far)
			closeBoth()
			return
		}
	}
	running.Go(func() {
		for turn := 0; ; turn++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { carry(near, turn) })
		}
	})
	t.Cleanup(func() { stop(); _ = l.Close(); running.Wait() })
	return "http://" + l.Addr().String()
}

// Both nodes are replaced in turn under load. Nothing is lost, the sockets are closed so that clients come back, spread
// over some time, and the clients that people use, with nothing set, behind a balancer, don't give up.
func TestRollingRestart(t *testing.T) {
	c, _, servers := nodes(t)
	balanced := front(t, servers)
	ada := c.load(200)
	post := c.surely(func() (string, error) { return c.publish(ada) })
	c.write(1, 100*time.Millisecond, func() { _, _ = c.say(ada, post) })
	for _, client := range clients {
		for range 2 { // one at each
			c.followBy(client, balanced, false, checker.CommentAdded, post, account{}, c.now())
		}
	}
	c.connected(1)
	for range of(1, 5) {
		for _, s := range servers {
			c.more(20)
			before := c.closed(s.URL)
			begin := time.Now()
			s.drain()
			ended := time.Since(begin)
			closed := c.closed(s.URL)[len(before):]
			if len(closed) < 50 {
				t.Fatalf("only %d sockets were closed", len(closed))
			}
			spread := closed[len(closed)-1].Sub(closed[0])
			t.Logf("drained in %v; %d sockets were closed within %v", ended.Round(time.Millisecond), len(closed), spread.Round(time.Millisecond))
			if spread < 200*time.Millisecond || ended > 6*time.Second {
				t.Error("that is not spread over a drain of 4 s")
			}
			c.more(20)
			s.start()
		}
	}
	c.settle(ada)
	for _, s := range c.subscribers {
		for code, n := range s.codes {
			if code != 1001 && code != 1012 {
				t.Errorf("%s was closed %d times with %d", s.stream.Name, n, code)
			}
		}
	}
}

// The node that is moving events into the log is killed, and then it is frozen, in the midst of that.
func TestTheSequencingNodeEnds(t *testing.T) {
	c, db, servers := nodes(t)
	ada := c.load(of(60, 200))
	for range of(2, 20) {
		c.more(20)
		s, release := c.sequencing(db, servers)
		s.kill()
		release()
		c.more(20)
		s.start()

		s, release = c.sequencing(db, servers)
		pid := s.pid()
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		release()
		frozen := time.Now()
		other := servers[(slices.Index(servers, s)+1)%2]
		head := func() (n int) {
			if err := db.QueryRow("SELECT coalesce(max(pos), 0) FROM log").Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		at := head()
		testkit.Eventually(t, func() error { // the other goes on
			if _, err := c.publishAt(other.URL, ada); err != nil {
				return err
			}
			if head() < at+20 {
				return fmt.Errorf("the log stands at %d, and was at %d when %s froze", head(), at, s.URL)
			}
			return nil
		})
		t.Logf("frozen, it was replaced within %v", time.Since(frozen).Round(time.Millisecond))
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	c.settle(ada)
}

// sequencing catches a node in the midst of moving events, where it stays until release is called.
func (c *crowd) sequencing(db *sql.DB, servers []*server) (s *server, release func()) {
	c.t.Helper()
	tx, err := db.Begin()
	if err != nil {
		c.t.Fatal(err)
	}
	release = func() { _ = tx.Rollback() }
	c.t.Cleanup(release)
	if _, err := tx.Exec("LOCK TABLE log IN SHARE MODE"); err != nil { // one may read it
		c.t.Fatal(err)
	}
	testkit.Eventually(c.t, func() error {
		var node int
		err := db.QueryRow(`SELECT CAST(substr(application_name, 5) AS int) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
			AND application_name LIKE 'node%' AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted) LIMIT 1`).Scan(&node)
		if err == nil {
			s = servers[node]
		}
		return err
	})
	return s, release
}

// The connections by which the nodes hear of each other are ended again and again, and then all that they have.
func TestConnectionsToTheDatabaseEnd(t *testing.T) {
	c, db, _ := nodes(t)
	ada := c.load(of(100, 200))
	for what, rounds := range map[string]int{"query LIKE 'LISTEN%'": of(5, 100), "application_name LIKE 'node%'": of(3, 30)} {
		ended := 0
		for range rounds {
			c.more(20)
			var n int
			if err := db.QueryRow("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND " + what).Scan(&n); err != nil {
				t.Fatal(err)
			}
			ended += n
		}
		t.Logf("%d connections with %s were ended", ended, what)
		if ended < rounds {
			t.Error("that is too few")
		}
	}
	c.settle(ada)
}
