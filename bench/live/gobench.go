//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// goBenchmark runs a benchmark of the module, or one of its parts (Name/part), and returns what it reports of each metric, a value a run. None at all
// means that there is no such benchmark, or that it was skipped.
func goBenchmark(ctx context.Context, name, benchtime string, count int, packages ...string) (map[string][]float64, error) {
	args := append([]string{"test", "-run", "^$", "-bench", "^" + strings.ReplaceAll(name, "/", "$/^") + "$", "-benchtime", benchtime, "-count", strconv.Itoa(count), "-benchmem"}, packages...)
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return parseBenchmark(name, string(out)), nil
}

// parseBenchmark reads lines like "BenchmarkWrite-2   8   12345 ns/op   0.91 log/naive".
func parseBenchmark(name, out string) map[string][]float64 {
	metrics := map[string][]float64{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.TrimRight(strings.TrimPrefix(fields[0], name), "-0123456789") != "" {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = append(metrics[fields[i+1]], v)
			}
		}
	}
	return metrics
}
