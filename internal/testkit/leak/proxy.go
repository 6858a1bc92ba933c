package leak

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Proxy stands in front of a server, for clients that are programs of their own (npm, a browser), and looks at all that
// passes: bodies, events of streams, messages and closes of sockets. It returns its URL. It is gone when the test ends, which it fails if
// anything leaked.
func Proxy(t testing.TB, target string) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	found := &found{}
	var running sync.WaitGroup
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = r.In.Host // the server compares it with the page's origin
		},
		ModifyResponse: func(r *http.Response) error { return look(found, r) },
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		FlushInterval:  -1,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		found.closeAll() // sockets are no longer the server's to close
		server.CloseClientConnections()
		server.Close()
		running.Wait()
		found.mu.Lock()
		defer found.mu.Unlock()
		for _, leak := range found.leaks {
			t.Error(leak)
		}
	})
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// look reads a response on its way. Those of sockets are read frame by frame as they pass.
func look(t *found, r *http.Response) error {
	Header(t, r.Header)
	switch {
	case r.StatusCode == http.StatusSwitchingProtocols:
		socket, ok := r.Body.(io.ReadWriteCloser)
		if !ok {
			return fmt.Errorf("a socket of the type %T", r.Body)
		}
		r.Body = &tap{ReadWriteCloser: socket, frames: frames{t: t}}
		t.remember(socket)
	case isStream(r):
		r.Body = &events{ReadCloser: r.Body, t: t}
	case r.StatusCode >= 400 || strings.Contains(r.Header.Get("Content-Type"), "json"):
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		r.Body.Close()
		Body(t, r.StatusCode, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return nil
}

// found is what has leaked through a proxy, and the sockets through it.
type found struct {
	mu      sync.Mutex
	leaks   []string
	sockets []io.Closer
}

func (f *found) Helper() {}

func (f *found) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaks = append(f.leaks, fmt.Sprintf(format, args...))
}

func (f *found) remember(c io.Closer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sockets = append(f.sockets, c)
}

func (f *found) closeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.sockets {
		c.Close()
	}
}

// tap is the server's end of a socket.
type tap struct {
	io.ReadWriteCloser
	frames frames
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.ReadWriteCloser.Read(b)
	t.frames.read(b[:n])
	return n, err
}

// frames takes a server's half of a WebSocket apart (RFC 6455, section 5.2): unmasked, uncompressed, and no message in
// several frames, as ours sends them.
type frames struct {
	t   T
	buf []byte
}

const maxFrame = 16 << 20

func (f *frames) read(b []byte) {
	f.buf = append(f.buf, b...)
	for len(f.buf) >= 2 {
		head, size := 2, uint64(f.buf[1]&0x7f)
		switch {
		case size == 126 && len(f.buf) >= 4:
			head, size = 4, uint64(binary.BigEndian.Uint16(f.buf[2:]))
		case size == 127 && len(f.buf) >= 10:
			head, size = 10, binary.BigEndian.Uint64(f.buf[2:])
		case size >= 126:
			return
		}
		if size > maxFrame {
			f.t.Errorf("a frame of %d bytes", size)
			f.buf = nil
			return
		}
		if uint64(len(f.buf)-head) < size {
			return
		}
		payload := f.buf[head : head+int(size)]
		switch f.buf[0] & 0x0f {
		case 1:
			Message(f.t, payload)
		case 8:
			if len(payload) > 2 {
				Closed(f.t, string(payload[2:]))
			}
		}
		f.buf = append([]byte(nil), f.buf[head+int(size):]...)
	}
}
