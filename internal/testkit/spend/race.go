//go:build race

package spend

// slower is how much more everything may take under the race detector.
const slower = 15
