package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/google/uuid"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/live"
	"tidings/internal/testkit/leak"
	"tidings/internal/web"
	"tidings/internal/web/internal/testschema"
)

// patience bounds every wait of these tests. It is long for a busy machine; no
// test waits for it to pass.
const patience = 30 * time.Second

// A world is a Server on a port of its own, with a real hub over a log in
// memory, and what it takes to drive it.
type world struct {
	t      testing.TB
	log    *memoryLog
	hub    *live.Hub
	stop   context.CancelFunc // of the hub
	server *web.Server
	http   *httptest.Server
	tokens *auth.Tokens
	lines  *lines
	// options are what the server was made of.
	options web.Options
	// readBuffer is what the kernel keeps for each client dialled from now on, in
	// bytes; 0 is its own choice. A small one fills soon, but is slow to read from.
	readBuffer int

	over  atomic.Bool  // subscriptions don't last
	lasts atomic.Bool  // but for who is signed in
	bakes atomic.Bool  // who asks for viewer is given a cookie
	loads atomic.Int64 // of events

	mu    sync.Mutex
	gates map[string]*gate
	ended map[gid.Session]bool
	watch map[gid.Session]func()
	from  auth.Client // of the last who asked for viewer
	shut  error       // why nobody may subscribe
}

// newWorld returns a running world. change may adjust its options.
func newWorld(t testing.TB, change ...func(*web.Options)) *world {
	t.Helper()
	tokens, err := auth.NewTokens([][]byte{bytes.Repeat([]byte("s"), auth.MinSecret)}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, log: newMemoryLog(), tokens: tokens, lines: new(lines), gates: map[string]*gate{}, ended: map[gid.Session]bool{}, watch: map[gid.Session]func(){}}
	w.hub = live.New(w.log, w.log.wake, live.Options{})
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	var running sync.WaitGroup
	running.Go(func() { _ = w.hub.Run(ctx) }) // the error is ctx's

	o := web.Options{
		Schema: testschema.NewExecutableSchema(testschema.Config{Resolvers: resolvers{w}}),
		Hub:    w.hub, Guard: w, SDL: "type Query { hello: String! }\n",
		Log: slog.New(slog.NewJSONHandler(w.lines, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	w.options = o
	if w.server, err = web.New(o); err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewUnstartedServer(w.server)
	w.http.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	w.http.Listener = smallBuffers{w.http.Listener}
	w.http.Start()
	t.Cleanup(func() {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.server.Drain(over) // cuts at once, which is its error
		w.http.Close()
		stop()
		running.Wait()
	})
	return w
}

// smallBuffers gives connections little room in the kernel, so that a peer that
// reads nothing is felt soon.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	return c, err
}

// token returns an access token and whose it is.
func (w *world) token() (string, gid.User) {
	w.t.Helper()
	user := gid.NewUser()
	token, _, err := w.tokens.Issue(user, gid.NewSession())
	if err != nil {
		w.t.Fatal(err)
	}
	return token, user
}

// Verify implements web.Guard, as do Current and Watch.
func (w *world) Verify(token string) (auth.Viewer, error) {
	v, err := w.tokens.Verify(token)
	if err != nil {
		return auth.Viewer{}, err
	}
	return w.Current(v)
}

func (w *world) Current(v auth.Viewer) (auth.Viewer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended[v.Session] {
		return auth.Viewer{}, errors.New("ended")
	}
	if !v.Expires.IsZero() && !time.Now().Before(v.Expires) {
		return auth.Viewer{}, auth.ErrToken
	}
	return v, nil
}

// Watch takes one watcher for each session.
func (w *world) Watch(s gid.Session, ended func()) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watch[s] = ended
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watch, s)
	}
}

// client returns whose operation asked for the field viewer last.
func (w *world) client() auth.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from
}

// published waits until the hub has published all that is in the log, and one post more.
func (w *world) published() {
	w.t.Helper()
	s, err := w.hub.Subscribe(w.t.Context(), live.Request{Topic: event.Posts()})
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	w.log.post(gid.NewUser(), "published")
	if _, err := s.Next(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// A gate holds the field wait of one key until it is opened.
type gate struct {
	entered chan struct{} // gets one for each who comes
	open    chan struct{} // lets all through when closed
	left    chan error    // gets the end of each wait: nil, or why its context ended
}

func (w *world) gate(key string) *gate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gates[key] == nil {
		w.gates[key] = &gate{make(chan struct{}, 1000), make(chan struct{}), make(chan error, 1000)}
	}
	return w.gates[key]
}

// within receives from c, with patience.
func within[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited too long for %s", what)
		panic("unreachable")
	}
}

// eventually polls until ok, with patience.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// memoryLog is an event log, and the posts that its events announce.
type memoryLog struct {
	wake chan struct{}

	mu     sync.Mutex
	epoch  event.Epoch
	events []event.Event // from position 1
	kept   int64         // the first position that can still be read
	posts  map[uuid.UUID]string
}

func newMemoryLog() *memoryLog {
	return &memoryLog{wake: make(chan struct{}, 1), epoch: event.Epoch{1}, kept: 1, posts: map[uuid.UUID]string{}}
}

// post adds a post by author. What its text does when it is delivered, see
// resolvers.load.
func (l *memoryLog) post(author gid.User, text string) gid.Post {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := gid.NewPost()
	e := event.NewPostCreated(p, author)
	e.Position, e.At = int64(len(l.events)+1), time.Now()
	l.events = append(l.events, e)
	l.posts[p.UUID()] = text
	signal(l.wake)
	return p
}

func (l *memoryLog) text(post uuid.UUID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.posts[post]
}

// cursor returns the place behind the event at a position.
func (l *memoryLog) cursor(position int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at(position).String()
}

func (l *memoryLog) at(position int64) event.Cursor {
	if position == 0 {
		return event.Cursor{Epoch: l.epoch}
	}
	return event.After(l.events[position-1], l.epoch)
}

// forget deletes what stands before a position.
func (l *memoryLog) forget(before int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = before
}

// replace makes it another log, with nothing in it.
func (l *memoryLog) replace() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.events = event.Epoch{2}, nil
	signal(l.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *memoryLog) Head(context.Context) (event.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at(int64(len(l.events))), nil
}

func (l *memoryLog) Read(_ context.Context, after int64, limit int) ([]event.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if after+1 < l.kept || after > int64(len(l.events)) {
		return nil, event.ErrExpired
	}
	found := l.events[after:]
	return append([]event.Event(nil), found[:min(limit, len(found))]...), nil
}

func (l *memoryLog) Resolve(_ context.Context, topic event.Topic, after string) (event.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kind := gid.Kind(after); kind != "" && kind != topic.Kind.Item() {
		return event.Cursor{}, event.WrongKind(topic, kind)
	}
	for _, e := range l.events {
		if gid.PostOf(e.Subject).String() == after {
			return event.After(e, l.epoch), nil
		}
	}
	c, err := event.ParseCursor(after)
	if err != nil {
		return event.Cursor{}, err
	}
	if c.Position > int64(len(l.events)) || c.Position+1 < l.kept || c != l.at(c.Position) {
		return event.Cursor{}, event.ErrExpired
	}
	return c, nil
}

// resolvers answer the test's schema.
type resolvers struct{ w *world }

func (r resolvers) Query() testschema.QueryResolver               { return r }
func (r resolvers) Mutation() testschema.MutationResolver         { return r }
func (r resolvers) Subscription() testschema.SubscriptionResolver { return r }

func (r resolvers) Hello(_ context.Context, name *string) (string, error) {
	return "hello " + *name, nil
}

func (r resolvers) Viewer(ctx context.Context) (*string, error) {
	r.w.mu.Lock()
	r.w.from = auth.ClientFrom(ctx)
	r.w.mu.Unlock()
	if r.w.bakes.Load() {
		auth.ClientFrom(ctx).Cookie.Set("secret", time.Now().Add(time.Hour))
	}
	v := auth.ViewerFrom(ctx)
	if !v.SignedIn() {
		return nil, nil
	}
	id := v.User.String()
	return &id, nil
}

func (r resolvers) Count(_ context.Context, number *int, input *testschema.CountInput) (int, error) {
	if input != nil {
		return input.Number, nil
	}
	return *number, nil
}

func (r resolvers) Wait(ctx context.Context, key string) (string, error) {
	g := r.w.gate(key)
	g.entered <- struct{}{}
	select {
	case <-g.open:
		g.left <- nil
		return key, nil
	case <-ctx.Done():
		g.left <- ctx.Err()
		return "", ctx.Err()
	}
}

func (r resolvers) Letters(_ context.Context, count int) (string, error) {
	return strings.Repeat("x", count), nil
}

func (r resolvers) Fail(_ context.Context, how testschema.Failure) (*string, error) {
	switch how {
	case testschema.FailureFault:
		return nil, fault.NotFound("There is no such thing.")
	case testschema.FailurePanic:
		panic("hidden reason")
	}
	return nil, errors.New("hidden cause")
}

func (r resolvers) Strict(ctx context.Context, how testschema.Failure) (string, error) {
	_, err := r.Fail(ctx, how)
	return "", err
}

func (r resolvers) Post(ctx context.Context, text string) (*testschema.Post, error) {
	author := auth.ViewerFrom(ctx).User
	if author.IsZero() {
		author = gid.NewUser()
	}
	return &testschema.Post{ID: r.w.log.post(author, text).String(), Text: text}, nil
}

func (r resolvers) Posted(ctx context.Context, author, after *string) (<-chan *testschema.Post, error) {
	topic := event.Posts()
	if author != nil {
		id, err := gid.ParseUser(*author)
		if err != nil {
			return nil, fault.BadInput("author", "This is not the id of a user.")
		}
		topic = event.PostsBy(id)
	}
	return live.Stream(ctx, live.Source[*testschema.Post]{
		Topic: topic, After: after, Load: r.load,
		Open: func(context.Context) error {
			r.w.mu.Lock()
			defer r.w.mu.Unlock()
			return r.w.shut
		},
		Lasts: func(ctx context.Context) (bool, error) {
			return !r.w.over.Load() || r.w.lasts.Load() && auth.ViewerFrom(ctx).SignedIn(), nil
		},
	})
}

// load delivers a post by its text: "hidden" skips it, "broken" fails, a number
// of letters is that many, "gate key" waits.
func (r resolvers) load(ctx context.Context, e event.Event) (*testschema.Post, bool, error) {
	r.w.loads.Add(1)
	text := r.w.log.text(e.Subject)
	switch word, rest, _ := strings.Cut(text, " "); word {
	case "hidden":
		return nil, false, nil
	case "broken":
		return nil, false, errors.New("hidden cause")
	case "gate":
		if _, err := r.Wait(ctx, rest); err != nil {
			return nil, false, err
		}
	case "letters":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return nil, false, err
		}
		text = strings.Repeat("x", n)
	}
	viewer, err := r.Viewer(ctx)
	return &testschema.Post{ID: gid.PostOf(e.Subject).String(), Text: text, Public: text, Viewer: viewer}, true, err
}

// response is what came of an HTTP request.
type response struct {
	status int
	header http.Header
	body   string
}

func (r response) String() string { return fmt.Sprintf("%d %s", r.status, r.body) }

// do sends a request and reads the response whole.
func (w *world) do(method, path, body string, header ...string) response {
	w.t.Helper()
	req, err := http.NewRequest(method, w.http.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := w.http.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	leak.Header(w.t, resp.Header)
	leak.Body(w.t, resp.StatusCode, text)
	return response{resp.StatusCode, resp.Header, string(text)}
}

// post sends a GraphQL request.
func (w *world) post(body string, header ...string) response {
	w.t.Helper()
	return w.do("POST", "/graphql", body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// extension is something to do before each document is parsed.
type extension func()

func (extension) ExtensionName() string                   { return "Test" }
func (extension) Validate(graphql.ExecutableSchema) error { return nil }
func (e extension) MutateOperationParameters(context.Context, *graphql.RawParams) *gqlerror.Error {
	e()
	return nil
}
