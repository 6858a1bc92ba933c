-- The event log (package eventlog). Positions are dense. The newest event is the log's head and is never deleted.
CREATE TABLE log (
  pos bigint PRIMARY KEY,
  id uuid NOT NULL,
  kind text NOT NULL,
  subject uuid NOT NULL,
  scope uuid NOT NULL,
  at timestamptz NOT NULL
);
-- Resuming behind an item. Not unique, nor is the id: an event that can't be moved would stop all behind it.
CREATE INDEX log_item ON log (kind, subject);
-- Which log this is; random, made once.
CREATE TABLE log_epoch (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch bytea NOT NULL CHECK (length(epoch) = 8)
);
INSERT INTO log_epoch (epoch) VALUES (substring(uuid_send(gen_random_uuid()) FROM 9));
-- Where writers leave their events until one node moves them into the log. Ids are given in the order of the inserts
-- (an identity's sequence caches nothing), which is that of any two writes of which one began after the other's commit.
-- Rows live for milliseconds: vacuum comes often.
CREATE TABLE log_inbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  event uuid NOT NULL,
  kind text NOT NULL,
  subject uuid NOT NULL,
  scope uuid NOT NULL,
  at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1);
