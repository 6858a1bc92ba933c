// Package auth knows who is asking: the viewer in a context, the passwords and
// tokens by which one becomes a viewer, and the secret that tokens are signed
// with. It stores nothing and decides nothing about what a viewer may do.
package auth

import (
	"context"
	"time"

	"tidings/internal/gid"
)

// Viewer is who asks. The zero Viewer is anonymous.
type Viewer struct {
	User    gid.User
	Session gid.Session
	// Admin stands in no token, so that a role taken away is away at once: it is
	// false until who loads the user sets it.
	Admin bool
	// Expires is when the viewer's access token ends, and with it what was
	// opened on it. Zero is never.
	Expires time.Time
}

// SignedIn reports whether the viewer is somebody.
func (v Viewer) SignedIn() bool { return !v.User.IsZero() }

// asker is what a context holds. One key for both: the last one set decides.
type asker struct {
	viewer Viewer
	system bool
}

type askerKey struct{}

// WithViewer returns a context in which v asks, and nobody else: it sees no
// more than v does even if ctx came from AsSystem.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, askerKey{}, asker{viewer: v})
}

// ViewerFrom returns who asks in ctx: anonymous when nobody was set.
func ViewerFrom(ctx context.Context) Viewer {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a.viewer
}

// AsSystem returns a context that may see and change everything, for what the
// server does on its own account: checking a login, making the demo. Its viewer
// stays who it was. It never reaches a resolver.
func AsSystem(ctx context.Context) context.Context {
	return context.WithValue(ctx, askerKey{}, asker{viewer: ViewerFrom(ctx), system: true})
}

// IsSystem reports whether ctx comes from AsSystem.
func IsSystem(ctx context.Context) bool {
	a, _ := ctx.Value(askerKey{}).(asker)
	return a.system
}
