-- The event log (package eventlog). Positions are dense. The newest event is the log's head and is never deleted.
CREATE TABLE log (
  pos integer PRIMARY KEY,
  id uuid NOT NULL,
  kind text NOT NULL,
  subject uuid NOT NULL,
  scope uuid NOT NULL,
  at datetime NOT NULL
);
-- Resuming behind an item.
CREATE INDEX log_item ON log (kind, subject);
-- Which log this is; random, made once.
CREATE TABLE log_epoch (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch blob NOT NULL CHECK (length(epoch) = 8)
);
INSERT INTO log_epoch (epoch) VALUES (randomblob(8));
