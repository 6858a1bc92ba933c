package web

import (
	"encoding/json"
	"time"

	"tidings/internal/auth"
)

// pong answers a ping message. An "authorization" in its payload, written as
// in connection_init, renews the access token of the socket: it is closed when
// the new token expires, and what runs on it goes on.
//
// The new token must be of the session that the socket was opened by, as all
// that refreshSession gives are. With any other, of another user, of another
// log-in of the same one, or on a socket of nobody, and with one that is not good,
// the socket is closed with 4403: whoever opens it again is who they say. A
// token in front of connection_ack says nothing; connection_init will.
//
// What answers a token carries no payload: tokens are not sent back, for they
// would stand in what the client's side writes down of what it is sent.
func (c *conn) pong(payload json.RawMessage) {
	var given []string
	if len(payload) <= maxRenewal {
		_ = pace(c.ctx, len(payload)/renewalCost) // it fails only if the socket ends
		given = authorizations(payload)
	}
	if len(given) == 0 {
		c.send(pongFrame(payload))
		return
	}
	if c.acknowledged {
		viewer, err := c.server.givenViewer(given)
		switch {
		case err != nil:
			c.shut(closeForbidden, "Forbidden")
			return
		case viewer.SignedIn() && viewer.Session != c.viewer.Session:
			c.shut(closeForbidden, "The token is not of this socket's session")
			return
		}
		c.expireAt(viewer.Expires)
	}
	c.send(pongFrame(nil))
}

const (
	// maxRenewal is the largest payload of a ping that is looked through for a
	// token, in bytes. Larger ones are sent back, and that is all.
	maxRenewal = 4 * auth.MaxToken
	// renewalCost is for how many of these bytes a point is due, beside those of
	// any message: fields without number take long to go through.
	renewalCost = 512
)

// expireAt makes the socket end at a time, unless it was to end later already:
// of two renewals the older one may come last. The zero time changes nothing.
func (c *conn) expireAt(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !at.After(c.expires) {
		return
	}
	c.expires = at
	if c.expiryTimer == nil {
		c.expiryTimer = time.AfterFunc(time.Until(at), c.expire)
	} else {
		c.expiryTimer.Reset(time.Until(at))
	}
}

// expire ends the socket, unless its token was renewed just then.
func (c *conn) expire() {
	c.mu.Lock()
	left := time.Until(c.expires)
	if left > 0 {
		c.expiryTimer.Reset(left)
	}
	c.mu.Unlock()
	if left <= 0 {
		c.shut(closeForbidden, "The access token has expired")
	}
}

// current returns what has become of the viewer of one of the socket's
// operations. When they expire is for the socket to know, as it may have changed
// since the operation began: the viewers of operations don't.
func (c *conn) current(v auth.Viewer) (auth.Viewer, error) {
	c.mu.Lock()
	expires := c.expires
	c.mu.Unlock()
	v.Expires = expires
	v, err := c.server.current(v)
	v.Expires = time.Time{}
	return v, err
}
