package matrix

import (
	"fmt"
	"testing"

	"tidings/internal/config"
	"tidings/internal/gid"
	"tidings/internal/testkit"
)

// nodes reads each kind by a statement of its own. Where one kind goes directly and another has to be begun again by the
// executor, all are answered with what they are: here it is a comment whose author is gone that makes the comments' turn
// a surprise, as any passing failure of their statement would.
func TestNodesOfWhichSomeAreASurprise(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		p := plant(t, d)
		db := testkit.OpenDatabase(t, d)
		var err error
		db.SetMaxOpenConns(1)
		var user, post, comment string
		var comments []*object
		for _, o := range p.m.objects {
			switch {
			case o.typ == "User" && user == "":
				user = o.id
			case o.typ == "Post" && post == "" && o.values["published"] == true:
				post = o.id
			case o.typ == "Comment" && o.post.values["published"] == true && len(comments) < 2:
				comments, comment = append(comments, o), o.id
			}
		}
		if d.Dialect == config.Postgres {
			_, err = db.Exec(`ALTER TABLE comments DROP CONSTRAINT comments_users_comments`)
		} else {
			_, err = db.Exec(`PRAGMA foreign_keys = off`)
		}
		p.must(err)
		_, err = db.Exec(`UPDATE comments SET author_id = '00000000-0000-7000-8000-000000000000' WHERE id = $1`, idOfComment(comments[0]))
		p.must(err)
		query := fmt.Sprintf(`{ nodes(ids: [%q, %q, %q, %q]) { id ... on User { username createdAt } ... on Post { title } ... on Comment { content author { username } } } }`,
			user, post, comments[0].id, comment)
		got, want := p.raw(p.node, p.viewers[3], query, "", nil), p.raw(p.executor, p.viewers[3], query, "", nil)
		if got != want {
			t.Errorf("directly:    %s\nby executor: %s", got.body, want.body)
		}
	})
}

func idOfComment(o *object) string { return idOf(gid.ParseComment, o).UUID().String() }
