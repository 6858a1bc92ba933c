package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of what is looked at: so many bytes of the text, so many words of it (those in quotes and exclusions included),
// and no word of more bytes: Postgres does not index words of 2 KiB.
const (
	maxBytes     = 4096
	maxWords     = 32
	maxWordBytes = 255
)

// expression is a search in disjunctive form: a post matches when it matches one of the groups.
type expression []group

// group is matched by a post that has every phrase of all and none of none. all is not empty.
type group struct{ all, none []phrase }

// phrase is words side by side. It neither begins nor ends with a stop word, for Postgres has none in its index; of one
// in the middle it looks only whether some word is in its place, where SQLite looks for the word.
type phrase []string

// parse reads text. The expression is empty when there is nothing to search for.
func parse(text string) expression {
	if len(text) > maxBytes {
		text = text[:maxBytes]
	}
	text = quotes.Replace(strings.ToValidUTF8(text, " "))
	if strings.Count(text, `"`)%2 == 1 {
		last := strings.LastIndexByte(text, '"')
		text = text[:last] + " " + text[last+1:]
	}
	var (
		e    expression
		g    group
		left = maxWords
		end  = func() {
			if len(g.all) > 0 {
				e = append(e, g)
			}
			g = group{}
		}
	)
	for text != "" && left > 0 {
		var t term
		t, text = next(text)
		if t.is("or") {
			end()
			continue
		}
		words := words(t.text, left)
		left -= len(words)
		switch words = words.trim(); {
		case len(words) == 0:
		case t.excluded:
			g.none = append(g.none, words)
		default:
			g.all = append(g.all, words)
		}
	}
	end()
	return e
}

// quotes makes the quotation marks that keyboards and word processors put in place of the plain one plain.
var quotes = strings.NewReplacer("“", `"`, "”", `"`, "„", `"`, "«", `"`, "»", `"`)

// term is a word with whatever sticks to it, or what stands in quotes.
type term struct {
	text             string
	quoted, excluded bool
}

func (t term) is(operator string) bool {
	return !t.quoted && !t.excluded && strings.EqualFold(t.text, operator)
}

// next cuts the first term off text, which holds an even number of quotation marks.
func next(text string) (t term, rest string) {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	if len(text) > 1 && text[0] == '-' && text[1] != '-' {
		if r, _ := utf8.DecodeRuneInString(text[1:]); !unicode.IsSpace(r) {
			t.excluded, text = true, text[1:]
		}
	}
	if strings.HasPrefix(text, `"`) {
		t.quoted = true
		t.text, rest, _ = strings.Cut(text[1:], `"`)
		return t, rest
	}
	end := strings.IndexFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
	if end < 0 {
		end = len(text)
	}
	t.text = text[:end]
	return t, text[end:]
}

// words returns the first words of text, at most limit: its runs of letters and digits, without accents. It is the Go
// side of the SQL function search_words and of the tokenizer unicode61.
func words(text string, limit int) phrase {
	inside := false // a word, of which other marks than accents are a part
	plain := strings.Map(func(r rune) rune {
		if r >= '\u0300' && r <= '\u036f' {
			return -1
		}
		if inside = unicode.IsLetter(r) || unicode.IsNumber(r) || inside && unicode.IsMark(r); inside {
			return r
		}
		return ' '
	}, norm.NFD.String(text))
	var p phrase
	for word := range strings.FieldsSeq(plain) {
		if len(p) == limit {
			break
		}
		if len(word) <= maxWordBytes {
			p = append(p, word)
		}
	}
	return p
}

// trim cuts off the words at both ends that are not indexed on both databases.
func (p phrase) trim() phrase {
	for len(p) > 0 && !searchable(p[0]) {
		p = p[1:]
	}
	for len(p) > 0 && !searchable(p[len(p)-1]) {
		p = p[:len(p)-1]
	}
	return p
}

func searchable(word string) bool {
	_, stop := stopWords[strings.ToLower(word)]
	return !stop && strings.ContainsFunc(word, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// stopWords are those of Postgres's english dictionary, which it does not index. They are passed over on SQLite as well,
// so that the same search finds the same.
var stopWords = func() map[string]struct{} {
	set := map[string]struct{}{}
	for word := range strings.FieldsSeq(`i me my myself we our ours ourselves you your yours yourself yourselves he him his himself
		she her hers herself it its itself they them their theirs themselves what which who whom this that these those am is are
		was were be been being have has had having do does did doing a an the and but if or because as until while of at by for
		with about against between into through during before after above below to from up down in out on off over under again
		further then once here there when where why how all any both each few more most other some such no nor not only own same
		so than too very s t can will just don should now`) {
		set[word] = struct{}{}
	}
	return set
}()

// fts5 is the expression in the query language of SQLite's FTS5 (https://www.sqlite.org/fts5.html#full_text_query_syntax).
// Every phrase is a string there, in which no character has a meaning.
func (e expression) fts5() string {
	groups := make([]string, len(e))
	for i, g := range e {
		groups[i] = "(" + join(g.all, " AND ")
		if len(g.none) > 0 {
			groups[i] += " NOT (" + join(g.none, " OR ") + ")"
		}
		groups[i] += ")"
	}
	return strings.Join(groups, " OR ")
}

// titled is what to look for in the titles of posts that match, to rank them: in the language of FTS5 all of the
// expression, and any phrase of it, where these differ.
func (e expression) titled() []string {
	var phrases []phrase
	for _, g := range e {
		phrases = append(phrases, g.all...)
	}
	all := []string{e.fts5()}
	if len(phrases) > 1 {
		all = append(all, join(phrases, " OR "))
	}
	return all
}

// websearch is the expression in the language of Postgres's websearch_to_tsquery
// (https://www.postgresql.org/docs/current/textsearch-controls.html#TEXTSEARCH-PARSING-QUERIES).
func (e expression) websearch() string {
	groups := make([]string, len(e))
	for i, g := range e {
		groups[i] = join(g.all, " ")
		if len(g.none) > 0 {
			groups[i] += " -" + join(g.none, " -")
		}
	}
	return strings.Join(groups, " or ")
}

// join puts phrases, in which there is nothing but words, in quotes.
func join(phrases []phrase, between string) string {
	quoted := make([]string, len(phrases))
	for i, p := range phrases {
		quoted[i] = `"` + strings.Join(p, " ") + `"`
	}
	return strings.Join(quoted, between)
}
