//go:build linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cluster is a Postgres server on this machine, as /proc has it.
type cluster struct{ postmaster int }

// findCluster finds the processes of the server behind db.
func findCluster(ctx context.Context, db *sql.DB) (*cluster, error) {
	var backend int
	if err := db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return nil, err
	}
	f, err := stat(backend)
	if err != nil {
		return nil, fmt.Errorf("the Postgres server does not run on this machine: %w", err)
	}
	return &cluster{f.parent}, nil
}

// cpu is what all processes of the server have spent so far, those that have ended among them.
func (c *cluster) cpu() (time.Duration, error) {
	own, err := stat(c.postmaster)
	if err != nil {
		return 0, err
	}
	total := own.own + own.children
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, path := range all {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		f, err := stat(pid)
		if errors.Is(err, os.ErrNotExist) || err == nil && f.parent != c.postmaster {
			continue
		}
		if err != nil {
			continue // it ends just now: its time is the postmaster's from then on
		}
		total += f.own + f.children
	}
	return total, nil
}

// processStat is what /proc/PID/stat says.
type processStat struct {
	parent        int
	own, children time.Duration // CPU, of children that were waited for
}

func stat(pid int) (s processStat, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	// proc(5): the name, in brackets, may hold anything; behind it stand the state, the parent, and from the 14th field
	// on utime, stime, cutime and cstime, in ticks of 10 ms.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 15 {
		return s, fmt.Errorf("no CPU time in %s", b)
	}
	var n [5]int64
	for i, at := range [...]int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return s, err
		}
	}
	const tick = 10 * time.Millisecond
	return processStat{int(n[0]), time.Duration(n[1]+n[2]) * tick, time.Duration(n[3]+n[4]) * tick}, nil
}
