//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"tidings/bench/rig"
)

// result is what an operation was measured to take on a database, over so many connections: figures of each contender,
// one a round.
type result struct {
	database string
	scripts
	conns   int
	figures map[string][]figures
}

type results []*result

// share is throughput per CPU, server and Postgres together, as a share of the control's. 0 when there was too little
// to be measured.
func share(ours, control figures) float64 {
	if ours.cpu() == 0 {
		return 0
	}
	return float64(control.cpu()) / float64(ours.cpu())
}

// shares are those of each round: what disturbs a round disturbs both.
func (r *result) shares() (all []float64) {
	for i := range min(len(r.figures["tidings"]), len(r.figures["control"])) {
		all = append(all, share(r.figures["tidings"][i], r.figures["control"][i]))
	}
	return all
}

// report writes a table with the medians of the rounds, and below it the goals.
func (all results) report(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\t\tconns\t\t1/s\tp50 ms\tp99 ms\tserver us\tPostgres us\tMiB\tstatements\tfallbacks\tshare\t")
	for _, r := range all {
		for _, c := range contenders {
			fs := r.figures[c.name]
			of := func(value func(figures) float64) string { return rig.Spread([]float64{median(fs, value)}) }
			statements, postgres, fallbacks, share := "-", "-", "-", ""
			if n, ok := r.statements[c.name]; ok {
				statements = fmt.Sprintf("%.3g", n)
				postgres = of(func(f figures) float64 { return us(f.postgres) })
			}
			if !c.control {
				share = fmt.Sprintf("%.2f", rig.Median(r.shares()))
				fallbacks = fmt.Sprintf("%.3g", r.fallbacks)
			}
			fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.database, r.name, r.conns, c.name, median(fs, func(f figures) float64 { return f.rate }),
				of(func(f figures) float64 { return ms(f.p50) }), of(func(f figures) float64 { return ms(f.p99) }),
				of(func(f figures) float64 { return us(f.server) }), postgres,
				of(func(f figures) float64 { return f.memory / (1 << 20) }), statements, fallbacks, share)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	return rig.Report(w, all.goals())
}

// goals are the project's: of each operation on Postgres the share of the control, of all of them the memory, and that
// on SQLite short reads are no slower than on Postgres.
func (all results) goals() (lines []rig.Line) {
	var most, mostOfControl []float64 // of each round
	rates := map[string][]float64{}
	for _, r := range all {
		key := fmt.Sprint(r.name, r.conns)
		if r.database != "Postgres" {
			if postgres := rates[key]; len(postgres) > 0 && (r.name == "Q1" || r.name == "Q2") {
				lines = append(lines, rig.Line{
					Name: fmt.Sprintf("%s on SQLite, %d connections", r.name, r.conns), Unit: "1/s",
					Ours: values(r.figures["tidings"], func(f figures) float64 { return f.rate }), Control: postgres, Against: "on Postgres", Goal: rig.AtLeastTimes(1),
				})
			}
			continue
		}
		rates[key] = values(r.figures["tidings"], func(f figures) float64 { return f.rate })
		perCPU := func(f figures) float64 {
			if f.cpu() == 0 {
				return 0
			}
			return float64(time.Second) / float64(f.cpu())
		}
		lines = append(lines, rig.Line{
			Name: fmt.Sprintf("%s, %d connections", r.name, r.conns), Unit: "1/CPU s",
			Ours: values(r.figures["tidings"], perCPU), Control: values(r.figures["control"], perCPU), Against: "by hand",
			Goal: rig.AtLeastTimes(r.least), Aim: rig.AtLeastTimes(r.aim),
		})
		most = greatest(most, values(r.figures["tidings"], mib))
		mostOfControl = greatest(mostOfControl, values(r.figures["control"], mib))
	}
	if len(most) > 0 {
		lines = append(lines, rig.Line{
			Name: "resident memory under load, the most", Unit: "MiB", Ours: most, Control: mostOfControl, Against: "by hand",
			Goal: rig.AtMost(mostMemory), Aim: rig.AtMost(aimMemory),
		})
	}
	return lines
}

func mib(f figures) float64 { return f.memory / (1 << 20) }

// greatest is the greater of each two values.
func greatest(a, b []float64) []float64 {
	if a == nil {
		return b
	}
	for i := range min(len(a), len(b)) {
		a[i] = max(a[i], b[i])
	}
	return a
}

func values(fs []figures, of func(figures) float64) (all []float64) {
	for _, f := range fs {
		all = append(all, of(f))
	}
	return all
}

func median(fs []figures, of func(figures) float64) float64 { return rig.Median(values(fs, of)) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
