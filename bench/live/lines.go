//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"tidings/bench/rig"
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

func (b *bench) fanoutLines(ctx context.Context) (lines []rig.Line, err error) {
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
		add := func(name, unit string, of func(fanout) float64, g, second rig.Goal) {
			name = fmt.Sprintf("%s, %d subscribers", name, n)
			lines = append(lines, rig.Line{Name: name, Unit: unit, Ours: values("tidings", of), Control: values("gorilla", of), Against: "gorilla", Goal: g})
			if len(results["gqlgen"]) > 0 {
				lines = append(lines, rig.Line{Unit: unit, Ours: values("tidings", of), Control: values("gqlgen", of), Against: "gqlgen", Goal: second})
			}
		}
		add("server CPU a delivery, one event at a time", "us", func(f fanout) float64 { return us(f.oneByOne) }, rig.AtMostTimes(cpuGoal), rig.Goal{})
		add("deliveries with events waiting", "1/s", func(f fanout) float64 { return f.rate }, rig.AtLeastTimes(rateGoal), rig.AtLeastTimes(rateGoalGqlgen))
		add("server CPU an event without subscribers", "us", func(f fanout) float64 { return us(f.writing) }, rig.Goal{}, rig.Goal{})
		add("server CPU a delivery, events waiting", "us", func(f fanout) float64 { return us(f.burst) }, rig.Goal{}, rig.Goal{})
		add("resident memory a subscriber, idle", "KiB", func(f fanout) float64 { return f.idle / 1024 }, rig.AtMost(idleGoal), rig.Goal{})
		add("resident memory a subscriber, peak under load", "KiB", func(f fanout) float64 { return f.loaded / 1024 }, rig.AtMost(loadedGoal), rig.Goal{})
		add("resident memory in all, idle", "MiB", func(f fanout) float64 { return f.all / (1 << 20) }, rig.Goal{}, rig.Goal{})
		add("live heap and stacks a subscriber", "KiB", func(f fanout) float64 { return f.live / 1024 }, rig.Goal{}, rig.Goal{})
		add("allocated a delivery, one event at a time, at most", "B", func(f fanout) float64 { return f.garbage }, rig.Goal{}, rig.Goal{})
	}
	return lines, nil
}

// deliveryBenchmark is the Go benchmark that counts allocations, which can't be done from outside of the server. It
// delivers to 2,000 subscribers, and reports the metric below.
const (
	deliveryBenchmark = "BenchmarkDelivery/2000"
	deliveryMetric    = "allocs/delivery"
)

func (b *bench) allocationLines(ctx context.Context) ([]rig.Line, error) {
	metrics, err := goBenchmark(ctx, deliveryBenchmark, "1s", b.rounds, "tidings/internal/web")
	if err != nil {
		return nil, err
	}
	name := "allocations a delivery"
	if len(metrics[deliveryMetric]) == 0 {
		name += fmt.Sprintf(" (no %s reports %s)", deliveryBenchmark, deliveryMetric)
	}
	return []rig.Line{{Name: name, Unit: "", Ours: metrics[deliveryMetric], Goal: rig.AtMost(allocationsGoal)}}, nil
}

func (b *bench) latencyLines(ctx context.Context) (lines []rig.Line, err error) {
	all, err := b.latencies(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range []struct {
		name, title string
		goal        rig.Goal
	}{
		{"sqlite", "SQLite", rig.AtMost(sqliteGoal)},
		{"postgres", "Postgres", rig.AtMost(postgresGoal)},
		{"two nodes", "Postgres, written at another node", rig.Goal{}},
	} {
		add := func(name string, of func(latency) []time.Duration, p float64, g rig.Goal) {
			values := func(rounds []latency) (v []float64) {
				for _, l := range rounds {
					v = append(v, ms(rig.Percentile(of(l), p)))
				}
				return v
			}
			if len(all[d.name]) == 0 {
				return
			}
			lines = append(lines, rig.Line{
				Name: fmt.Sprintf("%s: %s, p%g", d.title, name, p), Unit: "ms", Ours: values(all[d.name]), Control: values(all["gorilla"]), Against: "gorilla", Goal: g,
			})
		}
		sent := func(l latency) []time.Duration { return l.sent }
		answered := func(l latency) []time.Duration { return l.answered }
		add("mutation sent to frame received", sent, 50, rig.Goal{})
		add("mutation sent to frame received", sent, 99, d.goal)
		add("mutation answered to frame received", answered, 50, rig.Goal{})
		add("mutation answered to frame received", answered, 99, rig.Goal{})
	}
	return lines, nil
}

// writeBenchmark is package eventlog's: writers on Postgres with the log, with a naive one, and with none, in turn.
const writeBenchmark = "BenchmarkWrite"

func (b *bench) writeLines(ctx context.Context) ([]rig.Line, error) {
	metrics, err := goBenchmark(ctx, writeBenchmark, "8x", b.rounds, "tidings/internal/eventlog")
	if err != nil {
		return nil, err
	}
	return []rig.Line{{
		Name: "writes on Postgres with their event, 32 writers", Unit: "1/s", Ours: metrics["log-tx/s"], Control: metrics["naive-tx/s"], Against: "naive",
		Goal: rig.AtLeastTimes(writeGoal),
	}}, nil
}
