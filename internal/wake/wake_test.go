package wake_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"tidings/internal/wake"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

func TestSignalTakesManyForOne(t *testing.T) {
	var s wake.Signal
	s.Wake() // nobody waits: nothing happens
	a, stopA := s.Wait()
	b, stopB := s.Wait()
	defer stopB()
	for range 3 {
		s.Wake()
	}
	for _, c := range []<-chan struct{}{a, b} {
		if len(c) != 1 {
			t.Fatalf("%d wake-ups wait after three", len(c))
		}
		<-c
	}
	stopA()
	stopA()
	s.Wake()
	if len(a) != 0 || len(b) != 1 {
		t.Errorf("after one has stopped: %d, %d wake-ups", len(a), len(b))
	}
}

// Whoever is woken must see what was done before: a wake-up that arrives while the waiter looks is kept.
func TestSignalLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s wake.Signal
		var mu sync.Mutex
		done, seen := 0, 0
		woken, stop := s.Wait()
		defer stop()
		const writers, each = 8, 200
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				for range each {
					mu.Lock()
					done++
					mu.Unlock()
					s.Wake()
				}
			})
		}
		all.Go(func() {
			for seen < writers*each { // a lost wake-up is a deadlock here, which synctest reports
				<-woken
				mu.Lock()
				seen = done
				mu.Unlock()
			}
		})
		all.Wait()
	})
}
