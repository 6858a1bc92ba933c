package web

import (
	"context"
	"sync"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/auth"
)

// line is what a connection is to the operations that it carries, whether it is a socket (conn) or a response (stream).
type line struct {
	// What delivering needs comes first, in a line or two of the processor's cache.
	out       out
	direct    *conn // the conn itself if it can be written to without waiting; nil on a stream
	transport       // the conn or stream itself

	server  *Server
	id      string        // of the request that opened it, for the log
	meter   *meter        // nil if nothing is limited
	slots   chan struct{} // held by what executes
	ctx     context.Context
	cancel  context.CancelFunc // ctx; conn.halt ends the operations, too
	running sync.WaitGroup     // the operations' goroutines

	mu     sync.Mutex
	over   bool            // no goroutine is begun any more
	values context.Context // for the operations: who asks, from where
}

// transport is what differs between the connections that carry operations.
type transport interface {
	// write sees to it that what waits in the queue is written. It doesn't block. Only who was told to calls it.
	write()
	// prefix is what an operation's events begin with, or nil where they are server-sent events.
	prefix(id string) []byte
	// completion is what says that an operation came to its end, failure that it failed.
	completion(id string) []byte
	failure(id string, errs gqlerror.List) []byte
	// countSubscription notes that op is a subscription, if one more may be.
	countSubscription(op *operation) error
	// forget says that op has ended, or that what ends it goes out now.
	forget(op *operation)
	// current returns what has become of the viewer of one of the operations, as Server.current does.
	current(auth.Viewer) (auth.Viewer, error)
	// shutOut ends the connection of a viewer who is none any more, for an error of current.
	shutOut(err error)
	// goAway ends the connection, when what else it is answering has been, because this node goes away.
	goAway()
}

// spawn runs f in a goroutine of the connection's, unless that is over, and reports whether it does.
func (l *line) spawn(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.running.Go(f)
	}
	return !l.over
}

// put puts a frame into the queue, waits for room there, and has it written. The error is ctx's, or errEnded.
func (l *line) put(ctx context.Context, it item) error {
	write, err := l.out.put(ctx, it)
	if write {
		l.write()
	}
	return err
}

// fill makes frames of what goes out of s.items, and returns how many bytes these counted for in the queue.
func (l *line) fill(s *scratch) (size int) {
	s.b, s.ends = s.b[:0], s.ends[:0]
	for _, it := range s.items {
		size += it.size()
		if l.goesOut(it) {
			s.b = it.append(s.b)
			s.ends = append(s.ends, len(s.b))
		}
	}
	return size
}

// goesOut tells whether a frame may still go out. That of an operation that its
// client has completed may not. That which ends one frees its id, before the
// client can know.
func (l *line) goesOut(it item) bool {
	if it.op == nil {
		return true
	}
	muted := it.op.muted.Load()
	if it.final {
		l.forget(it.op)
	}
	return !muted
}
