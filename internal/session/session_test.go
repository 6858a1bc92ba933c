package session_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/ent"
	sessionrow "tidings/ent/session"
	"tidings/ent/user"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/fault"
	"tidings/internal/live"
	"tidings/internal/session"
	"tidings/internal/store"
	"tidings/internal/testkit"
	"tidings/internal/wake"
)

var (
	secret = []byte(strings.Repeat("s", 32))
	newer  = []byte(strings.Repeat("n", 32))
)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// node is the part of a server that this package is, on a real log and hub that run.
type node struct {
	*session.Sessions
	t       *testing.T
	store   *store.Store
	log     *eventlog.Log
	guard   *session.Guard
	tokens  *auth.Tokens
	clock   *clock
	written *testkit.Buffer
}

func everywhere(t *testing.T, test func(n *node)) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) { test(newNode(t, s, &clock{now: time.Now()}, secret)) })
}

// newNode starts one more node on a store.
func newNode(t *testing.T, s *store.Store, c *clock, secrets ...[]byte) *node {
	t.Helper()
	n := &node{t: t, store: s, clock: c, written: new(testkit.Buffer)}
	var err error
	if n.tokens, err = auth.NewTokens(secrets, c.Now); err != nil {
		t.Fatal(err)
	}
	moved := new(wake.Signal)
	logger := slog.New(slog.NewTextHandler(n.written, nil))
	n.log = eventlog.New(s.Client(), s.Dialect(), eventlog.Options{Wake: moved.Wake, Logger: logger})
	woken, _ := moved.Wait()
	hub := live.New(n.log, woken, live.Options{Logger: logger})
	n.guard = session.NewGuard(s.Client(), n.log, hub, n.tokens, logger, c.Now)
	n.Sessions = session.New(s.Client(), n.log, n.tokens, n.guard, audit.New(logger), c.Now)
	if err := n.guard.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{n.log.Run, hub.Run, n.guard.Run} {
		parts.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() { stop(); parts.Wait() })
	return n
}

func (n *node) user(name string) *ent.User {
	n.t.Helper()
	ctx := auth.AsSystem(n.t.Context())
	u, err := n.store.Client().User.Create().SetUsername(name).SetFullName(name).SetEmail(name + "@example.org").SetPasswordHash("-").Save(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	return u
}

// start signs in a new user.
func (n *node) start(name string) (*ent.User, session.Grant) {
	n.t.Helper()
	u := n.user(name)
	g, err := n.Start(n.t.Context(), u)
	if err != nil {
		n.t.Fatal(err)
	}
	if v, err := n.guard.Verify(g.Access); err != nil || v.User != u.ID || v.Session != g.Viewer.Session || v.Admin {
		n.t.Fatalf("the access token is for %+v: %v", v, err)
	}
	return u, g
}

func (n *node) refresh(token string) session.Grant {
	n.t.Helper()
	g, err := n.Refresh(n.t.Context(), token)
	if err != nil {
		n.t.Fatal(err)
	}
	return g
}

func (n *node) refused(token, why string) {
	n.t.Helper()
	_, err := n.Refresh(n.t.Context(), token)
	if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.CodeUnauthenticated {
		n.t.Errorf("%s: %v", why, err)
	}
}

// rows counts the sessions and the spent tokens.
func (n *node) rows() (sessions, spent int) {
	n.t.Helper()
	ctx := auth.AsSystem(n.t.Context())
	sessions, err := n.store.Client().Session.Query().Count(ctx)
	if err != nil {
		n.t.Fatal(err)
	}
	if spent, err = n.store.Client().SpentToken.Query().Count(ctx); err != nil {
		n.t.Fatal(err)
	}
	return sessions, spent
}

func TestParallelRefreshesHaveOneChild(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		const tabs = 100
		children := make(chan string, tabs)
		gun := make(chan struct{})
		for range tabs {
			go func() {
				<-gun
				child, err := n.Refresh(n.t.Context(), g.Refresh)
				if err == nil {
					_, err = n.guard.Verify(child.Access)
				}
				if err != nil {
					n.t.Error(err)
				}
				children <- child.Refresh
			}()
		}
		close(gun)
		var all []string
		for range tabs {
			all = append(all, <-children)
		}
		slices.Sort(all)
		if all = slices.Compact(all); len(all) != 1 || all[0] == g.Refresh || all[0] == "" {
			n.t.Errorf("%d children: %q", len(all), all)
		}
		if sessions, spent := n.rows(); sessions != 1 || spent != 1 {
			n.t.Errorf("%d sessions, %d spent tokens", sessions, spent)
		}
		if next := n.refresh(all[0]); next.Refresh == all[0] || next.Viewer.Session != g.Viewer.Session {
			n.t.Error("the child has no child of its own")
		}
	})
}

func TestASpentTokenIsGoodForTenSeconds(t *testing.T) {
	everywhere(t, func(n *node) {
		_, a := n.start("ada")
		b := n.refresh(a.Refresh)
		c := n.refresh(b.Refresh)
		n.clock.pass(session.Grace - time.Millisecond)
		if again := n.refresh(a.Refresh); again.Refresh != b.Refresh {
			n.t.Error("a late tab has another successor")
		}
		if again := n.refresh(b.Refresh); again.Refresh != c.Refresh {
			n.t.Error("a late tab has another successor, in the second generation")
		}
		n.clock.pass(time.Millisecond)
		other, err := n.Start(n.t.Context(), n.user("bob"))
		if err != nil {
			n.t.Fatal(err)
		}
		n.refused(a.Refresh, "a token that was spent ten seconds ago")
		n.refused(c.Refresh, "the newest of a session that has ended by reuse")
		for _, g := range []session.Grant{a, b, c} {
			if _, err := n.guard.Verify(g.Access); !errors.Is(err, session.ErrEnded) {
				n.t.Errorf("an access token of the session: %v", err)
			}
		}
		n.refresh(other.Refresh)
		for _, want := range []string{"event=refresh_token_reused", "event=session_ended reason=reused", "event=token_refused reason=refresh"} {
			if !strings.Contains(n.written.String(), want) {
				n.t.Errorf("the log lacks %q", want)
			}
		}
		for _, secret := range []string{a.Refresh, b.Refresh, c.Refresh, a.Access} {
			if strings.Contains(n.written.String(), secret) {
				n.t.Error("the log holds a token")
			}
		}
	})
}

func TestSuccessorsOutliveASecret(t *testing.T) {
	everywhere(t, func(n *node) {
		_, a := n.start("ada")
		b := n.refresh(a.Refresh)
		rotated := newNode(n.t, n.store, n.clock, newer, secret)
		if again := rotated.refresh(a.Refresh); again.Refresh != b.Refresh {
			n.t.Error("a late tab has another successor at a node that signs with a newer secret")
		}
		if _, err := rotated.guard.Verify(a.Access); err != nil {
			n.t.Error(err)
		}
		c := rotated.refresh(b.Refresh)
		if again := rotated.refresh(b.Refresh); again.Refresh != c.Refresh {
			n.t.Error("a late tab has another successor")
		}
	})
}

func TestUnknownTokens(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		for why, token := range map[string]string{
			"none": "", "an access token": g.Access, "another": g.Refresh[:len(g.Refresh)-1] + "!", "in upper case": strings.ToUpper(g.Refresh),
			"too long": strings.Repeat("x", auth.MaxToken+1), "with a NUL": g.Refresh + "\x00", "no text": "\xff",
		} {
			n.refused(token, why)
		}
		if sessions, spent := n.rows(); sessions != 1 || spent != 0 {
			n.t.Errorf("%d sessions, %d spent tokens", sessions, spent)
		}
		n.refresh(g.Refresh)
	})
}

func TestSessionsExpireUnused(t *testing.T) {
	everywhere(t, func(n *node) {
		_, ada := n.start("ada")
		_, bob := n.start("bob")
		n.clock.pass(session.Life - time.Hour)
		bob = n.refresh(bob.Refresh)
		n.clock.pass(time.Hour)
		n.refused(ada.Refresh, "an expired token")
		ctx, stop := context.WithCancel(n.t.Context())
		cleaned := make(chan error, 1)
		go func() { cleaned <- n.Clean(ctx) }()
		testkit.Eventually(n.t, func() error {
			if sessions, spent := n.rows(); sessions != 1 || spent != 1 {
				return errors.New("what has expired is still there, or what has not isn't")
			}
			return nil
		})
		stop()
		if err := <-cleaned; err != nil {
			n.t.Error(err)
		}
		n.refresh(bob.Refresh)
	})
}

func TestAUserHasAHundredSessions(t *testing.T) {
	everywhere(t, func(n *node) {
		u, first := n.start("ada")
		var last session.Grant
		for range session.Most {
			var err error
			if last, err = n.Start(n.t.Context(), u); err != nil {
				n.t.Fatal(err)
			}
		}
		if sessions, _ := n.rows(); sessions != session.Most {
			n.t.Errorf("%d sessions", sessions)
		}
		if _, err := n.guard.Verify(first.Access); !errors.Is(err, session.ErrEnded) {
			n.t.Errorf("the oldest goes on: %v", err)
		}
		if _, err := n.guard.Verify(last.Access); err != nil {
			n.t.Error(err)
		}
	})
}

// TestStartAndEndAllDoNotMiss runs log-ins with the old password beside a change of password: whatever began with the
// old one has ended, or never began.
func TestStartAndEndAllDoNotMiss(t *testing.T) {
	everywhere(t, func(n *node) {
		u, mine := n.start("ada")
		var logIns sync.WaitGroup
		gun := make(chan struct{})
		for range 8 {
			logIns.Go(func() {
				<-gun
				for range 5 {
					if _, err := n.Start(n.t.Context(), u); err != nil {
						if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.CodeUnauthenticated {
							n.t.Error(err)
						}
					}
				}
			})
		}
		close(gun)
		var renewed session.Grant
		var ended []event.Event
		err := n.log.Write(auth.WithViewer(n.t.Context(), mine.Viewer), func(ctx context.Context, tx *ent.Client) (_ []event.Event, err error) {
			if err = tx.User.Update().Where(user.ID(u.ID)).SetPasswordHash("new").Exec(ctx); err != nil {
				return nil, err
			}
			if ended, err = n.EndAll(ctx, tx, u.ID, mine.Viewer.Session); err != nil {
				return nil, err
			}
			renewed, err = n.Renew(ctx, tx, mine.Viewer)
			return ended, err
		})
		if err != nil {
			n.t.Fatal(err)
		}
		n.Committed(n.t.Context(), session.PasswordChanged, ended)
		logIns.Wait()
		left, err := n.store.Client().Session.Query().Where(sessionrow.UserID(u.ID)).All(auth.AsSystem(n.t.Context()))
		if err != nil || len(left) != 1 || left[0].ID != mine.Viewer.Session {
			n.t.Errorf("%d sessions are left: %v", len(left), err)
		}
		n.refused(mine.Refresh, "the refresh token from before")
		if again := n.refresh(renewed.Refresh); again.Viewer.Session != mine.Viewer.Session {
			n.t.Error("another session")
		}
	})
}

func TestRenewOfAnEndedSession(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		for range 2 { // to end it again is no error
			if err := n.End(n.t.Context(), g.Viewer); err != nil {
				n.t.Fatal(err)
			}
		}
		err := n.log.Write(n.t.Context(), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			_, err := n.Renew(ctx, tx, g.Viewer)
			return nil, err
		})
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != fault.CodeUnauthenticated {
			n.t.Error(err)
		}
		if strings.Count(n.written.String(), "event=session_ended reason=log_out user="+g.Viewer.User.String()) != 1 {
			n.t.Error("the security log does not hold one end: ", n.written)
		}
	})
}

func TestSpentTokensAreBounded(t *testing.T) {
	everywhere(t, func(n *node) {
		_, g := n.start("ada")
		first, newest := g.Refresh, g.Refresh
		for range 1010 {
			newest = n.refresh(newest).Refresh
		}
		if _, spent := n.rows(); spent > 1000 || spent < 900 {
			n.t.Errorf("%d spent tokens are kept", spent)
		}
		n.clock.pass(session.Grace)
		n.refused(first, "a token that is forgotten")
		n.refresh(newest)
	})
}
