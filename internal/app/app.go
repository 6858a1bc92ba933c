// Package app puts Tidings together and runs it: the only package that knows all others. The server's main and the
// tests start the same App.
package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"entgo.io/ent/dialect"
	"github.com/99designs/gqlgen/graphql"
	"golang.org/x/sync/errgroup"

	"tidings/graph"
	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/config"
	"tidings/internal/cost"
	"tidings/internal/demo"
	"tidings/internal/eventlog"
	"tidings/internal/live"
	"tidings/internal/rate"
	"tidings/internal/relay"
	"tidings/internal/session"
	"tidings/internal/store"
	"tidings/internal/wake"
	"tidings/internal/web"
)

// Bounds on requests, of which package web says why. There is no write timeout: sockets stay open for days.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 1 << 20
)

// rememberedClients is how many addresses, and how many viewers, are counted at once: 100 thousand of each take about
// 15 MiB.
const rememberedClients = 50_000

// App is one node of Tidings: listening once it is made, serving while it runs.
type App struct {
	cfg      config.Config
	log      *slog.Logger
	listener net.Listener
	store    *store.Store
	events   *eventlog.Log
	moved    *wake.Signal   // the event log, on this node
	others   *wake.Postgres // nil on SQLite
	hub      *live.Hub
	guard    *session.Guard
	sessions *session.Sessions
	reads    *relay.Direct
	web      *web.Server
	server   *http.Server
	demo     *demo.Demo // nil without -demo
	account  *Account
	tempDir  string // of the demo's database
}

// Account is the demo's account for visitors.
type Account struct{ Username, Password string }

// New opens the database, brings it up to date and listens. What it has opened is closed by Run, or by itself if it
// fails. The error is one line for the person who starts the server.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	a := &App{cfg: cfg, log: log, moved: new(wake.Signal), reads: relay.NewDirect(log)}
	if err := a.open(ctx); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *App) open(ctx context.Context) (err error) {
	// First of all the port: a second start says so before it touches anything.
	if a.listener, err = listenConfig(a.cfg.Socket.Ping+a.cfg.Socket.Pong).Listen(ctx, "tcp", a.cfg.Addr); err != nil {
		return plainListen(a.cfg.Addr, err)
	}
	if a.cfg.Demo {
		if a.tempDir, err = os.MkdirTemp("", "tidings-demo-"); err != nil {
			return fmt.Errorf("making a place for the demo's database: %w", err)
		}
		a.cfg.Database = config.Database{Dialect: config.SQLite, Path: filepath.Join(a.tempDir, "demo.db")}
	}
	if a.store, err = store.Open(ctx, target(a.cfg.Database)); err != nil {
		return err
	}
	secrets, err := a.secrets()
	if err != nil {
		return err
	}
	tokens, err := auth.NewTokens(secrets, time.Now)
	if err != nil {
		return err
	}
	if err := a.openLog(ctx); err != nil {
		return err
	}
	a.guard = session.NewGuard(a.store.Client(), a.events, a.hub, tokens, a.log, time.Now)
	if err := a.guard.Load(ctx); err != nil {
		return err
	}
	security := audit.New(a.log)
	a.sessions = session.New(a.store.Client(), a.events, tokens, a.guard, security, time.Now)
	passwords := auth.NewPasswordsWith(a.cfg.PasswordMemory)
	if a.cfg.Demo {
		if err := a.seed(ctx, passwords); err != nil {
			return err
		}
	}
	var attempts *auth.Attempts // slowed like all else, or not at all
	if a.cfg.Rates {
		attempts = auth.NewAttempts(time.Now)
	}
	schema := graph.NewExecutableSchema(graph.Config{Resolvers: &graph.Resolver{
		Ent: a.store.Client(), Log: a.events, Passwords: passwords, Attempts: attempts, Sessions: a.sessions, Audit: security,
	}})
	a.web, err = web.New(web.Options{
		Schema:     schema,
		Extensions: []graphql.HandlerExtension{graph.LiveCursor{Log: a.events}, a.reads},
		Presenter:  graph.Presenter(a.log),
		Hub:        a.hub,
		Guard:      a.guard,
		Log:        a.log,
		Origins:    a.cfg.Origins,
		Proxies:    a.cfg.Proxies,
		Rates:      a.rates(),
		MaxBody:    a.cfg.MaxBody,
		Cost:       cost.Limits(a.cfg.Limits),
		Production: a.cfg.Production,
		Playground: web.Playground(),
		SDL:        graph.SDL(schema),
		Ready:      a.ready,
		Limits:     a.limits(),
		Spread:     a.cfg.Drain / 4, // the rest is for what runs
	})
	if err != nil {
		return err
	}
	a.server = &http.Server{
		Handler: a.web, ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	return nil
}

// rates limits what clients take of this node; nil limits nothing.
func (a *App) rates() *web.Rates {
	if !a.cfg.Rates {
		return nil
	}
	address := rate.Limit{Burst: a.cfg.AddressPoints, Refill: float64(a.cfg.AddressRefill)}
	viewer := rate.Limit{Burst: 3 * address.Burst, Refill: 3 * address.Refill}
	return &web.Rates{
		Addresses:      rate.NewBuckets(address, rememberedClients, time.Now),
		Viewers:        rate.NewBuckets(viewer, rememberedClients, time.Now),
		AddressSockets: a.cfg.AddressSockets, ViewerSockets: a.cfg.ViewerSockets, Standing: a.cfg.AddressStanding,
	}
}

// limits bounds a socket as configured, and the rest as package web does.
func (a *App) limits() web.Limits {
	s := a.cfg.Socket
	return web.Limits{
		Message: s.Message, Queue: int(s.Queue), Subscriptions: s.Subscriptions, Executions: s.Executions,
		Init: s.Init, Ping: s.Ping, Pong: s.Pong, Write: s.Write,
	}
}

func target(d config.Database) store.Target {
	if d.Dialect == config.Postgres {
		return store.Target{Dialect: dialect.Postgres, DSN: d.URL}
	}
	return store.Target{Dialect: dialect.SQLite, DSN: d.Path}
}

// secrets are the configured ones, or one of the server's own, kept beside a SQLite database.
func (a *App) secrets() ([][]byte, error) {
	if len(a.cfg.Secrets) > 0 {
		return a.cfg.Secrets, nil
	}
	secret, err := auth.LoadOrCreateSecret(a.cfg.Database.Path + ".secret")
	return [][]byte{secret}, err
}

func (a *App) openLog(ctx context.Context) (err error) {
	o := eventlog.Options{Retention: a.cfg.Retention, Logger: a.log, Wake: a.moved.Wake}
	if a.store.Dialect() == dialect.Postgres {
		if a.others, err = wake.NewPostgres(cmp.Or(a.cfg.Listen.URL, a.cfg.Database.URL), a.store.Client(), a.log); err != nil {
			return err
		}
		o.Notify = a.others.Notify
	}
	a.events = eventlog.New(a.store.Client(), a.store.Dialect(), o)
	woken, _ := a.moved.Wait()
	a.hub = live.New(a.events, woken, live.Options{Logger: a.log})
	return nil
}

func (a *App) seed(ctx context.Context, passwords *auth.Passwords) error {
	a.account = &Account{Username: demo.People()[0].Username, Password: "Demo-1-" + rand.Text()[:10]}
	hash, err := passwords.Hash(ctx, a.account.Password)
	if err != nil {
		return err
	}
	a.demo, err = demo.Seed(ctx, a.events, hash, time.Now())
	return err
}

// Account is the demo's account for visitors, nil without -demo.
func (a *App) Account() *Account { return a.account }

// URL is where the server listens, as a browser on this machine writes it.
func (a *App) URL() string {
	addr := a.listener.Addr().(*net.TCPAddr)
	host := "localhost"
	if !addr.IP.IsUnspecified() && !addr.IP.IsLoopback() {
		host = addr.IP.String()
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// Handler answers the requests: for those who bring a listener, or a context, of their own.
func (a *App) Handler() http.Handler { return a.web }

// Reads counts how reads were answered since the App was made.
func (a *App) Reads() relay.Counts { return a.reads.Counts() }

func (a *App) ready(ctx context.Context) error {
	if err := a.store.Ping(ctx); err != nil {
		a.log.WarnContext(ctx, "the database does not answer", "err", err)
		return web.Unready("database")
	}
	return nil
}

// Run serves until ctx is done, then drains: no new work, sockets closed so that their clients come back, what runs is
// waited for until the drain's deadline. It returns nil after an orderly end, and has closed everything either way. The
// last line that it logs says how reads were answered: a server that begins many of them again (package relay, Counts)
// costs more than it should.
func (a *App) Run(ctx context.Context) error {
	// The event log and the hub go on until the last socket is gone.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	parts, background := errgroup.WithContext(background)
	parts.Go(func() error { return a.events.Run(background) })
	parts.Go(func() error { return a.hub.Run(background) })
	parts.Go(func() error { return a.guard.Run(background) })
	parts.Go(func() error { return a.sessions.Clean(background) })
	if a.others != nil {
		parts.Go(func() error { return a.others.Run(background, a.moved.Wake) })
	}
	if a.demo != nil {
		parts.Go(func() error { return a.demo.Run(background) })
	}
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.listener) }()

	var failed error
	select {
	case <-ctx.Done():
		a.log.Info("draining", "at most", a.cfg.Drain)
	case <-background.Done(): // a part has failed, which Wait returns
	case failed = <-served:
	}
	a.drain(context.WithoutCancel(ctx))
	stop()
	if err := errors.Join(failed, parts.Wait(), a.close()); err != nil {
		return err
	}
	n := a.reads.Counts()
	a.log.Info("stopped", slog.Group("reads", "direct", n.Direct, "by entities", n.Executor, "begun again", n.Surprises))
	return nil
}

// drain ends the serving within its deadline, in order if that suffices: /readyz fails first and sockets are closed
// while the port still answers, then the port is closed.
func (a *App) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, a.cfg.Drain)
	defer cancel()
	err := a.web.Drain(ctx)
	if err = errors.Join(err, a.server.Shutdown(ctx)); err != nil {
		a.log.Warn("not everything ended in time", "after", a.cfg.Drain, "err", err)
		_ = a.server.Close() // what is left are connections that nobody waits for any more
	}
}

func (a *App) close() error {
	var errs []error
	if a.listener != nil {
		if err := a.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.tempDir != "" {
		errs = append(errs, os.RemoveAll(a.tempDir))
	}
	return errors.Join(errs...)
}

// Run makes an App and runs it, telling the person at w where it is.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger, w io.Writer) error {
	a, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
	log.Info("serving", "url", a.URL(), "database", a.cfg.Database, "version", Version())
	if acc := a.Account(); acc != nil {
		fmt.Fprintf(w, "\n  Tidings is at %s\n  Log in as %q with the password %q.\n  The demo, and what you write in it, is gone when the server ends.\n\n", a.URL(), acc.Username, acc.Password)
	}
	return a.Run(ctx)
}

// Version says what was built.
func Version() string {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version = s.Value
			}
		}
		if v := info.Main.Version; v != "" && v != "(devel)" {
			version = v
		}
	}
	return version
}
