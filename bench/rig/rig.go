//go:build linux

// Package rig is what the benchmarks have in common: servers in processes of their own, what /proc says of them, and
// the report.
package rig

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// patience is how long anything may take before the benchmark gives up.
const patience = 2 * time.Minute

// Machine says where this runs, and how busy it was in the last minute: what else runs there disturbs.
func Machine() string {
	model := "an unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(info), "model name"); ok {
			model, _, _ = strings.Cut(strings.TrimLeft(rest, "\t :"), "\n")
		}
	}
	load := "unknown"
	if l, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(l), " ")
	}
	return fmt.Sprintf("%d processors (%s), %s, %s/%s; load %s", runtime.NumCPU(), model, runtime.Version(), runtime.GOOS, runtime.GOARCH, load)
}

// MemoryDir is a directory in memory, or "" (that of temporary files) where there is none.
func MemoryDir() string {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return ""
	}
	return dir
}

// Words reads a list of some of the words.
func Words(text string, words []string) ([]string, error) {
	l := strings.Split(text, ",")
	for _, w := range l {
		if !slices.Contains(words, w) {
			return nil, fmt.Errorf("%q is none of %s", w, strings.Join(words, ", "))
		}
	}
	return l, nil
}

// Percentile is the least of the times that so many per cent of them don't exceed.
func Percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[max(0, int(math.Ceil(float64(len(sorted))*p/100))-1)]
}
