-- Keep post_search equal to posts. Package store makes these triggers after every run of migrations, because SQLite
-- drops them with a table that a migration rebuilds.
CREATE TRIGGER post_search_insert AFTER INSERT ON posts BEGIN
  INSERT INTO post_search_doc (post_id) VALUES (new.id);
  INSERT INTO post_search (rowid, title, content) SELECT doc, new.title, new.content FROM post_search_doc WHERE post_id = new.id;
END;
CREATE TRIGGER post_search_update AFTER UPDATE OF title, content ON posts WHEN old.title <> new.title OR old.content <> new.content BEGIN
  UPDATE post_search SET title = new.title, content = new.content WHERE rowid = (SELECT doc FROM post_search_doc WHERE post_id = new.id);
END;
CREATE TRIGGER post_search_delete AFTER DELETE ON posts BEGIN
  DELETE FROM post_search WHERE rowid = (SELECT doc FROM post_search_doc WHERE post_id = old.id);
  DELETE FROM post_search_doc WHERE post_id = old.id;
END;
