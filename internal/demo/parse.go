package demo

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// content is everything under content/, as it was written: alternatives are
// chosen when a post is asked for.
type content struct {
	people  []Person
	archive []story // oldest first
	trickle []story // by file name
	late    []remark
}

// story is one file: a post and its comments.
type story struct {
	key     string
	authors []string // one for each round, over and over
	title   string
	text    string
	draft   bool
	age     time.Duration
	remarks []remark
}

// remark is one comment: below the post of its file, or late, on the story that on names.
type remark struct {
	authors []string
	text    string
	after   time.Duration
	on      string
}

// postsAuthor stands for the author of the post in the head of a comment, since
// that may be somebody else in another round.
const postsAuthor = "author"

func parse(fsys fs.FS) (*content, error) {
	var c content
	people, err := fs.ReadFile(fsys, "content/people.txt")
	if err != nil {
		return nil, fmt.Errorf("reading the demo's people: %w", err)
	}
	if c.people, err = parsePeople(string(people)); err != nil {
		return nil, fmt.Errorf("content/people.txt: %w", err)
	}
	if c.archive, err = parseStories(fsys, "content/archive"); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.archive, func(a, b story) int { return cmp.Compare(b.age, a.age) })
	if c.trickle, err = parseStories(fsys, "content/trickle"); err != nil {
		return nil, err
	}
	late, err := fs.ReadFile(fsys, "content/late.md")
	if err != nil {
		return nil, fmt.Errorf("reading the demo's late comments: %w", err)
	}
	if _, c.late, err = parseRemarks(string(late)); err != nil {
		return nil, fmt.Errorf("content/late.md: %w", err)
	}
	return &c, nil
}

// parsePeople reads lines of "username | full name | e-mail"; empty lines and
// those that start with # are notes for the writer.
func parsePeople(text string) ([]Person, error) {
	var people []Person
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := alternatives(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("%q: want username | full name | e-mail", line)
		}
		people = append(people, Person{Username: f[0], FullName: f[1], Email: f[2]})
	}
	return people, nil
}

// parseStories reads every .md file of a directory, in the order of their names.
func parseStories(fsys fs.FS, dir string) ([]story, error) {
	names, err := fs.Glob(fsys, dir+"/*.md")
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	stories := make([]story, 0, len(names))
	for _, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("reading the demo's posts: %w", err)
		}
		s, err := parseStory(string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.key = strings.TrimSuffix(path.Base(name), ".md")
		stories = append(stories, s)
	}
	return stories, nil
}

func parseStory(text string) (story, error) {
	var s story
	head, rest, ok := strings.Cut(text, "\n\n")
	if !ok {
		return s, errors.New("want an empty line between the head and the post")
	}
	for line := range strings.Lines(head) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		var err error
		switch name {
		case "author":
			s.authors = alternatives(value)
		case "title":
			s.title = value
		case "age":
			s.age, err = parseDuration(value)
		case "draft":
			s.draft, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("unknown line in the head: %q", line)
		}
		if err != nil {
			return s, err
		}
	}
	var err error
	if s.text, s.remarks, err = parseRemarks(rest); err != nil {
		return s, err
	}
	switch {
	case len(s.authors) == 0:
		return s, errors.New("no author")
	case s.title == "":
		return s, errors.New("no title")
	case s.text == "":
		return s, errors.New("no text")
	}
	return s, nil
}

// remarkHead matches the line above a comment: "== maren_h +25m" below a post,
// "== maren_h on the-post" in late.md.
var remarkHead = regexp.MustCompile(`^== ([\w| ]*\w) (?:\+(\S+)|on (\S+))$`)

// parseRemarks splits text at the heads of comments: what stands before the
// first, and the comments.
func parseRemarks(text string) (before string, remarks []remark, err error) {
	var block strings.Builder
	finish := func() {
		t := unwrap(block.String())
		block.Reset()
		if len(remarks) == 0 {
			before = t
		} else {
			remarks[len(remarks)-1].text = t
		}
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "==") {
			block.WriteString(line + "\n")
			continue
		}
		m := remarkHead.FindStringSubmatch(line)
		if m == nil {
			return "", nil, fmt.Errorf("%q: want == username +25m, or == username on the-post", line)
		}
		finish()
		r := remark{authors: alternatives(m[1]), on: m[3]}
		if m[2] != "" {
			if r.after, err = parseDuration(m[2]); err != nil {
				return "", nil, err
			}
		}
		remarks = append(remarks, r)
	}
	if err := lines.Err(); err != nil {
		return "", nil, fmt.Errorf("splitting into comments: %w", err)
	}
	finish()
	return before, remarks, nil
}

// parseDuration reads time.ParseDuration's syntax with days before it: "3d4h30m".
func parseDuration(s string) (time.Duration, error) {
	var d time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", s, err)
		}
		d, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		r, err := time.ParseDuration(rest)
		if err != nil {
			return 0, fmt.Errorf("duration %q: %w", s, err)
		}
		d += r
	}
	return d, nil
}

// alternatives splits at bars, and takes the space from around each part.
func alternatives(s string) []string {
	parts := strings.Split(s, "|")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

// unwrap joins the lines of each paragraph, which are broken in the files only
// for the eyes of whoever edits them. Items of a list, quotes and indented lines
// stay lines.
func unwrap(text string) string {
	var paragraphs []string
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var b strings.Builder
		for i, line := range strings.Split(strings.Trim(p, "\n"), "\n") {
			own := strings.HasPrefix(line, "- ") || strings.HasPrefix(line, "> ") || strings.HasPrefix(line, "    ")
			switch {
			case i > 0 && own:
				b.WriteByte('\n')
			case i > 0:
				b.WriteByte(' ')
			}
			b.WriteString(line)
		}
		paragraphs = append(paragraphs, b.String())
	}
	return strings.Join(paragraphs, "\n\n")
}

var choice = regexp.MustCompile(`\[\[([^\]]*)\]\]`)

// choose gives the text of a round: of each [[one|two|three]] one alternative,
// in turn. Choices of the same length therefore go together.
func choose(text string, round int) string {
	return choice.ReplaceAllStringFunc(text, func(m string) string {
		return turn(alternatives(m[2:len(m)-2]), round)
	})
}

// turn is whose turn it is in a round.
func turn(among []string, round int) string { return among[round%len(among)] }

// post is the story as it is told in a round; the first is 0.
func (s *story) post(round int) Post {
	p := Post{
		Key:       s.key,
		Author:    turn(s.authors, round),
		Title:     choose(s.title, round),
		Content:   choose(s.text, round),
		Published: !s.draft,
		Age:       s.age,
	}
	if round > 0 {
		p.Key = fmt.Sprintf("%s/%d", s.key, round+1)
	}
	for _, r := range s.remarks {
		c := r.comment(round)
		if c.Author == postsAuthor {
			c.Author = p.Author
		}
		p.Comments = append(p.Comments, c)
	}
	return p
}

// comment is the remark as it is made in a round.
func (r *remark) comment(round int) Comment {
	return Comment{Author: turn(r.authors, round), Content: choose(r.text, round), After: r.after}
}
