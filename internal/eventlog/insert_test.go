package eventlog_test

import (
	"bytes"
	"context"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"tidings/ent"
	"tidings/ent/comment"
	"tidings/ent/post"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// conversation is a post and who may talk about it.
type conversation struct {
	author, reader gid.User
	post           gid.Post
}

func newConversation(t testing.TB, s *store.Store, published bool) conversation {
	t.Helper()
	c, ctx := conversation{gid.NewUser(), gid.NewUser(), gid.NewPost()}, auth.AsSystem(t.Context())
	for name, id := range map[string]gid.User{"ada": c.author, "bob": c.reader} {
		if err := s.Client().User.Create().SetID(id).SetUsername(name).SetFullName(name).SetEmail(name + "@example.com").SetPasswordHash("x").Exec(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Client().Post.Create().SetID(c.post).SetAuthorID(c.author).SetTitle("A post").SetContent("x").SetPublished(published).SetPublishedAt(time.Now()).Exec(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// says gives the insertion of a comment.
func (c conversation) says(who gid.User, content string, e event.Event) func(*ent.Client) eventlog.Insertion {
	id := gid.CommentOf(e.Subject)
	return func(tx *ent.Client) eventlog.Insertion {
		return eventlog.Insertion{
			On:    tx.Post.Query().Where(post.ID(c.post)),
			Row:   tx.Comment.Create().SetID(id).SetAuthorID(who).SetPostID(c.post).SetContent(content),
			Event: e,
		}
	}
}

// roundabout makes an insertion ask the database for more, as a hook might, which takes more statements than one.
func roundabout(build func(*ent.Client) eventlog.Insertion) func(*ent.Client) eventlog.Insertion {
	return func(tx *ent.Client) eventlog.Insertion {
		i := build(tx)
		i.Row = asking{tx, i.Row}
		return i
	}
}

type asking struct {
	client *ent.Client
	row    interface{ Exec(context.Context) error }
}

func (a asking) Exec(ctx context.Context) error {
	if _, err := a.client.User.Query().Count(ctx); err != nil {
		return err
	}
	return a.row.Exec(ctx)
}

func by(t testing.TB, u gid.User) context.Context {
	return auth.WithViewer(t.Context(), auth.Viewer{User: u})
}

func contents(t testing.TB, s *store.Store) string {
	t.Helper()
	all, err := s.Client().Comment.Query().Order(ent.Asc(comment.FieldID)).Select(comment.FieldContent).Strings(auth.AsSystem(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func added(c conversation) event.Event { return event.NewCommentAdded(gid.NewComment(), c.post) }

func TestInsert(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		l := open(t, s, eventlog.Options{})
		draft := newConversation(t, s, false)
		var want []event.Event
		for _, way := range []struct {
			name string
			of   func(func(*ent.Client) eventlog.Insertion) func(*ent.Client) eventlog.Insertion
		}{
			{"at once", func(build func(*ent.Client) eventlog.Insertion) func(*ent.Client) eventlog.Insertion { return build }},
			{"roundabout", roundabout},
		} {
			e := added(draft)
			if ok, err := l.Insert(by(t, draft.author), way.of(draft.says(draft.author, "it's $1 "+way.name, e))); !ok || err != nil {
				t.Fatalf("%s: %v, %v", way.name, ok, err)
			}
			want = append(want, e)
			for name, try := range map[string]struct {
				by      gid.User
				content string
				event   event.Event
				ok      func(error) bool
			}{
				"on what the viewer may not see": {draft.reader, "x", added(draft), func(err error) bool { return err == nil }},
				"without content":                {draft.author, "", added(draft), ent.IsConstraintError},
				"a second time":                  {draft.author, "x", e, ent.IsConstraintError},
				"without an event":               {draft.author, "x", event.Event{Subject: gid.NewComment().UUID()}, func(err error) bool { return err != nil }},
			} {
				if ok, err := l.Insert(by(t, try.by), way.of(draft.says(try.by, try.content, try.event))); ok || !try.ok(err) {
					t.Errorf("%s, %s: %v, %v", way.name, name, ok, err)
				}
			}
			if ok, err := l.Insert(by(t, draft.author), way.of(draft.says(draft.reader, "x", added(draft)))); ok || err == nil || ent.IsConstraintError(err) {
				t.Errorf("%s, in another's name: %v, %v", way.name, ok, err)
			}
		}
		for i, e := range await(t, l, len(want)) {
			if !equal(e, want[i]) {
				t.Errorf("event %d: %+v, want %+v", i+1, e, want[i])
			}
		}
		if got := contents(t, s); got != "it's $1 at once, it's $1 roundabout" {
			t.Errorf("the comments are %q", got)
		}
	})
}

// On Postgres, a row and its event are one statement and no transaction around it, whoever inserts.
func TestInsertIsOneStatement(t *testing.T) {
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: testkit.MigratedPostgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := newConversation(t, s, true)
	l := eventlog.New(s.Client().Debug(), s.Dialect(), eventlog.Options{})
	for _, v := range []auth.Viewer{{User: c.author}, {User: c.reader}, {User: c.reader, Admin: true}} {
		var asked bytes.Buffer
		log.SetOutput(&asked) // where ent's debugging client writes
		ok, err := l.Insert(auth.WithViewer(t.Context(), v), c.says(v.User, "x", added(c)))
		log.SetOutput(os.Stderr)
		if !ok || err != nil || strings.Count(asked.String(), "\n") != 1 || !strings.Contains(asked.String(), "FOR SHARE") {
			t.Errorf("%+v: %v, %v, and what was run is\n%s", v, ok, err, &asked)
		}
	}
}

// What an inserted row belongs to stays as it was found: who hides it first is waited for, and nothing is inserted.
func TestInsertWaitsForWhoHides(t *testing.T) {
	s := openWide(t, testkit.MigratedPostgres(t))
	c := newConversation(t, s, true)
	l := open(t, s, eventlog.Options{})
	for _, build := range []func(*ent.Client) eventlog.Insertion{c.says(c.reader, "x", added(c)), roundabout(c.says(c.reader, "x", added(c)))} {
		sql(t, s, "UPDATE posts SET published = true")
		hiding, err := s.Client().Tx(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hiding.ExecContext(t.Context(), "UPDATE posts SET published = false"); err != nil {
			t.Fatal(err)
		}
		type outcome struct {
			ok  bool
			err error
		}
		inserted := make(chan outcome, 1)
		go func() {
			ok, err := l.Insert(by(t, c.reader), build)
			inserted <- outcome{ok, err}
		}()
		eventually(t, "it waits", func() bool {
			var n int
			rows, err := s.Client().QueryContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			if !rows.Next() || rows.Scan(&n) != nil {
				t.Fatal(rows.Err())
			}
			return n == 1
		})
		if err := hiding.Commit(); err != nil {
			t.Fatal(err)
		}
		if got := <-inserted; got.ok || got.err != nil {
			t.Errorf("inserted on what was hidden: %v, %v", got.ok, got.err)
		}
	}
	if h := head(t, l); h.Position != 0 || contents(t, s) != "" {
		t.Errorf("the log is at %d, the comments are %q", h.Position, contents(t, s))
	}
}
