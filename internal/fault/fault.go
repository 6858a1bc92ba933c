// Package fault says what went wrong to whom.
//
// An [Error] is meant for a client: a code that programs read, a sentence that
// people read, and at most the field it is about. Everything that is not an
// Error is nobody's business but ours: [Presenter] shows it as INTERNAL with an
// id, and logs the cause once under that id.
//
// Where an error arises, return a fault if the client can do something about
// it, and a wrapped ordinary error if not. Don't log it as well.
package fault

import (
	"strings"
	"time"
)

// Code is the extensions.code of an error: the one part of it that programs
// may depend on. Clients treat a code they don't know as INTERNAL.
type Code string

const (
	// CodeBadUserInput is an argument or variable that breaks a rule.
	// extensions.field says which.
	CodeBadUserInput Code = "BAD_USER_INPUT"
	// CodeNotFound is a thing that does not exist or that the viewer may not
	// see; the two look the same.
	CodeNotFound Code = "NOT_FOUND"
	// CodeUnauthenticated means that it takes someone signed in, or that the
	// credentials given are not good.
	CodeUnauthenticated Code = "UNAUTHENTICATED"
	// CodeForbidden means that the viewer sees the thing but may not do this.
	CodeForbidden Code = "FORBIDDEN"
	// CodeConflict is a clash with what is there already. extensions.reason
	// says which: USERNAME_TAKEN, EMAIL_TAKEN, LAST_ADMIN.
	CodeConflict Code = "CONFLICT"
	// CodeCursorExpired means that what follows a cursor can't be told without
	// a gap any more: query afresh and subscribe after the new liveCursor.
	CodeCursorExpired Code = "CURSOR_EXPIRED"
	// CodeRateLimited means later, not never: after extensions.retryAfter.
	CodeRateLimited Code = "RATE_LIMITED"
	// CodeTooComplex is an operation refused for its cost before it ran.
	CodeTooComplex Code = "QUERY_TOO_COMPLEX"
	// CodePersistedQueryNotFound means that the document of a hash isn't known
	// here (any more): send its text as well.
	CodePersistedQueryNotFound Code = "PERSISTED_QUERY_NOT_FOUND"
	// CodeCancelled is an operation that its client or a shutdown ended before
	// it was done. Hardly anyone is left to read it.
	CodeCancelled Code = "CANCELLED"
	// CodeInternal is our own failure. extensions.id finds it in the log.
	CodeInternal Code = "INTERNAL"
)

// An Error is shown to the client, all but Err. It is a value to return and
// not to change: those of package variables are shared.
type Error struct {
	Code Code
	// Message is a sentence for people, safe to show: it names nothing that
	// the viewer may not know.
	Message string
	// Field is the path of the input it is about from the argument on, as in
	// "input.title". Empty when it is about none, or when it arose while the
	// input was decoded: then the presenter knows the path.
	Field string
	// Reason tells apart what shares a code, as in USERNAME_TAKEN. Mostly empty.
	Reason string
	// RetryAfter is how long to wait before trying again; 0 is unsaid. Clients
	// get whole seconds, rounded up.
	RetryAfter time.Duration
	// Over is the limit that was broken; nil unless one was.
	Over *Over
	// Err is the cause, for the log only. It may be nil.
	Err error

	id string // of an INTERNAL that stands in the log already
}

// Over is how much there was of something, and how much may be.
type Over struct {
	Measure      string // what was measured, as in "cost": the extension that shows Value
	Value, Limit int
}

// Error is for the log: unlike Message it tells the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if e.Reason != "" {
		b.WriteString(" " + e.Reason)
	}
	if e.Field != "" {
		b.WriteString(" " + e.Field)
	}
	b.WriteString(": " + e.Message)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause, nil if there is none.
func (e *Error) Unwrap() error { return e.Err }

// Because returns a copy of e with a cause for the log, which the client
// doesn't see.
func (e *Error) Because(cause error) *Error {
	with := *e
	with.Err = cause
	return &with
}

// BadInput says that the value at field ("input.title") breaks a rule.
func BadInput(field, sentence string) *Error {
	return &Error{Code: CodeBadUserInput, Field: field, Message: sentence}
}

// NotFound says that something isn't there, or not for this viewer.
func NotFound(sentence string) *Error {
	return &Error{Code: CodeNotFound, Message: sentence}
}

// Unauthenticated says that one must sign in first, or that signing in failed.
func Unauthenticated(sentence string) *Error {
	return &Error{Code: CodeUnauthenticated, Message: sentence}
}

// Forbidden says that the viewer may not do this.
func Forbidden(sentence string) *Error {
	return &Error{Code: CodeForbidden, Message: sentence}
}

// Conflict says that the value at field clashes with what is there; reason
// tells programs how ("USERNAME_TAKEN").
func Conflict(reason, field, sentence string) *Error {
	return &Error{Code: CodeConflict, Reason: reason, Field: field, Message: sentence}
}

// CursorExpired says that a stream can't go on after a cursor without a gap.
func CursorExpired(sentence string) *Error {
	return &Error{Code: CodeCursorExpired, Message: sentence}
}

// RateLimited says to come back after a while.
func RateLimited(after time.Duration, sentence string) *Error {
	return &Error{Code: CodeRateLimited, RetryAfter: after, Message: sentence}
}

// TooComplex says that an operation costs more than one may.
func TooComplex(sentence string) *Error {
	return &Error{Code: CodeTooComplex, Message: sentence}
}

// PersistedQueryNotFound says that the document of a hash isn't known. Its
// message is no sentence, for some clients know it by that.
func PersistedQueryNotFound() *Error {
	return &Error{Code: CodePersistedQueryNotFound, Message: "PersistedQueryNotFound"}
}

// A List is several faults at once, such as one for each field of an input. A
// resolver returns it like any error (see [List.Err]), and the presenter makes
// one GraphQL error of each, in order.
type List []*Error

// Err returns the list as an error, and nil if it is empty: an empty List in
// an error variable would not be nil.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

func (l List) Error() string {
	each := make([]string, len(l))
	for i, e := range l {
		each[i] = e.Error()
	}
	return strings.Join(each, "; ")
}

// Unwrap lets errors.Is and errors.As look into each of them.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}
