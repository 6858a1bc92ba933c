package app_test

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/leak"
	"tidings/internal/testkit/npmtest"
	"tidings/internal/testkit/require"
)

// The page, in a browser that can reach no other host: a query, a subscription, and a post that arrives.
func TestPlayground(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		require.Missing(t, "browser", err)
	}
	n := testkit.Start(t, config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	token := n.SignUp("ada")
	n.CreatePost(token, "A post that was there before")
	page := npmtest.Start(t, "testdata/browser", "playground.mjs", leak.Proxy(t, n.URL)+"/", browser)
	for _, want := range []string{"the query is answered", "the subscription is asked for"} {
		if got := page.Line(); got != want {
			t.Fatalf("the page: %s, want: %s", got, want)
		}
	}
	// Asked for is not yet subscribed: posts are made until one arrives.
	page.Tell("A post that arrives")
	made := 0
	testkit.Eventually(t, func() error {
		made++
		n.CreatePost(token, fmt.Sprintf("A post that arrives, %d", made))
		got, ok := page.Said()
		if !ok {
			return errors.New("no post arrives")
		}
		if got != "the post has arrived" {
			t.Fatal("the page: ", got)
		}
		return nil
	})
	if got := page.Line(); got != "the policy holds" {
		t.Fatal("the page: ", got)
	}
	if got := page.Line(); got != "done" {
		t.Error("the page: ", got)
	}
}
