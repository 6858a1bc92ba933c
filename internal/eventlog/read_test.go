package eventlog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"

	"tidings/internal/event"
	"tidings/internal/eventlog"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

func sql(t testing.TB, s *store.Store, statement string, args ...any) {
	t.Helper()
	if _, err := s.Client().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		l := open(t, s, eventlog.Options{})
		read := func(after int64, limit int, from, n int64) {
			t.Helper()
			es, err := l.Read(t.Context(), after, limit)
			if from < 0 {
				if !errors.Is(err, event.ErrExpired) || es != nil {
					t.Errorf("Read(%d, %d) = %d events, %v; want ErrExpired", after, limit, len(es), err)
				}
				return
			}
			if err != nil || int64(len(es)) != n {
				t.Errorf("Read(%d, %d) = %d events, %v; want %d", after, limit, len(es), err, n)
			}
			for i, e := range es {
				if e.Position != from+int64(i) {
					t.Errorf("Read(%d, %d): event %d is at %d", after, limit, i, e.Position)
				}
			}
		}
		read(0, 5, 0, 0)
		read(1, 5, -1, 0) // beyond the head of an empty log
		write(t, l, comments(10)...)
		await(t, l, 10)
		read(0, 5, 1, 5)
		read(0, 10, 1, 10)
		read(4, 3, 5, 3)
		read(5, 100, 6, 5)
		read(9, 1, 10, 1)
		read(10, 5, 0, 0)
		read(11, 5, -1, 0)
		read(1<<62, 5, -1, 0)
		sql(t, s, "DELETE FROM log WHERE pos < 6")
		read(0, 5, -1, 0)
		read(4, 5, -1, 0)
		read(5, 3, 6, 3) // the place itself is not kept any more, but all that follows is
		read(5, 100, 6, 5)
		read(6, 100, 7, 4)
		sql(t, s, "DELETE FROM log WHERE pos = 8") // nobody does this; but it must not pass for dense
		read(6, 100, -1, 0)
		read(6, 1, 7, 1)
	})
}

func TestResolve(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		l := open(t, s, eventlog.Options{})
		empty := head(t, l)
		posts, post, author := event.Posts(), gid.NewPost(), gid.NewUser()
		comment := gid.NewComment()
		topic := event.CommentsOn(post)
		is := func(topic event.Topic, after string, want event.Cursor) {
			t.Helper()
			if c, err := l.Resolve(t.Context(), topic, after); err != nil || c != want {
				t.Errorf("resolving %s for %s: %+v, %v; want %+v", after, topic.Kind, c, err, want)
			}
		}
		fails := func(topic event.Topic, after string, want error) {
			t.Helper()
			if c, err := l.Resolve(t.Context(), topic, after); !errors.Is(err, want) || c != (event.Cursor{}) {
				t.Errorf("resolving %s for %s: %+v, %v; want %v", after, topic.Kind, c, err, want)
			}
		}
		is(topic, empty.String(), empty)
		write(t, l, event.NewPostCreated(post, author), event.NewCommentAdded(comment, post))
		write(t, l, comments(8)...)
		es := await(t, l, 10)
		at := func(position int64) event.Cursor { return event.After(es[position-1], empty.Epoch) }

		is(topic, empty.String(), empty)
		is(topic, at(1).String(), at(1))
		is(topic, at(10).String(), at(10))
		is(posts, post.String(), at(1))
		is(event.PostsBy(author), post.String(), at(1))
		is(topic, comment.String(), at(2))

		fails(topic, post.String(), event.ErrWrongKind)
		fails(posts, comment.String(), event.ErrWrongKind)
		fails(posts, author.String(), event.ErrWrongKind)
		fails(posts, gid.NewPost().String(), event.ErrExpired)
		fails(topic, gid.NewComment().String(), event.ErrExpired)
		fails(event.CommentsOn(gid.NewPost()), comment.String(), event.ErrExpired) // a comment on another post
		fails(event.PostsBy(gid.NewUser()), post.String(), event.ErrExpired)
		for _, text := range []string{"", "10", at(10).String()[1:], strings.ToUpper(post.String()), "'; DROP TABLE log; --", "\x00"} {
			fails(topic, text, event.ErrBadCursor)
		}
		if _, err := l.Resolve(t.Context(), topic, post.String()); err == nil || !strings.Contains(err.Error(), "a comment id is wanted here, this is a post id") {
			t.Errorf("what a client is told: %v", err)
		}

		foreign, beyond, other := at(5), at(10), at(5)
		foreign.Epoch[3]++
		beyond.Position++
		other.Tag++
		for _, c := range []event.Cursor{foreign, beyond, other, {Epoch: foreign.Epoch}} {
			fails(topic, c.String(), event.ErrExpired)
		}

		sql(t, s, "DELETE FROM log WHERE pos < 5")
		is(topic, at(5).String(), at(5))
		for _, c := range []event.Cursor{at(4), at(1), empty} {
			fails(topic, c.String(), event.ErrExpired)
		}
		fails(topic, comment.String(), event.ErrExpired)

		// The database is restored from a backup that was taken at 7, and goes on.
		sql(t, s, "DELETE FROM log WHERE pos > 7")
		fails(topic, at(10).String(), event.ErrExpired)
		is(topic, at(7).String(), at(7))
		for range 5 {
			write(t, l, comments(1)...)
		}
		eventually(t, "it has grown past 10", func() bool { return head(t, l).Position == 12 })
		for _, c := range []event.Cursor{at(8), at(10)} {
			fails(topic, c.String(), event.ErrExpired)
		}
		is(topic, at(7).String(), at(7))
	})
}

// A post may be hidden again and again: a cursor stands behind each of these, and the post's id behind none.
func TestResolveAmongHidden(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		l := open(t, s, eventlog.Options{})
		epoch := head(t, l).Epoch
		post, author, comment := gid.NewPost(), gid.NewUser(), gid.NewComment()
		write(t, l, event.NewPostCreated(post, author), event.NewCommentAdded(gid.NewComment(), post))
		write(t, l, event.NewPostHidden(post))
		write(t, l, event.NewCommentAdded(comment, post))
		write(t, l, event.NewPostHidden(post))
		es := await(t, l, 5)
		for _, topic := range []event.Topic{event.CommentsOn(post), event.Posts()} {
			for _, e := range es {
				want := event.After(e, epoch)
				if c, err := l.Resolve(t.Context(), topic, want.String()); err != nil || c != want {
					t.Errorf("behind event %d: %+v, %v", e.Position, c, err)
				}
			}
			swapped := event.After(es[2], epoch) // the other post_hidden's tag
			swapped.Tag = es[4].Tag()
			if _, err := l.Resolve(t.Context(), topic, swapped.String()); !errors.Is(err, event.ErrExpired) {
				t.Errorf("with another event's tag: %v", err)
			}
		}
		for _, c := range []struct {
			topic event.Topic
			after string
			want  event.Cursor
			err   error
		}{
			{event.Posts(), post.String(), event.After(es[0], epoch), nil},
			{event.CommentsOn(post), comment.String(), event.After(es[3], epoch), nil},
			{event.CommentsOn(post), post.String(), event.Cursor{}, event.ErrWrongKind},
			{event.Topic{Kind: event.PostHidden}, post.String(), event.Cursor{}, event.ErrBadCursor},
			{event.UsersChanged(), author.String(), event.Cursor{}, event.ErrBadCursor},
		} {
			if got, err := l.Resolve(t.Context(), c.topic, c.after); got != c.want || !errors.Is(err, c.err) {
				t.Errorf("%s in %s: %+v, %v", c.after, c.topic.Kind, got, err)
			}
		}
	})
}

// An item whose event has committed and is not in the log yet is waited for.
func TestResolveWaitsForTheInbox(t *testing.T) {
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: testkit.MigratedPostgres(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l := eventlog.New(s.Client(), s.Dialect(), eventlog.Options{}) // nobody sequences
	post, other := gid.NewPost(), gid.NewPost()
	write(t, l, comments(3)...)
	write(t, l, event.NewPostCreated(post, gid.NewUser()))
	if _, err := l.Resolve(t.Context(), event.Posts(), other.String()); !errors.Is(err, event.ErrExpired) {
		t.Errorf("an unknown item: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := l.Resolve(short, event.Posts(), post.String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an item in the inbox, for 50 ms: %v", err)
	}
	type answer struct {
		c   event.Cursor
		err error
	}
	answers := make(chan answer)
	go func() {
		c, err := l.Resolve(t.Context(), event.Posts(), post.String())
		answers <- answer{c, err}
	}()
	select {
	case a := <-answers:
		t.Fatalf("it did not wait: %+v", a)
	case <-time.After(50 * time.Millisecond):
	}
	if moved, got, err := eventlog.Move(l, t.Context()); moved != 4 || !got || err != nil {
		t.Fatalf("moved %d, %v, %v", moved, got, err)
	}
	if a := <-answers; a.err != nil || a.c.Position != 4 || a.c != head(t, l) {
		t.Errorf("resolved to %+v", a)
	}
}
