-- A node that starts reads which sessions have ended lately (package session).
CREATE INDEX log_session_ended ON log (at) WHERE kind = 'session_ended';
