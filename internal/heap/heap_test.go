package heap

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"tidings/internal/testkit"
)

// TestTune: the heap may grow by Room while little is alive, and by a third once that is much.
func TestTune(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	if !Tune() {
		t.Fatal("not tuned")
	}
	settles := func(what string, ok func(percent int) bool) {
		t.Helper()
		testkit.Eventually(t, func() error {
			time.Sleep(fast) // collections one after the other would mean that much is allocated
			runtime.GC()
			if p := gogc(); !ok(p) {
				return fmt.Errorf("%s: %d%%", what, p)
			}
			return nil
		})
	}
	settles("a small heap has room", func(p int) bool { return p > 200 })
	if grows := goal() - alive(); grows > Room*5/4 {
		t.Errorf("a small heap may grow by %d KiB", grows>>10)
	}
	ballast := make([]byte, 8*Room)
	settles("a large heap has a third", func(p int) bool { return p == least })
	runtime.KeepAlive(ballast)
	settles("a heap that is small again has room again", func(p int) bool { return p > 200 })
}

// goal is how large the heap may be at the next collection, in bytes.
func goal() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestPercent: with so much alive, the heap grows by so much.
func TestPercent(t *testing.T) {
	for alive, want := range map[uint64]int{0: 400, 1 << 20: 425, 4 << 20: 400, Room: 100, 2 * Room: 50, 100 * Room: least} {
		if got := percent(alive, most, fast); got != want {
			t.Errorf("%d bytes alive: %d, want %d", alive, got, want)
		}
	}
	p := least
	for range 10 { // collections, one right after the other
		p = percent(100*Room, p, fast/2)
	}
	if p != most {
		t.Errorf("busy: %d", p)
	}
	if p := percent(4<<20, 400, fast/2); p != 400 {
		t.Errorf("busy with little alive: %d", p)
	}
}

// TestEnvironment: who sets GOGC has decided.
func TestEnvironment(t *testing.T) {
	if os.Getenv("TIDINGS_TEST_TUNED") != "" {
		if Tune() || gogc() != 77 {
			t.Errorf("tuned to %d", gogc())
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "TestEnvironment")
	cmd.Env = append(os.Environ(), "GOGC=77", "TIDINGS_TEST_TUNED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
