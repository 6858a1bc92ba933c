-- Full-text search over posts. The index keeps no copy of the text. Its rows are numbered by post_search_doc, whose
-- number is a column of its own: VACUUM may renumber the rows of posts. The triggers that keep it are in
-- search_triggers.sql.
CREATE TABLE post_search_doc (doc integer PRIMARY KEY, post_id uuid NOT NULL UNIQUE);
CREATE VIRTUAL TABLE post_search USING fts5(title, content, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2');
