package live

import (
	"sync"
	"sync/atomic"
)

// worker runs do in a goroutine of its own when it is woken, and again if it was woken meanwhile, and has none at other
// times.
type worker struct {
	do    func()
	all   *sync.WaitGroup // of those that run
	state atomic.Int32
}

const (
	asleep int32 = iota
	awake
	again // awake, and woken since it began
)

// wake makes do run, after this. It doesn't block.
func (w *worker) wake() {
	for {
		switch s := w.state.Load(); s {
		case asleep:
			if w.state.CompareAndSwap(asleep, awake) {
				w.all.Go(w.loop)
				return
			}
		case awake:
			if w.state.CompareAndSwap(awake, again) {
				return
			}
		default:
			return
		}
	}
}

func (w *worker) loop() {
	for {
		w.do()
		if w.state.CompareAndSwap(awake, asleep) {
			return
		}
		w.state.Store(awake)
	}
}
