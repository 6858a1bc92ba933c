// Package checker holds what subscribers were told against what is in the database, and says which promise of the live
// subscriptions was broken. It knows the protocol, as far as clients see it, and the tables; of the server's code it uses
// nothing, so that it can't share an error with it.
//
// Somebody who drives a server writes down what was done and what was told (Record); Load reads what was committed; Check
// compares the two. A good record gives no errors, however often servers were killed or connections were cut meanwhile.
package checker

import (
	"errors"
	"fmt"
)

// The promises. Each error of Check is one of them, by errors.Is.
var (
	// ErrOrdered: every subscriber sees a topic's events in the order of the log, and in the log stands what was
	// answered before something else was asked for in front of that.
	ErrOrdered = errors.New("not ordered")
	// ErrUnique: nothing comes twice on one subscription.
	ErrUnique = errors.New("not unique")
	// ErrReliable: nothing is left out on a subscription, unless it is told so by an error.
	ErrReliable = errors.New("not reliable")
	// ErrAtomic: an event is in the log exactly if its transaction committed, and nothing else is announced.
	ErrAtomic = errors.New("not atomic")
	// ErrResumable: from every place that was given out, the exact suffix comes.
	ErrResumable = errors.New("not resumable")
	// ErrPermitted: nobody is told what they may not see, or have not asked for.
	ErrPermitted = errors.New("not permitted")
)

// Broken is an error of Check: a promise that was not kept, and where.
type Broken struct {
	Promise error  // one of those above
	Where   string // the stream's name, or "the log" or "the database"
	What    string
}

// Error implements error.
func (b *Broken) Error() string { return fmt.Sprintf("%v: %s: %s", b.Promise, b.Where, b.What) }

// Unwrap gives the promise.
func (b *Broken) Unwrap() error { return b.Promise }

// most bounds the errors of one promise: behind the first ones there is nothing new.
const most = 10

// Check returns what is wrong with a record, at most ten errors a promise. The database must be one that nobody writes to
// any more.
func Check(d *Database, r *Record) []error {
	c := newCheck(d, r)
	c.log()
	c.acts()
	c.rows()
	c.cursors()
	for i := range r.Streams {
		c.stream(&r.Streams[i])
	}
	return c.broken
}

// check is one run of Check.
type check struct {
	*facts
	record *Record
	broken []error
	count  map[error]int
}

func newCheck(d *Database, r *Record) *check {
	return &check{facts: newFacts(d, r), record: r, count: map[error]int{}}
}

func (c *check) fault(promise error, where, format string, args ...any) {
	if c.count[promise]++; c.count[promise] <= most {
		c.broken = append(c.broken, &Broken{promise, where, fmt.Sprintf(format, args...)})
	}
}
