// Package heap says how large the heap may grow between garbage collections.
package heap

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A collection takes time in proportion to what is alive, and memory as much as is allocated until the next. Go's own
// rule, to collect when the heap has doubled, collects a server with little alive all the time, and lets one with
// thousands of sockets, which hardly allocate, keep as much room again as they take. So the heap may grow by a third of
// what is alive, but by Room at least; and by up to as much again, as Go has it, while collections follow each other fast.

// Room is by how much the heap may always grow, in bytes.
const Room = 16 << 20

// By what part of what is alive the heap may grow beyond that, in percent: least in any case, and most when less than
// fast lies between two collections.
const (
	least = 33
	most  = 100
	fast  = 500 * time.Millisecond
)

// smallest is what Go always lets the heap grow to, in bytes: so much at 100 percent, and as many times that as the
// percentage is more.
const smallest = 4 << 20

// Tune makes the process collect by this rule from now on, and reports whether it does: with GOGC in the environment
// that has been decided. GOMEMLIMIT stays in force. It is called once.
func Tune() bool {
	if os.Getenv("GOGC") != "" {
		return false
	}
	afterCollection(time.Now()) // the first comes soon, at 4 MiB
	return true
}

// afterCollection looks again after the next collection, when it is known what is alive. The one before was at last.
func afterCollection(last time.Time) {
	sentinel := new([64]byte) // nothing refers to it, so the next collection finds it
	runtime.AddCleanup(sentinel, func(last time.Time) {
		now, was := time.Now(), gogc()
		// Setting it stops the world for a moment, so small changes are not worth it.
		if want := percent(alive(), was, now.Sub(last)); 10*want < 9*was || 10*want > 11*was {
			debug.SetGCPercent(want)
		}
		afterCollection(now)
	}, last)
}

// percent is the GOGC by which the heap grows by the rule: it was another, and so much time lies between the last two
// collections.
func percent(alive uint64, was int, between time.Duration) int {
	p := max(least, int(min(100*Room/max(alive, 1), 100*(alive+Room)/smallest)))
	if between < fast {
		p = max(p, min(most, was+was/2))
	}
	return p
}

// alive is what the last collection found, stacks included, in bytes.
func alive() (n uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(samples)
	for _, s := range samples {
		n += s.Value.Uint64()
	}
	return n
}

func gogc() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
