// Package event says what an event is: the kinds of events there are, and the topics that clients subscribe to.
//
// An event announces that something happened to an item; it holds ids and no copies, so that what is delivered is
// loaded, and permitted, at delivery. It is made in the transaction that it announces (eventlog.Log.Write) and gets
// its position when the log takes it in.
//
// To add a kind: a constant, a New function that makes its events, and a topic function for whoever listens.
package event

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"

	"tidings/internal/gid"
)

// Kind is what happened. It reads <item>_<happened>: before the underscore stands the kind of id (package gid) that
// the item has. Kinds are stored in the log: a name is never given a new meaning.
//
// A post is created, and a comment added, at most once: to resume behind the item is to resume behind that event. Of
// the other kinds an item may have any number of events, and nobody resumes behind an item of theirs (Topic.Once). A
// cursor is of a position, and may stand behind an event of any kind.
type Kind string

// The kinds.
const (
	PostCreated  Kind = "post_created" // a post became public for the first time
	CommentAdded Kind = "comment_added"
	// PostHidden: a public post was taken back, or a post, public or not, was deleted. It can be published and taken
	// back again, any number of times.
	PostHidden Kind = "post_hidden"
	// For the nodes themselves: no client subscribes to these.
	SessionEnded Kind = "session_ended" // its access tokens are no longer good
	UserChanged  Kind = "user_changed"  // what the user may do has changed: the role, or whether active
)

// Item returns the kind of id (gid.Kind) that the events' items have: "post" for PostCreated.
func (k Kind) Item() string {
	item, _, _ := strings.Cut(string(k), "_")
	return item
}

// Event is something that happened, once.
type Event struct {
	Position int64     // in the log: dense, from 1; 0 until the log has taken the event in
	ID       uuid.UUID // of the event itself; fresh, so that its Tag tells two histories of one log apart
	Kind     Kind
	Subject  uuid.UUID // the item: the post, the comment
	Scope    uuid.UUID // what the item belongs to, never zero: the post's author, the comment's post; of a hidden post itself
	At       time.Time // when its transaction appended it, by the clock of the writing node; zero until then
}

// NewPostCreated says that the post became public.
func NewPostCreated(p gid.Post, author gid.User) Event {
	return newEvent(PostCreated, p.UUID(), author.UUID())
}

// NewCommentAdded says that the comment was added to the post.
func NewCommentAdded(c gid.Comment, on gid.Post) Event {
	return newEvent(CommentAdded, c.UUID(), on.UUID())
}

// NewPostHidden says that the post was taken back or deleted. Who may see it still is for its policy to say, at delivery.
func NewPostHidden(p gid.Post) Event { return newEvent(PostHidden, p.UUID(), p.UUID()) }

// NewSessionEnded says that the session of the user has ended.
func NewSessionEnded(s gid.Session, of gid.User) Event {
	return newEvent(SessionEnded, s.UUID(), of.UUID())
}

// NewUserChanged says that what the user may do has changed.
func NewUserChanged(u gid.User) Event { return newEvent(UserChanged, u.UUID(), u.UUID()) }

func newEvent(k Kind, subject, scope uuid.UUID) Event {
	return Event{ID: uuid.Must(uuid.NewV7()), Kind: k, Subject: subject, Scope: scope}
}

// Tag is what a cursor remembers of the event at its position: the random half of the event's id. It is never 0.
func (e Event) Tag() uint64 { return binary.BigEndian.Uint64(e.ID[8:]) }

// Topic is what one can subscribe to: the events of a kind, of one scope or of any, and what may end such a
// subscription. It is comparable; the zero Topic is none.
type Topic struct {
	Kind  Kind
	Scope uuid.UUID // zero: any
}

// Posts is every post.
func Posts() Topic { return Topic{Kind: PostCreated} }

// PostsBy is the posts of one author.
func PostsBy(author gid.User) Topic { return Topic{PostCreated, author.UUID()} }

// CommentsOn is the comments on one post, and among them, in their order, that the post was hidden.
func CommentsOn(p gid.Post) Topic { return Topic{CommentAdded, p.UUID()} }

// SessionsEnded is the end of every session.
func SessionsEnded() Topic { return Topic{Kind: SessionEnded} }

// UsersChanged is every change of what a user may do.
func UsersChanged() Topic { return Topic{Kind: UserChanged} }

// Once reports whether an item has at most one event of t's kind, so that an item's id names a place in t.
func (t Topic) Once() bool { return t.Kind == PostCreated || t.Kind == CommentAdded }

// Covers reports whether e belongs to t.
func (t Topic) Covers(e Event) bool {
	topics := e.Topics()
	return t == topics[0] || t == topics[1]
}

// Topics returns the topics that cover e: these and no others.
func (e Event) Topics() [2]Topic {
	if e.Kind == PostHidden {
		return [...]Topic{{PostHidden, uuid.Nil}, {CommentAdded, e.Scope}}
	}
	return [...]Topic{{e.Kind, uuid.Nil}, {e.Kind, e.Scope}}
}
