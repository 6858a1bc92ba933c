// Package audit writes the security events: who signed in, who could not, what was refused, revoked or granted. They
// go into the server's log, all in one shape, so that one filter finds them:
//
//	level=INFO msg=security event=log_in_failed reason=password user=user_… viewer=… address=192.0.2.7 request=…
//
// No event holds a secret, a token, a password, or what somebody typed as a login, which may be a password in the
// wrong field: a user is named by id.
package audit

import (
	"context"
	"log/slog"

	"tidings/internal/auth"
	"tidings/internal/gid"
)

// Event is what happened.
type Event string

// The events.
const (
	LoggedIn        Event = "logged_in"
	LogInFailed     Event = "log_in_failed" // reason: login, password, inactive
	LogInSlowed     Event = "log_in_slowed" // refused untried, for those that failed before
	SessionEnded    Event = "session_ended" // reason: log_out, password_changed, deactivated, deleted, reused, too_many
	TokenReused     Event = "refresh_token_reused"
	TokenRefused    Event = "token_refused" // of either kind; reason
	PasswordChanged Event = "password_changed"
	RoleChanged     Event = "role_changed"   // reason: the new role
	ActiveChanged   Event = "active_changed" // reason: active, inactive
	UserCreated     Event = "user_created"
	UserDeleted     Event = "user_deleted"
	RequestRefused  Event = "request_refused" // reason: origin, rate, sockets, complexity
)

// Log writes security events. The zero Log writes none.
type Log struct{ log *slog.Logger }

// New returns a Log that writes into log, at level info.
func New(log *slog.Logger) Log { return Log{log} }

// Write writes that e happened, for a reason (one word; "" for none), to a user (zero when no account is known), by
// the viewer and from the client of ctx.
func (l Log) Write(ctx context.Context, e Event, reason string, user gid.User) {
	if l.log == nil {
		return
	}
	viewer, client := auth.ViewerFrom(ctx), auth.ClientFrom(ctx)
	id := func(u gid.User) string {
		if u.IsZero() {
			return ""
		}
		return u.String()
	}
	address := ""
	if client.Address.IsValid() {
		address = client.Address.String()
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "security",
		slog.String("event", string(e)), slog.String("reason", reason), slog.String("user", id(user)),
		slog.String("viewer", id(viewer.User)), slog.String("address", address), slog.String("request", client.Request))
}
