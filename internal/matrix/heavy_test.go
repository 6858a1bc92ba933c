package matrix

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tidings/internal/testkit"
)

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured runs fn and gives its CPU time, what it allocated and the highest heap that was seen meanwhile.
func measured(fn func()) (used time.Duration, allocated, peak uint64) {
	runtime.GC()
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	before, base := sample[0].Value.Uint64(), sample[1].Value.Uint64()
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		mine := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				metrics.Read(mine)
				if now := mine[0].Value.Uint64(); now > base {
					peak = max(peak, now-base)
				}
			}
		}
	})
	began := cpu()
	fn()
	used = cpu() - began
	close(stop)
	watching.Wait()
	metrics.Read(sample)
	return used, sample[0].Value.Uint64() - before, peak
}

// TestLargeOperations: what is answered or refused for its size allocates no gigabyte, either way. It was up to 430 MiB by
// rows, where a text that is joined comes once with each row, and up to 115 by the executor.
func TestLargeOperations(t *testing.T) {
	plantEverywhere(t, func(p *planted) {
		author := p.viewers[1]
		big := p.node.Must(author.token, `mutation($i: CreatePostInput!) { createPost(input: $i) { id } }`, map[string]any{"i": map[string]any{
			"title": strings.Repeat("\U0010fffd", 200), "content": strings.Repeat("\U0010fffd", 40000), "published": true}}).Text("createPost", "id")
		for range 100 {
			p.node.AddComment(author.token, big, "x")
		}
		lists := func(n int, sel string) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "c%d: comments(first: %d) { nodes { %s } } ", i, 100-i, sel)
			}
			return b.String()
		}
		ops := map[string]string{
			"1 list of joined contents":   fmt.Sprintf(`{ post(id: %q) { %s } }`, big, lists(1, "post { content }")),
			"16 lists of joined contents": fmt.Sprintf(`{ post(id: %q) { %s } }`, big, lists(16, "post { content }")),
			"15 roots of joined contents": func() string {
				var b strings.Builder
				for i := range 15 {
					fmt.Fprintf(&b, "r%d: post(id: %q) { comments(first: %d) { nodes { post { content } } } } ", i, big, 100-i)
				}
				return "{" + b.String() + "}"
			}(),
			"90 lists of joined titles": fmt.Sprintf(`{ post(id: %q) { %s } }`, big, lists(90, "post { title }")),
			"10 roots, titles 9 times each": func() string {
				var b, f strings.Builder
				for i := range 9 {
					fmt.Fprintf(&f, "a%d: title ", i)
				}
				for i := range 9 {
					fmt.Fprintf(&b, "r%d: posts(first: %d) { nodes { %s } } ", i, 100-i, f.String())
				}
				return "{" + b.String() + "}"
			}(),
		}
		for name, op := range ops {
			if name != testkit.Of("15 roots of joined contents", name) {
				continue
			}
			for way, node := range map[string]*testkit.Node{"direct": p.node, "executor": p.executor} {
				var o outcome
				before := node.Reads()
				used, allocated, peak := measured(func() { o = p.raw(node, author, op, "", nil) })
				after := node.Reads()
				if allocated > 1<<30 {
					t.Errorf("%s, %s: %d MiB allocated", name, way, allocated>>20)
				}
				t.Logf("%-32s %-9s CPU %8v allocated %5d MiB peak %5d MiB answer %d bytes %.60s reads %+v", name, way, used.Round(time.Millisecond), allocated>>20, peak>>20, len(o.body), o.body, added(after, before, after))
			}
		}
	})
}
