// Package search turns what a person types into a full-text query of the database.
//
// The language is small and the same on both databases: words that must all occur, "quoted phrases", `or` between
// alternatives (it binds less than the words beside it), and - before a word or phrase that must not occur. Words are
// runs of letters and digits in any script; everything else separates. Every text is a query: none is an error.
package search

import (
	"strings"
	"unicode"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// maxTerms bounds a query; words beyond are left out.
const maxTerms = 32

// Posts returns what finds the posts that match text, and what orders them, best match first, ties by id; ok is false
// when there is nothing in text to look for. matches is for ent's Where. byRank is for the statement that matches has
// narrowed, and for nothing else.
func Posts(text string) (matches, byRank func(*sql.Selector), ok bool) {
	q := parse(text)
	if len(q) == 0 {
		return nil, nil, false
	}
	matches = func(s *sql.Selector) {
		if s.Dialect() == dialect.Postgres {
			s.Where(sql.P(func(b *sql.Builder) {
				b.Ident(s.C("search")).WriteString(" @@ websearch_to_tsquery('english', ").Arg(q.websearch()).WriteByte(')')
			}))
			return
		}
		t := sql.Dialect(s.Dialect()).Table("post_search")
		s.Join(t).On(s.C("id"), t.C("post_id"))
		s.Where(sql.P(func(b *sql.Builder) { b.Ident(t.C("post_search")).WriteString(" MATCH ").Arg(q.fts5()) }))
	}
	byRank = func(s *sql.Selector) {
		s.OrderExpr(sql.ExprFunc(func(b *sql.Builder) {
			if s.Dialect() == dialect.Postgres {
				b.WriteString("ts_rank(").Ident(s.C("search")).WriteString(", websearch_to_tsquery('english', ").Arg(q.websearch()).WriteString(")) DESC")
			} else {
				b.WriteString("bm25(post_search, 8.0, 1.0)") // a title counts as much more as Postgres' weight A than B
			}
		}), sql.ExprFunc(func(b *sql.Builder) { b.Ident(s.C("id")).WriteString(" DESC") }))
	}
	return matches, byRank, true
}

// query is alternatives, each of which has something to look for.
type query []alternative

type alternative struct{ with, without []phrase }

// phrase is words that stand next to each other.
type phrase []string

func parse(text string) query {
	var q query
	var a alternative
	closeAlternative := func() {
		if len(a.with) > 0 {
			q = append(q, a)
		}
		a = alternative{}
	}
	terms := 0
	for text != "" && terms < maxTerms {
		start := strings.IndexFunc(text, func(r rune) bool { return r == '"' || isWord(r) })
		if start < 0 {
			break
		}
		negated := start > 0 && text[start-1] == '-' && (start == 1 || text[start-2] == ' ')
		var p phrase
		quoted := text[start] == '"'
		if quoted {
			inner, rest, _ := strings.Cut(text[start+1:], `"`)
			p, text = words(inner), rest
		} else {
			// A run without spaces is one term, so that "can't" is looked for as it is written.
			run := text[start:]
			if end := strings.IndexFunc(run, func(r rune) bool { return unicode.IsSpace(r) || r == '"' }); end >= 0 {
				run = run[:end]
			}
			p, text = words(run), text[start+len(run):]
		}
		switch {
		case len(p) == 0:
			continue
		case !quoted && !negated && len(p) == 1 && strings.EqualFold(p[0], "or"):
			closeAlternative()
			continue
		case negated:
			a.without = append(a.without, p)
		default:
			a.with = append(a.with, p)
		}
		terms += len(p)
	}
	closeAlternative()
	return q
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) }

func words(s string) phrase {
	p := strings.FieldsFunc(s, func(r rune) bool { return !isWord(r) })
	if len(p) > maxTerms {
		p = p[:maxTerms]
	}
	return p
}

func (p phrase) quoted() string { return `"` + strings.Join(p, " ") + `"` }

// websearch writes the query for Postgres' websearch_to_tsquery.
func (q query) websearch() string {
	alternatives := make([]string, len(q))
	for i, a := range q {
		var terms []string
		for _, p := range a.with {
			terms = append(terms, p.quoted())
		}
		for _, p := range a.without {
			terms = append(terms, "-"+p.quoted())
		}
		alternatives[i] = strings.Join(terms, " ")
	}
	return strings.Join(alternatives, " or ")
}

// fts5 writes the query for SQLite (https://sqlite.org/fts5.html, section 3). Every word is quoted, so that none is
// taken for an operator.
func (q query) fts5() string {
	alternatives := make([]string, len(q))
	for i, a := range q {
		with := make([]string, len(a.with))
		for j, p := range a.with {
			with[j] = p.quoted()
		}
		text := "(" + strings.Join(with, " AND ") + ")"
		for _, p := range a.without {
			text = "(" + text + " NOT " + p.quoted() + ")"
		}
		alternatives[i] = text
	}
	return strings.Join(alternatives, " OR ")
}
