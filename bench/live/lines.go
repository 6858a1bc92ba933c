//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// The goals.
const (
	cpuGoal         = 1.1 // times plain gorilla's
	rateGoal        = 4   // times plain gorilla's
	rateGoalGqlgen  = 10  // times gqlgen's
	idleGoal        = 10  // KiB
	loadedGoal      = 12  // KiB
	sqliteGoal      = 5   // ms
	postgresGoal    = 25  // ms
	writeGoal       = 0.8 // times the naive log's
	allocationsGoal = 0.01
)

func (b *bench) fanoutLines(ctx context.Context) (lines []line, err error) {
	for _, n := range b.subscribers {
		results, err := b.fanouts(ctx, plan{subscribers: n, alone: b.alone, events: b.events, burst: b.burst, nap: b.nap, settle: b.settle})
		if err != nil {
			return nil, err
		}
		values := func(name string, of func(fanout) float64) (v []float64) {
			for _, f := range results[name] {
				v = append(v, of(f))
			}
			return v
		}
		add := func(name, unit string, of func(fanout) float64, g, second goal) {
			name = fmt.Sprintf("%s, %d subscribers", name, n)
			lines = append(lines, line{name, unit, values("tidings", of), values("gorilla", of), "gorilla", g})
			if len(results["gqlgen"]) > 0 {
				lines = append(lines, line{"", unit, values("tidings", of), values("gqlgen", of), "gqlgen", second})
			}
		}
		add("server CPU a delivery, one event at a time", "us", func(f fanout) float64 { return us(f.oneByOne) }, atMostTimes(cpuGoal), goal{})
		add("deliveries with events waiting", "1/s", func(f fanout) float64 { return f.rate }, atLeastTimes(rateGoal), atLeastTimes(rateGoalGqlgen))
		add("server CPU an event without subscribers", "us", func(f fanout) float64 { return us(f.writing) }, goal{}, goal{})
		add("server CPU a delivery, events waiting", "us", func(f fanout) float64 { return us(f.burst) }, goal{}, goal{})
		add("resident memory a subscriber, idle", "KiB", func(f fanout) float64 { return f.idle / 1024 }, atMost(idleGoal), goal{})
		add("resident memory a subscriber, peak under load", "KiB", func(f fanout) float64 { return f.loaded / 1024 }, atMost(loadedGoal), goal{})
		add("resident memory in all, idle", "MiB", func(f fanout) float64 { return f.all / (1 << 20) }, goal{}, goal{})
		add("live heap and stacks a subscriber", "KiB", func(f fanout) float64 { return f.live / 1024 }, goal{}, goal{})
		add("allocated a delivery, one event at a time, at most", "B", func(f fanout) float64 { return f.garbage }, goal{}, goal{})
	}
	return lines, nil
}

// deliveryBenchmark is the Go benchmark that counts allocations, which can't be done from outside of the server. It
// delivers to 2,000 subscribers, and reports the metric below.
const (
	deliveryBenchmark = "BenchmarkDelivery/2000"
	deliveryMetric    = "allocs/delivery"
)

func (b *bench) allocationLines(ctx context.Context) ([]line, error) {
	metrics, err := goBenchmark(ctx, deliveryBenchmark, "1s", b.rounds, "tidings/internal/web")
	if err != nil {
		return nil, err
	}
	name := "allocations a delivery"
	if len(metrics[deliveryMetric]) == 0 {
		name += fmt.Sprintf(" (no %s reports %s)", deliveryBenchmark, deliveryMetric)
	}
	return []line{{name: name, unit: "", ours: metrics[deliveryMetric], goal: atMost(allocationsGoal)}}, nil
}

func (b *bench) latencyLines(ctx context.Context) (lines []line, err error) {
	all, err := b.latencies(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range []struct {
		name, title string
		goal        goal
	}{
		{"sqlite", "SQLite", atMost(sqliteGoal)},
		{"postgres", "Postgres", atMost(postgresGoal)},
		{"two nodes", "Postgres, written at another node", goal{}},
	} {
		add := func(name string, of func(latency) []time.Duration, p float64, g goal) {
			values := func(rounds []latency) (v []float64) {
				for _, l := range rounds {
					v = append(v, ms(percentile(of(l), p)))
				}
				return v
			}
			if len(all[d.name]) == 0 {
				return
			}
			lines = append(lines, line{fmt.Sprintf("%s: %s, p%g", d.title, name, p), "ms", values(all[d.name]), values(all["gorilla"]), "gorilla", g})
		}
		sent := func(l latency) []time.Duration { return l.sent }
		answered := func(l latency) []time.Duration { return l.answered }
		add("mutation sent to frame received", sent, 50, goal{})
		add("mutation sent to frame received", sent, 99, d.goal)
		add("mutation answered to frame received", answered, 50, goal{})
		add("mutation answered to frame received", answered, 99, goal{})
	}
	return lines, nil
}

// writeBenchmark is package eventlog's: writers on Postgres with the log, with a naive one, and with none, in turn.
const writeBenchmark = "BenchmarkWrite"

func (b *bench) writeLines(ctx context.Context) ([]line, error) {
	metrics, err := goBenchmark(ctx, writeBenchmark, "8x", b.rounds, "tidings/internal/eventlog")
	if err != nil {
		return nil, err
	}
	return []line{{"writes on Postgres with their event, 32 writers", "1/s", metrics["log-tx/s"], metrics["naive-tx/s"], "naive", atLeastTimes(writeGoal)}}, nil
}
