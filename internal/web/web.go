// Package web is the HTTP face: GraphQL over HTTP and over WebSocket, the
// playground's page, the schema's text and the probes. It knows nothing of
// posts or databases; it is handed an executable schema, and runs it.
//
// What clients may rely on:
//
//   - /graphql, GET and POST: GraphQL over HTTP
//     (https://graphql.github.io/graphql-over-http/draft/), in
//     application/graphql-response+json and application/json. GET runs no
//     mutations, and its answers have an ETag. Subscriptions are refused with a
//     sentence that says where they run. Answers to queries are gzipped for who
//     takes that.
//   - On every transport a document may be given by its hash (automatic persisted
//     queries, see persisted).
//   - /graphql, GET and POST, accepting text/event-stream: server-sent events
//     (PROTOCOL.md of the npm package graphql-sse, distinct connections mode),
//     for subscriptions, queries and mutations. Last-Event-ID resumes a
//     subscription, and goes before what its document says.
//   - /graphql, WebSocket: the subprotocol graphql-transport-ws
//     (PROTOCOL.md of the npm package graphql-ws), for subscriptions, queries
//     and mutations.
//   - /, /schema.graphql, /healthz, /readyz.
//
// The http.Server around a [Server] is the caller's. It should set
// ReadHeaderTimeout (5 s), ReadTimeout (30 s; it bounds how long a body may
// take), IdleTimeout (2 min) and MaxHeaderBytes (1 MiB, so that a token of any
// length is refused in the same words). Leave WriteTimeout at
// 0: a Server gives each response a deadline of its own, see [Limits]. Sockets
// are free of all of these once upgraded, and so are streams of events.
package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/audit"
	"tidings/internal/cost"
	"tidings/internal/event"
	"tidings/internal/live"
	"tidings/internal/rate"
)

// Options are what a [Server] is made of. Schema, Hub, Guard and Log must be
// given.
type Options struct {
	Schema graphql.ExecutableSchema
	// Extensions see every operation of every transport, the first outermost.
	// One that is a graphql.OperationParameterMutator is asked before the
	// document is parsed.
	Extensions []graphql.HandlerExtension
	// Presenter turns the errors of resolvers into what clients see. nil is
	// fault.Presenter, which knows no errors but faults.
	Presenter graphql.ErrorPresenterFunc
	Hub       Hub
	Guard     Guard
	Log       *slog.Logger
	// Origins are the browser origins ("https://example.org") that may use the
	// server beside its own. Requests without an Origin header don't come from
	// a page, and are let through.
	Origins []string
	// Proxies are the peers that are believed where a request comes from, in
	// X-Forwarded-For or Forwarded. Without any, it comes from who connects.
	Proxies []netip.Prefix
	// Rates limits what each address and each viewer takes; nil limits nothing.
	Rates *Rates
	// MaxBody bounds a request's body in bytes. 0 is 256 KiB.
	MaxBody int64
	// Playground is the page at / and what belongs to it below /playground/.
	// Without it they are not found.
	Playground http.Handler
	// SDL is the text of /schema.graphql.
	SDL string
	// Cost bounds documents before they are validated. Zero fields have the
	// defaults.
	Cost cost.Limits
	// Production hides what helps people who write clients, and who attack: the
	// introspection, suggestions in errors, Playground and SDL.
	Production bool
	// Ready tells whether operations can succeed now. An [Unready] it returns
	// says why in the answer of /readyz, any other error only in the log. It
	// may be nil, and has 2 s.
	Ready func(context.Context) error
	// Spread is the time over which Drain spreads the closing of sockets and streams, so
	// that their clients don't all come back at once. It ends at half of
	// what is left to Drain. 0 closes all of them at once.
	Spread time.Duration
	Limits Limits
}

// Hub is where subscriptions come from; a *live.Hub.
type Hub interface {
	Prepare(context.Context) (context.Context, *live.Request)
	Start(context.Context, live.Request) (event.Cursor, error)
	Group(context.Context, live.Key, event.Topic, live.Render, live.Pay) (*live.Group, error)
}

// Unready is a reason not to be ready, in one word: "database".
type Unready string

func (u Unready) Error() string { return "not ready: " + string(u) }

// Limits bound what one client can take. Zero fields have the defaults.
type Limits struct {
	// Operation is how long a query, a mutation or the delivery of one event
	// may run. 30 s.
	Operation time.Duration
	// Write is how long a socket or stream may take nothing of what is written
	// to it, and what another HTTP response has beyond Operation to be taken
	// whole. 10 s.
	Write time.Duration
	// Init is how long a socket may take to its connection_init. 10 s.
	Init time.Duration
	// Ping is the time between two pings to a socket, and after which a stream
	// that says nothing has a comment. 25 s.
	Ping time.Duration
	// Pong is how long a socket may take to answer one. 10 s.
	Pong time.Duration
	// Close is how long a socket may take from the decision to close it until
	// the client has answered with a close frame of its own. 5 s.
	Close time.Duration
	// Revoke is how long the operations of a socket may take to end when the
	// session has ended. 3 s.
	Revoke time.Duration
	// Message is the size of the largest message from a socket, in bytes. 256 KiB.
	Message int64
	// Queue bounds what waits for a socket or stream, in bytes. A frame larger than that
	// is taken when nothing else waits. 1 MiB.
	Queue int
	// Response bounds the data of a response, or of one event, in bytes. 16 MiB.
	Response int64
	// Subscriptions bounds those of one socket. 128.
	Subscriptions int
	// Executions bounds the operations that run at once for one socket, or whose
	// responses wait for room in its queue; others wait. An event is its group's,
	// and counts for no socket. Beside its subscriptions a socket may have eight
	// times as many operations, those that wait included. 16.
	Executions int
}

func (l Limits) withDefaults() Limits {
	or(&l.Operation, 30*time.Second)
	or(&l.Write, 10*time.Second)
	or(&l.Init, 10*time.Second)
	or(&l.Ping, 25*time.Second)
	or(&l.Pong, 10*time.Second)
	or(&l.Close, 5*time.Second)
	or(&l.Revoke, 3*time.Second)
	or(&l.Message, 256<<10)
	or(&l.Queue, 1<<20)
	or(&l.Response, 16<<20)
	or(&l.Subscriptions, 128)
	or(&l.Executions, 16)
	return l
}

func or[T comparable](field *T, initial T) {
	var zero T
	if *field == zero {
		*field = initial
	}
}

// Server answers HTTP requests and owns the sockets and streams that come of them. It is
// safe for concurrent use. Whoever serves with it must Drain it in the end:
// an http.Server does not end hijacked connections.
type Server struct {
	hub      Hub
	guard    Guard
	log      *slog.Logger
	audit    audit.Log
	reports  *rate.Buckets // of what is refused, so that they don't flood the log
	origins  origins
	proxies  proxies
	rates    *Rates // nil for none
	engine   *engine
	gzipper  *gzipper
	maxBody  int64
	ready    func(context.Context) error
	spread   time.Duration
	limits   Limits
	handler  http.Handler
	sockets  sockets
	census   census // of sockets and streams
	standing census // of what subscriptions cost
}

// New returns a Server. The error names what is wrong with the options. It
// panics if an extension refuses the schema.
func New(o Options) (*Server, error) {
	if o.Schema == nil || o.Hub == nil || o.Guard == nil || o.Log == nil {
		return nil, errors.New("web: Schema, Hub, Guard and Log must be given")
	}
	allowed, err := newOrigins(o.Origins)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	engine, err := newEngine(o)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s := &Server{
		hub: o.Hub, guard: o.Guard, log: o.Log, audit: audit.New(o.Log), reports: newReports(), origins: allowed,
		proxies: o.Proxies,
		engine:  engine,
		gzipper: newGzipper(),
		maxBody: o.MaxBody, ready: o.Ready, spread: o.Spread, limits: o.Limits.withDefaults(),
	}
	or(&s.maxBody, 256<<10)
	if o.Rates != nil {
		rates := *o.Rates
		if rates.Addresses == nil || rates.Viewers == nil {
			return nil, errors.New("web: Rates without Addresses or Viewers")
		}
		or(&rates.AddressSockets, 100)
		or(&rates.Standing, 2000)
		or(&rates.ViewerSockets, 20)
		s.rates = &rates
	}
	s.sockets.open = make(map[peer]struct{})
	s.sockets.beatLater = s.beatLater
	s.sockets.empty = sync.NewCond(&s.sockets.mu)

	mux := http.NewServeMux()
	mux.Handle("/graphql", allowed.share(http.HandlerFunc(s.serveGraphQL)))
	mux.Handle("/healthz", read(http.HandlerFunc(serveHealth)))
	mux.Handle("/readyz", read(http.HandlerFunc(s.serveReady)))
	if !o.Production {
		mux.Handle("/schema.graphql", allowed.share(read(serveSDL(o.SDL))))
	}
	if o.Playground != nil && !o.Production {
		mux.Handle("/{$}", read(o.Playground))
		mux.Handle("/playground/", read(o.Playground))
	}
	s.handler = mux
	return s, nil
}

// read refuses methods other than GET and HEAD.
func read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "This address takes GET only.", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveSDL serves the schema's text, with an ETag of its content so that who
// has it already needn't load it again (RFC 9110, section 13).
func serveSDL(sdl string) http.Handler {
	sum := sha256.Sum256([]byte(sdl))
	return newAsset([]byte(sdl), hex.EncodeToString(sum[:12]), "text/plain; charset=utf-8", "no-cache")
}

// serveHealth says that the process is alive and serving, and nothing else.
func serveHealth(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") }

// serveReady says whether traffic should come here, and if not why, in a word.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	if s.sockets.isDraining() {
		plain(w, http.StatusServiceUnavailable, "draining")
		return
	}
	if s.ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := s.ready(ctx); err != nil {
			reason, ok := errors.AsType[Unready](err)
			if !ok {
				reason = "unready"
			}
			s.log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.Any("err", err))
			plain(w, http.StatusServiceUnavailable, string(reason))
			return
		}
	}
	plain(w, http.StatusOK, "ready")
}

func plain(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, word+"\n") // the client may be gone: nobody to tell
}
