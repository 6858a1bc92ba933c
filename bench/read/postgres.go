//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"tidings/bench/rig"
)

// cluster is a Postgres server on this machine, as /proc has it.
type cluster struct{ postmaster int }

// findCluster finds the processes of the server behind db.
func findCluster(ctx context.Context, db *sql.DB) (*cluster, error) {
	var backend int
	if err := db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	f, err := rig.ReadStat(backend)
	if err != nil {
		return nil, fmt.Errorf("the Postgres server does not run on this machine: %w", err)
	}
	return &cluster{f.Parent}, nil
}

// cpu is what all processes of the server have spent so far, those that have ended among them.
func (c *cluster) cpu() (time.Duration, error) {
	own, err := rig.ReadStat(c.postmaster)
	if err != nil {
		return 0, err
	}
	total := own.CPU + own.Children
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		f, err := rig.ReadStat(pid)
		if err != nil || f.Parent != c.postmaster { // one that ends just now is among the postmaster's from then on
			continue
		}
		total += f.CPU + f.Children
	}
	return total, nil
}
