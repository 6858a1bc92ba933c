-- Full-text search over posts, unknown to ent: a vector that Postgres keeps for each post, and its index.

-- search_words is a text as nothing but its words: accents off, punctuation and symbols to spaces. Without it the parser
-- of Postgres would take web addresses, e-mail addresses, paths and tags for one word each, or for none. Package search
-- does the same to what is searched for.
CREATE FUNCTION search_words(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE RETURN regexp_replace(
  regexp_replace(normalize($1, NFD), U&'[\0300-\036F]+', '', 'g'),
  U&'[\0001-\002F\003A-\0040\005B-\0060\007B-\00A9\2000-\206F\3000-\303F]+', ' ', 'g'
);
ALTER TABLE posts ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS (
  setweight(to_tsvector('english', search_words(title)), 'A') || setweight(to_tsvector('english', search_words(content)), 'B')
) STORED;
CREATE INDEX posts_search ON posts USING gin (search);
