package session

import (
	"errors"
	"fmt"
	"testing"

	"tidings/internal/auth"
	"tidings/internal/gid"
)

// What was verified once isn't again, what is refused is, and no more is kept than there is room for.
func TestVerified(t *testing.T) {
	var r verified
	asked, bad := 0, errors.New("bad")
	users := map[string]gid.User{}
	verify := func(token string) (auth.Viewer, error) {
		asked++
		if token == "bad" {
			return auth.Viewer{User: gid.NewUser()}, bad
		}
		if _, ok := users[token]; !ok {
			users[token] = gid.NewUser()
		}
		return auth.Viewer{User: users[token]}, nil
	}
	look := func(token string, times int) {
		t.Helper()
		before := asked
		v, err := r.viewer(token, verify)
		if v.User != users[token] || (err != nil) != (token == "bad") || asked-before != times {
			t.Fatalf("%s: %v, %v, verified %d times, want %d", token, v.User, err, asked-before, times)
		}
	}
	look("bad", 1)
	look("bad", 1)
	for i := range 5 * maxVerified {
		look(fmt.Sprint(i), 1)
		look(fmt.Sprint(i), 0)
		look(fmt.Sprint(max(0, i-maxVerified+1)), 0)
		if n := len(r.recent[0]) + len(r.recent[1]); n > 2*maxVerified {
			t.Fatalf("%d are kept", n)
		}
	}
	look("0", 1)
}
