// Package demo holds what `go run . -demo` shows: the people of a small town,
// what they posted over the last months, what they answered each other, and an
// endless trickle of what they post next.
//
// The content is plain text under content/, embedded in the binary; its README
// says how to write more. It is parsed once, at first use, and is the same in
// every process: nothing here looks at a clock or at chance. Times are therefore
// relative (an age, a delay, a pause), and the caller gives them a beginning.
//
// Everything keeps the limits that the API sets for input, so that what can be
// shown could also have been typed. The package's test holds the content to
// them; a mistake in the syntax that the test let through would panic at first use.
package demo

import (
	"embed"
	"slices"
	"sync"
	"time"
)

//go:embed content
var files embed.FS

// Person is one who posts and comments.
type Person struct {
	Username string // unique without regard to case; Post.Author and Comment.Author name it
	FullName string
	Email    string // unique; under example.com, example.org or example.net, where no mail arrives
}

// Post is a post and the conversation below it.
type Post struct {
	Key       string // names the post among all posts of Posts and Trickle; Item.On refers to it
	Author    string // a Person's Username
	Title     string
	Content   string // paragraphs with an empty line between them
	Published bool   // false: a draft, which has no comments
	// Age is how long before the start it was posted: positive in the
	// archive, zero for what is still to come.
	Age time.Duration
	// Comments are in the order they were written.
	Comments []Comment
}

// Comment is one answer to a post.
type Comment struct {
	Author  string // a Person's Username
	Content string
	// After is how long after its post it was written: positive, and in the
	// archive less than the post's Age.
	After time.Duration
}

// People returns everybody, in the order of content/people.txt. The slice is the
// caller's own.
func People() []Person { return slices.Clone(parsed().people) }

// Posts returns the archive: what was posted before the start, oldest first.
// The posts are the caller's own.
func Posts() []Post {
	c := parsed()
	posts := make([]Post, len(c.archive))
	for i, s := range c.archive {
		posts[i] = s.post(0)
	}
	return posts
}

// Upcoming returns the posts of the first round of Trickle, each with the
// comments that follow it there, in the order of the posts. The posts are the
// caller's own.
func Upcoming() []Post {
	c := parsed()
	posts := make([]Post, len(c.trickle))
	for i, s := range c.trickle {
		posts[i] = s.post(0)
	}
	return posts
}

// parsed is the content of the binary. The error it panics on is a mistake in
// an embedded file, which no caller could handle and every run would meet.
var parsed = sync.OnceValue(func() *content {
	c, err := parse(files)
	if err != nil {
		panic(err)
	}
	return c
})
