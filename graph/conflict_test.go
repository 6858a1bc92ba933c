package graph_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"

	"tidings/internal/gid"
)

func TestNothingIsWrittenThatCannotBeAnswered(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		p := w.post(ada, "A post", true)
		w.log.taken()
		for _, mutation := range []string{
			`createPost(input: {title: "News", content: "x", published: true}) { id comments(first: 1000) { totalCount } }`,
			`updatePost(id: "` + p + `", input: {title: "Changed"}) { comments(first: 0) { totalCount } }`,
			`addComment(input: {postId: "` + p + `", content: "x"}) { post { comments(after: "x") { totalCount } } }`,
			`deletePost(id: "` + p + `") { author { posts(last: 0) { totalCount } } }`,
			`createUser(input: {username: "eve", email: "eve@example.org", fullName: "E", password: "Sesame-123"}) { posts(first: 0) { totalCount } }`,
		} {
			if a := w.as(ada, "mutation { "+mutation+" }"); !strings.HasPrefix(a.codes(), "BAD_USER_INPUT") {
				w.t.Errorf("%s: %v", mutation, a.Errors)
			}
		}
		if a := w.as(ada, `{ posts { totalCount nodes { title comments { totalCount } } } users { totalCount } }`).ok(); a.raw !=
			`{"posts":{"totalCount":1,"nodes":[{"title":"A post","comments":{"totalCount":0}}]},"users":{"totalCount":1}}` {
			w.t.Error("something was written: ", a.raw)
		}
		if events := w.log.taken(); len(events) > 0 {
			w.t.Error("something was announced: ", events)
		}
	})
}

func TestConflictsAreNotErrorsOfTheServer(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		for range 15 {
			p := w.post(ada, "A post", true)
			c := w.comment(ada, p, "a comment")
			var all sync.WaitGroup
			for i, mutation := range []string{
				`deletePost(id: "` + p + `") { id }`, `deletePost(id: "` + p + `") { id }`, `updatePost(id: "` + p + `", input: {title: "Changed"}) { id }`,
				`deleteComment(id: "` + c + `") { post { title } }`, `addComment(input: {postId: "` + p + `", content: "x"}) { id }`,
			} {
				viewer := ada
				if i == 4 {
					viewer = bob
				}
				all.Go(func() {
					if codes := w.as(viewer, "mutation { "+mutation+" }").codes(); codes != "" && codes != "NOT_FOUND" {
						w.t.Errorf("%s: %s", mutation, codes)
					}
				})
			}
			all.Wait()
		}
		if t.Failed() {
			w.t.Log(w.logged())
		}
	})
}

func TestNoUpdateIsLost(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		for i := range 15 {
			var both sync.WaitGroup
			for _, input := range []string{fmt.Sprintf(`{username: "ada_%d"}`, i), fmt.Sprintf(`{fullName: "Ada the %dth"}`, i)} {
				both.Go(func() {
					if a := w.as(ada, `mutation { updateUser(id: "`+ada.String()+`", input: `+input+`) { id } }`); len(a.Errors) > 0 {
						w.t.Error(a.Errors)
					}
				})
			}
			both.Wait()
			a := w.as(ada, fmt.Sprintf(`{ viewer { username fullName } found: users(search: "ada_%[1]d") { totalCount } too: users(search: "the %[1]dth") { totalCount } }`, i)).ok()
			if want := fmt.Sprintf(`{"viewer":{"username":"ada_%[1]d","fullName":"Ada the %[1]dth"},"found":{"totalCount":1},"too":{"totalCount":1}}`, i); a.raw != want {
				w.t.Errorf("got %s, want %s", a.raw, want)
			}
		}
	})
}

func TestWhoIsDeletedWritesNothing(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		p := w.post(bob, "A post", true)
		w.as(ada, `mutation { deleteUser(id: "`+ada.String()+`") { id } }`).ok()
		w.as(ada, `mutation { createPost(input: {title: "News", content: "x"}) { id } }`).fails("UNAUTHENTICATED")
		w.as(ada, `mutation { addComment(input: {postId: "`+p+`", content: "x"}) { id } }`).fails("UNAUTHENTICATED")
	})
}

func TestForgedCursors(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		w.archive(ada)
		cursor, err := base64.RawURLEncoding.DecodeString(w.as(ada, `{ posts(first: 1) { pageInfo { endCursor } } }`).ok().text("posts.pageInfo.endCursor"))
		if err != nil {
			w.t.Fatal(err)
		}
		asText := append(append(append([]byte{}, cursor[:18]...), 1), "text"...)
		longAgo := append(append([]byte{}, cursor[:19]...), 0x80, 0, 0, 0, 0, 0, 0, 0)
		for _, forged := range [][]byte{asText, longAgo, cursor[:18], cursor[:len(cursor)-1], append(cursor, 0)} {
			w.as(ada, `{ posts(after: "`+base64.RawURLEncoding.EncodeToString(forged)+`") { nodes { id } } }`).fails("BAD_USER_INPUT after")
		}
		w.as(ada, `query($a: String) { posts(first: 1) { nodes { comments(after: $a) { totalCount } } } }`, map[string]any{"a": 5}).fails("BAD_USER_INPUT after")
		w.as(gid.User{}, `{ searchPosts(query: "!", after: "x") { totalCount } }`).fails("BAD_USER_INPUT after")
	})
}
