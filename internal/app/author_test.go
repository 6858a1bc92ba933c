package app_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// An author sees all comments on a post, hidden or not. While it is hidden and shown again and again, whoever subscribes
// as its author is told of each of them: between the two looks at an event that everyone's group takes (is the item
// there, does the post last) the post may be shown again, which is no reason to pass over it for its author.
func TestAuthorsMissNothingWhileAPostFlickers(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		n := testkit.Start(t, d)
		ada := n.SignUp("ada")
		post := n.CreatePost(ada, "A post")
		db := testkit.OpenDatabase(t, d)
		start := n.Must("", `{ liveCursor }`, nil).Text("liveCursor")
		var want []string
		for range 40 {
			want = append(want, n.AddComment(ada, post, "x"))
		}
		ctx, stop := context.WithCancel(t.Context())
		var flickering sync.WaitGroup
		flickering.Go(func() {
			for ctx.Err() == nil {
				_, _ = db.ExecContext(ctx, `UPDATE posts SET published = NOT published`)
			}
		})
		defer flickering.Wait()
		defer stop()
		lost := 0
		for tries := 0; tries < testkit.Of(50, 500) && lost == 0; tries++ {
			socket := n.Open(ada)
			socket.Subscribe("1", `subscription($p: ID!, $a: Cursor) { commentAdded(postId: $p, after: $a) { id } }`, map[string]any{"p": post, "a": start})
			for i, id := range want {
				m := socket.Receive()
				if got := itemOf(t, m); got != id {
					t.Errorf("try %d: the %dth comment is passed over for the author: got %s %q, want %s", tries, i+1, m.Type, got, id)
					lost++
					break
				}
			}
			socket.Close()
		}
	})
}

func itemOf(t *testing.T, m testkit.Message) string {
	t.Helper()
	var r testkit.Response
	if m.Type == "next" {
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			t.Fatal(err)
		}
	}
	return r.Text("commentAdded", "id")
}
