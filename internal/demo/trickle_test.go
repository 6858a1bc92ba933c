package demo

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// items takes the first n of the trickle.
func items(n int) []Item {
	all := make([]Item, 0, n)
	for item := range Trickle() {
		all = append(all, item)
		if len(all) == n {
			break
		}
	}
	return all
}

// perRound is how many items a round brings.
func perRound() int {
	n := len(parsed().late)
	for _, p := range Upcoming() {
		n += 1 + len(p.Comments)
	}
	return n
}

func TestTrickleIsWellFormed(t *testing.T) {
	archive := map[string]bool{}
	for _, p := range Posts() {
		archive[p.Key] = p.Published
	}
	var (
		window []string // keys of the latest posts of the trickle, oldest first
		keys   = map[string]bool{}
	)
	for i, item := range items(rounds * perRound()) {
		if item.Pause < MinPause || item.Pause > MaxPause {
			t.Errorf("item %d: pause %v", i, item.Pause)
		}
		if p := item.Post; p != nil {
			checkPost(t, *p)
			if item.On != "" || item.Comment != (Comment{}) || p.Comments != nil || !p.Published {
				t.Errorf("item %d is more than a post: %+v", i, item)
			}
			if _, ok := archive[p.Key]; ok || keys[p.Key] {
				t.Errorf("item %d: key %q again", i, p.Key)
			}
			keys[p.Key] = true
			if window = append(window, p.Key); len(window) > Window {
				window = window[1:]
			}
			continue
		}
		checkAuthor(t, item.On, item.Comment.Author)
		checkText(t, "a comment on "+item.On, item.Comment.Content, 1, 10_000)
		if item.Comment.After != 0 {
			t.Errorf("item %d: after %v", i, item.Comment.After)
		}
		if !archive[item.On] && !slices.Contains(window, item.On) {
			t.Errorf("item %d: a comment on %q, which is a draft, too old or unknown", i, item.On)
		}
	}
}

// The first round is what Upcoming returns: every post, then its comments in
// their order, and late comments among them.
func TestTrickleTellsUpcoming(t *testing.T) {
	comments := map[string][]string{}
	var posts []string
	for _, item := range items(2 * perRound()) {
		if item.Post != nil {
			posts = append(posts, item.Post.Key)
		} else {
			comments[item.On] = append(comments[item.On], item.Comment.Content)
		}
	}
	for i, p := range Upcoming() {
		if posts[i] != p.Key {
			t.Errorf("post %d is %s, want %s", i, posts[i], p.Key)
		}
		var want []string
		for _, c := range p.Comments {
			want = append(want, c.Content)
		}
		if !slices.Equal(comments[p.Key], want) {
			t.Errorf("comments on %s:\n%q, want\n%q", p.Key, comments[p.Key], want)
		}
	}
	for _, r := range parsed().late {
		if got := comments[r.on]; !slices.Contains(got, r.comment(0).Content) {
			t.Errorf("nothing late on %s by %s", r.on, r.authors[0])
		}
	}
}

func TestTrickleKeepsItsRhythm(t *testing.T) {
	all := items(rounds * perRound())
	if all[0].Post == nil {
		t.Error("it doesn't begin with a post")
	}
	var (
		took, toSecond time.Duration
		posts, row     int
		archive        int
	)
	old := Posts()
	for _, item := range all {
		took += item.Pause
		if item.Post != nil {
			posts, row = posts+1, row+1
			if posts == 2 {
				toSecond = took
			}
			if row == 3 {
				t.Errorf("three posts in a row, the last %s", item.Post.Key)
			}
			continue
		}
		row = 0
		if slices.ContainsFunc(old, func(p Post) bool { return p.Key == item.On }) {
			archive++
		}
	}
	if all[1].Pause+all[0].Pause > 10*time.Second {
		t.Errorf("the second item comes after %v", all[0].Pause+all[1].Pause)
	}
	if toSecond > time.Minute {
		t.Errorf("the second post comes after %v", toSecond)
	}
	if mean := took / time.Duration(len(all)); mean < 3*time.Second || mean > 10*time.Second {
		t.Errorf("an item every %v", mean)
	}
	if share := len(all) / posts; share < 4 || share > 9 {
		t.Errorf("a post every %d items", share)
	}
	if archive == 0 {
		t.Error("nothing on the archive")
	}
}

// No two neighbours are equal, and it takes a good while until something is said again at all.
func TestTrickleDoesNotRepeatItself(t *testing.T) {
	const apart = 100
	said := map[string]int{}
	told := map[string]int{}
	posts := 0
	for i, item := range items(rounds * perRound()) {
		text := item.On + item.Comment.Content
		if item.Post != nil {
			text = item.Post.Title
			story, _, _ := strings.Cut(item.Post.Key, "/")
			if before, ok := told[story]; ok && posts-before < 15 {
				t.Errorf("%s again after %d posts", item.Post.Key, posts-before)
			}
			told[story] = posts
			posts++
		}
		if before, ok := said[text]; ok && i-before < apart {
			t.Errorf("%q again after %d items", text, i-before)
		}
		said[text] = i
	}
}

func TestTrickleStopsWhenAskedTo(t *testing.T) {
	for range 3 {
		if n := len(items(7)); n != 7 {
			t.Fatalf("%d items, want 7", n)
		}
	}
}
