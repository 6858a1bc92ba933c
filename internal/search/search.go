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

// Posts returns what narrows a query of posts to those that match text, and how well each of them does: matches in the
// title better than those in the content. ok is false when there is nothing to search for in text, only punctuation or
// exclusions, say: then nothing matches, and where and rank are nil.
//
// where and rank belong together, on the top level of one query, of which rank is an expression; where also stands
// alone, to count. Every other predicate, a permission's too, narrows the matches further. A search is ranked, so it is
// paged by offset.
func Posts(text string) (where func(*sql.Selector), rank func(*sql.Selector) sql.Querier, ok bool) {
	query := parse(text)
	if len(query) == 0 {
		return nil, nil, false
	}
	where = func(s *sql.Selector) {
		if s.Dialect() == dialect.Postgres {
			// Once for the statement: beside @@ and in ts_rank it would be read anew for each post.
			s.AppendFromExpr(sql.ExprFunc(func(b *sql.Builder) {
				b.WriteString("websearch_to_tsquery('english', ").Arg(query.websearch()).WriteString(") AS ").Ident(hits)
			}))
			column := s.C("search")
			s.Where(sql.P(func(b *sql.Builder) { b.Ident(column).WriteString(" @@ ").Ident(hits) }))
			return
		}
		joinHits(s, query)
	}
	rank = func(s *sql.Selector) sql.Querier {
		if s.Dialect() == dialect.Postgres {
			column := s.C("search")
			return sql.ExprFunc(func(b *sql.Builder) { b.WriteString("ts_rank(").Ident(column).Comma().Ident(hits).WriteString(")") })
		}
		return sql.ExprFunc(func(b *sql.Builder) { b.WriteString("-").Ident(sql.Dialect(dialect.SQLite).Table(hits).C("score")) })
	}
	return where, rank, true
}

// hits names what where adds to a statement: on Postgres the query, on SQLite the matches.
const hits = "search_hit"

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
