-- Full-text search over posts. triggers.sql keeps it up to date.
CREATE VIRTUAL TABLE post_search USING fts5(title, content, post_id UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2');
-- The way from a post to its row there: a number that VACUUM leaves alone, as it does not leave alone posts.rowid.
CREATE TABLE post_search_row (number INTEGER PRIMARY KEY, post_id uuid NOT NULL UNIQUE);
