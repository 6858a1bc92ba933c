// Package auth knows who is asking.
package auth

import (
	"context"

	"tidings/internal/gid"
)

// Viewer is who asks. The zero Viewer is anonymous.
type Viewer struct {
	User    gid.User
	Session gid.Session
	Admin   bool
}

// SignedIn reports whether the viewer is somebody.
func (v Viewer) SignedIn() bool { return !v.User.IsZero() }

type viewerKey struct{}
type systemKey struct{}

// WithViewer returns a context in which v asks.
func WithViewer(ctx context.Context, v Viewer) context.Context {
	return context.WithValue(ctx, viewerKey{}, v)
}

// ViewerFrom returns who asks in ctx: anonymous when nobody was set.
func ViewerFrom(ctx context.Context) Viewer {
	v, _ := ctx.Value(viewerKey{}).(Viewer)
	return v
}

// AsSystem returns a context that may see and change everything. It never reaches a resolver.
func AsSystem(ctx context.Context) context.Context { return context.WithValue(ctx, systemKey{}, true) }

// IsSystem reports whether ctx comes from AsSystem.
func IsSystem(ctx context.Context) bool { b, _ := ctx.Value(systemKey{}).(bool); return b }
