package checker

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	_ "github.com/lib/pq"  // the drivers that Load is
	_ "modernc.org/sqlite" // called with
)

// Kind is what an event announces, as the log calls it.
type Kind string

// The kinds that the checker looks at.
const (
	PostCreated  Kind = "post_created"
	CommentAdded Kind = "comment_added"
	PostHidden   Kind = "post_hidden"
)

// Database is what was committed. Ids are as clients see them.
type Database struct {
	Events   []Event // by position
	Waiting  int     // events that are committed and not in the log
	Posts    map[string]Post
	Comments map[string]Comment
}

// Event is a row of the log.
type Event struct {
	Position       int64
	Kind           Kind
	Subject, Scope string // "" of what clients have no id for
}

// Post is a row of the posts.
type Post struct {
	Author    string
	Public    bool // now
	Announced bool // it is or was public
}

// Comment is a row of the comments.
type Comment struct{ Post, Author string }

// Load reads a database in one transaction. The driver is "sqlite" or "postgres".
func Load(ctx context.Context, driver, dsn string) (*Database, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: driver == "postgres"})
	if err != nil {
		return nil, fmt.Errorf("reading the database: %w", err)
	}
	defer tx.Rollback() // nothing was written
	d := &Database{Posts: map[string]Post{}, Comments: map[string]Comment{}}
	each := func(query string, columns int, row func(text []string)) error {
		rows, err := tx.QueryContext(ctx, query)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		defer rows.Close()
		for rows.Next() {
			text, into := make([]string, columns), make([]any, columns)
			for i := range text {
				into[i] = &text[i]
			}
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
			row(text)
		}
		return rows.Err()
	}
	waiting := ""
	if driver == "postgres" {
		waiting = " UNION ALL SELECT 'waiting', kind, CAST(subject AS text), CAST(scope AS text), id FROM log_inbox"
	}
	err = each(`SELECT 'log', kind, CAST(subject AS text), CAST(scope AS text), pos FROM log`+waiting+` ORDER BY 5`, 5, func(text []string) {
		if text[0] != "log" {
			d.Waiting++
			return
		}
		e := Event{Kind: Kind(text[1])}
		_, _ = fmt.Sscan(text[4], &e.Position) // it is a number
		switch e.Kind {
		case PostCreated:
			e.Subject, e.Scope = ID("post", text[2]), ID("user", text[3])
		case CommentAdded:
			e.Subject, e.Scope = ID("comment", text[2]), ID("post", text[3])
		case PostHidden:
			e.Subject, e.Scope = ID("post", text[2]), ID("post", text[3])
		}
		d.Events = append(d.Events, e)
	})
	if err != nil {
		return nil, err
	}
	truth := func(condition string) string { return "CASE WHEN " + condition + " THEN 'yes' ELSE 'no' END" }
	err = each("SELECT CAST(id AS text), CAST(author_id AS text), "+truth("published")+", "+truth("published_at IS NOT NULL")+" FROM posts", 4, func(text []string) {
		d.Posts[ID("post", text[0])] = Post{ID("user", text[1]), text[2] == "yes", text[3] == "yes"}
	})
	if err != nil {
		return nil, err
	}
	err = each("SELECT CAST(id AS text), CAST(post_id AS text), CAST(author_id AS text) FROM comments", 3, func(text []string) {
		d.Comments[ID("comment", text[0])] = Comment{ID("post", text[1]), ID("user", text[2])}
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// alphabet is Crockford's base32 in lower case.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// ID is the id that clients see of a thing, from its UUID as the database writes it: the prefix and the number of 128
// bits in 26 digits of base32. What is no UUID comes back as it is.
func ID(prefix, uuid string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
	if err != nil || len(b) != 16 {
		return uuid
	}
	digits := make([]byte, 26)
	for i := len(digits) - 1; i >= 0; i-- { // divides by 32
		rest := 0
		for j := range b {
			n := rest<<8 | int(b[j])
			b[j], rest = byte(n/32), n%32
		}
		digits[i] = alphabet[rest]
	}
	return prefix + "_" + string(digits)
}
