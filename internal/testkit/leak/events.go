package leak

import (
	"bytes"
	"io"
	"mime"
	"net/http"
)

// isStream reports whether a response is a stream of server-sent events.
func isStream(r *http.Response) bool {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "text/event-stream" && r.StatusCode < 400
}

// events is the body of a stream of server-sent events, whose results are looked at as they are read. It takes each to
// be one line, as ours are.
type events struct {
	io.ReadCloser
	t    T
	line []byte
}

func (e *events) Read(b []byte) (int, error) {
	n, err := e.ReadCloser.Read(b)
	e.line = append(e.line, b[:n]...)
	for {
		line, rest, ended := bytes.Cut(e.line, []byte("\n"))
		if !ended {
			break
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			Body(e.t, http.StatusOK, data)
		}
		e.line = append([]byte(nil), rest...)
	}
	return n, err
}
