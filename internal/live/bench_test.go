package live

import (
	"fmt"
	"runtime"
	"testing"

	"tidings/internal/event"
)

// BenchmarkDeliver is the cost of an event for one of many subscribers: handed over by the hub and taken by Next. Each
// iteration is one event for all of them.
func BenchmarkDeliver(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			log := newMemLog()
			h := New(log, nil, Options{})
			if err := h.startOver(b.Context()); err != nil {
				b.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			subs := make([]*Subscription, n)
			for i := range subs {
				s, err := h.Subscribe(b.Context(), Request{Topic: event.CommentsOn(posts[0])})
				if err != nil {
					b.Fatal(err)
				}
				subs[i] = s
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			e := comment()
			b.ReportAllocs()
			for b.Loop() {
				e.Position++
				h.publish(e)
				for _, s := range subs {
					if got, err := s.Next(b.Context()); err != nil || got.Position != e.Position {
						b.Fatalf("event %d, %v; want %d", got.Position, err, e.Position)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/subscriber")
			runtime.KeepAlive(subs)
		})
	}
}
