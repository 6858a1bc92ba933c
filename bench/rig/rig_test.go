//go:build linux

package rig

import (
	"testing"
	"time"
)

func TestParseTrace(t *testing.T) {
	h, end, ok := parseTrace("gc 12 @3.456s 1%: 0.1+1.2+0.3 ms clock, 0.2+0.1/0.2/0.3+0.6 ms cpu, 41->45->22 MB, 44 MB goal, 3 MB stacks, 1 MB globals, 2 P (forced)")
	if want := (Heap{Live: 22, Goal: 44, Stacks: 3}); !ok || h != want || end != 45 {
		t.Errorf("got %+v, %d, %v", h, end, ok)
	}
	for _, text := range []string{"", "gc ", `{"msg":"gc 12, 3, 4, 5, 6"}`, "gc 1 @1s: a, b, c, d, e"} {
		if _, _, ok := parseTrace(text); ok {
			t.Errorf("%q passes for a trace", text)
		}
	}
}

func TestReport(t *testing.T) {
	for _, test := range []struct {
		line Line
		want string
	}{
		{Line{Ours: []float64{9, 30, 10}, Goal: AtMost(10)}, "met"},
		{Line{Ours: []float64{9, 11, 30}, Goal: AtMost(10)}, "MISSED"},
		{Line{Ours: []float64{11, 24}, Control: []float64{10, 20}, Goal: AtMostTimes(1.1)}, "MISSED"},
		{Line{Ours: []float64{40, 10, 44}, Control: []float64{10, 10, 11}, Goal: AtLeastTimes(4)}, "met"},
		{Line{Ours: []float64{39}, Control: []float64{10}, Goal: AtLeastTimes(4)}, "MISSED"},
		{Line{Goal: AtMost(1)}, ""},
		{Line{Ours: []float64{1}}, ""},
	} {
		if got := test.line.Verdict(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.line, got, test.want)
		}
	}
	times := make([]time.Duration, 100)
	for i := range times {
		times[i] = time.Duration(100 - i)
	}
	if p50, p99 := Percentile(times, 50), Percentile(times, 99); p50 != 50 || p99 != 99 {
		t.Errorf("of 1 to 100 the percentiles are %d and %d", p50, p99)
	}
}
