// Package graph answers operations. The resolvers are thin: they check the input, say which rows are meant, and hand
// an ent query that has not run to package relay, or a change to the event log. Permissions are in ent/rule.
package graph

import (
	"context"

	"tidings/ent"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/relay"
	"tidings/internal/session"
)

// Resolver is what resolvers work with. All of it is safe for concurrent use.
type Resolver struct {
	Ent       *ent.Client // for reading; a Log gives the one for writing
	Log       Log
	Passwords *auth.Passwords
	Attempts  *auth.Attempts // nil: nobody is slowed
	Sessions  *session.Sessions
	Audit     audit.Log
}

// Log is what resolvers need of the event log.
type Log interface {
	// Write runs fn in a transaction and commits the events that it returns with it, or nothing at all. fn may run
	// again when the database asks for it.
	Write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) error
	// Insert writes a new row and its event likewise, and returns false, without any effect, when the row that it
	// belongs to is not there for the viewer.
	Insert(ctx context.Context, build func(*ent.Client) eventlog.Insertion) (inserted bool, err error)
	// Append appends events in a transaction of Write, before those that fn returns, of which there must be some.
	Append(ctx context.Context, tx *ent.Client, events []event.Event) error
	// Head returns the place of the newest event.
	Head(ctx context.Context) (event.Cursor, error)
}

// signedIn returns the viewer, or UNAUTHENTICATED.
func signedIn(ctx context.Context) (auth.Viewer, error) {
	v := auth.ViewerFrom(ctx)
	if !v.SignedIn() {
		return v, fault.Unauthenticated("sign in first: this needs a viewer")
	}
	return v, nil
}

// write is Log.Write for a mutation that answers with a node of a type. What the operation selects of the node is
// checked first: nothing is written when it could not be answered for the client's mistake.
func (r *Resolver) write(ctx context.Context, answer *ent.NodeType, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) error {
	if err := relay.Check(ctx, answer); err != nil {
		return err
	}
	return r.Log.Write(ctx, fn)
}

// insert is write of one new row; NOT_FOUND when what it belongs to is not there.
func (r *Resolver) insert(ctx context.Context, answer *ent.NodeType, on string, build func(*ent.Client) eventlog.Insertion) error {
	if err := relay.Check(ctx, answer); err != nil {
		return err
	}
	inserted, err := r.Log.Insert(ctx, build)
	if err == nil && !inserted {
		return fault.NotFound("there is no such " + on)
	}
	return err
}

// owned passes on what a query found, and tells apart what the viewer may not know of (NOT_FOUND) and what is
// somebody else's (FORBIDDEN, except to admins).
func owned(ctx context.Context, kind string, owner gid.User, err error) error {
	switch {
	case ent.IsNotFound(err):
		return fault.NotFound("there is no such " + kind)
	case err != nil:
		return err
	}
	if v := auth.ViewerFrom(ctx); owner != v.User && !v.Admin {
		return fault.Forbidden("this " + kind + " is somebody else's")
	}
	return nil
}

// there turns a node that is not there into NOT_FOUND.
func there[N any](kind string, node *N, err error) (*N, error) {
	if err == nil && node == nil {
		return nil, fault.NotFound("there is no such " + kind)
	}
	return node, err
}

// parsed turns the error of reading an id into BAD_USER_INPUT on the argument.
func parsed[I any](argument string, id I, err error) (I, error) {
	if err != nil {
		return id, fault.BadInput(argument, err.Error())
	}
	return id, nil
}

func userID(argument, s string) (gid.User, error) {
	id, err := gid.ParseUser(s)
	return parsed(argument, id, err)
}

func postID(argument, s string) (gid.Post, error) {
	id, err := gid.ParsePost(s)
	return parsed(argument, id, err)
}

func commentID(argument, s string) (gid.Comment, error) {
	id, err := gid.ParseComment(s)
	return parsed(argument, id, err)
}
