// Package spend measures what a piece of code takes, for tests that hold it to
// a bound on a machine that others use too.
package spend

import (
	"runtime"
	"runtime/metrics"
	"syscall"
	"time"
	"unsafe"
)

// Bounds of what is done for a request before it is refused or runs.
const (
	MaxCPU   = 50 * time.Millisecond * slower
	MaxBytes = 32 << 20
)

// Most remembers which of several took most.
type Most struct {
	CPU              time.Duration
	Bytes            uint64
	Slowest, Largest string
}

// Of measures f: the CPU time of its thread, and all that was allocated,
// garbage and that of other goroutines included. It runs f three times, and
// returns the least of each.
func Of(f func()) (cpu time.Duration, bytes uint64) {
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

// Add takes note of what was measured for name.
func (m *Most) Add(name string, cpu time.Duration, bytes uint64) {
	if cpu > m.CPU {
		m.CPU, m.Slowest = cpu, name
	}
	if bytes > m.Bytes {
		m.Bytes, m.Largest = bytes, name
	}
}

// threadTime is exact: getrusage(2) counts in ticks of the scheduler on some
// kernels.
func threadTime() time.Duration {
	const threadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var t syscall.Timespec
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadCPU, uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		panic(err)
	}
	return time.Duration(t.Nano())
}

func allocations() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
