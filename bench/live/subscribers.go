//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// What a subscriber sends. The document is the same for all, so that a server may share what it makes of an event.
const (
	subscription = `subscription { postCreated { id title author { username } } }`
	upgrade      = "GET /graphql HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)

// The title of an event ends in its number, by which a subscriber tells what it has missed.
const (
	titlePrefix = "event "
	titleDigits = 8
)

func title(n int) string { return fmt.Sprintf("%s%0*d", titlePrefix, titleDigits, n) }

var inFrame = []byte(`"title":"` + titlePrefix)

// number is the number of the event that a payload delivers; ok is false for a payload that delivers none.
func number(payload []byte) (n int, ok bool) {
	i := bytes.Index(payload, inFrame)
	if i < 0 || i+len(inFrame)+titleDigits > len(payload) {
		return 0, false
	}
	for _, c := range payload[i+len(inFrame):][:titleDigits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// Bounds of the load.
const (
	handshakes = 32 // at a time
	patience   = 2 * time.Minute
	quiet      = 500 * time.Millisecond
)

// subscriber is one socket with one subscription.
type subscriber struct {
	fd   int
	last int    // the number of the last event; -1 before the first
	part []byte // of a frame that has not come whole
}

// subscribers are many of them, read by one goroutine that takes little of the machine: it asks epoll which sockets have
// something, reads each once, and holds the number of every event against the one before. An event that is missing,
// doubled or out of order, and a socket that closes, is an error that await returns.
//
// What it is to read costs a server nothing when its clients are elsewhere. Here each of its writes would have to wake
// the reader, if that did not sleep by itself, for nap, between looks.
type subscribers struct {
	all    []*subscriber
	byFD   map[int32]*subscriber
	epoll  int
	nap    time.Duration        // between looks
	record func(payload []byte) // gets what the first of them is sent; nil: nobody wants it

	reader  sync.WaitGroup
	stopped atomic.Bool
	begin   time.Time
	target  atomic.Int64 // the event that is waited for
	arrived atomic.Int64 // how many have it
	at      atomic.Int64 // when the last one got it, in nanoseconds since begin
	reached chan struct{}
	failed  chan error
}

// subscribe opens n sockets to a server and subscribes on each. That a server has taken the last of these messages is
// not known until events arrive: establish.
func subscribe(ctx context.Context, address string, n int, nap time.Duration, record func([]byte)) (*subscribers, error) {
	s := &subscribers{
		byFD: make(map[int32]*subscriber, n), nap: nap, record: record, begin: time.Now(),
		reached: make(chan struct{}, 1), failed: make(chan error, 1),
	}
	s.target.Store(-1)
	var err error
	if s.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	s.all = make([]*subscriber, n)
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(handshakes)
	for i := range s.all {
		g.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			s.all[i], err = open(address)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		s.close()
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	for _, c := range s.all {
		s.byFD[int32(c.fd)] = c
		if err := syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, c.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}); err != nil {
			s.close()
			return nil, fmt.Errorf("epoll: %w", err)
		}
	}
	s.reader.Go(s.read)
	return s, nil
}

// close ends all of them without a word.
func (s *subscribers) close() {
	s.stopped.Store(true)
	s.reader.Wait()
	for _, c := range s.all {
		if c != nil {
			syscall.Close(c.fd)
		}
	}
	syscall.Close(s.epoll)
}

// expect begins to wait for an event that has not been published yet.
func (s *subscribers) expect(n int) {
	select {
	case <-s.reached:
	default:
	}
	s.arrived.Store(0)
	s.target.Store(int64(n))
}

// await returns when everybody has the event that is expected.
func (s *subscribers) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-s.reached:
		return s.failure()
	case err := <-s.failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%d of %d subscribers have event %d: %w", s.arrived.Load(), len(s.all), s.target.Load(), ctx.Err())
	}
}

// failure is what fail keeps, if anything.
func (s *subscribers) failure() error {
	select {
	case err := <-s.failed:
		return err
	default:
		return nil
	}
}

// arrival is when the last of them got the event that was awaited.
func (s *subscribers) arrival() time.Time { return s.begin.Add(time.Duration(s.at.Load())) }

// establish publishes events until one has reached everybody, and returns the number of the next.
func (s *subscribers) establish(ctx context.Context, next int, publish func(context.Context, int, int) error) (int, error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		s.expect(next)
		if err := publish(ctx, next, 1); err != nil {
			return 0, err
		}
		next++
		for before := int64(-1); before != s.arrived.Load(); {
			before = s.arrived.Load()
			select {
			case <-s.reached:
				return next, s.failure()
			case err := <-s.failed:
				return 0, err
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(quiet):
			}
		}
	}
	return 0, fmt.Errorf("no event reached all of %d subscribers, the last one %d", len(s.all), s.arrived.Load())
}

func (s *subscribers) read() {
	events := make([]syscall.EpollEvent, 1024)
	buffer := make([]byte, 256<<10)
	for !s.stopped.Load() {
		n, err := syscall.EpollWait(s.epoll, events, 20)
		if err != nil && err != syscall.EINTR {
			s.fail(fmt.Errorf("epoll: %w", err))
			return
		}
		for i := range max(n, 0) {
			c := s.byFD[events[i].Fd]
			n, err := syscall.Read(c.fd, buffer)
			switch {
			case err == syscall.EAGAIN || err == syscall.EINTR:
				continue
			case err != nil || n == 0:
				s.fail(fmt.Errorf("a subscriber was disconnected after event %d: %w", c.last, errors.Join(err, net.ErrClosed)))
				_ = syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_DEL, c.fd, nil) // said already
				continue
			}
			s.take(c, buffer[:n])
		}
		if n < len(events) && s.nap > 0 {
			time.Sleep(s.nap)
		}
	}
}

// take reads the frames in what has come.
func (s *subscribers) take(c *subscriber, data []byte) {
	if len(c.part) > 0 {
		c.part = append(c.part, data...)
		data = c.part
	}
	for {
		op, payload, rest := frame(data)
		if rest == nil {
			break
		}
		data = rest
		switch op {
		case opText:
			s.message(c, payload)
		case opPing:
			_, _ = syscall.Write(c.fd, clientFrame(opPong, payload)) // a socket that is gone shows when read
		case opClose:
			s.fail(fmt.Errorf("a subscriber was closed with %q after event %d", payload, c.last))
		}
	}
	if c.part = append(c.part[:0], data...); len(data) == 0 {
		c.part = nil
	}
}

func (s *subscribers) message(c *subscriber, payload []byte) {
	n, ok := number(payload)
	if !ok {
		s.fail(fmt.Errorf("a subscriber was sent %.200q", payload))
		return
	}
	if c.last >= 0 && n != c.last+1 {
		s.fail(fmt.Errorf("a subscriber was sent event %d after %d", n, c.last))
	}
	c.last = n
	if s.record != nil && c == s.all[0] {
		s.record(bytes.Clone(payload))
	}
	if int64(n) == s.target.Load() && s.arrived.Add(1) == int64(len(s.all)) {
		s.at.Store(int64(time.Since(s.begin)))
		s.reached <- struct{}{}
	}
}

// fail keeps the first error.
func (s *subscribers) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// open connects, shakes hands and sends the subscription, on a socket of its own that Go's runtime knows nothing of.
func open(address string) (_ *subscriber, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			syscall.Close(fd)
		}
	}()
	limit := syscall.NsecToTimeval(int64(patience))
	for _, err := range []error{
		syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit),
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1),
		syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}),
		send(fd, fmt.Appendf(nil, upgrade, address)),
	} {
		if err != nil {
			return nil, err
		}
	}
	head, rest, err := receive(fd, nil, func(b []byte) ([]byte, []byte) {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return b[:i], b[i+4:]
		}
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
		return nil, fmt.Errorf("the upgrade was answered with %.200q", head)
	}
	if err := send(fd, clientFrame(opText, []byte(`{"type":"connection_init"}`))); err != nil {
		return nil, err
	}
	ack, rest, err := receive(fd, rest, func(b []byte) ([]byte, []byte) { _, payload, rest := frame(b); return payload, rest })
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(ack, []byte(`"connection_ack"`)) {
		return nil, fmt.Errorf("connection_init was answered with %.200q", ack)
	}
	if err := send(fd, clientFrame(opText, fmt.Appendf(nil, `{"id":"1","type":"subscribe","payload":{"query":%q}}`, subscription))); err != nil {
		return nil, err
	}
	return &subscriber{fd: fd, last: -1, part: bytes.Clone(rest)}, syscall.SetNonblock(fd, true)
}

func send(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(fd, b)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// receive reads until split finds something, which is when it returns a rest that is not nil.
func receive(fd int, b []byte, split func([]byte) (found, rest []byte)) ([]byte, []byte, error) {
	for {
		if found, rest := split(b); rest != nil {
			return found, rest, nil
		}
		more := make([]byte, 1024)
		n, err := syscall.Read(fd, more)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil, nil, fmt.Errorf("the socket closed after %.100q: %w", b, errors.Join(err, net.ErrClosed))
		}
		b = append(b, more[:n]...)
	}
}

// Opcodes (RFC 6455, section 5.2).
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// frame splits the first frame off what a server sent; rest is nil until it is there whole.
func frame(b []byte) (op byte, payload, rest []byte) {
	if len(b) < 2 {
		return 0, nil, nil
	}
	size, at := int(b[1]), 2
	switch {
	case size == 126 && len(b) >= 4:
		size, at = int(binary.BigEndian.Uint16(b[2:])), 4
	case size == 127 && len(b) >= 10:
		size, at = int(binary.BigEndian.Uint64(b[2:])), 10
	case size >= 126:
		return 0, nil, nil
	}
	if len(b) < at+size {
		return 0, nil, nil
	}
	return b[0] & 15, b[at : at+size], b[at+size:]
}

// clientFrame is a frame as clients send it, masked with zeros, of up to 64 KiB.
func clientFrame(op byte, payload []byte) []byte {
	b := []byte{0x80 | op, 0x80}
	if n := len(payload); n < 126 {
		b[1] |= byte(n)
	} else {
		b[1] |= 126
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}
