//go:build linux

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"tidings/bench/rig"
)

// figures are what one run of one contender was measured to take.
type figures struct {
	rate     float64       // requests a second
	p50, p99 time.Duration // from sending a request to having its answer
	server   time.Duration // CPU a request
	postgres time.Duration // CPU a request; 0 on SQLite, which runs in the server
	memory   float64       // the server's, resident at its peak, in bytes
}

// cpu is what a request costs, server and Postgres together.
func (f figures) cpu() time.Duration { return f.server + f.postgres }

// plan is how much is measured.
type plan struct {
	warm, period time.Duration
}

// measure starts a contender, lets it get warm, and reads what the script takes.
func (p plan) measure(ctx context.Context, at *place, c contender, s scripts, conns int) (f figures, err error) {
	server, err := c.start(at, ctx, at.at)
	if err != nil {
		return f, err
	}
	defer server.Stop()
	script := s.of[c.name]
	if _, _, err := script.run(ctx, server.Address, conns, p.warm); err != nil {
		return f, err
	}
	db, err := at.open() // before anything is read, for to connect costs Postgres something
	if err != nil {
		return f, err
	}
	defer db.Close()
	moves := at.postgres && s.writes && !c.control
	if moves {
		if err := quiet(ctx, db); err != nil {
			return f, err
		}
	}
	if err := server.ResetPeak(); err != nil {
		return f, err
	}
	before, err := at.spent(server)
	if err != nil {
		return f, err
	}
	times, took, err := script.run(ctx, server.Address, conns, p.period)
	if err != nil {
		return f, err
	}
	if moves {
		if err := quiet(ctx, db); err != nil {
			return f, err
		}
	}
	after, err := at.spent(server)
	if err != nil {
		return f, err
	}
	m, err := server.Memory()
	if err != nil {
		return f, err
	}
	n := time.Duration(len(times))
	if n == 0 {
		return f, errors.New("not one answer came in time")
	}
	return figures{
		rate: float64(n) / took.Seconds(), p50: rig.Percentile(times, 50), p99: rig.Percentile(times, 99),
		server: (after[0] - before[0]) / n, postgres: (after[1] - before[1]) / n, memory: float64(m.Peak),
	}, nil
}

// spent is the CPU time so far, of the server and of Postgres.
func (p *place) spent(server *rig.Process) (t [2]time.Duration, err error) {
	if t[0], err = server.CPU(); err != nil || !p.postgres {
		return t, err
	}
	t[1], err = p.cluster.cpu()
	return t, err
}

// quiet waits until the server has moved all events into its log, which it does after it has answered.
func quiet(ctx context.Context, db *sql.DB) error {
	for deadline := time.Now().Add(patience); ; {
		var left int
		if err := db.QueryRowContext(ctx, "SELECT count(*) FROM log_inbox").Scan(&left); err != nil || left == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d events are left in the inbox", left)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
