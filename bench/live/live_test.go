//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/bench/rig"
	"tidings/internal/testkit"
	"tidings/internal/testkit/require"
)

func TestMain(m *testing.M) {
	control(os.Args) // the tests' program is the controls', too
	os.Exit(m.Run())
}

// TestRun is the whole program with a handful of subscribers, but for the Go benchmarks, which CI runs by themselves.
func TestRun(t *testing.T) {
	b, err := parse([]string{"-parts", "fanout,latency", "-subscribers", "20", "-events", "3", "-burst", "40", "-latency-events", "3", "-rounds", "1"})
	if err != nil {
		t.Fatal(err)
	}
	log := new(testkit.Buffer)
	b.alone, b.settle, b.log = 5, 50*time.Millisecond, log
	lines, err := b.run(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var out strings.Builder
	if err := rig.Report(&out, lines); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &out)
	measured := func(name, against string) rig.Line {
		for _, l := range lines {
			if strings.HasPrefix(l.Name, name) && l.Against == against {
				return l
			}
		}
		return rig.Line{}
	}
	if strings.Contains(log.String(), "no Postgres") {
		require.Missing(t, "postgres", fmt.Errorf("%s", log))
	}
	for _, name := range []string{"deliveries with", "SQLite: mutation sent", "Postgres: mutation sent", "Postgres, written at another node: mutation sent"} {
		if l := measured(name, "gorilla"); len(l.Ours) != 1 || len(l.Control) != 1 || l.Ours[0] <= 0 || l.Control[0] <= 0 {
			t.Errorf("%s was not measured: %+v", name, l)
		}
	}
	// Of a handful of deliveries the CPU time may well be less than a tick, and the memory lost in the server's own.
	for _, name := range []string{"server CPU a delivery, one", "resident memory a subscriber, idle", "resident memory a subscriber, peak"} {
		if l := measured(name, "gorilla"); len(l.Ours) != 1 || len(l.Control) != 1 {
			t.Errorf("%s was not measured: %+v", name, l)
		}
	}
	for i, m := range b.messages {
		if n, ok := number(m); !ok || n != i {
			t.Errorf("message %d is number %d: %s", i, n, m)
		}
	}
	if !strings.Contains(out.String(), "gqlgen") {
		t.Error("gqlgen was not measured")
	}
}

// TestSubscribersTell: what a subscriber misses, gets twice or in another order is an error, and so is the end of its
// socket.
func TestSubscribersTell(t *testing.T) {
	const none = -1 // in place of an event
	event := func(n int) []byte {
		if n == none {
			return []byte(`{"id":"1","type":"complete"}`)
		}
		return fmt.Appendf(nil, `{"id":"1","type":"next","payload":{"data":{"postCreated":{"title":%q}}}}`, title(n))
	}
	for name, test := range map[string]struct {
		sent []int // from the first event that all of them get
		want string
	}{
		"in order": {[]int{100, 101, 102, 103}, ""},
		"a gap":    {[]int{100, 101, 103}, "event 103 after 101"},
		"doubled":  {[]int{100, 101, 101, 102, 103}, "event 101 after 101"},
		"swapped":  {[]int{100, 102, 101, 103}, "event 102 after 100"},
		"no event": {[]int{100, 101, none, 102, 103}, "complete"},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := new(bench).startControl(t.Context(), "control-gorilla")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Stop()
			s, err := subscribe(t.Context(), server.Address, 5, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			var all messages
			for n := range 100 {
				all = append(all, event(n))
			}
			next, err := s.establish(t.Context(), 0, all.publisher(server))
			if err != nil {
				t.Fatal(err)
			}
			s.expect(103)
			all = all[next:]
			for _, n := range test.sent {
				all = append(all, event(n))
			}
			if err := all.publisher(server)(t.Context(), 0, len(all)); err != nil {
				t.Fatal(err)
			}
			err = s.await(t.Context())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Fatalf("got the error %v, want %q", err, test.want)
			}
			if test.want != "" {
				return
			}
			server.Stop()
			testkit.Eventually(t, func() error {
				err := s.failure()
				if err == nil {
					return fmt.Errorf("the server is gone, and nobody has noticed")
				}
				if !strings.Contains(err.Error(), "disconnected after event 103") {
					t.Errorf("the server is gone, and the subscribers say %v", err)
				}
				return nil
			})
		})
	}
}

// TestProcess: the figures of a process are there, and grow with what it does.
func TestProcess(t *testing.T) {
	server, err := new(bench).startControl(t.Context(), "control-gorilla")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	m, err := server.Memory()
	if err != nil || m.Private <= 0 || m.Resident < m.Private || m.Peak < m.Resident {
		t.Errorf("its memory is %+v, %v", m, err)
	}
	before := server.HeapNow()
	for spent := time.Duration(0); spent == 0; {
		h, err := server.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if h.Collections < before.Collections+2 || h.Allocated <= before.Allocated {
			t.Fatalf("two collections went from %+v to %+v", before, h)
		}
		before = h
		if spent, err = server.CPU(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFrames: frames of each length come out whole, however they are cut.
func TestFrames(t *testing.T) {
	var stream []byte
	var want []string
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 70000} {
		payload := strings.Repeat("x", size)
		want = append(want, payload)
		switch {
		case size < 126:
			stream = append(stream, 0x81, byte(size))
		case size < 1<<16:
			stream = append(stream, 0x81, 126, byte(size>>8), byte(size))
		default:
			stream = append(stream, 0x81, 127, 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
		}
		stream = append(stream, payload...)
	}
	var got []string
	for b, cut := []byte{}, 0; cut < len(stream); cut++ {
		b = append(b, stream[cut])
		if op, payload, rest := frame(b); rest != nil {
			if op != opText || len(rest) != 0 {
				t.Fatalf("opcode %d, and %d bytes too early", op, len(rest))
			}
			got, b = append(got, string(payload)), b[:0]
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d frames came out, and not as they went in", len(got))
	}
}

func TestParse(t *testing.T) {
	got := parseBenchmark("BenchmarkWrite", "goos: linux\nBenchmarkWrite-2  \t 8\t  123 ns/op\t 0.91 log/naive\nBenchmarkWriteMore-2 8 1 ns/op 5 log/naive\nBenchmarkWrite-2 8 120 ns/op 0.93 log/naive\nok\n")
	if !slices.Equal(got["log/naive"], []float64{0.91, 0.93}) {
		t.Errorf("got %v", got)
	}
	got = parseBenchmark("BenchmarkDelivery/2000", "BenchmarkDelivery/100-2 9 1 ns/op 5 allocs/delivery\nBenchmarkDelivery/2000-2 8 123 ns/op 0.25 allocs/delivery\n")
	if !slices.Equal(got["allocs/delivery"], []float64{0.25}) {
		t.Errorf("of a part got %v", got)
	}
	for _, args := range []string{"-parts=some", "-subscribers=many", "-subscribers=0", "-rounds=0", "-subscribers=100000000"} {
		if _, err := parse([]string{args}); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}
