package live

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"tidings/internal/event"
	"tidings/internal/gid"
)

// memLog is a Log in memory that keeps the promises of the interface, and can be broken and rewound.
type memLog struct {
	mu     sync.Mutex
	epoch  event.Epoch
	kept   []event.Event // positions first..first+len-1
	first  int64
	err    error // of every call, while set
	flaky  func() bool
	reads  int
	delay  time.Duration // of every Read
	signal chan struct{}
}

func newMemLog() *memLog {
	return &memLog{epoch: event.Epoch{1}, first: 1, signal: make(chan struct{}, 1)}
}

var errBroken = errors.New("the database is away")

func (l *memLog) head() int64 { return l.first + int64(len(l.kept)) - 1 }

// append adds events and returns them as the log has them. It wakes nobody.
func (l *memLog) append(es ...event.Event) []event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range es {
		es[i].Position = l.head() + 1
		l.kept = append(l.kept, es[i])
	}
	return es
}

func (l *memLog) wake() {
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// trim deletes all but the last n.
func (l *memLog) trim(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	cut := len(l.kept) - n
	l.kept, l.first = slices.Clone(l.kept[cut:]), l.first+int64(cut)
}

// rewind forgets all behind position.
func (l *memLog) rewind(position int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = slices.Clone(l.kept[:position-l.first+1])
}

func (l *memLog) set(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *memLog) fault() error {
	if l.flaky != nil && l.flaky() {
		return errBroken
	}
	return l.err
}

func (l *memLog) Head(context.Context) (event.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fault(); err != nil {
		return event.Cursor{}, err
	}
	if l.head() == 0 {
		return event.Cursor{Epoch: l.epoch}, nil
	}
	return event.After(l.kept[len(l.kept)-1], l.epoch), nil
}

func (l *memLog) Read(ctx context.Context, after int64, limit int) ([]event.Event, error) {
	if l.delay > 0 {
		time.Sleep(l.delay)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	if err := l.fault(); err != nil {
		return nil, err
	}
	if after > l.head() || after < l.first-1 {
		return nil, event.ErrExpired
	}
	from := int(after - l.first + 1)
	return slices.Clone(l.kept[from:min(from+limit, len(l.kept))]), nil
}

func (l *memLog) Resolve(_ context.Context, _ event.Topic, after string) (event.Cursor, error) {
	c, err := event.ParseCursor(after)
	if err != nil {
		return c, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fault(); err != nil {
		return c, err
	}
	switch {
	case c.Epoch != l.epoch, c.Position > l.head(), c.Position < l.first-1,
		c.Position >= l.first && l.kept[c.Position-l.first].Tag() != c.Tag:
		return c, event.ErrExpired
	}
	return c, nil
}

// Topics of the tests, from rare to frequent in what randomEvent makes.
var (
	author = gid.UserOf(uuid.UUID{1})
	posts  = [...]gid.Post{gid.PostOf(uuid.UUID{1}), gid.PostOf(uuid.UUID{2}), gid.PostOf(uuid.UUID{3})}
	topics = [...]event.Topic{event.PostsBy(author), event.Posts(), event.CommentsOn(posts[0]), event.CommentsOn(posts[1])}
)

func comment() event.Event { return event.NewCommentAdded(gid.NewComment(), posts[0]) }

func commentsN(n int) []event.Event {
	es := make([]event.Event, n)
	for i := range es {
		es[i] = comment()
	}
	return es
}
