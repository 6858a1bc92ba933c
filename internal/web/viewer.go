package web

import (
	"errors"
	"fmt"

	"tidings/internal/auth"
)

// errNoViewer says that a viewer is none any more.
var errNoViewer = errors.New("the viewer has gone")

// current returns v as of now. It is asked for each operation and each delivery
// on a socket, and so must cost little and never wait. An error is an
// errNoViewer: the session has ended, or the token has expired.
//
// Tokens that can tell have a method Current; from others v is good as it is.
func (s *Server) current(v auth.Viewer) (auth.Viewer, error) {
	teller, ok := s.tokens.(interface {
		Current(auth.Viewer) (auth.Viewer, error)
	})
	if !ok {
		return v, nil
	}
	now, err := teller.Current(v)
	if err != nil {
		return auth.Viewer{}, fmt.Errorf("%w: %w", errNoViewer, err)
	}
	return now, nil
}

// shutOut ends the socket of a viewer who is none any more, for an error of
// current.
func (c *conn) shutOut(err error) {
	reason := "The session has ended"
	if errors.Is(err, auth.ErrToken) {
		reason = "The access token has expired"
	}
	c.shut(closeForbidden, reason)
}
