// Package config turns flags and environment variables into one typed,
// validated struct, and explains them: [Help] for the terminal, [FlagTable]
// for the README. Both come from the definitions that [Parse] reads, so they
// can't say anything else.
package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Config is how one process of Tidings runs. [Parse] returns it complete and
// valid. Printing or logging it shows neither secrets nor passwords.
type Config struct {
	// Addr is host:port to listen on. An empty host is every interface, port 0
	// any free port.
	Addr string
	// Database is zero with Demo, which brings its own.
	Database Database
	// Listen is the same Postgres database by another way, for LISTEN alone.
	// Zero means to listen by Database.
	Listen Database
	// Secrets sign access tokens, each at least 32 bytes: the first signs, all
	// verify. Empty means to keep one beside the database; never with Postgres,
	// unless Admin is asked for, which needs none.
	Secrets Secrets
	// Origins are the browser origins allowed beside the server's own, as
	// browsers write them: lower case, no default port, no path.
	Origins []string
	// Proxies are the peers believed where a request comes from.
	Proxies []netip.Prefix
	// MaxBody bounds a request's body, in bytes.
	MaxBody int64
	// Limits bound an operation before it runs.
	Limits Limits
	// Socket bounds what one WebSocket connection takes, and how long it is
	// waited for.
	Socket Socket
	// Production hides the schema and the playground.
	Production bool
	// Rates switches the limits counted per viewer and per address, and the
	// slowing of failed log-ins.
	Rates bool
	// AddressPoints is what one address may take at once, and AddressRefill
	// what comes back of it each second; a viewer has three times as much.
	AddressPoints, AddressRefill int
	// AddressSockets and ViewerSockets are how many sockets each may have.
	AddressSockets, ViewerSockets int
	// AddressStanding is what the open subscriptions of an address may cost
	// together, in points an event; a viewer has three times as much.
	AddressStanding int
	// Retention is how long events are kept, at least an hour.
	Retention time.Duration
	// Drain bounds the time from SIGTERM to the end. 0 drops everything at once.
	Drain time.Duration
	Log   Log
	// Demo asks for a throw-away database filled with demo content.
	Demo bool
	// Admin asks to make the user of that name an admin and exit. Empty: to
	// serve.
	Admin string
	// Version asks to print the version and exit. Then nothing else is set.
	Version bool
	// Warnings are lines to log once at start: TIDINGS_ variables that mean
	// nothing, most likely misspelt.
	Warnings []string
	// PasswordMemory is what hashing a password takes, in KiB; 0 is as much as
	// OWASP recommends. There is no flag for it: less is for tests.
	PasswordMemory uint32
}

// Limits bound what one GraphQL operation may be, as package cost counts it.
type Limits struct {
	Tokens, Depth, RootFields, Aliases, Directives int
	Cost                                           int // in points
}

// Socket bounds one WebSocket connection, as web.Limits say. Zero fields have
// the defaults.
type Socket struct {
	Message, Queue            int64 // in bytes
	Subscriptions, Executions int
	Init, Ping, Pong, Write   time.Duration
}

// Dialect names a kind of database.
type Dialect string

const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Database says where the data is. Exactly one of Path and URL is set.
type Database struct {
	Dialect Dialect
	// Path is the file of a SQLite database, relative to the working directory
	// unless it is absolute.
	Path string
	// URL is the postgres:// or postgresql:// URL, password included.
	URL string `json:"-"`
}

// String shows the database as -database takes it, without the password.
func (d Database) String() string {
	switch d.Dialect {
	case SQLite:
		return "sqlite:" + d.Path
	case Postgres:
		return redactURL(d.URL)
	}
	return ""
}

// GoString is String: %#v hides the password too.
func (d Database) GoString() string { return d.String() }

// LogValue is String.
func (d Database) LogValue() slog.Value { return slog.StringValue(d.String()) }

// Secrets print and log as their number only.
type Secrets [][]byte

func (s Secrets) String() string { return fmt.Sprintf("%d hidden", len(s)) }

// GoString is String.
func (s Secrets) GoString() string { return s.String() }

// MarshalText is String, for JSON and with it the log.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue is one attribute a setting, without secrets and passwords.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("addr", c.Addr),
		slog.Any("database", c.Database),
		slog.Any("database_listen", c.Listen),
		slog.Any("secrets", c.Secrets),
		slog.Any("origins", c.Origins),
		slog.Any("proxies", c.Proxies),
		slog.Int64("max_body", c.MaxBody),
		slog.Group("limits",
			slog.Int("tokens", c.Limits.Tokens),
			slog.Int("depth", c.Limits.Depth),
			slog.Int("root_fields", c.Limits.RootFields),
			slog.Int("aliases", c.Limits.Aliases),
			slog.Int("directives", c.Limits.Directives),
			slog.Int("cost", c.Limits.Cost)),
		slog.Group("socket",
			slog.Int64("message", c.Socket.Message),
			slog.Int64("queue", c.Socket.Queue),
			slog.Int("subscriptions", c.Socket.Subscriptions),
			slog.Int("executions", c.Socket.Executions),
			slog.Duration("init", c.Socket.Init),
			slog.Duration("ping", c.Socket.Ping),
			slog.Duration("pong", c.Socket.Pong),
			slog.Duration("write", c.Socket.Write)),
		slog.Bool("production", c.Production),
		slog.Bool("rates", c.Rates),
		slog.Int("address_points", c.AddressPoints),
		slog.Int("address_refill", c.AddressRefill),
		slog.Int("address_sockets", c.AddressSockets),
		slog.Int("address_standing", c.AddressStanding),
		slog.Int("viewer_sockets", c.ViewerSockets),
		slog.Duration("retention", c.Retention),
		slog.Duration("drain", c.Drain),
		slog.String("log", c.Log.Level.String()),
		slog.String("log_format", string(c.Log.Format)),
		slog.Bool("demo", c.Demo),
	)
}

// String is LogValue on one line.
func (c Config) String() string { return c.LogValue().String() }

// redactURL replaces the passwords in a Postgres URL: libpq takes them as
// parameters too.
func redactURL(s string) string {
	u, err := parsePostgresURL(s)
	if err != nil {
		return "postgres://…"
	}
	q := u.Query()
	for _, key := range []string{"password", "sslpassword"} {
		if q.Has(key) {
			q.Set(key, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}
