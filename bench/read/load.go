//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// A database gets what the server's own writes would have left in it: the rows, their events in the log, and what the
// database itself keeps for searching, by triggers and generated columns that the server's migrations have made.

// rows of a table, as they are loaded.
type rows struct {
	table   string
	columns []string
	each    func(yield func([]any) bool)
}

// tables are the rows of d. passwordHash is everybody's. Times are as both databases keep them, ids as text.
func (d *data) tables(passwordHash string) []rows {
	return []rows{{
		"users", []string{"id", "username", "username_key", "full_name", "email", "email_key", "search_text", "password_hash", "role", "is_active", "created_at", "updated_at"},
		func(yield func([]any) bool) {
			for _, u := range d.users {
				email := u.username + "@example.org"
				if !yield([]any{u.id, u.username, strings.ToLower(u.username), u.name, email, strings.ToLower(email), strings.ToLower(u.username + "\n" + u.name),
					passwordHash, "MEMBER", true, u.at, u.at}) {
					return
				}
			}
		},
	}, {
		"posts", []string{"id", "title", "content", "published", "published_at", "created_at", "updated_at", "author_id"},
		func(yield func([]any) bool) {
			for _, p := range d.posts {
				var published any
				if p.published {
					published = p.at
				}
				if !yield([]any{p.id, p.title, p.content, p.published, published, p.at, p.at, p.author}) {
					return
				}
			}
		},
	}, {
		"comments", []string{"id", "content", "created_at", "updated_at", "post_id", "author_id"},
		func(yield func([]any) bool) {
			for _, c := range d.comments {
				if !yield([]any{c.id, c.content, c.at, c.at, c.on, c.author}) {
					return
				}
			}
		},
	}, {"log", []string{"pos", "id", "kind", "subject", "scope", "at"}, d.events}}
}

// events are those of the published posts and of all comments, in the order of their times.
func (d *data) events(yield func([]any) bool) {
	pos := 0
	event := func(kind string, subject, scope uuid.UUID, at time.Time) bool {
		pos++
		id := subject
		id[15] ^= 0xff // as random as the subject's own, and another
		return yield([]any{pos, id, kind, subject, scope, at})
	}
	posts := d.posts
	for _, c := range d.comments {
		for ; len(posts) > 0 && !posts[0].at.After(c.at); posts = posts[1:] {
			if p := posts[0]; p.published && !event("post_created", p.id.UUID(), p.author.UUID(), p.at) {
				return
			}
		}
		if !event("comment_added", c.id.UUID(), c.on.UUID(), c.at) {
			return
		}
	}
	for _, p := range posts {
		if p.published && !event("post_created", p.id.UUID(), p.author.UUID(), p.at) {
			return
		}
	}
}

// load fills a database that the server has made, and in which one account has signed up.
func load(ctx context.Context, db *sql.DB, postgres bool, d *data) error {
	var passwordHash string
	if err := db.QueryRowContext(ctx, "SELECT password_hash FROM users").Scan(&passwordHash); err != nil {
		return fmt.Errorf("looking for the account: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // it fails when the transaction is over
	for _, r := range d.tables(passwordHash) {
		if err := r.insert(ctx, tx, postgres); err != nil {
			return fmt.Errorf("loading %s: %w", r.table, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	after := "PRAGMA wal_checkpoint(TRUNCATE)"
	if postgres { // as its own vacuum would have it in a minute
		after = "VACUUM ANALYZE"
	}
	_, err = db.ExecContext(ctx, after)
	return err
}

func (r rows) insert(ctx context.Context, tx *sql.Tx, postgres bool) error {
	statement := "INSERT INTO " + r.table + " (" + strings.Join(r.columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(r.columns)-1) + ")"
	if postgres {
		statement = "COPY " + r.table + " (" + strings.Join(r.columns, ", ") + ") FROM STDIN"
	}
	stmt, err := tx.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for values := range r.each {
		if _, err := stmt.ExecContext(ctx, values...); err != nil {
			return err
		}
	}
	if postgres {
		_, err = stmt.ExecContext(ctx) // the end of what is copied
	}
	return err
}

// openPostgres opens a database so that times come back in UTC.
func openPostgres(database string) (*sql.DB, error) {
	cfg, err := pq.NewConfig(database)
	if err != nil {
		return nil, err
	}
	if cfg.Runtime == nil {
		cfg.Runtime = map[string]string{}
	}
	cfg.Runtime["timezone"] = "UTC"
	connector, err := pq.NewConnectorConfig(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
