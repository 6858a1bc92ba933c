package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"tidings/internal/auth"
	"tidings/internal/fault"
	"tidings/internal/gid"
)

// Guard tells whose access tokens are good, as of now; a *session.Guard. Any
// error means that the viewer's session is over, or the token never was good;
// its text is for the log. It is asked for every operation and every event, so
// it must answer from memory.
type Guard interface {
	// Verify returns the viewer that a token stands for.
	Verify(token string) (auth.Viewer, error)
	// Current returns what has become of a viewer: what they may do can change.
	Current(auth.Viewer) (auth.Viewer, error)
	// Watch calls ended once, when the session ends or has ended. stop ends the
	// watching.
	Watch(session gid.Session, ended func()) (stop func())
}

// viewer returns who asks, by the Authorization headers of a request:
// anonymous if there are none.
func (s *Server) viewer(headers []string) (auth.Viewer, error) {
	if len(headers) > 1 {
		return auth.Viewer{}, fault.Unauthenticated("There is more than one Authorization header.")
	}
	token, ok, err := auth.BearerToken(strings.Join(headers, ""))
	if err != nil {
		return auth.Viewer{}, fault.Unauthenticated(auth.ErrBearer.Error())
	}
	if !ok {
		return auth.Viewer{}, nil
	}
	return s.verify(token)
}

func (s *Server) verify(token string) (auth.Viewer, error) {
	viewer, err := s.guard.Verify(token)
	if err != nil {
		return auth.Viewer{}, fault.Unauthenticated(auth.ErrToken.Error()).Because(err)
	}
	return viewer, nil
}

// errNoViewer says that a viewer is none any more.
var errNoViewer = errors.New("the viewer has gone")

// current returns what has become of a viewer. It is asked for each operation
// and each delivery on a socket, and never waits. An error is an errNoViewer:
// the session has ended, or the token has expired.
func (s *Server) current(v auth.Viewer) (auth.Viewer, error) {
	v, err := s.guard.Current(v)
	if err != nil {
		return auth.Viewer{}, fmt.Errorf("%w: %w", errNoViewer, err)
	}
	return v, nil
}

// shutOut ends the socket of a viewer who is none any more, for an error of
// current. What is being answered, such as the logOut that ended the session,
// has Limits.Revoke for that.
func (c *conn) shutOut(err error) {
	bye := goodbye{closeForbidden, "The session has ended"}
	if errors.Is(err, auth.ErrToken) {
		bye.reason = "The access token has expired"
	}
	c.leave(bye)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.revokeTimer == nil {
		c.revokeTimer = time.AfterFunc(c.server.limits.Revoke, func() { c.shut(bye.code, bye.reason) })
	}
}

// refreshCookie is the name of the cookie that keeps a refresh token where no
// script can read it.
const refreshCookie = "tidings_refresh"

// cookieOf is the refresh token's cookie of a request. It goes to the endpoint
// only, to the server's own site only (SameSite=Strict, RFC 6265bis, section
// 5.6.7), and over TLS only, except to this machine.
func cookieOf(w http.ResponseWriter, r *http.Request) *auth.Cookie {
	c := &auth.Cookie{Set: func(token string, until time.Time) {
		cookie := &http.Cookie{
			Name: refreshCookie, Value: token, Path: "/graphql",
			MaxAge:   max(1, int(time.Until(until).Seconds())),
			HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: overTLS(r) || !toThisMachine(r.Host),
		}
		if token == "" {
			cookie.MaxAge = -1
		}
		http.SetCookie(w, cookie)
	}}
	if given, err := r.Cookie(refreshCookie); err == nil {
		c.Presented = given.Value
	}
	return c
}

// overTLS reports whether a browser has sent a request over TLS, as far as it
// can be known. Many proxies that end TLS ask for "localhost:8080", as nginx does
// unless it is told to pass the Host on; the page's origin they do not change.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || strings.HasPrefix(strings.ToLower(r.Header.Get("Origin")), "https://") ||
		strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// toThisMachine reports whether a request's Host names the machine itself, to
// which browsers speak without TLS and still keep cookies.
func toThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
