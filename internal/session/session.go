// Package session keeps people signed in: it starts, renews and ends sessions in the database, and knows on every node,
// without asking the database, which of them have ended (Guard).
//
// A session is a family of refresh tokens, each of which is exchanged for the next one, once. Only hashes of them are
// stored. A token that is presented again is either a second tab that was a moment late, and gets the same successor,
// or somebody who has it from somebody else: then the session ends, for there is no telling which of the two is the
// owner (RFC 9700, section 4.14.2).
//
// The end of a session is an event in the log, written in the transaction that deletes the session. So every node
// learns of it in the way of all events, and an access token is refused everywhere within a second although it says
// itself that it is good for up to 15 minutes.
package session

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"tidings/ent"
	"tidings/ent/session"
	"tidings/ent/spenttoken"
	"tidings/ent/user"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/fault"
	"tidings/internal/gid"
)

const (
	// Life is how long a refresh token is good, unused.
	Life = 7 * 24 * time.Hour
	// Grace is for how long a spent refresh token still gets its successor.
	Grace = 10 * time.Second
	// Most is how many sessions a user may have; one more ends the oldest.
	Most = 100
)

// mostSpent is how many spent tokens of a session are remembered at most; in a week of use there are 672. One that was
// forgotten is refused like any other text, and does not end the session.
const mostSpent = 1000

// Why a session ends, for the security log.
const (
	LoggedOut       = "log_out"
	PasswordChanged = "password_changed"
	Deactivated     = "deactivated"
	Deleted         = "deleted"
	reused          = "reused"
	tooMany         = "too_many"
)

// errRefused is the one answer to every refresh token that is not good: unknown, expired, reused, or no token at all.
var errRefused = fault.Unauthenticated("The refresh token is not valid or has expired.")

// ErrChanged is a log-in during which the account's password changed, or its hash, or the account was closed. Who tries
// again knows which. It is UNAUTHENTICATED.
var ErrChanged = fault.Unauthenticated("the login or the password is wrong")

// Log is what sessions need of the event log.
type Log interface {
	Write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) error
	Head(ctx context.Context) (event.Cursor, error)
	Since(ctx context.Context, k event.Kind, after time.Time) ([]event.Event, error)
}

// Grant is what a user who is signed in gets.
type Grant struct {
	Viewer       auth.Viewer // who the user is from now on; Expires is that of Access
	Access       string
	Refresh      string
	RefreshUntil time.Time
}

// Sessions starts, renews and ends sessions. It is safe for concurrent use.
type Sessions struct {
	client *ent.Client
	log    Log
	tokens *auth.Tokens
	guard  *Guard
	audit  audit.Log
	now    func() time.Time
}

// New returns the sessions of the database behind client; now is the time, as time.Now.
func New(client *ent.Client, log Log, tokens *auth.Tokens, guard *Guard, a audit.Log, now func() time.Time) *Sessions {
	return &Sessions{client: client, log: log, tokens: tokens, guard: guard, audit: a, now: now}
}

// Start signs in u, as it was when its password was verified. The error is ErrChanged if u has been deleted or
// deactivated since, or has another password hash.
func (s *Sessions) Start(ctx context.Context, u *ent.User) (Grant, error) {
	id := gid.NewSession()
	refresh, hash := auth.NewRefreshToken()
	until := s.until()
	var ended []event.Event
	err := s.log.Write(auth.AsSystem(ctx), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		// Whoever changes the password or deactivates the user changes this row first and ends the sessions then. So
		// either this sees the change, or they see the session.
		q := tx.User.Query().Where(user.ID(u.ID), user.PasswordHash(u.PasswordHash), user.IsActive(true))
		q.Modify(ent.LockShared)
		if _, err := q.Only(ctx); ent.IsNotFound(err) {
			return nil, ErrChanged
		} else if err != nil {
			return nil, err
		}
		all, err := tx.Session.Query().Where(session.UserID(u.ID)).Order(session.ByID()).All(ctx)
		if err != nil {
			return nil, err
		}
		if ended, err = end(ctx, tx, all[:max(0, len(all)-Most+1)]); err != nil {
			return nil, err
		}
		return ended, tx.Session.Create().SetID(id).SetUserID(u.ID).SetRefreshHash(hash).SetExpiresAt(until).Exec(ctx)
	})
	if err != nil {
		return Grant{}, err
	}
	s.Committed(ctx, tooMany, ended)
	return s.grant(u.ID, id, refresh, until)
}

// Refresh exchanges a refresh token for its successor and a new access token. Of any number of calls with one token,
// within Grace of each other, all get the same successor, and it is made once. A token that was spent longer ago ends
// its session. The error is UNAUTHENTICATED, with one text for whatever is wrong.
func (s *Sessions) Refresh(ctx context.Context, token string) (Grant, error) {
	if len(token) > auth.MaxToken {
		s.audit.Write(ctx, audit.TokenRefused, "refresh", gid.User{})
		return Grant{}, errRefused
	}
	successors := s.tokens.Successors(token)
	var r rotation
	err := s.log.Write(auth.AsSystem(ctx), func(ctx context.Context, tx *ent.Client) (events []event.Event, err error) {
		r, err = s.rotate(ctx, tx, auth.HashRefreshToken(token), successors)
		return r.ended, err
	})
	if err != nil {
		return Grant{}, err
	}
	if r.ended != nil {
		s.audit.Write(ctx, audit.TokenReused, "", r.user)
		s.Committed(ctx, reused, r.ended)
	}
	if r.refresh == "" {
		s.audit.Write(ctx, audit.TokenRefused, "refresh", r.user)
		return Grant{}, errRefused
	}
	return s.grant(r.user, r.session, r.refresh, r.until)
}

// rotation is what became of a presented refresh token.
type rotation struct {
	user    gid.User
	session gid.Session
	refresh string // the successor; "" when the token was refused
	until   time.Time
	ended   []event.Event
}

func (s *Sessions) rotate(ctx context.Context, tx *ent.Client, hash []byte, successors []string) (rotation, error) {
	now, until := s.time(), s.until()
	next := auth.HashRefreshToken(successors[0])
	// Of several at once, one changes the row.
	n, err := tx.Session.Update().Where(session.RefreshHash(hash), session.ExpiresAtGT(now)).
		SetRefreshHash(next).SetExpiresAt(until).Save(ctx)
	if err != nil {
		return rotation{}, fmt.Errorf("exchanging a refresh token: %w", err)
	}
	if n == 0 {
		return s.again(ctx, tx, hash, successors)
	}
	found, err := tx.Session.Query().Where(session.RefreshHash(next)).Only(ctx)
	if err != nil {
		return rotation{}, fmt.Errorf("exchanging a refresh token: %w", err)
	}
	if err := spend(ctx, tx, found.ID, hash, now); err != nil {
		return rotation{}, err
	}
	return rotation{user: found.UserID, session: found.ID, refresh: successors[0], until: until}, nil
}

func spend(ctx context.Context, tx *ent.Client, id gid.Session, hash []byte, now time.Time) error {
	err := tx.SpentToken.Create().SetID(hex.EncodeToString(hash)).SetSessionID(id).SetSpentAt(now).SetExpiresAt(now.Add(Life)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("noting a spent refresh token: %w", err)
	}
	n, err := tx.SpentToken.Query().Where(spenttoken.SessionID(id)).Count(ctx)
	if err != nil || n <= mostSpent {
		return err
	}
	oldest, err := tx.SpentToken.Query().Where(spenttoken.SessionID(id)).Order(spenttoken.BySpentAt()).Limit(mostSpent / 10).IDs(ctx)
	if err != nil {
		return err
	}
	_, err = tx.SpentToken.Delete().Where(spenttoken.IDIn(oldest...)).Exec(ctx)
	return err
}

// again is what becomes of a token that is nobody's newest.
func (s *Sessions) again(ctx context.Context, tx *ent.Client, hash []byte, successors []string) (rotation, error) {
	spent, err := tx.SpentToken.Query().Where(spenttoken.ID(hex.EncodeToString(hash))).WithSession().Only(ctx)
	if ent.IsNotFound(err) {
		return rotation{}, nil
	}
	if err != nil {
		return rotation{}, fmt.Errorf("looking up a spent refresh token: %w", err)
	}
	of := spent.Edges.Session
	r := rotation{user: of.UserID, session: of.ID, until: of.ExpiresAt}
	if s.time().Sub(spent.SpentAt) < Grace {
		r.refresh, err = s.successor(ctx, tx, of, successors)
		return r, err
	}
	r.ended, err = end(ctx, tx, []*ent.Session{of})
	return r, err
}

// successor is the one of several tokens that was given out: the newest of the session, or spent in its turn. It is ""
// when none was, because the password was changed in between.
func (s *Sessions) successor(ctx context.Context, tx *ent.Client, of *ent.Session, successors []string) (string, error) {
	for _, token := range successors {
		hash := auth.HashRefreshToken(token)
		if slices.Equal(of.RefreshHash, hash) {
			return token, nil
		}
		given, err := tx.SpentToken.Query().Where(spenttoken.ID(hex.EncodeToString(hash)), spenttoken.SessionID(of.ID)).Exist(ctx)
		if err != nil || given {
			return token, err
		}
	}
	return "", nil
}

// Renew gives the viewer's session a refresh token that has nothing to do with the one it had, in a transaction that
// changes the password. It is UNAUTHENTICATED if the session has ended.
func (s *Sessions) Renew(ctx context.Context, tx *ent.Client, v auth.Viewer) (Grant, error) {
	ctx = auth.AsSystem(ctx)
	q := tx.Session.Query().Where(session.ID(v.Session), session.UserID(v.User))
	q.Modify(ent.LockForUpdate)
	old, err := q.Only(ctx)
	if ent.IsNotFound(err) {
		return Grant{}, fault.Unauthenticated("this session has ended").Because(err)
	}
	if err != nil {
		return Grant{}, err
	}
	refresh, hash := auth.NewRefreshToken()
	until := s.until()
	if err := old.Update().SetRefreshHash(hash).SetExpiresAt(until).Exec(ctx); err != nil {
		return Grant{}, err
	}
	if err := spend(ctx, tx, old.ID, old.RefreshHash, s.time()); err != nil {
		return Grant{}, err
	}
	return s.grant(v.User, v.Session, refresh, until)
}

// End ends the viewer's session. It is no error if that has ended already.
func (s *Sessions) End(ctx context.Context, v auth.Viewer) error {
	var ended []event.Event
	err := s.log.Write(auth.AsSystem(ctx), func(ctx context.Context, tx *ent.Client) (_ []event.Event, err error) {
		ended, err = end(ctx, tx, []*ent.Session{{ID: v.Session, UserID: v.User}})
		return ended, err
	})
	if err == nil {
		s.Committed(ctx, LoggedOut, ended)
	}
	return err
}

// EndAll ends all sessions of a user but one, in a transaction that has changed the user's row; the zero Session spares
// none. It returns the events to write, and to hand to Committed then.
func (s *Sessions) EndAll(ctx context.Context, tx *ent.Client, of gid.User, but gid.Session) ([]event.Event, error) {
	ctx = auth.AsSystem(ctx)
	all, err := tx.Session.Query().Where(session.UserID(of), session.IDNEQ(but)).All(ctx)
	if err != nil {
		return nil, err
	}
	return end(ctx, tx, all)
}

// end deletes sessions, and returns the events of those that were there.
func end(ctx context.Context, tx *ent.Client, all []*ent.Session) ([]event.Event, error) {
	var events []event.Event
	for _, s := range all {
		n, err := tx.Session.Delete().Where(session.ID(s.ID), session.UserID(s.UserID)).Exec(ctx)
		if err != nil {
			return nil, fmt.Errorf("ending a session: %w", err)
		}
		if n > 0 {
			events = append(events, event.NewSessionEnded(s.ID, s.UserID))
		}
	}
	return events, nil
}

// Committed is to be called with events of this package once they are in the log: what this node has done itself it
// does not wait to read there. reason is why sessions ended, in a word.
func (s *Sessions) Committed(ctx context.Context, reason string, events []event.Event) {
	for _, e := range events {
		switch e.Kind {
		case event.SessionEnded:
			s.audit.Write(ctx, audit.SessionEnded, reason, gid.UserOf(e.Scope))
			s.guard.end(gid.SessionOf(e.Subject))
		case event.UserChanged:
			// Where this fails, the log tells it once more.
			_ = s.guard.userChanged(context.WithoutCancel(ctx), e)
		}
	}
}

// time is now, as it is stored: in microseconds.
func (s *Sessions) time() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

func (s *Sessions) until() time.Time { return s.time().Add(Life) }

func (s *Sessions) grant(u gid.User, id gid.Session, refresh string, until time.Time) (Grant, error) {
	access, expires, err := s.tokens.Issue(u, id)
	if err != nil {
		return Grant{}, err
	}
	v, err := s.guard.Current(auth.Viewer{User: u, Session: id, Expires: expires})
	if err != nil { // it ended while it was granted
		return Grant{}, errRefused.Because(err)
	}
	return Grant{Viewer: v, Access: access, Refresh: refresh, RefreshUntil: until}, nil
}

// How often Clean looks for what has expired, and how much it deletes at a time.
const (
	cleanEvery = 10 * time.Minute
	cleanBatch = 500
)

// Clean deletes what has expired, every ten minutes, until ctx is done. Every node does so.
func (s *Sessions) Clean(ctx context.Context) error {
	ctx = auth.AsSystem(ctx)
	for {
		if err := s.clean(ctx); err != nil && ctx.Err() == nil {
			s.guard.logger.WarnContext(ctx, "expired sessions can't be deleted, which will be tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(cleanEvery):
		}
	}
}

func (s *Sessions) clean(ctx context.Context) error {
	now := s.time()
	for {
		sessions, err := s.client.Session.Query().Where(session.ExpiresAtLTE(now)).Limit(cleanBatch).All(ctx)
		if err != nil {
			return err
		}
		expired := make([]gid.Session, len(sessions))
		for i, x := range sessions {
			expired[i] = x.ID
		}
		// One that is no longer expired when its turn comes stays.
		if _, err := s.client.Session.Delete().Where(session.IDIn(expired...), session.ExpiresAtLTE(now)).Exec(ctx); err != nil {
			return err
		}
		spent, err := s.client.SpentToken.Query().Where(spenttoken.ExpiresAtLTE(now)).Limit(cleanBatch).IDs(ctx)
		if err != nil {
			return err
		}
		if _, err := s.client.SpentToken.Delete().Where(spenttoken.IDIn(spent...)).Exec(ctx); err != nil {
			return err
		}
		if len(expired) < cleanBatch && len(spent) < cleanBatch {
			return nil
		}
	}
}
