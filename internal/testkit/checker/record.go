package checker

import "time"

// Record is what was done to servers and what they told. Times are of one clock.
type Record struct {
	Acts    []Act
	Marks   map[string]Mark // by cursor
	Streams []Stream
}

// A Deed is what a mutation does.
type Deed string

// The deeds.
const (
	Draft   Deed = "draft"   // a post was made that nobody else may see
	Publish Deed = "publish" // a post was made that everyone may see, or became such a one
	Hide    Deed = "hide"    // a post was taken back
	Say     Deed = "say"     // a comment was made
	Delete  Deed = "delete"  // a post or a comment was deleted
)

// Act is a mutation. One of which the outcome is not known, because no answer came, has no Acked; it may lack its Item,
// and then tells nothing: what it did is in the database, or isn't.
type Act struct {
	Deed        Deed
	Item        string // the id of the post or comment
	Sent, Acked time.Time
}

// Mark is a cursor that was asked for apart from any delivery (liveCursor): all that is written after it was answered is
// behind it. What was written before that may be, too.
type Mark struct{ Answered time.Time }

// Stream is one subscriber's view of one topic, over all the subscriptions by which it was followed: a Run begins where
// the one before it ended.
type Stream struct {
	Name   string
	Kind   Kind
	Scope  string // the post of the comments; the author of the posts, "" of all
	Viewer string // the user's id; "" is nobody
	Runs   []Run
}

// Run is one subscription.
type Run struct {
	After string    // a cursor, the id of an item, or "": from now
	Begun time.Time // right before it was asked for
	Got   []Delivery
	End   End
}

// Delivery is a payload.
type Delivery struct {
	Item, Cursor string
	At           time.Time
}

// End says how a subscription came to its end; what is none of the constants is the code of the error that it ended with.
type End string

// The ends that are no errors.
const (
	// Open: it has not ended, and was waited for: all that there is was delivered.
	Open End = ""
	// Cut: its connection ended, or the server ended it with a close code on which clients come back. What was on the way
	// is for the next run.
	Cut End = "cut"
	// Completed: by the server.
	Completed End = "completed"
)

// cursorExpired is the code that says that a place can't be resumed at, and so that something may be lost.
const cursorExpired End = "CURSOR_EXPIRED"
