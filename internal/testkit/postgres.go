package testkit

import (
	"errors"
	"fmt"
	"testing"

	"tidings/internal/testkit/pgtest"
	"tidings/internal/testkit/require"
)

// Postgres returns the URL of a fresh, empty Postgres database, which is dropped when the test ends. The server is a
// throw-away cluster that the test process starts once, or that of TIDINGS_TEST_POSTGRES; the test is skipped where
// there is neither.
func Postgres(t testing.TB) string {
	t.Helper()
	return database(t)(pgtest.Scratch(t.Context()))
}

func database(t testing.TB) func(url string, drop func() error, err error) string {
	return func(url string, drop func() error, err error) string {
		t.Helper()
		if errors.Is(err, pgtest.ErrNoBinaries) {
			require.Missing(t, "postgres", fmt.Errorf("%w, and %s names no server", err, pgtest.Env))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := drop(); err != nil {
				t.Error(err)
			}
		})
		return url
	}
}
