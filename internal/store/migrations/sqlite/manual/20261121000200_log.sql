-- The event log (package eventlog). Its positions are dense; the head is a row of its own, so that it outlives retention.
CREATE TABLE log (
  pos integer PRIMARY KEY,
  id uuid NOT NULL,
  kind text NOT NULL,
  subject uuid NOT NULL,
  scope uuid NOT NULL,
  at datetime NOT NULL
);
CREATE INDEX log_item ON log (kind, subject);
CREATE TABLE log_head (
  one integer PRIMARY KEY CHECK (one = 1),
  epoch blob NOT NULL,
  pos integer NOT NULL,
  last uuid
);
INSERT INTO log_head (one, epoch, pos) VALUES (1, randomblob(8), 0);
