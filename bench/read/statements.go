//go:build linux

package main

import (
	"encoding/json"
	"strings"
)

// statements are the control's, of one database.
type statements struct {
	one      string // a post with its author
	latest   string // the latest 20 posts with their authors' usernames
	parents  string // the same with more of their authors
	deep     string // as latest, behind a place, and one more
	comments string // the first 5 comments of each of the posts with their authors, in the order of the posts
	search   string // the 20 best matches
	add      string // a comment on a post that the viewer may see; gives the viewer's username
	append   string // an event

	list  func(ids []string) string // the argument of comments
	words func(query string) []any  // those of search
}

const (
	postOf = `SELECT p.id, p.title, p.content, p.created_at, u.id, u.username, u.full_name FROM posts p JOIN users u ON u.id = p.author_id`
	postBy = `SELECT p.id, p.title, p.content, p.created_at, u.username FROM posts p JOIN users u ON u.id = p.author_id`
	newest = ` ORDER BY p.created_at DESC, p.id DESC LIMIT `
)

const (
	addComment = `INSERT INTO comments (id, content, author_id, post_id, created_at, updated_at)
		SELECT $1, $2, $3, p.id, $5, $5 FROM posts p WHERE p.id = $4 AND (p.published OR p.author_id = $3)`
	returnUsername = ` RETURNING (SELECT username FROM users WHERE id = author_id)`
)

var postgresStatements = statements{
	one:     postOf + ` WHERE p.id = $1 AND p.published`,
	latest:  postBy + ` WHERE p.published` + newest + `20`,
	parents: postOf + ` WHERE p.published` + newest + `20`,
	deep:    postBy + ` WHERE p.published AND (p.created_at, p.id) < ($1, $2)` + newest + `21`,
	comments: `SELECT c.post_id, c.id, c.content, c.created_at, u.username
		FROM unnest($1::uuid[]) WITH ORDINALITY AS parent(id, n) CROSS JOIN LATERAL (
			SELECT post_id, id, content, created_at, author_id FROM comments WHERE post_id = parent.id ORDER BY created_at, id LIMIT 5
		) c JOIN users u ON u.id = c.author_id ORDER BY parent.n, c.created_at, c.id`,
	search: `SELECT p.id, p.title, p.created_at, (SELECT username FROM users WHERE id = p.author_id) FROM (
			SELECT id, title, created_at, author_id, ts_rank(search, query) AS rank FROM posts, websearch_to_tsquery('english', $1) query
			WHERE search @@ query AND published ORDER BY rank DESC, id DESC LIMIT 20
		) p ORDER BY p.rank DESC, p.id DESC`,
	add:    addComment + ` FOR SHARE` + returnUsername,
	append: `INSERT INTO log_inbox (event, kind, subject, scope, at) VALUES ($1, $2, $3, $4, $5)`,
	list:   func(ids []string) string { return "{" + strings.Join(ids, ",") + "}" },
	words:  func(query string) []any { return []any{query} },
}

// As above, but that SQLite ranks by what stands in the title, as the server has it rank.
var sqliteStatements = statements{
	one:     postgresStatements.one,
	latest:  postgresStatements.latest,
	parents: postgresStatements.parents,
	deep:    postgresStatements.deep,
	comments: `SELECT c.post_id, c.id, c.content, c.created_at, u.username
		FROM json_each($1) AS parent CROSS JOIN comments c ON c.rowid IN (
			SELECT rowid FROM comments WHERE post_id = parent.value ORDER BY created_at, id LIMIT 5
		) CROSS JOIN users u ON u.id = c.author_id ORDER BY parent.key, c.created_at, c.id`,
	search: `SELECT p.id, p.title, p.created_at, u.username FROM (
			SELECT d.post_id, -(s.rowid IN (SELECT rowid FROM post_search WHERE post_search MATCH $2))
				-(s.rowid IN (SELECT rowid FROM post_search WHERE post_search MATCH $3)) AS score
			FROM post_search s JOIN post_search_doc d ON d.doc = s.rowid WHERE post_search MATCH $1
		) hit JOIN posts p ON p.id = hit.post_id JOIN users u ON u.id = p.author_id WHERE p.published
		ORDER BY hit.score, p.id DESC LIMIT 20`,
	add:    addComment + returnUsername,
	append: `INSERT INTO log (pos, id, kind, subject, scope, at) SELECT coalesce(max(pos), 0) + 1, $1, $2, $3, $4, $5 FROM log`,
	list: func(ids []string) string {
		b, _ := json.Marshal(ids) // strings
		return string(b)
	},
	words: func(query string) []any {
		words := strings.Fields(strings.ReplaceAll(query, `"`, " "))
		for i, w := range words {
			words[i] = `"` + w + `"`
		}
		all, some := strings.Join(words, " "), strings.Join(words, " OR ")
		return []any{all, "{title} : (" + all + ")", "{title} : (" + some + ")"}
	},
}
