package event

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Why one can't resume at a place. The sentences are for clients too; test with errors.Is, for they may be wrapped.
var (
	// ErrExpired says that what followed the place is not there in full: it was deleted by age, or the database was
	// restored or replaced. What was missed can't be told by the log; a client reads its lists anew.
	ErrExpired = errors.New("this cursor is no longer good: events after it are no longer kept")
	// ErrBadCursor says that a text is neither a cursor nor an id.
	ErrBadCursor = errors.New("this is neither a cursor of this server nor the id of an item")
	// ErrWrongKind says that a text is the id of something that the topic does not deliver.
	ErrWrongKind = errors.New("this is the id of another kind of item")
)

// Epoch names one log: random, made with the log's tables, and kept for as long as they live.
type Epoch [8]byte

// Cursor is a place in a log: right behind the event at Position.
//
// Why three parts? A log is at 700 when its database is restored from a backup taken at 500, and goes on. A client
// that comes back with 700 would miss the new 501 to 700, and nothing would look wrong. So until the log has grown
// to 700 again, the position is beyond the head; after that the Tag of the event there is another one. And where the
// whole database was replaced by a different one, the Epoch is.
type Cursor struct {
	Epoch    Epoch
	Position int64  // of the last event before the place; 0 before the first
	Tag      uint64 // Event.Tag of that event; 0 at position 0
}

// After returns the cursor right behind e in the log of that epoch.
func After(e Event, log Epoch) Cursor { return Cursor{log, e.Position, e.Tag()} }

// version starts every cursor's text, so that its form can change one day and an old one be told.
const version = 1

const (
	cursorSize = 1 + 8 + 8 + 8              // version, epoch, position and tag, big-endian
	textSize   = (cursorSize*8 + 6 - 1) / 6 // without padding
)

var encoding = base64.RawURLEncoding.Strict()

// String returns the cursor's text: 34 characters of base64url (RFC 4648, section 5), opaque to clients. No id of
// package gid looks like it.
func (c Cursor) String() string {
	b := append(make([]byte, 0, cursorSize), version)
	b = append(b, c.Epoch[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.Position))
	b = binary.BigEndian.AppendUint64(b, c.Tag)
	return encoding.EncodeToString(b)
}

// ParseCursor reads what String wrote, and only that: a cursor has one spelling. The error is ErrBadCursor. Whether
// the place exists is for the log to say.
func ParseCursor(s string) (Cursor, error) {
	var b [cursorSize]byte
	if len(s) != textSize {
		return Cursor{}, ErrBadCursor
	}
	if n, err := encoding.Decode(b[:], []byte(s)); err != nil || n != cursorSize || b[0] != version {
		return Cursor{}, ErrBadCursor
	}
	c := Cursor{Epoch: Epoch(b[1:9]), Position: int64(binary.BigEndian.Uint64(b[9:])), Tag: binary.BigEndian.Uint64(b[17:])}
	if c.Position < 0 || (c.Position == 0) != (c.Tag == 0) {
		return Cursor{}, ErrBadCursor
	}
	return c, nil
}

// WrongKind is ErrWrongKind, saying what was wanted and what was given.
func WrongKind(t Topic, got string) error {
	return fmt.Errorf("%w: a %s id is wanted here, this is a %s id", ErrWrongKind, t.Kind.Item(), got)
}
