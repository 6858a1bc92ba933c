package demo

import (
	"crypto/sha256"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// rounds is how many rounds of the trickle the tests look at: all combinations
// of choices of two, three and four come up.
const rounds = 12

func TestPeople(t *testing.T) {
	people := People()
	if len(people) != 24 {
		t.Errorf("%d people, want 24", len(people))
	}
	username := regexp.MustCompile(`^[A-Za-z0-9_]{3,32}$`)
	email := regexp.MustCompile(`^[a-z0-9.]+@example\.(com|net|org)$`)
	seen := map[string]bool{}
	for _, p := range people {
		if !username.MatchString(p.Username) || p.Username == postsAuthor {
			t.Errorf("username %q", p.Username)
		}
		if a, err := mail.ParseAddress(p.Email); err != nil || a.Address != p.Email || len(p.Email) > 254 || !email.MatchString(p.Email) {
			t.Errorf("%s: e-mail %q: %v", p.Username, p.Email, err)
		}
		checkText(t, p.Username+"'s full name", p.FullName, 1, 100)
		for _, unique := range []string{strings.ToLower(p.Username), strings.ToLower(p.Email), p.FullName} {
			if seen[unique] {
				t.Errorf("%q twice", unique)
			}
			seen[unique] = true
		}
	}
	for _, p := range people {
		if !slices.ContainsFunc(Posts(), func(post Post) bool { return post.Author == p.Username }) {
			t.Errorf("%s has no post in the archive", p.Username)
		}
	}
}

func TestArchive(t *testing.T) {
	posts := Posts()
	var drafts, silent, long int
	for i, p := range posts {
		checkPost(t, p)
		if p.Age <= 0 {
			t.Errorf("%s: age %v", p.Key, p.Age)
		}
		if i > 0 && p.Age > posts[i-1].Age {
			t.Errorf("%s is older than %s before it", p.Key, posts[i-1].Key)
		}
		for _, c := range p.Comments {
			if c.After >= p.Age {
				t.Errorf("%s: %s comments %v after a post of %v ago", p.Key, c.Author, c.After, p.Age)
			}
		}
		switch n := len(p.Comments); {
		case !p.Published:
			drafts++
			if n != 0 {
				t.Errorf("%s is a draft with comments", p.Key)
			}
		case n == 0:
			silent++
		case n >= 38 && n <= 45:
			long++
		case n > 12:
			t.Errorf("%s has %d comments", p.Key, n)
		}
	}
	if n := len(posts); n < 55 || n > 70 {
		t.Errorf("%d posts in the archive, want about 60", n)
	}
	if drafts != 3 || silent != 3 || long != 1 {
		t.Errorf("%d drafts, %d published posts without a comment, %d long threads; want 3, 3, 1", drafts, silent, long)
	}
}

func TestUpcoming(t *testing.T) {
	posts := Upcoming()
	if len(posts) != 30 {
		t.Errorf("%d posts to come, want 30", len(posts))
	}
	for _, s := range parsed().trickle {
		titles := map[string]bool{}
		for round := range rounds {
			p := s.post(round)
			checkPost(t, p)
			if n := len(p.Comments); n < 3 || n > 6 || !p.Published || p.Age != 0 {
				t.Errorf("%s: %d comments, published %t, age %v", p.Key, n, p.Published, p.Age)
			}
			for _, c := range p.Comments {
				if c.After > 90*time.Minute {
					t.Errorf("%s: %s comments after %v", p.Key, c.Author, c.After)
				}
			}
			titles[p.Title] = true
		}
		if len(titles) < 2 {
			t.Errorf("%s: the title is always the same", s.key)
		}
	}
}

func TestKeysAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range slices.Concat(Posts(), Upcoming()) {
		if seen[p.Key] || p.Key == "" || strings.Contains(p.Key, "/") {
			t.Errorf("key %q", p.Key)
		}
		seen[p.Key] = true
	}
}

// Nobody says the same thing twice, or begins as somebody else began.
func TestNothingIsRepeated(t *testing.T) {
	titles, openings, comments := map[string]string{}, map[string]string{}, map[string]string{}
	for _, p := range slices.Concat(Posts(), Upcoming()) {
		once(t, titles, p.Title, p.Key)
		once(t, openings, strings.Join(strings.Fields(p.Content)[:3], " "), p.Key)
		for _, c := range p.Comments {
			once(t, comments, c.Content, p.Key)
		}
	}
	for _, r := range parsed().late {
		for round := range 3 {
			once(t, comments, r.comment(round).Content, r.on)
		}
	}
}

func once(t *testing.T, seen map[string]string, text, where string) {
	t.Helper()
	if before, ok := seen[text]; ok {
		t.Errorf("%q is in %s and in %s", text, before, where)
	}
	seen[text] = where
}

func TestSameEveryTime(t *testing.T) {
	first, second := digest(), digest()
	if first != second {
		t.Errorf("two calls, two contents: %x and %x", first, second)
	}
	// What a caller does with its copy is its own affair.
	People()[0].Username = "changed"
	for _, posts := range [][]Post{Posts(), Upcoming()} {
		posts[0].Title = "changed"
		posts[0].Comments[0].Content = "changed"
	}
	for item := range Trickle() {
		item.Post.Title = "changed"
		break
	}
	if third := digest(); third != first {
		t.Error("a caller changed the content for others")
	}
	c, err := parse(files)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.people, People()) {
		t.Error("parsing again gives other people")
	}
}

// digest covers everything the package returns, and the trickle well into its second round.
func digest() [sha256.Size]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%#v %#v %#v", People(), Posts(), Upcoming())
	for _, item := range items(500) {
		fmt.Fprintf(h, "%d %q %#v", item.Pause, item.On, item.Comment)
		if item.Post != nil {
			fmt.Fprintf(h, "%#v", *item.Post)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// checkPost holds a post and its comments to the limits of the API and the rules of content/README.md.
func checkPost(t *testing.T, p Post) {
	t.Helper()
	checkAuthor(t, p.Key, p.Author)
	checkText(t, p.Key+"'s title", p.Title, 3, 200)
	checkText(t, p.Key, p.Content, 1, 40_000)
	if n := len(strings.Fields(p.Content)); n < 60 || n > 400 {
		t.Errorf("%s: %d words, want 60 to 400", p.Key, n)
	}
	var last time.Duration
	for i, c := range p.Comments {
		where := fmt.Sprintf("%s, comment %d", p.Key, i+1)
		checkAuthor(t, where, c.Author)
		checkText(t, where, c.Content, 1, 10_000)
		if c.After <= last {
			t.Errorf("%s: %v after the post, the one before %v", where, c.After, last)
		}
		last = c.After
	}
}

func checkAuthor(t *testing.T, where, username string) {
	t.Helper()
	if !slices.ContainsFunc(People(), func(p Person) bool { return p.Username == username }) {
		t.Errorf("%s: no such person: %q", where, username)
	}
}

var (
	marks = regexp.MustCompile(`\[\[|\]\]|\||==`)
	links = regexp.MustCompile(`(?i)https?:|www\.|@|lorem`)
)

func checkText(t *testing.T, where, text string, least, most int) {
	t.Helper()
	if n := utf8.RuneCountInString(text); n < least || n > most {
		t.Errorf("%s: %d characters, want %d to %d", where, n, least, most)
	}
	if !utf8.ValidString(text) || strings.TrimSpace(text) != text {
		t.Errorf("%s: not UTF-8, or with space around it: %q", where, text)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		t.Errorf("%s: a control character", where)
	}
	if m := marks.FindString(text); m != "" {
		t.Errorf("%s: %q is left over from the file", where, m)
	}
	if m := links.FindString(text); m != "" {
		t.Errorf("%s: %q: no links, no addresses", where, m)
	}
}
