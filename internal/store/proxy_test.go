package store_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// countingProxy stands between a client and Postgres and counts round trips: what the server has finished and said so
// (ReadyForQuery; https://www.postgresql.org/docs/current/protocol-flow.html).
type countingProxy struct {
	url   string
	trips atomic.Int64
}

// newProxy starts a proxy to the server of a URL. It ends with the test.
func newProxy(t testing.TB, server string) *countingProxy {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, address = "unix", dir+"/.s.PGSQL.5432"
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("host")
	if u.User == nil {
		u.User = url.User(q.Get("user"))
	}
	u.Host, u.RawQuery = l.Addr().String(), q.Encode()
	p := &countingProxy{url: u.String()}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			wg.Go(func() {
				_, _ = io.Copy(server, client)
				_ = server.Close()
			})
			wg.Go(func() {
				p.copyMessages(client, server)
				_ = client.Close()
			})
		}
	})
	return p
}

func (p *countingProxy) copyMessages(client io.Writer, server io.Reader) {
	r := bufio.NewReader(server)
	head := make([]byte, 5)
	if first, err := r.Peek(1); err == nil && first[0] == 'N' { // no TLS: the one answer that is no message
		_, _ = client.Write(first)
		_, _ = r.Discard(1)
	}
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		if head[0] == 'Z' {
			p.trips.Add(1)
		}
		if _, err := client.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// during counts the round trips of f.
func (p *countingProxy) during(f func()) int64 {
	before := p.trips.Load()
	f()
	return p.trips.Load() - before
}
