package graph

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"entgo.io/ent/privacy"
	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/fault"
)

// Presenter is fault.Presenter, which knows the errors of the packages below as well.
func Presenter(log *slog.Logger) graphql.ErrorPresenterFunc {
	present := fault.Presenter(log)
	return func(ctx context.Context, err error) *gqlerror.Error { return present(ctx, explained(err)) }
}

// explained gives a code to errors that arise below the resolvers and are the client's to know of.
func explained(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, privacy.Deny):
		return fault.Forbidden("this is not yours to do").Because(err)
	case ent.IsNotFound(err): // found a moment ago, and deleted since
		return fault.NotFound("it is gone: somebody has deleted it just now").Because(err)
	case ent.IsConstraintError(err) && strings.Contains(err.Error(), "comments_posts_comments"):
		return fault.NotFound("there is no such post").Because(err)
	case ent.IsConstraintError(err) && refersToNobody(err):
		return fault.Unauthenticated("this account no longer exists").Because(err)
	case errors.Is(err, auth.ErrBusy):
		return fault.RateLimited(time.Second, "too many people are signing in right now: try again in a moment").Because(err)
	case errors.Is(err, event.ErrExpired):
		return fault.CursorExpired("what came after this cursor is no longer kept in full: read the list again, with liveCursor, and subscribe after that").Because(err)
	case errors.Is(err, event.ErrBadCursor), errors.Is(err, event.ErrWrongKind):
		return fault.BadInput("after", "after is neither a cursor nor the id of an item of this subscription").Because(err)
	}
	return err
}

// refersToNobody reports a violated reference to a user. SQLite names no constraint; there only a user can be gone, for
// one writer at a time has looked up everything else.
func refersToNobody(err error) bool {
	text := err.Error()
	return strings.Contains(text, "_users_") || strings.Contains(text, "FOREIGN KEY constraint failed")
}

// taken turns a violated uniqueness into CONFLICT.
func taken(err error) error {
	if !ent.IsConstraintError(err) {
		return err
	}
	switch text := err.Error(); { // both databases name the column or the index made of its name
	case strings.Contains(text, "username_key"):
		return fault.Conflict("USERNAME_TAKEN", "input.username", "this username is taken").Because(err)
	case strings.Contains(text, "email_key"):
		return fault.Conflict("EMAIL_TAKEN", "input.email", "this e-mail address is taken").Because(err)
	}
	return err
}
