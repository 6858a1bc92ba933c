package graph_test

import (
	"testing"

	"tidings/internal/gid"
)

// TestLiveCursorHoweverItIsAskedFor: in a fragment, under another name, or not after all.
func TestLiveCursorHoweverItIsAskedFor(t *testing.T) {
	everywhere(t, func(w *world) {
		w.post(w.user("ada"), "A post", true)
		want := w.as(gid.User{}, `{ liveCursor }`).ok().text("liveCursor")
		if want == "" {
			t.Fatal("no cursor")
		}
		for _, query := range []string{
			`{ posts { totalCount } c: liveCursor }`,
			`{ ... { c: liveCursor } }`,
			`{ posts { totalCount } ...f } fragment f on Query { ...g } fragment g on Query { c: liveCursor }`,
			`query($no: Boolean = false) { ... on Query @skip(if: $no) { c: liveCursor @skip(if: $no) } }`,
			`{ ... on Query @include(if: false) { d: liveCursor } c: liveCursor }`,
		} {
			if got := w.as(gid.User{}, query).ok().text("c"); got != want {
				t.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		for _, query := range []string{
			`{ liveCursor: posts { totalCount } }`,
			`{ posts { totalCount } liveCursor @skip(if: true) }`,
			`query($no: Boolean = false) { posts { totalCount } ...f @include(if: $no) } fragment f on Query { liveCursor }`,
		} {
			w.as(gid.User{}, query).ok()
		}
	})
}
