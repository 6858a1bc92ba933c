// Package search turns what a person types into a full-text search over posts: an ent predicate and an order, for both
// databases. It imports only ent's SQL builder, so that everything above may use it.
//
// The grammar is small and the same on both:
//
//	ferry timetable     posts with both words, in any form that shares their stem
//	"night ferry"       the words side by side
//	ferry -night        but not that one; also -"night ferry"
//	ferry or boat       either; or binds weaker than the words around it: a b or c d is (a b) or (c d)
//
// Case and accents make no difference, and words that say nothing in English (the, of, is) are passed over. Nothing that
// can be typed is an error: what is no word is passed over too, a quotation mark without a partner is a space, and what
// follows the first 4 KiB or the first 32 words of a text is ignored. A word is a run of letters and digits; scripts that
// are written without spaces are searched by such runs only.
package search

import (
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// Posts returns what narrows a query of posts to those that match text, and what puts the best match first: matches in
// the title before those in the content, the newest (greatest) id first among equals. ok is false when there is nothing
// to search for in text, only punctuation or exclusions, say: then nothing matches, and where and order are nil.
//
// where and order belong together, on the top level of one query (q.Where(where).Order(order)); where also stands
// alone, to count. Every other predicate, a permission's too, narrows the matches further. A search is ranked, so it is
// paged by offset.
func Posts(text string) (where, order func(*sql.Selector), ok bool) {
	query := parse(text)
	if len(query) == 0 {
		return nil, nil, false
	}
	where = func(s *sql.Selector) {
		if s.Dialect() == dialect.Postgres {
			s.Where(sql.P(func(b *sql.Builder) { b.Ident(s.C("search")).WriteString(" @@ ").Join(tsquery(query)) }))
			return
		}
		joinHits(s, query)
	}
	order = func(s *sql.Selector) {
		if s.Dialect() == dialect.Postgres {
			s.OrderExpr(sql.ExprFunc(func(b *sql.Builder) {
				b.WriteString("ts_rank(").Ident(s.C("search")).Comma().Join(tsquery(query)).WriteString(") DESC")
			}))
		} else {
			s.OrderBy(sql.Table(hits).C("score"))
		}
		s.OrderBy(sql.Desc(s.C("id")))
	}
	return where, order, true
}

// hits names the matches that where joins on SQLite.
const hits = "search_hit"

// tsquery is the expression as Postgres matches it.
func tsquery(query expression) sql.Querier {
	return sql.ExprFunc(func(b *sql.Builder) {
		b.WriteString("websearch_to_tsquery('english', ").Arg(query.websearch()).WriteString(")")
	})
}

// joinHits joins the matches in the FTS5 table with their scores, which are the lower the better: what has all in its
// title comes before what has some of it there, and that before the rest.
//
// FTS5's own bm25 will not do. It goes by how many posts have a word, and how long posts are, hidden ones included: by
// the order of their own drafts anyone could tell which words stand in other people's. A score may depend on nothing
// but the post and the query, as Postgres's ts_rank does.
func joinHits(s *sql.Selector, query expression) {
	index, doc := sql.Table("post_search"), sql.Table("post_search_doc")
	matches := sql.Dialect(s.Dialect()).Select().From(index)
	matches.Join(doc).On(doc.C("doc"), index.C("rowid"))
	matches.Select(doc.C("post_id")).AppendSelectExprAs(sql.ExprFunc(func(b *sql.Builder) {
		for _, titled := range query.titled() {
			b.WriteString("-(").Ident(index.C("rowid")).WriteString(" IN (SELECT rowid FROM post_search WHERE post_search MATCH ").
				Arg("{title} : (" + titled + ")").WriteString("))")
		}
	}), "score").
		Where(sql.ExprP("post_search MATCH ?", query.fts5())).As(hits)
	s.Join(matches).On(s.C("id"), matches.C("post_id"))
}
