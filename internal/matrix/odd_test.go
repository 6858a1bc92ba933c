package matrix

import (
	"encoding/json"
	"strings"
	"testing"
)

// What the generator does not make is answered the same on both ways as well.
func TestOddOperationsAreAnsweredTheSame(t *testing.T) {
	plantEverywhere(t, func(p *planted) {
		var user, post, comment, draft string
		for _, o := range p.m.objects {
			switch {
			case o.typ == "User" && user == "":
				user = o.id
			case o.typ == "Post" && o.values["published"] == true && post == "":
				post = o.id
			case o.typ == "Post" && o.values["published"] != true && draft == "":
				draft = o.id
			case o.typ == "Comment" && o.post.values["published"] == true && comment == "":
				comment = o.id
			}
		}
		var r struct {
			Data struct {
				Posts struct {
					Edges []struct{ Cursor string }
				}
			}
		}
		_ = json.Unmarshal([]byte(p.raw(p.executor, p.viewers[0], `{ posts(first: 20) { edges { cursor } } }`, "", nil).body), &r)
		cursor := r.Data.Posts.Edges[5].Cursor
		var c struct {
			Data struct {
				Post struct {
					Comments struct {
						Edges []struct{ Cursor string }
					}
				}
			}
		}
		_ = json.Unmarshal([]byte(p.raw(p.executor, p.viewers[0], `{ post(id: "`+post+`") { comments(first: 20) { edges { cursor } } } }`, "", nil).body), &c)
		nested := c.Data.Post.Comments.Edges[2].Cursor
		vars := func(kv ...any) map[string]any {
			m := map[string]any{}
			for i := 0; i < len(kv); i += 2 {
				m[kv[i].(string)] = kv[i+1]
			}
			return m
		}
		for _, op := range []struct {
			text string
			vars map[string]any
		}{
			{`{ __typename __schema { queryType { name __typename } } __type(name: "Post") { name } posts(first: 2) { __typename nodes { __typename author { __typename } comments { __typename edges { __typename node { __typename } } pageInfo { __typename } } } } }`, nil},
			{`query($s: Boolean!) { posts(first: 2) { nodes { author { id @skip(if: $s) } comments { nodes { id @skip(if: $s) } pageInfo { hasNextPage @skip(if: $s) } edges { cursor @skip(if: $s) } totalCount @skip(if: $s) } } } }`, vars("s", true)},
			{`query($s: Boolean!) { posts(first: 2) { nodes @skip(if: $s) { id } } }`, vars("s", true)},
			{`query($s: Boolean!) { post(id: "` + post + `") { id @skip(if: $s) } viewer { id @skip(if: $s) } }`, vars("s", true)},
			{`query($s: Boolean!) { nodes(ids: ["` + post + `", "` + user + `"]) { id @skip(if: $s) ... on User @include(if: $s) { username } } }`, vars("s", true)},
			{`query($s: Boolean = true) { posts(first: 2) { nodes { id @skip(if: $s) title } } }`, nil},
			{`query($s: Boolean = true) { posts(first: 2) { nodes { id @skip(if: $s) title } } }`, vars("s", nil)},
			{`query($s: Boolean = true) { posts(first: 2) { nodes { id @include(if: $s) title } } }`, vars("s", nil)},
			{`query($s: Boolean = true) { posts(first: 2) { nodes { id @include(if: $s) title } } }`, vars("s", false)},
			{`query($n: Int) { posts(first: 5) { nodes { comments(first: $n) { nodes { id } } a: comments(last: $n) { nodes { id } } } } }`, nil},
			{`query($n: Int) { posts(first: 5) { nodes { comments(first: $n) { nodes { id } } a: comments(last: $n) { nodes { id } } } } }`, vars("n", nil)},
			{`query($n: Int = 2) { posts(first: 5) { nodes { comments(first: $n) { nodes { id } } } } }`, vars("n", nil)},
			{`query($n: Int) { posts(first: 5) { nodes { a: comments(first: $n) { nodes { id } } b: comments(first: 3) { nodes { content author { username } } pageInfo { hasNextPage endCursor } } } } }`, vars("n", 3)},
			{`query($n: Int) { posts(first: $n) { totalCount } }`, vars("n", 5.0)},
			{`query($n: Int) { posts(first: $n) { totalCount } }`, vars("n", json.Number("5.0"))},
			{`query($n: Int) { posts(first: 2) { nodes { comments(first: $n) { totalCount nodes { id } } } } }`, vars("n", json.Number("5.0"))},
			{`query($n: Int) { posts(first: 2) { nodes { comments(first: $n) { totalCount nodes { id } } } } }`, vars("n", json.Number("5e0"))},
			{`query($n: Int) { posts(first: 2) { nodes { comments(first: $n) { totalCount nodes { id } } } } }`, vars("n", "5")},
			{`query($n: Int) { posts(first: 2) { nodes { comments(first: $n) { totalCount nodes { id } } } } }`, vars("n", json.Number("99999999999999999999"))},
			{`query($n: String) { posts(first: 2) { nodes { comments(after: $n) { totalCount nodes { id } } } } }`, vars("n", 5)},
			{`query($n: String) { posts(first: 2, after: $n) { totalCount nodes { id } } }`, vars("n", 5)},
			{`query($n: String) { posts(first: 2) { nodes { comments(after: $n) { totalCount nodes { id } } } } }`, vars("n", "a\x00b")},
			{`query($n: ID!) { post(id: $n) { id } }`, vars("n", 5)},
			{`{ post(id: 5) { id } }`, nil},
			{`{ post(id: """` + post + `""") { id comments(after: """` + nested + `""", first: 2) { nodes { id } } b: comments(after: "` + nested + `", first: 2) { nodes { content } } } }`, nil},
			{`query($a: String) { post(id: "` + post + `") { comments(after: $a, first: 2) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } b: comments(before: $a, last: 2) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } c: comments(after: $a, before: $a) { totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } d: comments(before: $a) { pageInfo { hasNextPage hasPreviousPage } } e: comments(after: $a, last: 1) { pageInfo { hasNextPage hasPreviousPage } totalCount } } }`, vars("a", nested)},
			{`{ posts(before: "` + cursor + `", last: 3) { totalCount nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } a: posts(after: "` + cursor + `", last: 3) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor } } b: posts(before: "` + cursor + `", first: 3) { pageInfo { hasNextPage hasPreviousPage } } c: posts(before: "` + cursor + `", after: "` + cursor + `") { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor } nodes { id } } }`, nil},
			{`{ posts(orderBy: {field: TITLE, direction: ASC}, first: 50) { edges { cursor node { id title comments(first: 1) { pageInfo { hasPreviousPage hasNextPage } } } } } d: posts(orderBy: {field: TITLE, direction: DESC}, last: 50) { edges { cursor } } u: posts(orderBy: {field: UPDATED_AT}, last: 7) { edges { cursor node { updatedAt } } } }`, nil},
			{`query($o: PostOrder) { posts(orderBy: $o, first: 5) { nodes { id } } }`, vars("o", nil)},
			{`query($o: PostOrder) { posts(orderBy: $o, first: 5) { nodes { id } } }`, vars("o", map[string]any{"field": "TITLE"})},
			{`query($o: PostOrderField!) { posts(orderBy: {field: $o}, first: 5) { nodes { id } } }`, vars("o", "TITLE")},
			{`query($p: Boolean) { users(first: 9) { nodes { email posts(published: $p, first: 2) { totalCount nodes { id published } } } } }`, vars("p", false)},
			{`query($p: Boolean) { users(first: 9) { nodes { email posts(published: $p, first: 2) { totalCount nodes { id published } } } } }`, vars("p", nil)},
			{`query($p: Boolean) { users(first: 9) { nodes { email posts(published: $p, first: 2) { totalCount nodes { id published } } } } }`, nil},
			{`{ users(first: 9) { nodes { email x: posts(published: true, first: 2) { nodes { author { email } comments(first: 2) { nodes { author { email } post { author { email role isActive } } } } } } y: posts(published: false, first: 2) { nodes { author { email } } } } } }`, nil},
			{`{ node(id: "` + comment + `") { ... on Comment { post { author { posts(first: 3) { nodes { comments(first: 2) { nodes { post { author { posts(first: 1) { nodes { id title } } } } } } } } } } } } }`, nil},
			{`{ nodes(ids: ["` + post + `", "` + post + `", "` + draft + `", "` + user + `", "` + comment + `"]) { __typename id ... on Node { id } ... on Post { id a: author { ...U } b: author { email } } ... on Comment { author { ...U } p: post { id } q: post { title } } ...U } } fragment U on User { id email username posts(first: 1) { nodes { id } } }`, nil},
			{`{ a: node(id: "` + user + `") { ...on User { email } } b: node(id: "` + user + `") { ...on User { e: email email } } user(id: "` + user + `") { email } viewer { email } }`, nil},
			{`{ searchPosts(query: "everywhere", first: 3) { totalCount nodes { id title author { email } comments(first: 1) { nodes { id } } } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`, nil},
			{`{ searchPosts(query: "", first: 3) { totalCount nodes { id } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`, nil},
			{`{ users(search: "nobody at all") { totalCount nodes { id posts { nodes { id } } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } } } }`, nil},
			{`{ posts(first: 100) { nodes { id author { id posts(first: 100) { totalCount nodes { id } } } comments(first: 3) { totalCount nodes { author { username } } } } } }`, nil},
			{`{ posts(first: 2) { nodes { id } } posts(first: 2) { nodes { title comments(first: 1) { totalCount } } } posts(first: 2) { nodes { comments(first: 1) { nodes { id } pageInfo { hasNextPage } } } } }`, nil},
			{`{ post(id: "` + post + `") { comments(first: 0) { nodes { id } } } user(username: "nobody_") { posts(first: 101) { totalCount } } posts(first: 1, last: 1) { totalCount } }`, nil},
			{`{ post(id: "` + post + `") { comments(first: 1) { nodes { post { comments(first: 2) { nodes { id post { comments(last: 1) { nodes { id } } } } } } } } } }`, nil},
			{"{ \u2028: posts { totalCount } }", nil},
			{`query($x: String) { users(search: $x) { totalCount } }`, vars("x", "\U0001F600 \u2028 \\u0000")},
			{`{ posts(first:1) { totalCount @include(if: false) pageInfo { hasNextPage @include(if: false) } nodes { title @skip(if: true) } } }`, nil},
			{`query A($s: Boolean!) { posts(first: 2) { nodes { ...F } } } fragment F on Post { id ... @include(if: $s) { title ... @skip(if: $s) { content } } author { ... @skip(if: $s) { id } } }`, vars("s", false)},
			{`query A($s: Boolean!) { posts(first: 2) { nodes { ...F } } } fragment F on Post { id ... @include(if: $s) { title ... @skip(if: $s) { content } } author { ... @skip(if: $s) { id } } }`, vars("s", true)},
			{`query A($longalias: Int) { posts(first: 2) { nodes { ` + strings.Repeat("a", 5000) + `: title comments(first: $longalias) { nodes { id } } } } }`, vars("longalias", 1)},
		} {
			for _, v := range p.viewers {
				got, want := p.raw(p.node, v, op.text, "", op.vars), p.raw(p.executor, v, op.text, "", op.vars)
				if got.status != want.status || inOrder(got.body) != inOrder(want.body) {
					if strings.Contains(got.body, "INTERNAL") && strings.Contains(want.body, "INTERNAL") {
						continue
					}
					t.Errorf("%s: %.400s %v\ndirectly:    %.1500s\nby executor: %.1500s", v.name, op.text, op.vars, got.body, want.body)
				}
				if found := p.hidden(v, got.body); len(found) > 0 {
					t.Errorf("%s sees %v", v.name, found)
				}
			}
		}
		if n := p.node.Reads(); n.Surprises > 0 {
			t.Errorf("%+v", n)
		}
	})
}

// Null is no condition, whatever was asked before, and an argument that may be null is none.
func TestNullIsNoCondition(t *testing.T) {
	plantEverywhere(t, func(p *planted) {
		for query, refused := range map[string]bool{
			`query($s: Boolean = true) { posts(first: 1) { nodes { id title @skip(if: $s) } } }`:                                        true,
			`query($s: Boolean = true) { posts(first: 1) { nodes { author { posts(published: $s, first: 3) { nodes { title } } } } } }`: false,
		} {
			for _, s := range []any{false, true, nil} {
				got, want := p.raw(p.node, p.viewers[0], query, "", map[string]any{"s": s}), p.raw(p.executor, p.viewers[0], query, "", map[string]any{"s": s})
				if got != want || strings.Contains(got.body, "BAD_USER_INPUT") != (refused && s == nil) || strings.Contains(got.body, "INTERNAL") {
					t.Errorf("%v\ndirectly:    %s\nby executor: %s", s, got.body, want.body)
				}
			}
		}
	})
}
