package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tidings/ent"
	"tidings/ent/user"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/live"
)

// ErrEnded says that a viewer's session has ended.
var ErrEnded = errors.New("the session has ended")

// remember is for how long an ended session is remembered at least: until its last access token has expired, by the
// clock of whichever node.
const remember = auth.TokenLifetime + time.Minute

// Guard tells whose access tokens are good, and who is an admin, as of now: what the log told this node, at most a
// second after it was committed anywhere. It asks the database only when it starts, and about a user whose role has
// changed. Load comes first, then Run; the other methods are safe for concurrent use.
type Guard struct {
	client *ent.Client
	log    Log
	hub    Hub
	tokens *auth.Tokens
	now    func() time.Time
	logger *slog.Logger

	verified verified

	from event.Cursor // what was read by Load is at least this new

	reading sync.Mutex // held from when it is read who is an admin until that is noted, so that what is newer stays
	mu      sync.RWMutex
	ended   [2]map[gid.Session]struct{} // those of now, and those that ended before the last turn
	turned  time.Time
	admins  map[gid.User]struct{}
	watched map[gid.Session]map[*watch]struct{}
}

type watch struct{ ended func() }

// Hub is what a Guard needs of the hub.
type Hub interface {
	Subscribe(context.Context, live.Request) (*live.Subscription, error)
}

// NewGuard returns a Guard that knows nothing yet; now is the time, as time.Now.
func NewGuard(client *ent.Client, log Log, hub Hub, tokens *auth.Tokens, logger *slog.Logger, now func() time.Time) *Guard {
	return &Guard{
		client: client, log: log, hub: hub, tokens: tokens, logger: logger, now: now,
		ended:   [2]map[gid.Session]struct{}{{}, {}},
		turned:  now(),
		admins:  map[gid.User]struct{}{},
		watched: map[gid.Session]map[*watch]struct{}{},
	}
}

// Verify returns the viewer that an access token stands for, as of now. The error is auth.ErrToken or ErrEnded; that
// the two differ is for the log alone.
func (g *Guard) Verify(token string) (auth.Viewer, error) {
	v, err := g.verified.viewer(token, g.tokens.Verify)
	if err != nil {
		return auth.Viewer{}, err
	}
	return g.Current(v)
}

// Current returns v as of now: Admin may have changed. The error is ErrEnded, or auth.ErrToken once v has expired.
func (g *Guard) Current(v auth.Viewer) (auth.Viewer, error) {
	if !v.SignedIn() {
		return v, nil
	}
	if !v.Expires.IsZero() && !g.now().Before(v.Expires) {
		return auth.Viewer{}, auth.ErrToken
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.hasEnded(v.Session) {
		return auth.Viewer{}, ErrEnded
	}
	_, v.Admin = g.admins[v.User]
	return v, nil
}

// Watch calls ended, once, when the session ends; at once if it has. Ended must not block. Stop ends the watching; ended
// may still be running then.
func (g *Guard) Watch(s gid.Session, ended func()) (stop func()) {
	w := &watch{ended}
	g.mu.Lock()
	if g.hasEnded(s) {
		g.mu.Unlock()
		ended()
		return func() {}
	}
	all := g.watched[s]
	if all == nil {
		all = map[*watch]struct{}{}
		g.watched[s] = all
	}
	all[w] = struct{}{}
	g.mu.Unlock()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if delete(all, w); len(all) == 0 && len(g.watched[s]) == 0 {
			delete(g.watched, s)
		}
	}
}

// hasEnded is called with the lock held.
func (g *Guard) hasEnded(s gid.Session) bool {
	for _, m := range g.ended {
		if _, ok := m[s]; ok {
			return true
		}
	}
	return false
}

// end notes that a session has ended.
func (g *Guard) end(s gid.Session) {
	g.mu.Lock()
	if now := g.now(); now.Sub(g.turned) > remember {
		g.ended[0], g.ended[1], g.turned = map[gid.Session]struct{}{}, g.ended[0], now
	}
	g.ended[0][s] = struct{}{}
	watching := slices.Collect(maps.Keys(g.watched[s]))
	delete(g.watched, s)
	g.mu.Unlock()
	for _, w := range watching {
		w.ended()
	}
}

// Load reads which sessions have ended lately and who is an admin. Nothing may be verified before it has succeeded.
func (g *Guard) Load(ctx context.Context) error {
	g.reading.Lock()
	defer g.reading.Unlock()
	from, err := g.log.Head(ctx)
	if err != nil {
		return err
	}
	ended, err := g.log.Since(ctx, event.SessionEnded, g.now().Add(-remember))
	if err != nil {
		return fmt.Errorf("reading which sessions have ended: %w", err)
	}
	users, err := g.client.User.Query().Where(user.RoleEQ(user.RoleADMIN), user.IsActive(true)).All(auth.AsSystem(ctx))
	if err != nil {
		return fmt.Errorf("reading who is an admin: %w", err)
	}
	admins := make(map[gid.User]struct{}, len(users))
	for _, u := range users {
		admins[u.ID] = struct{}{}
	}
	for _, e := range ended {
		g.end(gid.SessionOf(e.Subject))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.from, g.admins = from, admins
	return nil
}

// Run follows the log from where Load has read until ctx is done or the hub stops, and then returns nil. When the log is
// not the one it was, everything is read anew.
func (g *Guard) Run(ctx context.Context) error {
	for {
		err := g.follow(ctx)
		if ctx.Err() != nil || errors.Is(err, live.ErrStopped) {
			return nil
		}
		if !errors.Is(err, event.ErrExpired) {
			g.logger.WarnContext(ctx, "the ends of sessions can't be followed, which is tried again", "err", err)
		}
		for err = g.Load(ctx); err != nil && ctx.Err() == nil; err = g.Load(ctx) {
			select {
			case <-ctx.Done():
			case <-time.After(retry/2 + rand.N(retry/2)):
			}
		}
	}
}

// retry is how long to wait before something that failed is tried again, with jitter.
const retry = 500 * time.Millisecond

func (g *Guard) follow(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	after := g.from.String()
	for topic, handle := range map[event.Topic]func(context.Context, event.Event) error{
		event.SessionsEnded(): func(_ context.Context, e event.Event) error {
			g.end(gid.SessionOf(e.Subject))
			return nil
		},
		event.UsersChanged(): g.userChanged,
	} {
		parts.Go(func() error {
			s, err := g.hub.Subscribe(ctx, live.Request{Topic: topic, After: &after})
			if err != nil {
				return err
			}
			defer s.Close()
			for {
				e, err := s.Next(ctx)
				if err != nil {
					return err
				}
				if err := handle(ctx, e); err != nil {
					return err
				}
			}
		})
	}
	return parts.Wait()
}

func (g *Guard) userChanged(ctx context.Context, e event.Event) error {
	g.reading.Lock()
	defer g.reading.Unlock()
	id := gid.UserOf(e.Subject)
	n, err := g.client.User.Query().Where(user.ID(id), user.RoleEQ(user.RoleADMIN), user.IsActive(true)).Count(auth.AsSystem(ctx))
	if err != nil {
		return fmt.Errorf("reading whether a user is an admin: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if n > 0 {
		g.admins[id] = struct{}{}
	} else {
		delete(g.admins, id)
	}
	return nil
}
