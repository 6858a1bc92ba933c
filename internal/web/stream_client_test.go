package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tidings/internal/testkit/leak"
)

// eventStream is the client's end of a stream of server-sent events.
type eventStream struct {
	t      testing.TB
	status int
	header http.Header
	r      *bufio.Reader
	close  func()
}

// stream subscribes by POST, unless the header has a Method of its own. The header Accept is text/event-stream if it isn't
// given.
func (w *world) stream(body string, header ...string) *eventStream {
	w.t.Helper()
	return w.streamAt(w.http.URL, "POST", "/graphql", body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// source subscribes as an EventSource does: by GET.
func (w *world) source(query string, header ...string) *eventStream {
	w.t.Helper()
	return w.streamAt(w.http.URL, "GET", "/graphql?"+url.Values{"query": {query}}.Encode(), "", header...)
}

func (w *world) streamAt(to, method, path, body string, header ...string) *eventStream {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, method, to+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil && w.readBuffer > 0 {
			err = nc.(*net.TCPConn).SetReadBuffer(w.readBuffer)
		}
		return nc, err
	}}
	if own, ok := w.http.Client().Transport.(*http.Transport); ok {
		transport.TLSClientConfig = own.TLSClientConfig
	}
	given := time.AfterFunc(patience, cancel)
	resp, err := transport.RoundTrip(req)
	given.Stop()
	if err != nil {
		w.t.Fatal(err)
	}
	s := &eventStream{t: w.t, status: resp.StatusCode, header: resp.Header, r: bufio.NewReader(resp.Body), close: func() {
		cancel()
		resp.Body.Close()
		transport.CloseIdleConnections()
	}}
	leak.Header(w.t, resp.Header)
	w.t.Cleanup(s.close)
	return s
}

// errEndOfStream says that a stream has ended as responses do, errBroken that it was cut off.
var (
	errEndOfStream = errors.New("the stream has ended")
	errBroken      = errors.New("the stream was cut off")
)

// read returns the next block, without the line break behind it.
func (s *eventStream) read() (string, error) {
	given := time.AfterFunc(patience, s.close)
	defer given.Stop()
	var block []string
	for {
		line, err := s.r.ReadString('\n')
		switch {
		case err == io.EOF && line == "" && len(block) == 0:
			return "", errEndOfStream
		case err != nil:
			return strings.Join(block, "\n") + line, errBroken
		case line == "\n":
			text := strings.Join(block, "\n")
			if _, data, ok := strings.Cut(text, "data: "); ok {
				leak.Body(s.t, http.StatusOK, []byte(data))
			}
			return text, nil
		}
		block = append(block, strings.TrimSuffix(line, "\n"))
	}
}

// next returns the next block that is no heartbeat.
func (s *eventStream) next() string {
	s.t.Helper()
	for {
		text, err := s.read()
		if err != nil {
			s.t.Fatalf("read: %v after %q", err, text)
		}
		if text != ":" {
			return text
		}
	}
}

// opened takes what a stream begins with, and returns the id.
func (s *eventStream) opened() (id string) {
	s.t.Helper()
	if s.status != 200 {
		s.t.Fatalf("status %d", s.status)
	}
	text := s.next()
	retry, id, ok := strings.Cut(text, "\nid: ")
	if !ok || !strings.HasPrefix(retry, "retry: ") || strings.Contains(id, "\n") {
		s.t.Fatalf("it began with %q", text)
	}
	return id
}

func (s *eventStream) expect(want ...string) {
	s.t.Helper()
	for _, want := range want {
		if got := s.next(); got != want {
			s.t.Fatalf("\n got %s\nwant %s", got, want)
		}
	}
}

const completed = "event: complete\nid: complete\ndata:"

// expectEnd takes the end, which must be the next that comes.
func (s *eventStream) expectEnd() {
	s.t.Helper()
	for {
		text, err := s.read()
		if err == errEndOfStream {
			return
		}
		if err != nil || text != ":" {
			s.t.Fatalf("got %q, %v, want the end", text, err)
		}
	}
}

// nextEvent is the event that delivers the post at a position.
func (w *world) nextEvent(position int64, posted string) string {
	cursor := w.log.cursor(position)
	return "event: next\nid: " + cursor + "\ndata: {\"data\":{\"posted\":" + posted + "},\"extensions\":{\"cursor\":\"" + cursor + "\"}}"
}
