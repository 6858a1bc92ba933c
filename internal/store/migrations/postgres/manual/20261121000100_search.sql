-- Full-text search over posts: a match in the title counts more than one in the text.
ALTER TABLE "posts" ADD COLUMN "search" tsvector GENERATED ALWAYS AS (
  setweight(to_tsvector('english', "title"), 'A') || setweight(to_tsvector('english', "content"), 'B')
) STORED;
CREATE INDEX "posts_search" ON "posts" USING gin ("search");
