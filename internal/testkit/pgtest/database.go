package pgtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

// Env names the variable that holds the URL of a Postgres server on which databases may be made and dropped. When it
// is set no cluster is started.
const Env = "TIDINGS_TEST_POSTGRES"

// prefix begins the names of all databases made here; the time they were made follows.
const prefix, stamp = "tidings_test_", "20060102t150405"

// shared is the process's server. A cluster is stopped by its supervisor when the process ends.
var shared = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(Env); given != "" {
		return given, sweep(given)
	}
	c, err := Start(context.Background())
	if err != nil {
		return "", err
	}
	return c.URL(), nil
})

// Server returns the URL of the process's Postgres server: the one of TIDINGS_TEST_POSTGRES, else a cluster that is
// started once and lasts as long as the process. The error is ErrNoBinaries where there is neither.
func Server() (string, error) { return shared() }

// Scratch makes an empty database on the process's server and returns its URL and what drops it, with whoever is
// still connected.
func Scratch(ctx context.Context) (url string, drop func() error, err error) {
	return fromTemplate(ctx, "template0")
}

// Copy makes a database that is a copy of another, prepared one, and returns like Scratch. The original is made and
// given to prepare at the first call with that key, by whichever process comes first, and kept on the server.
func Copy(ctx context.Context, key string, prepare func(url string) error) (url string, drop func() error, err error) {
	server, err := Server()
	if err != nil {
		return "", nil, err
	}
	name, err := template(ctx, server, key, prepare)
	if err != nil {
		return "", nil, fmt.Errorf("preparing a database to copy: %w", err)
	}
	return fromTemplate(ctx, name)
}

// CopyOf makes a database that is a copy of another one on the process's server, of its URL, and returns like Scratch.
// Nobody may be connected to the original.
func CopyOf(ctx context.Context, original string) (url string, drop func() error, err error) {
	name, err := nameOf(original)
	if err != nil {
		return "", nil, err
	}
	return fromTemplate(ctx, pq.QuoteIdentifier(name))
}

func fromTemplate(ctx context.Context, template string) (string, func() error, error) {
	server, err := Server()
	if err != nil {
		return "", nil, err
	}
	name := prefix + time.Now().UTC().Format(stamp) + "_" + strings.ToLower(rand.Text()[:8])
	if err := run(ctx, server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		return "", nil, fmt.Errorf("making the database %s: %w", name, err)
	}
	drop := func() error {
		if err := run(context.Background(), server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			return fmt.Errorf("dropping the database %s: %w", name, err)
		}
		return nil
	}
	u, err := on(server, name)
	if err != nil {
		return "", nil, errors.Join(err, drop())
	}
	return u, drop, nil
}

var templates struct {
	sync.Mutex
	ready map[string]bool
}

// template returns the name of the prepared database for key. Processes that share a server take turns.
func template(ctx context.Context, server, key string, prepare func(url string) error) (name string, err error) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // a hash takes everything
	name = fmt.Sprintf("tidings_template_%016x", h.Sum64())
	templates.Lock()
	defer templates.Unlock()
	if templates.ready[name] {
		return name, nil
	}
	db, err := sql.Open("postgres", server)
	if err != nil {
		return "", err
	}
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close() // and with it the lock goes
	if _, err := c.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(h.Sum64())); err != nil {
		return "", err
	}
	// A template counts once it is marked: a process that died before it was done leaves an unmarked one.
	var marked bool
	err = c.QueryRowContext(ctx, "SELECT datistemplate FROM pg_database WHERE datname = $1", name).Scan(&marked)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", err
	}
	if !marked {
		u, err := on(server, name)
		if err != nil {
			return "", err
		}
		for _, step := range []func() error{
			func() error {
				_, err := c.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
				return err
			},
			func() error { _, err := c.ExecContext(ctx, "CREATE DATABASE "+name+" TEMPLATE template0"); return err },
			func() error { return prepare(u) },
			func() error { _, err := c.ExecContext(ctx, "ALTER DATABASE "+name+" IS_TEMPLATE true"); return err },
		} {
			if err := step(); err != nil {
				return "", err
			}
		}
	}
	if templates.ready == nil {
		templates.ready = map[string]bool{}
	}
	templates.ready[name] = true
	return name, nil
}

// sweep drops what processes that were killed have left on a server that outlives them: databases of an hour ago to
// which nobody is connected.
func sweep(server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	db, err := sql.Open("postgres", server)
	if err != nil {
		return fmt.Errorf("opening the server of %s: %w", Env, err)
	}
	defer db.Close()
	var old []string
	err = db.QueryRowContext(ctx, `SELECT coalesce(array_agg(datname::text), '{}') FROM pg_database d WHERE datname LIKE $1 AND datname < $2
		AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)`,
		strings.ReplaceAll(prefix, "_", `\_`)+"%", prefix+time.Now().UTC().Add(-time.Hour).Format(stamp)).Scan(pq.Array(&old))
	if err != nil {
		return fmt.Errorf("using the server of %s: %w", Env, err)
	}
	for _, name := range old {
		if _, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+pq.QuoteIdentifier(name)); err != nil {
			return fmt.Errorf("dropping the left-over database %s: %w", name, err)
		}
	}
	return nil
}

// on returns the server's URL with another database.
func on(server, database string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("%s is no URL of a Postgres server", Env)
	}
	u.Path = "/" + database
	return u.String(), nil
}

// nameOf returns the name of a URL's database.
func nameOf(database string) (string, error) {
	u, err := url.Parse(database)
	if err != nil || len(u.Path) < 2 {
		return "", errors.New("no URL of a Postgres database")
	}
	return u.Path[1:], nil
}

// run runs one statement that no transaction may hold, on a connection of its own.
func run(ctx context.Context, server, statement string) error {
	db, err := sql.Open("postgres", server)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
