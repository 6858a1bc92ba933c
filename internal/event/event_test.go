package event_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"tidings/internal/event"
	"tidings/internal/gid"
)

var (
	author  = gid.NewUser()
	post    = gid.NewPost()
	comment = gid.NewComment()
	session = gid.NewSession()
)

// examples holds every kind: an event of it, the topics that must cover it, and some of its kind that must not.
var examples = map[event.Kind]struct {
	event    event.Event
	in, out  []event.Topic
	subject  uuid.UUID
	itemKind string
}{
	event.PostCreated: {
		event: event.NewPostCreated(post, author), subject: post.UUID(), itemKind: gid.PostKind,
		in: []event.Topic{event.Posts(), event.PostsBy(author)}, out: []event.Topic{event.PostsBy(gid.NewUser())},
	},
	event.CommentAdded: {
		event: event.NewCommentAdded(comment, post), subject: comment.UUID(), itemKind: gid.CommentKind,
		in: []event.Topic{event.CommentsOn(post)}, out: []event.Topic{event.CommentsOn(gid.NewPost())},
	},
	event.PostHidden: {
		event: event.NewPostHidden(post), subject: post.UUID(), itemKind: gid.PostKind,
		in: []event.Topic{event.CommentsOn(post), {Kind: event.PostHidden}}, out: []event.Topic{event.CommentsOn(gid.NewPost())},
	},
	event.SessionEnded: {
		event: event.NewSessionEnded(session, author), subject: session.UUID(), itemKind: gid.SessionKind,
		in: []event.Topic{event.SessionsEnded()},
	},
	event.UserChanged: {
		event: event.NewUserChanged(author), subject: author.UUID(), itemKind: gid.UserKind,
		in: []event.Topic{event.UsersChanged()},
	},
}

func TestKinds(t *testing.T) {
	kinds := declaredKinds(t)
	if len(kinds) == 0 || len(kinds) != len(examples) {
		t.Errorf("%d kinds are declared, %d have an example here", len(kinds), len(examples))
	}
	for _, k := range kinds {
		x, ok := examples[k]
		if !ok {
			t.Errorf("kind %q has no example", k)
			continue
		}
		e := x.event
		if e.Kind != k || e.Subject != x.subject || e.Scope == uuid.Nil || e.Position != 0 || e.Tag() == 0 || !e.At.IsZero() {
			t.Errorf("%s: made as %+v", k, e)
		}
		if k.Item() != x.itemKind {
			t.Errorf("%s: its items have ids of kind %q, not %q", k, x.itemKind, k.Item())
		}
		topics := e.Topics()
		for _, in := range x.in {
			if !in.Covers(e) || in != topics[0] && in != topics[1] {
				t.Errorf("%s: topic %v must cover it", k, in)
			}
		}
		for other, y := range examples {
			for _, topic := range y.in {
				if other != k && !slices.Contains(x.in, topic) {
					x.out = append(x.out, topic)
				}
			}
		}
		for _, out := range append(x.out, event.Topic{}) {
			if out.Covers(e) || out == topics[0] || out == topics[1] {
				t.Errorf("%s: topic %v must not cover it", k, out)
			}
		}
	}
}

// declaredKinds reads the constants of type Kind from the source: Go can't list them otherwise, and a kind that is
// forgotten here must not pass unseen.
func declaredKinds(t *testing.T) (kinds []event.Kind) {
	f, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := v.Type.(*ast.Ident); ok && name.Name == "Kind" {
			for _, value := range v.Values {
				s, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, event.Kind(s))
			}
		}
		return true
	})
	return kinds
}

func TestEventsDiffer(t *testing.T) {
	a, b := event.NewPostCreated(post, author), event.NewPostCreated(post, author)
	if a.ID == b.ID || a.Tag() == b.Tag() {
		t.Errorf("two events share an id or a tag: %+v, %+v", a, b)
	}
}

func TestCursorRoundTrip(t *testing.T) {
	e := event.NewPostCreated(post, author)
	e.Position = 1<<62 + 7
	for _, c := range []event.Cursor{
		{},
		{Epoch: event.Epoch{1, 2, 3, 4, 5, 6, 7, 255}},
		{Epoch: event.Epoch{0xff, 0xfe}, Position: 1, Tag: 1},
		event.After(e, event.Epoch{9}),
	} {
		s := c.String()
		got, err := event.ParseCursor(s)
		if err != nil || got != c {
			t.Errorf("%+v: %q reads as %+v, %v", c, s, got, err)
		}
		if gid.Kind(s) != "" {
			t.Errorf("%q is an id too", s)
		}
	}
}

func TestBadCursors(t *testing.T) {
	good := event.Cursor{Epoch: event.Epoch{1}, Position: 500, Tag: 77}.String()
	last := good[len(good)-1:]
	texts := []string{
		"", "0", "500", good[1:], good + "A", good + "=", good + "==", " " + good, good + "\n",
		good[:10] + "\n" + good[10:], good[:10] + "\n" + good[11:], "B" + good[1:],
		good[:len(good)-1] + string(last[0]+1), // bits behind the end: a second spelling
		strings.Repeat("A", len(good)), strings.Repeat("_", len(good)), comment.String(), post.String(),
		event.Cursor{Position: -1, Tag: 1}.String(), event.Cursor{Position: 1}.String(), event.Cursor{Tag: 1}.String(),
	}
	for _, s := range texts {
		if c, err := event.ParseCursor(s); err != event.ErrBadCursor {
			t.Errorf("%q reads as %+v, %v", s, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add(event.Cursor{Epoch: event.Epoch{1}, Position: 500, Tag: 77}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := event.ParseCursor(s); err == nil && c.String() != s {
			t.Errorf("%q is a second spelling of %s", s, c)
		}
	})
}
