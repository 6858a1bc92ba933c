package web

import (
	"bufio"
	"crypto/rand"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/auth"
)

// requestIDHeader carries a request's id both ways, so that a proxy in front
// can name what it passes on.
const requestIDHeader = "X-Request-Id"

// ServeHTTP answers one request, and writes one line about it to the log: never
// with a token, a document or a variable.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	line := &accessLine{ResponseWriter: w, id: requestID(r), quiet: !s.log.Enabled(r.Context(), slog.LevelInfo)}
	r = r.WithContext(auth.WithClient(r.Context(), auth.Client{Address: s.proxies.client(r), Request: line.id}))
	w.Header()[requestIDHeader] = []string{line.id}
	secure(w.Header())
	if s.sockets.isDraining() {
		w.Header().Set("Connection", "close")
	}
	// It fails only where there is no connection to set it on.
	_ = http.NewResponseController(w).SetWriteDeadline(start.Add(s.limits.Operation + s.limits.Write))

	defer func() {
		panicked := recover()
		if line.status == 0 {
			line.status = http.StatusOK // net/http's, for a handler that wrote nothing
		}
		level := slog.LevelInfo
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			level = slog.LevelDebug // probes come every few seconds
		}
		if panicked != nil && panicked != http.ErrAbortHandler {
			level = slog.LevelError
			line.status = http.StatusInternalServerError
			line.more = append(line.more, slog.Any("panic", panicked))
		}
		if panicked == nil && !s.log.Enabled(r.Context(), level) {
			return
		}
		s.log.LogAttrs(r.Context(), level, "request", append([]slog.Attr{
			slog.String("request", line.id),
			slog.String("method", clip(r.Method, 16)),
			slog.String("path", clip(r.URL.Path, 80)),
			slog.Int("status", line.status),
			slog.Duration("duration", time.Since(start)),
		}, line.more...)...)
		if panicked != nil {
			panic(http.ErrAbortHandler) // ends the connection; what there is to say has been said
		}
	}()
	s.handler.ServeHTTP(line, r)
}

// secure sets what keeps a browser from making more of a response than it is: by default it is shown in no frame, loads
// and runs nothing, is no other page's picture or script, and tells nobody where it was read. The playground says for
// itself what it loads. Strict-Transport-Security is for what ends TLS in front to say.
func secure(h http.Header) {
	for name, value := range security {
		h[name] = value
	}
}

// The values are shared by all responses, which replace them whole or not at all.
var security = http.Header{
	"Content-Security-Policy":      {"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Referrer-Policy":              {"no-referrer"},
	"X-Content-Type-Options":       {"nosniff"},
	"X-Frame-Options":              {"DENY"},
}

// accessLine is a ResponseWriter that remembers what the log wants to know.
type accessLine struct {
	http.ResponseWriter
	id     string
	status int
	more   []slog.Attr
	quiet  bool // no line will be written
}

func (l *accessLine) WriteHeader(status int) {
	if l.status == 0 {
		l.status = status
	}
	l.ResponseWriter.WriteHeader(status)
}

func (l *accessLine) Write(b []byte) (int, error) {
	if l.status == 0 {
		l.status = http.StatusOK
	}
	return l.ResponseWriter.Write(b)
}

// Hijack notes that the connection is no longer HTTP's.
func (l *accessLine) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err == nil {
		l.status = http.StatusSwitchingProtocols
	}
	return nc, rw, err
}

// Unwrap is for http.ResponseController.
func (l *accessLine) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// note adds what a GraphQL request was to the line about it.
func note(w http.ResponseWriter, viewer auth.Viewer, oc *graphql.OperationContext, outcome string) {
	if l, ok := w.(*accessLine); ok && !l.quiet {
		l.more = append(operationAttrs(viewer, operationName(oc), operationType(oc)), slog.String("outcome", outcome))
	}
}

func operationAttrs(viewer auth.Viewer, name, kind string) []slog.Attr {
	attrs := make([]slog.Attr, 0, 5)
	if name != "" {
		attrs = append(attrs, slog.String("operation", name))
	}
	if kind != "" {
		attrs = append(attrs, slog.String("type", kind))
	}
	if viewer.SignedIn() {
		attrs = append(attrs, slog.String("viewer", viewer.User.String()))
	}
	return attrs
}

// requestID returns the id that the client or a proxy gave to the request if it
// is a plain one of at most 64 characters, and a random one otherwise.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.:", c))
	}) {
		return strings.ToLower(rand.Text()[:16])
	}
	return id
}

// clip cuts s to n bytes at a rune's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
