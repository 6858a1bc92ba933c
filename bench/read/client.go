//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

const patience = 30 * time.Second // of one answer

// conn is a connection to a server, kept open, with one request at a time. It takes as little of the machine as it can,
// for it shares it with the server.
type conn struct {
	net.Conn
	r    *bufio.Reader
	body []byte
}

func dial(ctx context.Context, address string) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 32<<10)}, nil
}

// do sends a request and returns the body of its answer, which is good until the next one.
func (c *conn) do(request []byte) ([]byte, error) {
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	said := string(status)
	length := -1
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		const name = "Content-Length: "
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if length, err = strconv.Atoi(string(line[len(name):])); err != nil {
				return nil, err
			}
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("an answer without a length: %s", said)
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err := io.ReadFull(c.r, c.body); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: %.300s", bytes.TrimSpace([]byte(said)), c.body)
	}
	return c.body, nil
}

// script is what is sent, and how its answers begin, to the end where they are known.
type script struct {
	requests [][]byte
	answers  [][]byte
	whole    bool
}

func (s script) check(i int, answer []byte) error {
	if s.whole && !bytes.Equal(answer, s.answers[i]) || !bytes.HasPrefix(answer, s.answers[i]) {
		return fmt.Errorf("another answer than before, of %d bytes and not %d: %.300s", len(answer), len(s.answers[i]), answer)
	}
	return nil
}

// run sends the script's requests again and again over so many connections, until the time is over and the last answer
// has come. An answer that is not what it should be ends it.
func (s script) run(ctx context.Context, address string, conns int, period time.Duration) (times []time.Duration, took time.Duration, err error) {
	all := make([][]time.Duration, conns)
	cs := make([]*conn, conns)
	for i := range cs {
		if cs[i], err = dial(ctx, address); err != nil {
			return nil, 0, err
		}
		defer cs[i].Close()
	}
	g, ctx := errgroup.WithContext(ctx)
	begin := time.Now()
	for i, c := range cs {
		g.Go(func() error {
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			if err := c.SetDeadline(begin.Add(period + patience)); err != nil {
				return err
			}
			for n := i * len(s.requests) / conns; ; n++ { // each begins elsewhere
				sent := time.Now()
				if sent.Sub(begin) >= period {
					return nil
				}
				k := n % len(s.requests)
				answer, err := c.do(s.requests[k])
				if err == nil {
					err = s.check(k, answer)
				}
				if err != nil {
					return errors.Join(ctx.Err(), err)
				}
				all[i] = append(all[i], time.Since(sent))
			}
		})
	}
	err = g.Wait()
	took = time.Since(begin)
	for _, t := range all {
		times = append(times, t...)
	}
	return times, took, err
}
