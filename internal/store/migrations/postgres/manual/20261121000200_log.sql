-- The event log (package eventlog). Its positions are dense; the head is a row of its own, so that it outlives retention.
-- Writers put events into the inbox; the sequencer moves what is committed from there into the log.
CREATE TABLE "log" (
  "pos" bigint PRIMARY KEY,
  "id" uuid NOT NULL,
  "kind" text NOT NULL,
  "subject" uuid NOT NULL,
  "scope" uuid NOT NULL,
  "at" timestamptz NOT NULL
);
CREATE INDEX "log_item" ON "log" ("kind", "subject");
CREATE TABLE "log_head" (
  "one" boolean PRIMARY KEY CHECK ("one"),
  "epoch" bytea NOT NULL,
  "pos" bigint NOT NULL,
  "last" uuid
);
INSERT INTO "log_head" ("one", "epoch", "pos") SELECT true, substring(uuid_send(gen_random_uuid()) from 9 for 8), 0;
CREATE TABLE "log_inbox" (
  "n" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "id" uuid NOT NULL,
  "kind" text NOT NULL,
  "subject" uuid NOT NULL,
  "scope" uuid NOT NULL,
  "at" timestamptz NOT NULL
);
