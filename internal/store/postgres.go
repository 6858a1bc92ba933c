package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"tidings/ent"
)

// How long Postgres connections are kept. A connection is renewed now and then, so that its statements' memory on the
// server is given back and a changed address is noticed.
const (
	connectTimeout = 10 * time.Second
	connMaxLife    = time.Hour
	connMaxIdle    = 5 * time.Minute
)

// applicationName is what the server shows of our connections, unless the URL has another.
const applicationName = "tidings"

func openPostgres(ctx context.Context, t Target) (*Store, error) {
	dsn, cfg, err := postgresConfig(t.DSN)
	if err != nil {
		return nil, err
	}
	connector, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, explainPostgres(cfg, err)
	}
	db := sql.OpenDB(cachingConnector{connector})
	n := orElse(t.MaxConns, min(max(4*cpus(), 8), 32))
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	db.SetConnMaxLifetime(connMaxLife)
	db.SetConnMaxIdleTime(connMaxIdle)
	if err := migratePostgres(ctx, db); err != nil {
		return nil, errors.Join(explainPostgres(cfg, err), db.Close())
	}
	return &Store{
		dialect: dialect.Postgres,
		dsn:     dsn,
		client:  ent.NewClient(ent.Driver(&postgresDriver{Driver: entsql.OpenDB(dialect.Postgres, db), db: db})),
		ping:    pinger(db),
		close: func() error {
			_ = db.Close() // what a connection can't say to the server at its end, nobody waits for
			return nil
		},
	}, nil
}

// postgresConfig reads a URL. Of one that can't be read it repeats nothing: any part of it may be the password.
func postgresConfig(dsn string) (string, pq.Config, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", pq.Config{}, errors.New("the URL of the Postgres database can't be read: it should look like postgres://user:password@host:5432/name, with special characters of the password percent-encoded")
	}
	q := u.Query()
	if !q.Has("application_name") {
		q.Set("application_name", applicationName)
		u.RawQuery = q.Encode()
	}
	cfg, err := pq.NewConfig(u.String())
	if err != nil {
		return "", pq.Config{}, fmt.Errorf("the URL of the Postgres database can't be used: %w", err)
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	if cfg.Runtime == nil {
		cfg.Runtime = map[string]string{}
	}
	cfg.Runtime["timezone"] = "UTC" // the zone in which times come back
	return u.String(), cfg, nil
}

// explainPostgres says in a sentence why the database can't be opened.
func explainPostgres(cfg pq.Config, err error) error {
	at := cfg.Host
	if !strings.HasPrefix(at, "/") {
		at = net.JoinHostPort(at, strconv.Itoa(int(cfg.Port)))
	}
	if e := pq.As(err); e != nil {
		switch e.Code {
		case pqerror.InvalidPassword:
			return fmt.Errorf("the Postgres at %s refuses the user %q: the password is wrong", at, cfg.User)
		case pqerror.InvalidAuthorizationSpecification, pqerror.InsufficientPrivilege:
			return fmt.Errorf("the Postgres at %s refuses the user %q: %s", at, cfg.User, e.Message)
		case pqerror.InvalidCatalogName:
			return fmt.Errorf("there is no database %q on Postgres at %s", cfg.Database, at)
		case pqerror.CannotConnectNow:
			return fmt.Errorf("the Postgres at %s is not ready: %s", at, e.Message)
		case pqerror.TooManyConnections:
			return fmt.Errorf("the Postgres at %s takes no more connections", at)
		}
		return fmt.Errorf("opening the Postgres database %q at %s: %w", cfg.Database, at, err)
	}
	if errors.Is(err, pq.ErrSSLNotSupported) {
		return fmt.Errorf("the Postgres at %s speaks no TLS: add sslmode=disable to the URL if that is right", at)
	}
	var dial *net.OpError
	if errors.As(err, &dial) {
		return fmt.Errorf("no Postgres answers at %s: %w", at, dial.Err)
	}
	return fmt.Errorf("opening the Postgres database %q at %s: %w", cfg.Database, at, err)
}
