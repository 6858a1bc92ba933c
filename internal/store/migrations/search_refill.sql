-- Fills post_search anew from posts.
INSERT INTO post_search (post_search) VALUES ('delete-all');
DELETE FROM post_search_doc;
INSERT INTO post_search_doc (post_id) SELECT id FROM posts;
INSERT INTO post_search (rowid, title, content) SELECT d.doc, p.title, p.content FROM post_search_doc d JOIN posts p ON p.id = d.post_id;
