//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"

	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/bench/rig"
	"tidings/internal/auth"
	"tidings/internal/heap"
)

// The control is what a good engineer would write by hand for these requests and no others: a handler for each, that
// runs one or two prepared statements made for it, and appends what comes back to a buffer as JSON. No ent, no gqlgen,
// no choice of fields. It uses the same drivers as the server, as many connections, and collects garbage by the same
// rule; and it checks the same: that a post is published, whose token it is, how long a comment is.
//
// It runs in a process of its own, by this program again.
const (
	controlArgument = "control"
	controlDatabase = "BENCH_DATABASE" // in the environment: the URL of a Postgres database, or the path of a SQLite file
	controlDialect  = "BENCH_DIALECT"
)

// control runs the control if the arguments ask for it, and then doesn't return.
func control(args []string) {
	if len(args) != 3 || args[1] != controlArgument {
		return
	}
	heap.Tune()
	h, err := newControl(context.Background(), os.Getenv(controlDialect) == dialectPostgres, os.Getenv(controlDatabase))
	if err == nil {
		err = rig.UnderProfile(func(ctx context.Context) error { return listen(ctx, args[2], h) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "control:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type handler struct {
	write  *sql.DB
	tokens *auth.Tokens
	texts  statements

	one, latest, parents, deep, comments, search, add, append *sql.Stmt
}

func newControl(ctx context.Context, postgres bool, database string) (http.Handler, error) {
	c := &handler{texts: sqliteStatements}
	var read *sql.DB
	var err error
	if postgres {
		c.texts = postgresStatements
		if read, err = openPostgres(database); err != nil {
			return nil, err
		}
		n := min(max(4*runtime.GOMAXPROCS(0), 8), 32)
		read.SetMaxOpenConns(n)
		read.SetMaxIdleConns(n)
		c.write = read
	} else {
		if read, err = openSQLite(database, "mode=ro"); err != nil {
			return nil, err
		}
		n := max(4, runtime.GOMAXPROCS(0))
		read.SetMaxOpenConns(n)
		read.SetMaxIdleConns(n)
		if c.write, err = openSQLite(database, "_txlock=immediate"); err != nil {
			return nil, err
		}
		c.write.SetMaxOpenConns(1)
	}
	if c.tokens, err = auth.NewTokens([][]byte{[]byte(rig.Secret)}, time.Now); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&c.one, read, c.texts.one}, {&c.latest, read, c.texts.latest}, {&c.parents, read, c.texts.parents}, {&c.deep, read, c.texts.deep}, {&c.comments, read, c.texts.comments},
		{&c.search, read, c.texts.search}, {&c.add, c.write, c.texts.add}, {&c.append, c.write, c.texts.append},
	} {
		if *s.stmt, err = s.db.PrepareContext(ctx, s.text); err != nil {
			return nil, fmt.Errorf("preparing %s: %w", s.text, err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	for path, answer := range map[string]func(*http.Request, []byte) ([]byte, error){
		"GET /post/{id}": c.post, "GET /posts": c.posts, "GET /posts/comments": c.withComments, "GET /posts/after/{cursor}": c.after,
		"GET /search": c.searched, "POST /comments": c.addComment,
	} {
		mux.HandleFunc(path, answering(answer))
	}
	return mux, nil
}

// openSQLite opens a file as the server does.
func openSQLite(path, parameter string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+path+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)&_pragma=synchronous(FULL)&_time_format=sqlite&_timezone=UTC&"+parameter)
}

// buffers are used again, up to a size that no answer here exceeds.
var buffers = make(chan []byte, 64)

// answering sends what fn appends. An error of status is the client's, any other one the server's.
func answering(fn func(r *http.Request, to []byte) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var b []byte
		select {
		case b = <-buffers:
		default:
			b = make([]byte, 0, 64<<10)
		}
		b, err := fn(r, b)
		switch s := status(0); {
		case errors.As(err, &s):
			http.Error(w, http.StatusText(int(s)), int(s))
		case err != nil:
			fmt.Fprintln(os.Stderr, "control:", err)
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		default:
			w.Header()["Content-Type"] = contentType
			w.Header().Set("Content-Length", strconv.Itoa(len(b)))
			_, _ = w.Write(b) // who doesn't take it is gone
		}
		select {
		case buffers <- b[:0]:
		default:
		}
	}
}

var contentType = []string{"application/json; charset=utf-8"}

// status is an HTTP status for the client's mistake.
type status int

func (s status) Error() string { return http.StatusText(int(s)) }

// listen serves until ctx is done, with the server's bounds on requests.
func listen(ctx context.Context, address string, h http.Handler) error {
	s := &http.Server{Addr: address, Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	context.AfterFunc(ctx, func() { s.Close() })
	if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
