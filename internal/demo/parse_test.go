package demo

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestParseStory(t *testing.T) {
	s, err := parseStory(`author: one | two
age: 2d3h
title: A [[red|blue]] kite

First line,
second line.

- item
- item two

    code

== three +25m
Was it [[red|blue|green]]?

== author +1h
Yes.
`)
	if err != nil {
		t.Fatal(err)
	}
	for round, want := range []struct{ author, title, comment string }{
		{"one", "A red kite", "Was it red?"},
		{"two", "A blue kite", "Was it blue?"},
		{"one", "A red kite", "Was it green?"},
	} {
		p := s.post(round)
		if p.Author != want.author || p.Title != want.title || p.Comments[0].Content != want.comment {
			t.Errorf("round %d: %+v", round, p)
		}
		if c := p.Comments[1]; c.Author != p.Author || c.After != time.Hour {
			t.Errorf("round %d: the author's answer is %+v", round, c)
		}
	}
	p := s.post(0)
	if want := "First line, second line.\n\n- item\n- item two\n\n    code"; p.Content != want {
		t.Errorf("content %q, want %q", p.Content, want)
	}
	if want := 51 * time.Hour; p.Age != want {
		t.Errorf("age %v, want %v", p.Age, want)
	}
}

func TestParseRefuses(t *testing.T) {
	const good = "author: one\ntitle: A kite\n\nText.\n"
	for name, tt := range map[string]struct{ text, want string }{
		"no head":            {"Text.", "empty line"},
		"no author":          {"title: A kite\n\nText.\n", "no author"},
		"no title":           {"author: one\n\nText.\n", "no title"},
		"no text":            {"author: one\ntitle: A kite\n\n== two +1m\nHm.\n", "no text"},
		"unknown line":       {"author: one\ntilte: A kite\n\nText.\n", "unknown line"},
		"age without a unit": {"author: one\ntitle: A kite\nage: 3\n\nText.\n", "duration"},
		"age of no days":     {"author: one\ntitle: A kite\nage: xd\n\nText.\n", "duration"},
		"draft perhaps":      {"author: one\ntitle: A kite\ndraft: perhaps\n\nText.\n", "perhaps"},
		"comment of nobody":  {good + "\n== +3m\nHm.\n", "want == username"},
		"comment of no time": {good + "\n== two\nHm.\n", "want == username"},
		"comment too early":  {good + "\n== two +soon\nHm.\n", "duration"},
	} {
		if _, err := parseStory(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tt.want)
		}
	}
	if _, err := parseStory(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
	if _, err := parsePeople("# note\none | One"); err == nil {
		t.Error("a person without an e-mail passes")
	}
}

// A mistake names its file.
func TestParseNamesTheFile(t *testing.T) {
	fsys := fstest.MapFS{
		"content/people.txt":      {Data: []byte("one | One | one@example.com\n")},
		"content/archive/kite.md": {Data: []byte("nothing")},
	}
	if _, err := parse(fsys); err == nil || !strings.Contains(err.Error(), "content/archive/kite.md") {
		t.Errorf("error %v", err)
	}
	if _, err := parse(fstest.MapFS{}); err == nil {
		t.Error("no files and no error")
	}
}
