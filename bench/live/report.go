//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A line of the report: what was measured of Tidings and of a control, one value a round each, and what is to be
// reached. Goals are bounds on the ratio of the two, or on Tidings' value where ratio is false.
type line struct {
	name          string
	unit          string
	ours, control []float64
	against       string // the control's name
	goal          goal
}

type goal struct {
	bound float64 // 0: there is none
	least bool    // it is to be reached from above, not to be kept below
	ratio bool
}

func atMost(v float64) goal       { return goal{bound: v} }
func atMostTimes(v float64) goal  { return goal{bound: v, ratio: true} }
func atLeastTimes(v float64) goal { return goal{bound: v, least: true, ratio: true} }

func (g goal) String() string {
	if g.bound == 0 {
		return ""
	}
	sign, times := "≤", ""
	if g.least {
		sign = "≥"
	}
	if g.ratio {
		times = "x"
	}
	return fmt.Sprintf("%s %g%s", sign, g.bound, times)
}

// verdict is whether the goal is reached by the median; "" without a goal or a measurement.
func (l line) verdict() string {
	values := l.ours
	if l.goal.ratio {
		values = l.ratios()
	}
	if l.goal.bound == 0 || len(values) == 0 {
		return ""
	}
	if m := median(values); l.goal.least && m >= l.goal.bound || !l.goal.least && m <= l.goal.bound {
		return "met"
	}
	return "MISSED"
}

// ratios are those of each round: what disturbs a round disturbs both.
func (l line) ratios() []float64 {
	n := min(len(l.ours), len(l.control))
	ratios := make([]float64, 0, n)
	for i := range n {
		if l.control[i] != 0 { // less than could be measured
			ratios = append(ratios, l.ours[i]/l.control[i])
		}
	}
	return ratios
}

// median is the middle value, of an even number the mean of both; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// spread writes the median, and of several values the least and the greatest.
func spread(values []float64) string {
	switch len(values) {
	case 0:
		return "-"
	case 1:
		return short(values[0])
	}
	return fmt.Sprintf("%s (%s-%s)", short(median(values)), short(slices.Min(values)), short(slices.Max(values)))
}

func short(v float64) string {
	switch {
	case v >= 10000:
		return fmt.Sprintf("%.0fk", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func report(w io.Writer, lines []line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tunit\ttidings\tcontrol\t\tratio\tgoal\t")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.name, l.unit, spread(l.ours), spread(l.control), l.against, spread(l.ratios()), l.goal, l.verdict())
	}
	return t.Flush()
}
