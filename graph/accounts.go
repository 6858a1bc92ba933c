package graph

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"tidings/ent"
	"tidings/ent/user"
	"tidings/graph/model"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/relay"
	"tidings/internal/session"
)

// errLogIn is the one answer to every log-in that fails, whatever failed.
var errLogIn = fault.Unauthenticated("the login or the password is wrong")

// logIn starts a session of the user whose login and password these are.
func (r *Resolver) logIn(ctx context.Context, input model.LogInInput) (session.Grant, error) {
	u, err := r.authenticate(ctx, input.Login, input.Password)
	if err != nil {
		return session.Grant{}, err
	}
	return r.Sessions.Start(ctx, u)
}

// authenticate returns the user whose login and password these are. For every other login and password it does the
// same work, and fails in the same way. It is RATE_LIMITED when too many attempts have failed.
func (r *Resolver) authenticate(ctx context.Context, login, password string) (*ent.User, error) {
	folded := strings.ToLower(login)
	conclude, err := r.attempt(ctx, folded)
	if err != nil {
		return nil, err
	}
	// No more than is needed, so that it takes as long whether there is a row or not.
	u, err := r.Ent.User.Query().Where(user.Or(user.UsernameKey(folded), user.EmailKey(folded))).
		Select(user.FieldID, user.FieldPasswordHash, user.FieldIsActive, user.FieldUpdatedAt).Only(auth.AsSystem(ctx))
	if err != nil && !ent.IsNotFound(err) {
		return nil, conclude(false, err)
	}
	if u == nil || !u.IsActive {
		err := r.Passwords.VerifyNothing(ctx, password)
		if err == nil {
			reason, id := "login", gid.User{}
			if u != nil {
				reason, id = "inactive", u.ID
			}
			r.Audit.Write(ctx, audit.LogInFailed, reason, id)
		}
		return nil, cmp.Or(conclude(false, err), error(errLogIn))
	}
	ok, old, err := r.Passwords.Verify(ctx, u.PasswordHash, password)
	if err := conclude(ok, err); err != nil {
		return nil, err
	}
	if !ok {
		r.Audit.Write(ctx, audit.LogInFailed, "password", u.ID)
		return nil, errLogIn
	}
	if old {
		return u, r.rehash(auth.AsSystem(ctx), u, password)
	}
	return u, nil
}

// attempt begins an attempt at the password of an account, or is RATE_LIMITED. conclude is to be called with how that
// went, and passes on err: with one, the password was not tried.
func (r *Resolver) attempt(ctx context.Context, account string) (conclude func(ok bool, err error) error, err error) {
	addr := auth.ClientFrom(ctx).Address
	wait, may := r.Attempts.Begin(addr, account)
	if !may {
		r.Audit.Write(ctx, audit.LogInSlowed, "", gid.User{})
		return nil, fault.RateLimited(wait, "too many attempts have failed: wait before you try again")
	}
	return func(ok bool, err error) error {
		switch {
		case err != nil:
			r.Attempts.Untried(addr, account)
		case ok:
			r.Attempts.Succeeded(addr, account)
		default:
			r.Attempts.Failed(addr, account)
		}
		return err
	}, nil
}

// rehash stores the password of u anew, because the cost of hashing has changed.
func (r *Resolver) rehash(ctx context.Context, u *ent.User, password string) error {
	hash, err := r.Passwords.Hash(ctx, password)
	if errors.Is(err, auth.ErrBusy) {
		return nil // at another log-in
	} else if err != nil {
		return err
	}
	return r.Log.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		n, err := tx.User.Update().Where(user.ID(u.ID), user.PasswordHash(u.PasswordHash)).
			SetPasswordHash(hash).SetUpdatedAt(u.UpdatedAt).Save(ctx)
		if n == 1 {
			u.PasswordHash = hash
		} // else it was changed just now, and the session will not start
		return nil, err
	})
}

// signedInAs is the answer to a mutation that signs in, or renews that.
func (r *Resolver) signedInAs(ctx context.Context, g session.Grant) (*model.Session, error) {
	shown, err := relay.Node(auth.WithViewer(ctx, g.Viewer), r.Ent.User.Query().Where(user.ID(g.Viewer.User)), "user")
	if shown, err = there("user", shown, err); err != nil {
		return nil, err
	}
	if cookie := auth.ClientFrom(ctx).Cookie; cookie != nil {
		cookie.Set(g.Refresh, g.RefreshUntil)
	}
	return &model.Session{AccessToken: g.Access, ExpiresAt: g.Viewer.Expires, RefreshToken: g.Refresh, User: shown}, nil
}

// forgetCookie takes away the browser's refresh token.
func forgetCookie(ctx context.Context) {
	if cookie := auth.ClientFrom(ctx).Cookie; cookie != nil {
		cookie.Set("", time.Time{})
	}
}

// changePassword stores a new password if the old one is right, ends the viewer's other sessions, and renews this one.
func (r *Resolver) changePassword(ctx context.Context, v auth.Viewer, input model.ChangePasswordInput) (session.Grant, error) {
	u, err := r.Ent.User.Query().Where(user.ID(v.User)).Only(auth.AsSystem(ctx))
	if ent.IsNotFound(err) {
		return session.Grant{}, errGone
	} else if err != nil {
		return session.Grant{}, err
	}
	conclude, err := r.attempt(ctx, u.UsernameKey)
	if err != nil {
		return session.Grant{}, err
	}
	ok, _, err := r.Passwords.Verify(ctx, u.PasswordHash, input.OldPassword)
	if err := conclude(ok, err); err != nil {
		return session.Grant{}, err
	}
	if !ok {
		r.Audit.Write(ctx, audit.LogInFailed, "password", v.User)
		return session.Grant{}, fault.BadInput("input.oldPassword", "this is not the old password")
	}
	hash, err := r.Passwords.Hash(ctx, input.NewPassword)
	if err != nil {
		return session.Grant{}, err
	}
	var g session.Grant
	var ended []event.Event
	err = r.Log.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		n, err := tx.User.Update().Where(user.ID(v.User), user.PasswordHash(u.PasswordHash)).SetPasswordHash(hash).Save(ctx)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, fault.BadInput("input.oldPassword", "the password was changed just now, from somewhere else")
		}
		if ended, err = r.Sessions.EndAll(ctx, tx, v.User, v.Session); err != nil {
			return nil, err
		}
		g, err = r.Sessions.Renew(ctx, tx, v)
		return ended, err
	})
	if err != nil {
		return session.Grant{}, err
	}
	r.Audit.Write(ctx, audit.PasswordChanged, "", v.User)
	r.Sessions.Committed(ctx, session.PasswordChanged, ended)
	return g, nil
}

// errGone is what a viewer gets whose account was deleted while their operation ran.
var errGone = fault.Unauthenticated("this account no longer exists")

// rights are what updateUser changes of what a user may do; nil stays as it is.
type rights struct {
	role   *user.Role
	active *bool
}

func (c rights) none() bool { return c.role == nil && c.active == nil }

// demotes reports whether the change makes an active admin something else.
func (c rights) demotes() bool {
	return c.role != nil && *c.role != user.RoleADMIN || c.active != nil && !*c.active
}

// changes returns which of the rights of u differ.
func (c rights) changes(u *ent.User) (role, active bool) {
	return c.role != nil && *c.role != u.Role, c.active != nil && *c.active != u.IsActive
}

// lockAdmins returns the active admins, who stay what they are until the transaction ends: of two who demote each other
// at once, one remains. It is FORBIDDEN for a viewer who was an admin until a moment ago.
func lockAdmins(ctx context.Context, tx *ent.Client) ([]*ent.User, error) {
	q := tx.User.Query().Where(user.RoleEQ(user.RoleADMIN), user.IsActive(true)).Order(user.ByID())
	q.Modify(ent.LockForUpdate)
	admins, err := q.All(auth.AsSystem(ctx))
	isViewer := func(u *ent.User) bool { return u.ID == auth.ViewerFrom(ctx).User }
	if err == nil && auth.ViewerFrom(ctx).Admin && !slices.ContainsFunc(admins, isViewer) {
		err = fault.Forbidden("only admins may do this")
	}
	return admins, err
}

// notLast is CONFLICT if nobody but id is an admin.
func notLast(admins []*ent.User, id gid.User) error {
	if len(admins) == 1 && admins[0].ID == id {
		return fault.Conflict("LAST_ADMIN", "id", "this is the last active admin: make another one first")
	}
	return nil
}

// changeRights makes the change to old, and returns the events of that.
func (r *Resolver) changeRights(ctx context.Context, tx *ent.Client, old *ent.User, c rights) (events []event.Event, err error) {
	role, active := c.changes(old)
	if !role && !active {
		return nil, nil
	}
	if err := tx.User.UpdateOneID(old.ID).SetNillableRole(c.role).SetNillableIsActive(c.active).Exec(ctx); err != nil {
		return nil, err
	}
	if active && !*c.active {
		if events, err = r.Sessions.EndAll(ctx, tx, old.ID, gid.Session{}); err != nil {
			return nil, err
		}
	}
	return append(events, event.NewUserChanged(old.ID)), nil
}

// rightsChanged is to be called with what changeRights returned when it is committed.
func (r *Resolver) rightsChanged(ctx context.Context, old *ent.User, c rights, events []event.Event) {
	role, active := c.changes(old)
	if role {
		r.Audit.Write(ctx, audit.RoleChanged, strings.ToLower(c.role.String()), old.ID)
	}
	if active {
		r.Audit.Write(ctx, audit.ActiveChanged, map[bool]string{true: "active", false: "inactive"}[*c.active], old.ID)
	}
	r.Sessions.Committed(ctx, session.Deactivated, events)
}
