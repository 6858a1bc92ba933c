package graph_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
)

// Twenty posts, five at a time made in the same instant, so that pages end among equal sort keys.
func (w *world) archive(author gid.User) (newestFirst []string) {
	w.t.Helper()
	start := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	err := w.log.Write(auth.AsSystem(w.t.Context()), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
		for i := range 20 {
			id := gid.NewPost()
			newestFirst = append(newestFirst, id.String())
			at := start.Add(time.Duration(i/5) * time.Microsecond)
			if err := tx.Post.Create().SetID(id).SetAuthorID(author).SetTitle(fmt.Sprintf("Title %d", i%3)).SetContent("x").
				SetPublished(true).SetPublishedAt(at).SetCreatedAt(at).SetUpdatedAt(at).Exec(ctx); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(newestFirst)
	return newestFirst
}

func TestPagesInBothDirections(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		all := w.archive(ada)
		for _, order := range []string{"", "{field: CREATED_AT, direction: ASC}", "{field: TITLE}", "{field: TITLE, direction: ASC}", "{field: UPDATED_AT}"} {
			arg := ""
			if order != "" {
				arg = "orderBy: " + order + ", "
			}
			whole := w.as(gid.User{}, fmt.Sprintf(`{ posts(%sfirst: 100) { nodes { id title createdAt } } }`, arg)).ok().all("posts.nodes", "id")
			if order == "" && !slices.Equal(whole, all) {
				w.t.Fatalf("not newest first: %v", whole)
			}
			if len(whole) != 20 {
				w.t.Fatalf("%s: %d posts", order, len(whole))
			}
			for _, size := range []int{1, 3, 7, 20} {
				var forward, backward []string
				after := ""
				for page := 0; ; page++ {
					a := w.as(gid.User{}, fmt.Sprintf(`{ posts(%sfirst: %d%s) { edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`, arg, size, after)).ok()
					forward = append(forward, a.all("posts.edges", "node.id")...)
					if got := a.at("posts.pageInfo.hasPreviousPage"); got != (page > 0) {
						w.t.Errorf("page %d: hasPreviousPage %v", page, got)
					}
					if a.text("posts.pageInfo.startCursor") != a.text("posts.edges.0.cursor") {
						w.t.Error("startCursor is not the first edge's")
					}
					after = fmt.Sprintf(", after: %q", a.text("posts.pageInfo.endCursor"))
					if a.at("posts.pageInfo.hasNextPage") != true {
						break
					}
				}
				before := ""
				for {
					a := w.as(gid.User{}, fmt.Sprintf(`{ posts(%slast: %d%s) { nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor } } }`, arg, size, before)).ok()
					backward = append(a.all("posts.nodes", "id"), backward...)
					if got := a.at("posts.pageInfo.hasNextPage"); got != (before != "") {
						w.t.Errorf("hasNextPage %v", got)
					}
					before = fmt.Sprintf(", before: %q", a.text("posts.pageInfo.startCursor"))
					if a.at("posts.pageInfo.hasPreviousPage") != true {
						break
					}
				}
				if !slices.Equal(forward, whole) || !slices.Equal(backward, whole) {
					w.t.Errorf("%s by %d:\nforward  %v\nbackward %v\nwhole    %v", order, size, forward, backward, whole)
				}
			}
		}
	})
}

func TestPagesStayWhereTheyAreWhenRowsComeAndGo(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		all := w.archive(ada)
		first := w.as(ada, `{ posts(first: 10) { nodes { id } pageInfo { endCursor } } }`).ok()
		w.post(ada, "Newer than the page", true)
		w.as(ada, fmt.Sprintf(`mutation { deletePost(id: %q) { id } }`, all[9])).ok() // the very post of the cursor
		second := w.as(ada, fmt.Sprintf(`{ posts(first: 10, after: %q) { nodes { id } pageInfo { hasNextPage hasPreviousPage } totalCount } }`, first.text("posts.pageInfo.endCursor"))).ok()
		if got := second.all("posts.nodes", "id"); !slices.Equal(got, all[10:]) {
			w.t.Errorf("the second page moved: %v", got)
		}
		if second.at("posts.totalCount") != 20.0 {
			w.t.Errorf("totalCount %v", second.at("posts.totalCount"))
		}
	})
}

func TestNestedConnections(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		var posts []string
		for i := range 4 {
			posts = append(posts, w.post(ada, fmt.Sprintf("Post %d", i), i != 3))
		}
		var comments [4][]string
		for i, p := range posts[:3] {
			for j := range i * 3 { // 0, 3 and 6
				author := bob
				if j%2 == 0 {
					author = ada
				}
				comments[i] = append(comments[i], w.comment(author, p, fmt.Sprintf("comment %d on %d", j, i)))
			}
		}
		a := w.as(gid.User{}, `{
			users(orderBy: {field: USERNAME}) { nodes { username
				posts(first: 2) { totalCount nodes { id } pageInfo { hasNextPage } }
				drafts: posts(published: false) { totalCount nodes { id } }
				all: posts { edges { node { id
					comments(first: 2) { nodes { id author { username } } totalCount pageInfo { hasNextPage hasPreviousPage endCursor } }
					lastTwo: comments(last: 2) { nodes { content author { fullName } } pageInfo { hasPreviousPage } }
					again: comments(first: 2) { edges { cursor node { post { title author { id } } } } }
				} } }
			} }
		}`).ok()
		if got := a.all("users.nodes", "username"); !slices.Equal(got, []string{"ada", "bob"}) {
			w.t.Fatal(got)
		}
		if got := a.all("users.nodes.0.posts.nodes", "id"); !slices.Equal(got, []string{posts[2], posts[1]}) {
			w.t.Errorf("the first two posts: %v", got)
		}
		if a.at("users.nodes.0.posts.totalCount") != 3.0 || a.at("users.nodes.0.posts.pageInfo.hasNextPage") != true || a.at("users.nodes.0.drafts.totalCount") != 0.0 {
			w.t.Error(a.raw)
		}
		if got := fmt.Sprint(a.at("users.nodes.1.all.edges")); got != "[]" {
			w.t.Errorf("bob's posts: %s", got)
		}
		for i, p := range []int{2, 1, 0} {
			at := fmt.Sprintf("users.nodes.0.all.edges.%d.node.", i)
			want := comments[p][:min(2, len(comments[p]))]
			if got := a.all(at+"comments.nodes", "id"); a.text(at+"id") != posts[p] || !slices.Equal(got, want) {
				w.t.Errorf("comments of post %d: %v, want %v", p, got, want)
			}
			if got := a.at(at + "comments.totalCount"); got != float64(len(comments[p])) {
				w.t.Errorf("totalCount of post %d: %v", p, got)
			}
			if got := a.at(at + "comments.pageInfo.hasNextPage"); got != (len(comments[p]) > 2) {
				w.t.Errorf("hasNextPage of post %d: %v", p, got)
			}
			if got := a.all(at+"lastTwo.nodes", "content"); len(got) == 2 && (got[0] != fmt.Sprintf("comment %d on %d", len(comments[p])-2, p) || got[1] != fmt.Sprintf("comment %d on %d", len(comments[p])-1, p)) {
				w.t.Errorf("last two of post %d: %v", p, got)
			}
			for j := range want {
				if got := a.text(fmt.Sprintf("%sagain.edges.%d.node.post.title", at, j)); got != fmt.Sprintf("Post %d", p) {
					w.t.Errorf("comment %d of post %d is on %q", j, p, got)
				}
			}
		}
		next := w.as(gid.User{}, fmt.Sprintf(`{ post(id: %q) { comments(first: 3, after: %q) { nodes { id } pageInfo { hasPreviousPage hasNextPage } } } }`,
			posts[2], a.text("users.nodes.0.all.edges.0.node.comments.pageInfo.endCursor"))).ok()
		if got := next.all("post.comments.nodes", "id"); !slices.Equal(got, comments[2][2:5]) || next.at("post.comments.pageInfo.hasPreviousPage") != true {
			w.t.Errorf("the next page: %s", next.raw)
		}
	})
}

func TestAliasesFragmentsAndSubsets(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		p := w.post(ada, "Only post", true)
		w.comment(ada, p, "only comment")
		a := w.as(ada, `query($yes: Boolean!, $no: Boolean!) {
			n: node(id: "`+p+`") { __typename ...on Post { a: author { username } b: author { email fullName } ...more } ...on User { username } }
			x: posts { totalCount }
			y: posts { pageInfo { hasNextPage startCursor } }
			z: posts { e: edges { c: cursor } edges { node { title ...more } } nodes { id author { id } } nodes { author { username @skip(if: $yes) fullName @include(if: $no) role } } }
		}
		fragment more on Post { published comments { nodes { ...c } } comments { nodes { post { title } } totalCount } }
		fragment c on Comment { content author { username } }`, map[string]any{"yes": true, "no": false}).ok()
		want := `{"n":{"__typename":"Post","a":{"username":"ada"},"b":{"email":"ada@example.org","fullName":"Name of ada"},"published":true,` +
			`"comments":{"nodes":[{"content":"only comment","author":{"username":"ada"},"post":{"title":"Only post"}}],"totalCount":1}},` +
			`"x":{"totalCount":1},"y":{"pageInfo":{"hasNextPage":false,"startCursor":"C"}},` +
			`"z":{"e":[{"c":"C"}],"edges":[{"node":{"title":"Only post","published":true,"comments":{"nodes":[{"content":"only comment","author":{"username":"ada"},"post":{"title":"Only post"}}],"totalCount":1}}}],` +
			`"nodes":[{"id":"` + p + `","author":{"id":"` + ada.String() + `","role":"MEMBER"}}]}}`
		if got := strings.ReplaceAll(a.raw, a.text("y.pageInfo.startCursor"), "C"); got != want {
			w.t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestConnectionArguments(t *testing.T) {
	everywhere(t, func(w *world) {
		ada := w.user("ada")
		w.archive(ada)
		byTitle := w.as(ada, `{ posts(orderBy: {field: TITLE}, first: 1) { pageInfo { endCursor } } }`).ok().text("posts.pageInfo.endCursor")
		for args, want := range map[string]string{
			`first: 0`:                  "BAD_USER_INPUT first",
			`first: 101`:                "BAD_USER_INPUT first",
			`last: -1`:                  "BAD_USER_INPUT last",
			`first: 1, last: 1`:         "BAD_USER_INPUT last",
			`after: ""`:                 "BAD_USER_INPUT after",
			`after: "x"`:                "BAD_USER_INPUT after",
			`before: "` + byTitle + `"`: "BAD_USER_INPUT before",
			`first: 100`:                "",
			`after: null, first: null`:  "",
			`after: "` + byTitle[:len(byTitle)-1] + `"`: "BAD_USER_INPUT after",
		} {
			w.as(ada, `{ posts(`+args+`) { nodes { id } } }`).fails(want)
			w.as(ada, `{ users { nodes { posts(`+args+`) { nodes { id } } } } }`).fails(want)
		}
		if got := w.as(ada, `{ posts { nodes { id } } users { nodes { posts { nodes { id } } } } }`).ok(); len(got.all("posts.nodes", "id")) != 20 {
			w.t.Error("the default page size is not 20")
		}
	})
}

func TestSearchPosts(t *testing.T) {
	everywhere(t, func(w *world) {
		ada, bob := w.user("ada"), w.user("bob")
		for i := range 5 {
			w.post(ada, fmt.Sprintf("Lighthouse %d", i), true)
		}
		w.post(ada, "Draft of a lighthouse", false)
		var found []string
		after := ""
		for {
			a := w.as(bob, `{ searchPosts(query: "lighthouses", first: 2`+after+`) { totalCount edges { node { title author { username } } } pageInfo { hasNextPage endCursor } } }`).ok()
			found = append(found, a.all("searchPosts.edges", "node.title")...)
			if a.at("searchPosts.totalCount") != 5.0 {
				w.t.Errorf("totalCount %v", a.at("searchPosts.totalCount"))
			}
			after = fmt.Sprintf(", after: %q", a.text("searchPosts.pageInfo.endCursor"))
			if a.at("searchPosts.pageInfo.hasNextPage") != true {
				break
			}
		}
		if slices.Sort(found); len(slices.Compact(found)) != 5 {
			w.t.Errorf("found %v", found)
		}
		if got := w.as(ada, `{ searchPosts(query: "lighthouse draft") { nodes { title } } }`).ok().all("searchPosts.nodes", "title"); len(got) != 1 {
			w.t.Errorf("the author finds %v", got)
		}
		for _, q := range []string{"", "!", `"`, "draft", "-", strings.Repeat("é", 500)} {
			if a := w.as(bob, `query($q: String!) { searchPosts(query: $q) { totalCount nodes { id } } }`, map[string]any{"q": q}).ok(); len(a.all("searchPosts.nodes", "id")) != 0 {
				w.t.Errorf("%q: %s", q, a.raw)
			}
		}
		w.as(bob, `query($q: String!) { searchPosts(query: $q) { totalCount } }`, map[string]any{"q": strings.Repeat("é", 501)}).fails("BAD_USER_INPUT query")
	})
}
