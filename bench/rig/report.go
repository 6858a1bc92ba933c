//go:build linux

package rig

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// A Line of the report: what was measured of Tidings and of a control, one value a round each, and what is to be
// reached. Goals are bounds on the ratio of the two, or on Tidings' value where ratio is false.
type Line struct {
	Name          string
	Unit          string
	Ours, Control []float64
	Against       string // the control's name
	Goal          Goal
	Aim           Goal // more than the goal, and better
}

// A Goal is what is to be reached; the zero Goal is none.
type Goal struct {
	bound float64 // 0: there is none
	least bool    // it is to be reached from above, not to be kept below
	ratio bool
}

// The goals: of Tidings' value, or of its ratio to the control's.
func AtMost(v float64) Goal       { return Goal{bound: v} }
func AtMostTimes(v float64) Goal  { return Goal{bound: v, ratio: true} }
func AtLeastTimes(v float64) Goal { return Goal{bound: v, least: true, ratio: true} }

func (g Goal) String() string {
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

// Verdict is whether the goal is reached by the median, and the aim; "" without a goal or a measurement.
func (l Line) Verdict() string {
	switch goal, measured := l.reaches(l.Goal); {
	case !measured:
		return ""
	case !goal:
		return "MISSED"
	}
	if aim, measured := l.reaches(l.Aim); measured && aim {
		return "met, and the aim"
	}
	return "met"
}

func (l Line) reaches(g Goal) (reached, measured bool) {
	values := l.Ours
	if g.ratio {
		values = l.Ratios()
	}
	if g.bound == 0 || len(values) == 0 {
		return false, false
	}
	m := Median(values)
	return g.least && m >= g.bound || !g.least && m <= g.bound, true
}

// Ratios are those of each round: what disturbs a round disturbs both.
func (l Line) Ratios() []float64 {
	n := min(len(l.Ours), len(l.Control))
	ratios := make([]float64, 0, n)
	for i := range n {
		if l.Control[i] != 0 { // less than could be measured
			ratios = append(ratios, l.Ours[i]/l.Control[i])
		}
	}
	return ratios
}

// Median is the middle value, of an even number the mean of both; 0 of none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// Spread writes the median, and of several values the least and the greatest.
func Spread(values []float64) string {
	switch len(values) {
	case 0:
		return "-"
	case 1:
		return short(values[0])
	}
	return fmt.Sprintf("%s (%s-%s)", short(Median(values)), short(slices.Min(values)), short(slices.Max(values)))
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

// goals names the goal, and the aim in brackets.
func (l Line) goals() string {
	if l.Aim.bound == 0 {
		return l.Goal.String()
	}
	return fmt.Sprintf("%s (%s)", l.Goal, l.Aim)
}

// Report writes the lines as a table.
func Report(w io.Writer, lines []Line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tunit\ttidings\tcontrol\t\tratio\tgoal\t")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Unit, Spread(l.Ours), Spread(l.Control), l.Against, Spread(l.Ratios()), l.goals(), l.Verdict())
	}
	return t.Flush()
}
