// Package require settles what happens to a test that lacks something: it is skipped, or fails where
// TIDINGS_TEST_REQUIRE, a comma-separated list, names that.
package require

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Missing ends a test for the lack of what ("postgres", "npm", "browser").
func Missing(t testing.TB, what string, why error) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("TIDINGS_TEST_REQUIRE"), ","), what) {
		t.Fatalf("%s is required and not there: %v", what, why)
	}
	t.Skipf("skipped, for there is no %s: %v", what, why)
}
