//go:build linux

// Command profiled is the server, as its own program has it, that leaves a CPU profile when it ends. It is a program of
// its own so that nothing for benchmarks is in the server, and nothing of the server in the benchmark's control.
package main

import (
	"context"
	"fmt"
	"os"

	"tidings/bench/rig"
	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/heap"
)

func main() {
	cfg, err := config.Parse(os.Args[1:], os.Environ())
	if err == nil {
		heap.Tune()
		err = rig.UnderProfile(func(ctx context.Context) error { return app.Run(ctx, cfg, cfg.Log.Logger(os.Stderr), os.Stderr) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profiled:", err)
		os.Exit(1)
	}
}
