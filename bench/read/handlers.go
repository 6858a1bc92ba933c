//go:build linux

package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"tidings/internal/auth"
	"tidings/internal/gid"
)

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
