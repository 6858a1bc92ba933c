package cost_test

import (
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"tidings/internal/cost"
)

// What a document may take before it is refused, or begins to run. The race
// detector makes everything slower, and other things run on the machine: only
// this thread's own time counts, and the best of three attempts.
const (
	maxCPU   = 50 * time.Millisecond
	maxBytes = 32 << 20
	slower   = 15 // under the race detector
)

// TestAttacks holds that nothing hurts, and that each attack ends as it should.
func TestAttacks(t *testing.T) {
	j := judge(t, cost.Limits{}, false)
	limit := maxCPU
	if raceDetector {
		limit *= slower
	}
	var slowest, largest string
	var cpu time.Duration
	var memory uint64
	for _, a := range attacks() {
		if len(a.document) > 256<<10 {
			t.Errorf("%s: %d bytes", a.name, len(a.document))
		}
		vars := variables(t, a.variables)
		var err error
		spent, bytes := spend(func() { _, err = admit(j, a.document, "", vars) })
		if got := verdict(err); got != a.want {
			t.Errorf("%s: %s, want %s: %.200v", a.name, got, a.want, err)
		}
		if spent > limit || bytes > maxBytes {
			t.Errorf("%s: took %v and %d KiB", a.name, spent, bytes>>10)
		}
		if spent > cpu {
			cpu, slowest = spent, a.name
		}
		if bytes > memory {
			memory, largest = bytes, a.name
		}
	}
	t.Logf("the slowest took %v (%s), the largest %d KiB (%s)", cpu, slowest, memory>>10, largest)
}

// spend returns the CPU time of this thread and the memory that f takes, the
// least of three times. Memory is all that was allocated, garbage included.
func spend(f func()) (cpu time.Duration, bytes uint64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i := range 3 {
		before, allocated := threadTime(), allocations()
		f()
		if d := threadTime() - before; i == 0 || d < cpu {
			cpu = d
		}
		if n := allocations() - allocated; i == 0 || n < bytes {
			bytes = n
		}
	}
	return cpu, bytes
}

func threadTime() time.Duration {
	const thisThread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thisThread, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func allocations() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
