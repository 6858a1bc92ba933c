package session_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tidings/ent"
	"tidings/ent/user"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/live"
	"tidings/internal/session"
	"tidings/internal/testkit"
)

// TestEveryNodeKnowsWithinASecond ends sessions at one node and asks another, which shares nothing with it but the
// database. The best of some times counts: this machine has other things to do.
func TestEveryNodeKnowsWithinASecond(t *testing.T) {
	everywhere(t, func(n *node) {
		other := newNode(n.t, n.store, n.clock, secret)
		u := n.user("ada")
		best := time.Hour
		for range 5 {
			g, err := n.Start(n.t.Context(), u)
			if err != nil {
				n.t.Fatal(err)
			}
			if _, err := other.guard.Verify(g.Access); err != nil {
				n.t.Fatal(err)
			}
			told := make(chan struct{})
			stop := other.guard.Watch(g.Viewer.Session, sync.OnceFunc(func() { close(told) }))
			begin := time.Now()
			if err := n.End(n.t.Context(), g.Viewer); err != nil {
				n.t.Fatal(err)
			}
			if _, err := n.guard.Verify(g.Access); !errors.Is(err, session.ErrEnded) {
				n.t.Errorf("where it was ended: %v", err)
			}
			select {
			case <-told:
			case <-time.After(testkit.Wait):
				n.t.Fatal("the other node is never told")
			}
			best = min(best, time.Since(begin))
			stop()
			if _, err := other.guard.Verify(g.Access); !errors.Is(err, session.ErrEnded) {
				n.t.Errorf("at the other node: %v", err)
			}
		}
		n.t.Logf("known at the other node after %s", best)
		if best > time.Second {
			n.t.Errorf("the other node knew after %s", best)
		}
	})
}

func TestANodeThatStartsKnowsWhoHasLeft(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		root := n.user("root")
		if err := n.End(n.t.Context(), g.Viewer); err != nil {
			n.t.Fatal(err)
		}
		n.setRole(root, user.RoleADMIN)
		n.eventuallyInLog(event.SessionEnded)
		next := newNode(n.t, n.store, n.clock, secret)
		if _, err := next.guard.Verify(g.Access); !errors.Is(err, session.ErrEnded) {
			n.t.Error(err)
		}
		if v, err := next.guard.Current(auth.Viewer{User: root.ID}); err != nil || !v.Admin {
			n.t.Errorf("%+v, %v", v, err)
		}
		called := 0
		stop := next.guard.Watch(g.Viewer.Session, func() { called++ })
		stop()
		if called != 1 {
			n.t.Errorf("watching a session that has ended called %d times", called)
		}
	})
}

// setRole changes a user's role as if from elsewhere: only the log tells of it.
func (n *node) setRole(u *ent.User, role user.Role) {
	n.t.Helper()
	err := n.log.Write(auth.AsSystem(n.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		return []event.Event{event.NewUserChanged(u.ID)}, tx.User.UpdateOneID(u.ID).SetRole(role).Exec(ctx)
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) eventuallyAdmin(id gid.User, want bool) {
	n.t.Helper()
	testkit.Eventually(n.t, func() error {
		if v, err := n.guard.Current(auth.Viewer{User: id}); err != nil || v.Admin != want {
			return errors.New("the role is not known")
		}
		return nil
	})
}

// eventuallyInLog waits for an event of a kind. What is in the log's inbox comes later, and to a node that runs.
func (n *node) eventuallyInLog(k event.Kind) {
	n.t.Helper()
	testkit.Eventually(n.t, func() error {
		events, err := n.log.Since(n.t.Context(), k, time.Time{})
		if err == nil && len(events) == 0 {
			err = errors.New("not in the log")
		}
		return err
	})
}

func TestAdminsComeAndGo(t *testing.T) {
	everywhere(t, func(n *node) {
		u := n.user("ada")
		for _, role := range []user.Role{user.RoleADMIN, user.RoleMEMBER, user.RoleADMIN} {
			n.setRole(u, role)
			n.eventuallyAdmin(u.ID, role == user.RoleADMIN)
		}
		err := n.log.Write(auth.AsSystem(n.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			return []event.Event{event.NewUserChanged(u.ID)}, tx.User.UpdateOneID(u.ID).SetIsActive(false).Exec(ctx)
		})
		if err != nil {
			n.t.Fatal(err)
		}
		n.eventuallyAdmin(u.ID, false)
		if v, err := n.guard.Current(auth.Viewer{}); err != nil || v.Admin {
			n.t.Errorf("nobody is %+v, %v", v, err)
		}
	})
}

func TestAnExpiredViewerIsNoLongerCurrent(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		if v, err := n.guard.Verify(g.Access); err != nil || v.User != g.Viewer.User {
			n.t.Errorf("%+v, %v", v, err)
		}
		n.clock.pass(auth.TokenLifetime)
		if _, err := n.guard.Current(g.Viewer); !errors.Is(err, auth.ErrToken) {
			n.t.Error(err)
		}
		if _, err := n.guard.Verify(g.Access); !errors.Is(err, auth.ErrToken) {
			n.t.Errorf("a token that was good: %v", err)
		}
	})
}

func TestWatchingCanStop(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		var called, others atomic.Int32
		stop := n.guard.Watch(g.Viewer.Session, func() { called.Add(1) })
		n.guard.Watch(g.Viewer.Session, func() { others.Add(1) })
		stop()
		stop()
		if err := n.End(n.t.Context(), g.Viewer); err != nil {
			n.t.Fatal(err)
		}
		if called.Load() != 0 || others.Load() != 1 {
			n.t.Errorf("called %d times after stop, the other one %d times", called.Load(), others.Load())
		}
	})
}

// expired is a hub at which nothing can be continued, the first time.
type expired struct {
	session.Hub
	refused atomic.Int32
}

func (h *expired) Subscribe(ctx context.Context, r live.Request) (*live.Subscription, error) {
	if h.refused.Add(1) == 1 {
		return nil, event.ErrExpired
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAGuardThatMissedSomethingReadsAnew(t *testing.T) {
	everywhere(t, func(n *node) {
		u, g := n.start("ada")
		guard := session.NewGuard(n.store.Client(), n.log, new(expired), n.tokens, slog.New(slog.DiscardHandler), n.clock.Now)
		if err := guard.Load(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
		n.setRole(u, user.RoleADMIN)
		if err := n.End(n.t.Context(), g.Viewer); err != nil {
			n.t.Fatal(err)
		}
		n.eventuallyInLog(event.SessionEnded)
		ctx, stop := context.WithCancel(n.t.Context())
		done := make(chan error, 1)
		go func() { done <- guard.Run(ctx) }()
		testkit.Eventually(n.t, func() error {
			if v, err := guard.Current(auth.Viewer{User: u.ID}); err != nil || !v.Admin {
				return errors.New("the role is not known")
			}
			if _, err := guard.Verify(g.Access); !errors.Is(err, session.ErrEnded) {
				return errors.New("the session goes on")
			}
			return nil
		})
		stop()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	})
}
