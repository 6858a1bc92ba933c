package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/ent"
	"tidings/ent/user"
	"tidings/graph"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/relay"
	"tidings/internal/session"
	"tidings/internal/store"
	"tidings/internal/testkit"
	"tidings/internal/testkit/leak"
)

// world is the resolvers on a database of their own, with an executor and no transport.
type world struct {
	t        testing.TB
	store    *store.Store
	log      *recordingLog
	guard    *session.Guard
	resolver *graph.Resolver
	exec     *executor.Executor
	reads    *relay.Direct
	written  *bytes.Buffer // what is logged

	byExecutor bool // all is answered by gqlgen's executor

	sessions map[gid.User]gid.Session // of those who have signed in, the newest

	mu *sync.Mutex
}

// everywhere runs a test in a world on each database.
func everywhere(t *testing.T, test func(w *world)) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) { test(newWorld(t, s)) })
}

func newWorld(t testing.TB, s *store.Store) *world {
	t.Helper()
	w := &world{t: t, store: s, mu: new(sync.Mutex), sessions: map[gid.User]gid.Session{}, written: new(bytes.Buffer)}
	tokens, err := auth.NewTokens([][]byte{[]byte(strings.Repeat("s", 32))}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w.log = &recordingLog{client: s.Client(), real: eventlog.New(s.Client(), s.Dialect(), eventlog.Options{})}
	w.guard = session.NewGuard(s.Client(), w.log, nil, tokens, slog.New(slog.DiscardHandler), time.Now)
	security := audit.New(slog.New(slog.NewTextHandler(w, nil)))
	w.resolver = &graph.Resolver{
		Ent: s.Client(), Log: w.log, Passwords: auth.NewPasswords(), Audit: security,
		Sessions: session.New(s.Client(), w.log, tokens, w.guard, security, time.Now),
	}
	w.reads = relay.NewDirect(slog.New(slog.NewTextHandler(w, nil)))
	w.exec = newExecutor(w.resolver, w)
	return w
}

func newExecutor(r *graph.Resolver, w *world) *executor.Executor {
	exec := executor.New(graph.NewExecutableSchema(graph.Config{Resolvers: r}))
	exec.Use(graph.LiveCursor{Log: w.log})
	exec.Use(w.reads)
	exec.SetErrorPresenter(graph.Presenter(slog.New(slog.NewTextHandler(w, nil))))
	return exec
}

// forget deletes everybody and with them everything.
func (w *world) forget() {
	w.t.Helper()
	err := w.log.Write(auth.AsSystem(w.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		_, err := tx.User.Delete().Exec(ctx)
		return nil, err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Write implements io.Writer for the presenter's log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String()
}

// recordingLog is a log that keeps the events it is given in memory. The real one has tests of its own.
type recordingLog struct {
	client *ent.Client
	real   *eventlog.Log // inserts, for that is all the log's own
	mu     sync.Mutex
	events []event.Event
	atOnce int // the most events it was given at once
}

func (l *recordingLog) Write(ctx context.Context, fn func(context.Context, *ent.Client) ([]event.Event, error)) error {
	tx, err := l.client.Tx(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing to do after Commit
	events, err := fn(ctx, tx.Client())
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return l.Append(ctx, nil, events)
}

func (l *recordingLog) Insert(ctx context.Context, build func(*ent.Client) eventlog.Insertion) (bool, error) {
	inserted, err := l.real.Insert(ctx, build)
	if err != nil || !inserted {
		return false, err
	}
	return true, l.Append(ctx, nil, []event.Event{build(l.client).Event})
}

func (l *recordingLog) Append(_ context.Context, _ *ent.Client, events []event.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events, l.atOnce = append(l.events, events...), max(l.atOnce, len(events))
	return nil
}

func (l *recordingLog) Since(context.Context, event.Kind, time.Time) ([]event.Event, error) {
	return nil, nil
}

// all returns the events since taken was last called, and most how many of all were the most at once.
func (l *recordingLog) all() []event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}

func (l *recordingLog) most() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.atOnce
}

func (l *recordingLog) Head(context.Context) (event.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return event.Cursor{}, nil
	}
	e := l.events[len(l.events)-1]
	e.Position = int64(len(l.events))
	return event.After(e, event.Epoch{}), nil
}

// taken returns the events since it was last called, as "kind subject".
func (l *recordingLog) taken() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	texts := []string{}
	for _, e := range l.events {
		texts = append(texts, string(e.Kind))
	}
	l.events = nil
	return texts
}

// answer is the response to an operation.
type answer struct {
	t      testing.TB
	w      *world
	Data   map[string]any
	Errors gqlerror.List
	raw    string
}

// as runs an operation for a viewer; the zero id is nobody.
func (w *world) as(viewer gid.User, query string, variables ...map[string]any) answer {
	w.t.Helper()
	return w.run(w.t.Context(), viewer, query, variables...)
}

func (w *world) run(ctx context.Context, viewer gid.User, query string, variables ...map[string]any) answer {
	w.t.Helper()
	ctx = graphql.StartOperationTrace(ctx)
	if !viewer.IsZero() {
		v, err := w.guard.Current(auth.Viewer{User: viewer, Session: w.sessions[viewer]})
		if err != nil {
			w.t.Fatal(err)
		}
		ctx = auth.WithViewer(ctx, v)
	}
	if w.byExecutor {
		ctx = relay.ByExecutor(ctx)
	}
	params := &graphql.RawParams{Query: query}
	if len(variables) > 0 {
		// As they come over the wire.
		b, err := json.Marshal(variables[0])
		if err != nil {
			w.t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&params.Variables); err != nil {
			w.t.Fatal(err)
		}
	}
	a := answer{t: w.t, w: w}
	var response *graphql.Response
	if op, errs := w.exec.CreateOperationContext(ctx, params); errs != nil {
		response = w.exec.DispatchError(graphql.WithOperationContext(ctx, op), errs)
	} else {
		handler, ctx := w.exec.DispatchOperation(ctx, op)
		if response = handler(ctx); response == nil { // of a subscription that delivers nothing
			return a
		}
		if op.Operation.Operation == ast.Subscription && handler(ctx) != nil {
			w.t.Errorf("%s is answered twice", query)
		}
	}
	a.Errors, a.raw = response.Errors, string(response.Data)
	for _, e := range response.Errors {
		leak.Error(w.t, e.Message, e.Extensions)
	}
	if len(response.Data) > 0 {
		if err := json.Unmarshal(response.Data, &a.Data); err != nil {
			w.t.Fatalf("%s: %v", response.Data, err)
		}
	}
	return a
}

// ok fails the test if there are errors.
func (a answer) ok() answer {
	a.t.Helper()
	if len(a.Errors) > 0 {
		a.t.Fatalf("errors: %v\ndata: %s\nlog: %s", a.Errors, a.raw, a.w.logged())
	}
	return a
}

// at follows a path such as "posts.nodes.0.title" through the data.
func (a answer) at(path string) any {
	a.t.Helper()
	var v any = a.Data
	for step := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(x) {
				a.t.Fatalf("no %s of %s in %s", step, path, a.raw)
			}
			v = x[i]
		default:
			a.t.Fatalf("no %s of %s in %s", step, path, a.raw)
		}
	}
	return v
}

func (a answer) text(path string) string {
	a.t.Helper()
	s, ok := a.at(path).(string)
	if !ok {
		a.t.Fatalf("%s is %v in %s", path, a.at(path), a.raw)
	}
	return s
}

// all gives one field of every element of a list.
func (a answer) all(path, field string) []string {
	a.t.Helper()
	list, _ := a.at(path).([]any)
	texts := []string{}
	for _, x := range list {
		for f := range strings.SplitSeq(field, ".") {
			x = x.(map[string]any)[f]
		}
		texts = append(texts, fmt.Sprint(x))
	}
	return texts
}

// codes are the errors as "CODE field" in order.
func (a answer) codes() string {
	var codes []string
	for _, e := range a.Errors {
		c := fmt.Sprint(e.Extensions["code"])
		for _, name := range []string{"field", "reason"} {
			if v, ok := e.Extensions[name]; ok {
				c += fmt.Sprint(" ", v)
			}
		}
		codes = append(codes, c)
	}
	return strings.Join(codes, ", ")
}

func (a answer) fails(want string) {
	a.t.Helper()
	if got := a.codes(); got != want {
		a.t.Errorf("errors %q, want %q: %v", got, want, a.Errors)
	}
}

// passwordHash is the reference implementation's of "password" (P-H-C/phc-winner-argon2, test.c), cheap to verify.
const passwordHash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

// signIn starts a session, in which the user does what follows.
func (w *world) signIn(id gid.User) {
	w.t.Helper()
	u, err := w.store.Client().User.Get(auth.AsSystem(w.t.Context()), id)
	if err != nil {
		w.t.Fatal(err)
	}
	g, err := w.resolver.Sessions.Start(w.t.Context(), u)
	if err != nil {
		w.t.Fatal(err)
	}
	w.sessions[id] = g.Viewer.Session
}

// admin makes an admin.
func (w *world) admin(name string) gid.User {
	w.t.Helper()
	id := w.user(name)
	err := w.log.Write(auth.AsSystem(w.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		return nil, tx.User.UpdateOneID(id).SetRole(user.RoleADMIN).Exec(ctx)
	})
	if err == nil {
		err = w.guard.Load(w.t.Context())
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// user signs somebody up, whose password is "password".
func (w *world) user(name string) gid.User {
	w.t.Helper()
	id := gid.NewUser()
	ctx := auth.AsSystem(w.t.Context())
	err := w.log.Write(ctx, func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		return nil, tx.User.Create().SetID(id).SetUsername(name).SetFullName("Name of " + name).SetEmail(name + "@example.org").SetPasswordHash(passwordHash).Exec(ctx)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// post writes a post with the mutation and returns its id.
func (w *world) post(author gid.User, title string, published bool) string {
	w.t.Helper()
	return w.as(author, `mutation($i: CreatePostInput!) { createPost(input: $i) { id } }`,
		map[string]any{"i": map[string]any{"title": title, "content": "text of " + title, "published": published}}).ok().text("createPost.id")
}

// comment comments on a post and returns the comment's id.
func (w *world) comment(author gid.User, post, content string) string {
	w.t.Helper()
	return w.as(author, `mutation($i: AddCommentInput!) { addComment(input: $i) { id } }`,
		map[string]any{"i": map[string]any{"postId": post, "content": content}}).ok().text("addComment.id")
}
