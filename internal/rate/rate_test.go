package rate

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// clock is a time that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Unix(1_000_000, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func TestBucket(t *testing.T) {
	c := newClock()
	b := NewBuckets(Limit{Burst: 20, Refill: 4}, 10, c.now)
	want := func(what string, got, want State) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
		}
	}
	want("a look at a full one", b.Look("a", 20), State{OK: true, Limit: 20, Remaining: 20})
	want("the first", b.Take("a", 15), State{OK: true, Limit: 20, Remaining: 5, Reset: 3750 * time.Millisecond})
	want("too much", b.Take("a", 6), State{Limit: 20, Remaining: 5, Retry: 250 * time.Millisecond, Reset: 3750 * time.Millisecond})
	want("all that is left", b.Take("a", 5), State{OK: true, Limit: 20, Reset: 5 * time.Second})
	want("another's", b.Take("b", 1), State{OK: true, Limit: 20, Remaining: 19, Reset: 250 * time.Millisecond})
	c.pass(250*time.Millisecond - 1)
	want("too early", b.Take("a", 1), State{Limit: 20, Retry: time.Millisecond, Reset: 4751 * time.Millisecond})
	c.pass(1)
	want("in time", b.Take("a", 1), State{OK: true, Limit: 20, Reset: 5 * time.Second})
	b.Give("a", 3)
	want("given back", b.Look("a", 3), State{OK: true, Limit: 20, Remaining: 3, Reset: 4250 * time.Millisecond})
	want("looking took nothing", b.Look("a", 4), State{Limit: 20, Remaining: 3, Retry: 250 * time.Millisecond, Reset: 4250 * time.Millisecond})
	c.pass(time.Hour)
	want("never more than full", b.Look("a", 0), State{OK: true, Limit: 20, Remaining: 20})
	want("more than a bucket holds", b.Take("a", 1000), State{OK: true, Limit: 20, Reset: 5 * time.Second})
	want("and then nothing", b.Take("a", 1000), State{Limit: 20, Retry: 5 * time.Second, Reset: 5 * time.Second})
	b.Give("a", 1000)
	want("given back whole", b.Look("a", 20), State{OK: true, Limit: 20, Remaining: 20})
}

// TestBucketOfMany: those who take at the same time get what there is, no more and no less.
func TestBucketOfMany(t *testing.T) {
	b := NewBuckets(Limit{Burst: 1000, Refill: 1}, 10, newClock().now)
	var all sync.WaitGroup
	var mu sync.Mutex
	taken := 0
	for range 8 {
		all.Go(func() {
			for range 1000 {
				n := 1 + rand.IntN(3)
				if b.Take("a", n).OK {
					mu.Lock()
					taken += n
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if left := b.Look("a", 0).Remaining; taken+left != 1000 || left > 2 {
		t.Errorf("%d taken and %d left of 1000", taken, left)
	}
}

// TestFlood: a million keys leave no more than twice as many buckets as there may be, and less than 200 bytes for each.
// One that is used all the time survives it.
func TestFlood(t *testing.T) {
	const most, keys = 10_000, 1_000_000
	c := newClock()
	b := NewBuckets(Limit{Burst: 100, Refill: 1}, most, c.now)
	before := heap()
	b.Take("busy", 100)
	for i := range keys {
		b.Take("address "+strconv.Itoa(i), 1)
		if i%1000 == 0 && b.Take("busy", 1).OK {
			t.Fatalf("after %d others the busy one is full", i)
		}
	}
	if n := b.Len(); n > 2*most || n < most {
		t.Errorf("%d buckets", n)
	}
	grown := heap() - before
	t.Logf("%d buckets take %d bytes each", b.Len(), grown/int64(b.Len()))
	if grown > 2*most*200 {
		t.Errorf("%d bytes for %d buckets", grown, b.Len())
	}
	c.pass(200 * time.Second)
	b.Look("busy", 1)
	if n := b.Len(); n != 0 {
		t.Errorf("%d buckets are remembered after they have filled", n)
	}
	runtime.KeepAlive(b)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRecent holds Recent against what its comment says, over random uses.
func TestRecent(t *testing.T) {
	const most, life = 20, time.Minute
	c := newClock()
	r := NewRecent[int, string](most, life)
	used := map[int]time.Time{}
	var order []int // of use, the latest last
	for step := range 20_000 {
		c.pass(time.Duration(rand.Int64N(int64(10 * time.Second))))
		k := rand.IntN(30)
		last, known := used[k]
		since := map[int]bool{}
		for i := len(order) - 1; i >= 0 && order[i] != k; i-- {
			since[order[i]] = true
		}
		v := r.Find(k, c.now())
		age := c.now().Sub(last)
		switch {
		case v != nil && (!known || *v != fmt.Sprint(k)):
			t.Fatalf("step %d: %d is %v", step, k, v)
		case v != nil && age > 2*life:
			t.Fatalf("step %d: still there after %v", step, age)
		case v == nil && known && age < life && len(since) < most:
			t.Fatalf("step %d: forgotten after %v and %d others", step, age, len(since))
		}
		*r.At(k, c.now()) = fmt.Sprint(k)
		used[k], order = c.now(), append(order, k)
		if n := r.Len(); n > 2*most {
			t.Fatalf("step %d: %d entries", step, n)
		}
		if rand.IntN(20) == 0 {
			r.Delete(k)
			delete(used, k)
			if r.Find(k, c.now()) != nil {
				t.Fatalf("step %d: deleted and still there", step)
			}
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for name, keys := range map[string]int{"one key": 1, "100000 keys": 100_000} {
		b.Run(name, func(b *testing.B) {
			names := make([]string, keys)
			for i := range names {
				names[i] = "address " + strconv.Itoa(i)
			}
			buckets := NewBuckets(Limit{Burst: 1 << 30, Refill: 1e9}, 1<<16, time.Now)
			b.ReportAllocs()
			b.RunParallel(func(p *testing.PB) {
				for i := rand.IntN(keys); p.Next(); i++ {
					buckets.Take(names[i%keys], 1)
				}
			})
		})
	}
}
