//go:build linux

package main

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tidings/internal/gid"
)

// size is how much there is in a database.
type size struct {
	users, posts, comments int
	busy                   int // more comments, all of them on the newest post that is public
}

// data is what is loaded into a database: the same for the same size, but for the account that signs up.
type data struct {
	users    []user
	posts    []post    // oldest first
	comments []comment // oldest first
	words    []string  // the commonest first
}

type user struct {
	id             gid.User
	username, name string
	at             time.Time
}

type post struct {
	id             gid.Post
	title, content string
	published      bool
	author         gid.User
	at             time.Time
}

type comment struct {
	id      gid.Comment
	content string
	author  gid.User
	on      gid.Post
	at      time.Time
}

// All times lie behind now, whatever the clock says; the servers run with a retention that reaches back to them.
var (
	beginning = time.Date(2025, 1, 1, 9, 0, 0, 0, time.UTC)
	between   = 15*time.Minute + 123457*time.Microsecond // two posts
)

const (
	retention     = "876000h" // 100 years
	postLength    = 1000      // characters, about
	commentLength = 200
	drafts        = 40 // of so many posts one is a draft
	vocabulary    = 3000
	accent        = "é" // at the end of some words
)

// generate makes users, one less than s says, for the account that signs up is one; posts; and comments, of which a
// hundredth of the posts has a tenth, in the order in which they were written, on whatever post.
func generate(s size) *data {
	g := &generator{rand: rand.New(rand.NewPCG(1, 2))}
	d := &data{words: g.vocabulary()}
	g.words = d.words
	g.zipf = rand.NewZipf(g.rand, 1.1, 8, vocabulary-1)
	for i := range s.users - 1 {
		at := beginning.Add(time.Duration(i) * time.Second)
		name := strings.TrimSuffix(g.word(), accent) + "_" + strconv.Itoa(i)
		d.users = append(d.users, user{gid.UserOf(g.id(at)), name, strings.ToUpper(name[:1]) + name[1:] + " " + g.word(), at})
	}
	first := beginning.Add(24 * time.Hour)
	for i := range s.posts {
		at := first.Add(time.Duration(i) * between)
		d.posts = append(d.posts, post{gid.PostOf(g.id(at)), g.title(), g.text(postLength), i%drafts != drafts/2, g.author(d), at})
	}
	ranks := g.rand.Perm(s.posts)
	for range s.comments {
		x := g.rand.Float64()
		on := d.posts[ranks[int(x*x*float64(s.posts))]]
		at := on.at.Add(time.Minute + time.Duration(g.rand.ExpFloat64()*float64(24*time.Hour))).Truncate(time.Microsecond)
		d.comments = append(d.comments, comment{gid.CommentOf(g.id(at)), g.text(commentLength), g.author(d), on.id, at})
	}
	d.crowd(s.busy)
	slices.SortFunc(d.comments, func(a, b comment) int { return a.at.Compare(b.at) })
	return d
}

type generator struct {
	rand  *rand.Rand
	zipf  *rand.Zipf
	words []string
}

// id is a UUIDv7 (RFC 9562, section 5.7) of that time.
func (g *generator) id(at time.Time) (u uuid.UUID) {
	binary.BigEndian.PutUint64(u[:8], uint64(at.UnixMilli())<<16|0x7000|g.rand.Uint64()&0xfff)
	binary.BigEndian.PutUint64(u[8:], 1<<63|g.rand.Uint64()>>2)
	return u
}

func (g *generator) author(d *data) gid.User { return d.users[g.rand.IntN(len(d.users))].id }

// vocabulary makes words of two to four syllables, no two of which are the same. Some have an accent.
func (g *generator) vocabulary() []string {
	syllables := strings.Fields("ba be bor da den di fa fer fo ga gal go ha hem ka kel ko la lin lo ma mar mi na nor nu pa per po ra ri ros sa sel so ta ter ti va vin vo")
	seen := map[string]bool{}
	var words []string
	for len(words) < vocabulary {
		var w strings.Builder
		for range 2 + g.rand.IntN(3) {
			w.WriteString(syllables[g.rand.IntN(len(syllables))])
		}
		word := w.String()
		if seen[word] {
			continue
		}
		seen[word] = true
		if len(words)%100 == 99 {
			word += accent
		}
		words = append(words, word)
	}
	return words
}

func (g *generator) word() string { return g.words[g.zipf.Uint64()] }

func (g *generator) title() string {
	words := make([]string, 3+g.rand.IntN(5))
	for i := range words {
		words[i] = g.word()
	}
	return strings.Join(words, " ")
}

// text is sentences and paragraphs of about that many characters, with what JSON has to escape.
func (g *generator) text(length int) string {
	length += g.rand.IntN(length/5) - length/10
	var b strings.Builder
	for b.Len() < length {
		n := 5 + g.rand.IntN(10)
		for i := range n {
			word := g.word()
			if g.rand.IntN(40) == 0 {
				word = `"` + word + `"`
			}
			b.WriteString(word)
			if i < n-1 {
				b.WriteByte(' ')
			}
		}
		if g.rand.IntN(6) == 0 {
			b.WriteString(".\n\n")
		} else {
			b.WriteString(". ")
		}
	}
	return strings.TrimSpace(b.String())
}
