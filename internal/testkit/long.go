package testkit

import "os"

// Of is how much a test does: short, or long where TIDINGS_TEST_LONG is set, which gives tests the time that their long
// forms need.
func Of[T any](short, long T) T {
	if os.Getenv("TIDINGS_TEST_LONG") != "" {
		return long
	}
	return short
}
