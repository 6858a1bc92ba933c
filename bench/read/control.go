//go:build linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"
	"unicode/utf8"

	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/heap"

	"tidings/bench/rig"
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
		err = http.ListenAndServe(args[2], h)
	}
	fmt.Fprintln(os.Stderr, "control:", err)
	os.Exit(1)
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

func (c *handler) post(r *http.Request, b []byte) ([]byte, error) {
	id, err := gid.ParsePost(r.PathValue("id"))
	if err != nil {
		return b, status(http.StatusBadRequest)
	}
	rows, err := c.one.QueryContext(r.Context(), id.UUID().String())
	if err != nil {
		return b, err
	}
	defer rows.Close()
	b = append(b, `{"data":{"post":`...)
	if rows.Next() {
		var p postRow
		if err := rows.Scan(&p.id, &p.title, &p.content, &p.at, &p.authorID, &p.username, &p.fullName); err != nil {
			return b, err
		}
		if b, err = p.appendTo(b); err != nil {
			return b, err
		}
		b = append(b, '}')
	} else {
		b = append(b, "null"...)
	}
	return append(b, "}}"...), rows.Err()
}

func (c *handler) posts(r *http.Request, b []byte) ([]byte, error) {
	rows, err := c.latest.QueryContext(r.Context())
	if err != nil {
		return b, err
	}
	defer rows.Close()
	b = append(b, `{"data":{"posts":{"nodes":[`...)
	for n := 0; rows.Next(); n++ {
		var p postRow
		if err := rows.Scan(&p.id, &p.title, &p.content, &p.at, &p.username); err != nil {
			return b, err
		}
		if b, err = p.appendTo(comma(b, n)); err != nil {
			return b, err
		}
		b = append(b, '}')
	}
	return append(b, "]}}}"...), rows.Err()
}

// withComments is the latest posts with their first comments. The posts have to be kept until the comments come, which
// are asked for by their ids.
func (c *handler) withComments(r *http.Request, b []byte) ([]byte, error) {
	rows, err := c.parents.QueryContext(r.Context())
	if err != nil {
		return b, err
	}
	defer rows.Close()
	const size = 20
	posts, ends, ids := make([]byte, 0, 32<<10), make([]int, 0, size), make([]string, 0, size)
	for rows.Next() {
		var p postRow
		if err := rows.Scan(&p.id, &p.title, &p.content, &p.at, &p.authorID, &p.username, &p.fullName); err != nil {
			return b, err
		}
		if posts, err = p.appendTo(posts); err != nil {
			return b, err
		}
		ends, ids = append(ends, len(posts)), append(ids, string(p.id))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return b, err
	}
	found, err := c.comments.QueryContext(r.Context(), c.texts.list(ids))
	if err != nil {
		return b, err
	}
	defer found.Close()
	b = append(b, `{"data":{"posts":{"nodes":[`...)
	at, n := -1, 0 // of the posts, and of the comments of one
	open := func() {
		if at >= 0 {
			b = append(b, "]}}"...)
		}
		at, n = at+1, 0
		begin := 0
		if at > 0 {
			begin = ends[at-1]
		}
		b = append(append(comma(b, at), posts[begin:ends[at]]...), `,"comments":{"nodes":[`...)
	}
	var on, id, content, created, username sql.RawBytes
	for found.Next() {
		if err := found.Scan(&on, &id, &content, &created, &username); err != nil {
			return b, err
		}
		for at < 0 || string(on) != ids[at] {
			open()
		}
		b = append(comma(b, n), `{"id":"`...)
		if b, err = appendID(b, gid.CommentOf, id); err != nil {
			return b, err
		}
		b = appendText(append(b, `","content":`...), content)
		b = append(append(b, `,"createdAt":"`...), created...)
		b = appendText(append(b, `","author":{"username":`...), username)
		b = append(b, "}}"...)
		n++
	}
	for at+1 < len(ids) {
		open()
	}
	if at >= 0 {
		b = append(b, "]}}"...)
	}
	return append(b, "]}}}"...), found.Err()
}

func (c *handler) after(r *http.Request, b []byte) ([]byte, error) {
	from, fromID, err := parseCursor(r.PathValue("cursor"))
	if err != nil {
		return b, status(http.StatusBadRequest)
	}
	rows, err := c.deep.QueryContext(r.Context(), from, fromID.String())
	if err != nil {
		return b, err
	}
	defer rows.Close()
	const size = 20
	b = append(b, `{"data":{"posts":{"nodes":[`...)
	var id gid.Post
	var at time.Time
	n, more := 0, false
	for rows.Next() {
		if more = n == size; more {
			break
		}
		var p postRow
		if err := rows.Scan(&p.id, &p.title, &p.content, &at, &p.username); err != nil {
			return b, err
		}
		p.at = at.AppendFormat(p.stamp[:0], time.RFC3339Nano)
		if b, err = p.appendTo(comma(b, n)); err != nil {
			return b, err
		}
		b = append(b, '}')
		if err := id.Scan([]byte(p.id)); err != nil {
			return b, err
		}
		n++
	}
	b = append(b, `],"pageInfo":{"hasNextPage":`...)
	b = strconv.AppendBool(b, more)
	b = append(b, `,"endCursor":`...)
	if n == 0 {
		b = append(b, "null"...)
	} else {
		b = append(appendCursor(append(b, '"'), id, at), '"')
	}
	return append(b, "}}}}"...), rows.Err()
}

func (c *handler) searched(r *http.Request, b []byte) ([]byte, error) {
	query := r.FormValue("query")
	if utf8.RuneCountInString(query) > 500 {
		return b, status(http.StatusBadRequest)
	}
	rows, err := c.search.QueryContext(r.Context(), c.texts.words(query)...)
	if err != nil {
		return b, err
	}
	defer rows.Close()
	b = append(b, `{"data":{"searchPosts":{"nodes":[`...)
	var id, title, at, username sql.RawBytes
	for n := 0; rows.Next(); n++ {
		if err := rows.Scan(&id, &title, &at, &username); err != nil {
			return b, err
		}
		b = append(comma(b, n), `{"id":"`...)
		if b, err = appendID(b, gid.PostOf, id); err != nil {
			return b, err
		}
		b = appendText(append(b, `","title":`...), title)
		b = append(append(b, `,"createdAt":"`...), at...)
		b = appendText(append(b, `","author":{"username":`...), username)
		b = append(b, "}}"...)
	}
	return append(b, "]}}}"...), rows.Err()
}

// addComment writes the rows that the server writes: the comment, and the event that announces it. On Postgres the event
// is left where the server's sequencer would find it, for there is none here.
func (c *handler) addComment(r *http.Request, b []byte) ([]byte, error) {
	token, ok, err := auth.BearerToken(r.Header.Get("Authorization"))
	if err != nil || !ok {
		return b, status(http.StatusUnauthorized)
	}
	viewer, err := c.tokens.Verify(token)
	if err != nil {
		return b, status(http.StatusUnauthorized)
	}
	var in struct{ PostID, Content string }
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(nil, r.Body, 1<<20)); err != nil {
		return b, status(http.StatusBadRequest)
	}
	if err := json.Unmarshal(body.Bytes(), &in); err != nil {
		return b, status(http.StatusBadRequest)
	}
	on, err := gid.ParsePost(in.PostID)
	if n := utf8.RuneCountInString(in.Content); err != nil || n < 1 || n > 10_000 {
		return b, status(http.StatusBadRequest)
	}
	id, event, now := gid.NewComment(), gid.NewComment(), time.Now().UTC().Truncate(time.Microsecond)
	tx, err := c.write.BeginTx(r.Context(), nil)
	if err != nil {
		return b, err
	}
	defer tx.Rollback() // it fails when the transaction is over
	var username string
	err = tx.StmtContext(r.Context(), c.add).QueryRowContext(r.Context(), id, in.Content, viewer.User, on, now).Scan(&username)
	if errors.Is(err, sql.ErrNoRows) {
		return b, status(http.StatusNotFound)
	}
	if err != nil {
		return b, err
	}
	if _, err := tx.StmtContext(r.Context(), c.append).ExecContext(r.Context(), event.UUID(), "comment_added", id, on, now); err != nil {
		return b, err
	}
	if err := tx.Commit(); err != nil {
		return b, err
	}
	b = append(b, `{"data":{"addComment":{"id":"`...)
	b, _ = id.AppendText(b)
	b = appendText(append(b, `","content":`...), []byte(in.Content))
	b = now.AppendFormat(append(b, `,"createdAt":"`...), time.RFC3339Nano)
	b, _ = viewer.User.AppendText(append(b, `","author":{"id":"`...))
	b = appendText(append(b, `","username":`...), []byte(username))
	return append(b, "}}}}"...), nil
}
