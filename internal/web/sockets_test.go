package web

import (
	"sync"
	"testing"
	"testing/synctest"
)

// TestSocketsThatArriveAreWaitedFor: whoever has begun a handshake is told to
// come back like all others, and not cut off because the drain was done between
// the two.
func TestSocketsThatArriveAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sockets{open: map[peer]struct{}{}, beating: true}
		s.empty = sync.NewCond(&s.mu)
		for range 2 {
			if !s.expect() {
				t.Fatal("none may come")
			}
		}
		var waiting sync.WaitGroup
		waiting.Go(s.wait)
		c := new(conn)
		for step, next := range []func(){func() {}, func() { s.add(nil) }, func() { s.add(c) }} {
			next()
			synctest.Wait()
			if s.drained {
				t.Fatalf("drained after step %d", step)
			}
		}
		s.remove(c)
		waiting.Wait()
		if s.expect() {
			t.Error("one more may come")
		}
	})
}
