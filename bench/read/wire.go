//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/lib/pq"
)

// wire stands between a server and its Postgres, passes on all that they say, and counts the statements: what the
// server has executed (PostgreSQL, chapter 55: Query and Execute), BEGIN and COMMIT included. Nothing is timed through it.
type wire struct {
	url        string
	listener   net.Listener
	network    string
	target     string
	statements atomic.Int64
	all        sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

// tap opens a wire to a database. The connection must not be encrypted.
func tap(database string) (*wire, error) {
	cfg, err := pq.NewConfig(database)
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(int(cfg.Port))
	w := &wire{network: "tcp", target: net.JoinHostPort(cfg.Host, port)}
	if strings.HasPrefix(cfg.Host, "/") {
		w.network, w.target = "unix", cfg.Host+"/.s.PGSQL."+port
	}
	if w.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	u, err := url.Parse(database)
	if err != nil {
		return nil, errors.Join(err, w.listener.Close())
	}
	q := u.Query()
	q.Del("host")
	q.Del("port")
	q.Set("sslmode", "disable")
	u.Host, u.RawQuery = w.listener.Addr().String(), q.Encode()
	w.url = u.String()
	w.all.Go(w.accept)
	return w, nil
}

func (w *wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial(w.network, w.target)
		if err != nil {
			c.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, c, up)
		closed := w.closed
		w.mu.Unlock()
		closeBoth := func() { c.Close(); up.Close() }
		if closed {
			closeBoth()
		}
		w.all.Go(func() { defer closeBoth(); w.count(c, up) })
		w.all.Go(func() { defer closeBoth(); _, _ = io.Copy(c, up) })
	}
}

// count passes on what the client says until either end closes.
func (w *wire) count(from io.Reader, to io.Writer) {
	r := bufio.NewReader(from)
	started := false // the first message has no type
	for {
		head := make([]byte, 5)
		if !started {
			head = head[1:]
		}
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		if started && (head[0] == 'Q' || head[0] == 'E') {
			w.statements.Add(1)
		}
		started = true
		length := int64(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
		if _, err := to.Write(head); err != nil {
			return
		}
		if _, err := io.CopyN(to, r, length); err != nil {
			return
		}
	}
}

// close ends all connections, and waits for that.
func (w *wire) close() {
	w.listener.Close()
	w.mu.Lock()
	w.closed = true
	for _, c := range w.conns {
		c.Close()
	}
	w.mu.Unlock()
	w.all.Wait()
}
