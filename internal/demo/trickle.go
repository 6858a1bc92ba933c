package demo

import (
	"cmp"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// Item is the next thing that happens in the trickle: a new post, or a comment.
type Item struct {
	// Pause is how long to wait before it, for a rhythm that is pleasant to
	// watch: between MinPause and MaxPause.
	Pause time.Duration
	// Post is the new post, nil if the item is a comment. It has no Comments:
	// they are items of their own.
	Post *Post
	// On is the Key of the post that Comment is on, "" if the item is a post:
	// a published post of Posts, or one of the latest Window posts of the
	// trickle. What is older may be forgotten.
	On string
	// Comment is the new comment; its After is zero.
	Comment Comment
}

// The bounds of Item.Pause, and how many posts of the trickle may still get comments.
const (
	MinPause = time.Second
	MaxPause = 15 * time.Second
	Window   = 8
)

const (
	// spacing lies between two posts of the trickle, by the clock of the
	// content, in which comments follow their posts by minutes.
	spacing = 20 * time.Minute
	// pace is how much faster the content's clock runs than the watcher's:
	// a post about every forty seconds, and something every six.
	pace = 30
)

// Trickle is what happens after the start, without end: the posts of Upcoming,
// each followed by its comments, those of several posts among each other as
// their delays have it, and in between late comments on the archive. When the
// posts are used up they come again, in another order and told a little
// differently (another author, another day, another colour of umbrella), with
// Keys of their own.
//
// The sequence starts from its beginning whenever it is ranged over, and is the
// same each time. No two neighbours are equal. Posts are the consumer's own.
func Trickle() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		c := parsed()
		length := spacing * time.Duration(len(c.trickle))
		var (
			pending []moment
			last    time.Duration
		)
		for round := 0; ; round++ {
			pending = append(pending, c.round(round, length)...)
			slices.SortStableFunc(pending, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
			// What lies behind the end of the round waits, to be sorted in
			// among what the next one brings.
			end := time.Duration(round+1) * length
			due := 0
			for ; due < len(pending) && pending[due].at < end; due++ {
				m := pending[due]
				m.item.Pause = min(max((m.at-last)/pace, MinPause), MaxPause)
				last = m.at
				if !yield(m.item) {
					return
				}
			}
			pending = slices.Delete(pending, 0, due)
		}
	}
}

// moment is an item and when it happens, by the clock of the content.
type moment struct {
	at   time.Duration
	item Item
}

// round lists what a round brings, in no order. The comments of its last posts
// lie behind its end.
func (c *content) round(round int, length time.Duration) []moment {
	// A fixed seed: chance gives the rhythm here, and the same one to everybody.
	rng := rand.New(rand.NewPCG(uint64(round), 0x71d1965))
	start := time.Duration(round) * length
	var moments []moment
	for i, at := range order(len(c.trickle), round, rng) {
		post := c.trickle[at].post(round)
		comments := post.Comments
		post.Comments = nil
		posted := start + time.Duration(i)*spacing
		if i > 0 {
			posted += time.Duration(rng.Int64N(int64(spacing / 3)))
		}
		moments = append(moments, moment{posted, Item{Post: &post}})
		for _, comment := range comments {
			when := posted + comment.After
			comment.After = 0
			moments = append(moments, moment{when, Item{On: post.Key, Comment: comment}})
		}
	}
	if len(c.late) == 0 {
		return moments
	}
	between := length / time.Duration(len(c.late))
	for i, at := range order(len(c.late), round, rng) {
		r := c.late[at]
		when := start + time.Duration(i)*between + time.Duration(rng.Int64N(int64(between)))
		moments = append(moments, moment{when, Item{On: r.on, Comment: r.comment(round)}})
	}
	return moments
}

// order is the order of a round: that of the files in the first, so that whoever
// edits them decides what a visitor sees at once; later shuffled within each
// third, so that nothing comes again soon.
func order(n, round int, rng *rand.Rand) []int {
	is := make([]int, n)
	for i := range is {
		is[i] = i
	}
	if round == 0 {
		return is
	}
	for third := range slices.Chunk(is, max(n/3, 1)) {
		rng.Shuffle(len(third), func(i, j int) { third[i], third[j] = third[j], third[i] })
	}
	return is
}
