-- Run after every migration that changed something: a table that was rebuilt has lost its triggers.
DROP TRIGGER IF EXISTS posts_search_insert;
DROP TRIGGER IF EXISTS posts_search_update;
DROP TRIGGER IF EXISTS posts_search_delete;
CREATE TRIGGER posts_search_insert AFTER INSERT ON posts BEGIN
  INSERT INTO post_search_row (post_id) VALUES (new.id);
  INSERT INTO post_search (rowid, title, content, post_id)
    SELECT number, new.title, new.content, new.id FROM post_search_row WHERE post_id = new.id;
END;
CREATE TRIGGER posts_search_update AFTER UPDATE OF title, content ON posts BEGIN
  UPDATE post_search SET title = new.title, content = new.content
    WHERE rowid = (SELECT number FROM post_search_row WHERE post_id = new.id);
END;
CREATE TRIGGER posts_search_delete AFTER DELETE ON posts BEGIN
  DELETE FROM post_search WHERE rowid = (SELECT number FROM post_search_row WHERE post_id = old.id);
  DELETE FROM post_search_row WHERE post_id = old.id;
END;
