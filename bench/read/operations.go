//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
)

// operation is what is asked for: of the server by a document with variables, of the control by a path.
type operation struct {
	name, title string
	document    string
	writes      bool
	least, aim  float64 // throughput per CPU on Postgres, as a share of the control's
	variants    func(d *data, r *rand.Rand) []variant
}

// variant is an operation with its arguments.
type variant struct {
	variables map[string]any
	path      string // at the control
	body      any    // there; nil: it is a GET
}

var variants = 200 // of an operation that has arguments

// The goals.
const (
	leastShort, aimShort   = 0.65, 0.80
	leastNested, aimNested = 0.75, 0.90
	leastSearch, aimSearch = 0.80, 0.90
	leastWrite, aimWrite   = 0.60, 0.80
	mostMemory, aimMemory  = 80, 40 // MiB
)

var operations = []operation{{
	name: "Q1", title: "post by id with its author", least: leastShort, aim: aimShort,
	document: `query Q1($id: ID!) { post(id: $id) { id title content createdAt author { id username fullName } } }`,
	variants: func(d *data, r *rand.Rand) (all []variant) {
		for range variants {
			id := d.posts[r.IntN(len(d.posts))].id.String()
			all = append(all, variant{map[string]any{"id": id}, "/post/" + id, nil})
		}
		return all
	},
}, {
	name: "Q2", title: "latest 20 posts with author{username}", least: leastShort, aim: aimShort,
	document: `query Q2 { posts(first: 20) { nodes { id title content createdAt author { username } } } }`,
	variants: func(*data, *rand.Rand) []variant { return []variant{{nil, "/posts", nil}} },
}, {
	name: "Q3", title: "latest 20 posts with author and first 5 comments with authors", least: leastNested, aim: aimNested,
	document: `query Q3 { posts(first: 20) { nodes { id title content createdAt author { id username fullName } ` +
		`comments(first: 5) { nodes { id content createdAt author { username } } } } } }`,
	variants: func(*data, *rand.Rand) []variant { return []variant{{nil, "/posts/comments", nil}} },
}, {
	name: "Q4", title: "20 posts behind a cursor deep in the list", least: leastShort, aim: aimShort,
	document: `query Q4($after: String!) { posts(first: 20, after: $after) { nodes { id title content createdAt author { username } } ` +
		`pageInfo { hasNextPage endCursor } } }`,
	variants: func(d *data, r *rand.Rand) (all []variant) {
		for range variants {
			p := d.posts[len(d.posts)/4+r.IntN(len(d.posts)/2+1)]
			cursor := string(appendCursor(nil, p.id, p.at))
			all = append(all, variant{map[string]any{"after": cursor}, "/posts/after/" + cursor, nil})
		}
		return all
	},
}, {
	name: "Q5", title: "search for two words, the best 20", least: leastSearch, aim: aimSearch,
	document: `query Q5($query: String!) { searchPosts(query: $query, first: 20) { nodes { id title createdAt author { username } } } }`,
	variants: func(d *data, r *rand.Rand) (all []variant) {
		var words []string // such that some hundred posts have two of them
		for _, w := range d.words[150:250] {
			if !strings.HasSuffix(w, accent) { // which the server takes off, and the control need not
				words = append(words, w)
			}
		}
		for range variants {
			query := words[r.IntN(len(words))] + " " + words[r.IntN(len(words))]
			all = append(all, variant{map[string]any{"query": query}, "/search?query=" + url.QueryEscape(query), nil})
		}
		return all
	},
}, {
	name: "addComment", title: "a comment, its author, and its event", least: leastWrite, aim: aimWrite, writes: true,
	document: `mutation AddComment($input: AddCommentInput!) { addComment(input: $input) { id content createdAt author { id username } } }`,
	variants: func(d *data, r *rand.Rand) (all []variant) {
		g := &generator{rand: r, zipf: rand.NewZipf(r, 1.1, 8, vocabulary-1), words: d.words}
		for len(all) < variants {
			p := d.posts[r.IntN(len(d.posts))]
			if !p.published {
				continue
			}
			input := map[string]any{"postId": p.id.String(), "content": g.text(commentLength)}
			all = append(all, variant{map[string]any{"input": input}, "/comments", input})
		}
		return all
	},
}}

// request is a whole HTTP request. The token is the viewer's, "" for nobody's.
func (o operation) request(v variant, atControl bool, token string) ([]byte, error) {
	var b bytes.Buffer
	method, path, body := "POST", "/graphql", any(map[string]any{"query": o.document, "operationName": strings.Fields(strings.ReplaceAll(o.document, "(", " "))[1], "variables": v.variables})
	if atControl {
		path, body = v.path, v.body
		if body == nil {
			method = "GET"
		}
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n", method, path)
	if token != "" {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", token)
	}
	if body == nil {
		b.WriteString("\r\n")
		return b.Bytes(), nil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	return b.Bytes(), nil
}
