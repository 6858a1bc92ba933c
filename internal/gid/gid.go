// Package gid holds the ids of Tidings: one Go type for each kind of thing, so that a post's id can't be passed
// where a user's is wanted.
//
// Outside, an id is text that says what it is: a prefix, an underscore and 26 characters of base32
// ("post_01kb2n7v3ve9fs2m8tq5y0xw4r"). It is opaque to clients, case-sensitive, and sorts by the time of its making.
// Inside, it is a UUIDv7 (RFC 9562, section 5.7), stored as Postgres' native uuid and as canonical text in SQLite.
package gid

import (
	"database/sql/driver"
	"fmt"

	"github.com/google/uuid"
)

// Prefixes of the kinds, as they stand before the underscore.
const (
	UserKind    = "user"
	PostKind    = "post"
	CommentKind = "comment"
	SessionKind = "session"
)

type (
	userKind    struct{}
	postKind    struct{}
	commentKind struct{}
	sessionKind struct{}
)

func (userKind) prefix() string    { return UserKind }
func (postKind) prefix() string    { return PostKind }
func (commentKind) prefix() string { return CommentKind }
func (sessionKind) prefix() string { return SessionKind }

type kind interface{ prefix() string }

// of is the one implementation behind the named types. Its zero value is no id.
type of[K kind] struct{ u uuid.UUID }

// The ids. They are comparable, and their zero value (IsZero) belongs to nothing.
type (
	// User is the id of a user.
	User struct{ of[userKind] }
	// Post is the id of a post.
	Post struct{ of[postKind] }
	// Comment is the id of a comment.
	Comment struct{ of[commentKind] }
	// Session is the id of a signed-in session.
	Session struct{ of[sessionKind] }
)

// NewUser, and its likes below, make an id that sorts after every one made before it by this process.
func NewUser() User       { return User{of[userKind]{fresh()}} }
func NewPost() Post       { return Post{of[postKind]{fresh()}} }
func NewComment() Comment { return Comment{of[commentKind]{fresh()}} }
func NewSession() Session { return Session{of[sessionKind]{fresh()}} }

// UserOf, and its likes below, give a bare UUID its kind. The caller knows that it is one.
func UserOf(u uuid.UUID) User       { return User{of[userKind]{u}} }
func PostOf(u uuid.UUID) Post       { return Post{of[postKind]{u}} }
func CommentOf(u uuid.UUID) Comment { return Comment{of[commentKind]{u}} }
func SessionOf(u uuid.UUID) Session { return Session{of[sessionKind]{u}} }

// ParseUser, and its likes below, read an id's text. The error is a *KindError where the text is an id of another
// kind, else a *SyntaxError; both are sentences that a client may see.
func ParseUser(s string) (i User, err error)       { i.u, err = parse(UserKind, s); return }
func ParsePost(s string) (i Post, err error)       { i.u, err = parse(PostKind, s); return }
func ParseComment(s string) (i Comment, err error) { i.u, err = parse(CommentKind, s); return }
func ParseSession(s string) (i Session, err error) { i.u, err = parse(SessionKind, s); return }

// Parse reads an id of whatever kind: which kind ("post") and the bare value. ok is false for anything else.
func Parse(s string) (kind string, u uuid.UUID, ok bool) {
	for _, k := range [...]string{UserKind, PostKind, CommentKind, SessionKind} {
		if u, ok := cut(k, s); ok {
			return k, u, true
		}
	}
	return "", uuid.UUID{}, false
}

// Kind returns the kind that a well-formed id names ("post"), or "" for anything else.
func Kind(s string) string {
	k, _, _ := Parse(s)
	return k
}

// KindError says that an id of one kind was given where another was wanted.
type KindError struct{ Want, Got string }

func (e *KindError) Error() string {
	return fmt.Sprintf("a %s id is wanted here, this is a %s id", e.Want, e.Got)
}

// SyntaxError says that a text is no id at all. The text itself is left out: it may be long, or secret.
type SyntaxError struct{ Want string }

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not a %s id: it should look like %q", e.Want, e.Want+"_"+example)
}

const example = "01kb2n7v3ve9fs2m8tq5y0xw4r"

// UUID returns the bare value.
func (i of[K]) UUID() uuid.UUID { return i.u }

// IsZero reports whether this is no id.
func (i of[K]) IsZero() bool { return i.u == uuid.UUID{} }

// AppendText appends the id's text.
func (i of[K]) AppendText(b []byte) ([]byte, error) {
	var k K
	b = append(b, k.prefix()...)
	b = append(b, '_')
	return encode(b, i.u), nil
}

// String returns the id's text.
func (i of[K]) String() string {
	b, _ := i.AppendText(make([]byte, 0, 40))
	return string(b)
}

// MarshalText is String, for encoding/json and log/slog.
func (i of[K]) MarshalText() ([]byte, error) { return i.AppendText(make([]byte, 0, 40)) }

// UnmarshalText reads what MarshalText wrote.
func (i *of[K]) UnmarshalText(b []byte) (err error) {
	var k K
	i.u, err = parse(k.prefix(), string(b))
	return
}

// Value stores the id as canonical UUID text, which both databases take.
func (i of[K]) Value() (driver.Value, error) { return i.u.String(), nil }

// Scan reads what a uuid column holds.
func (i *of[K]) Scan(src any) error {
	if err := i.u.Scan(src); err != nil {
		var k K
		return fmt.Errorf("reading a %s id: %w", k.prefix(), err)
	}
	return nil
}

func fresh() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func parse(want, s string) (uuid.UUID, error) {
	u, ok := cut(want, s)
	if ok {
		return u, nil
	}
	if got := Kind(s); got != "" {
		return u, &KindError{Want: want, Got: got}
	}
	return u, &SyntaxError{Want: want}
}

func cut(kind, s string) (u uuid.UUID, ok bool) {
	n := len(kind)
	if len(s) != n+1+encodedLen || s[:n] != kind || s[n] != '_' {
		return u, false
	}
	return decode(s[n+1:])
}
