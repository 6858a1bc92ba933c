-- Create index "session_expires_at" to table: "sessions"
CREATE INDEX `session_expires_at` ON `sessions` (`expires_at`);
-- Create "spent_tokens" table
CREATE TABLE `spent_tokens` (`hash` text NOT NULL, `spent_at` datetime NOT NULL, `expires_at` datetime NOT NULL, `session_id` uuid NOT NULL, PRIMARY KEY (`hash`), CONSTRAINT `spent_tokens_sessions_spent` FOREIGN KEY (`session_id`) REFERENCES `sessions` (`id`) ON DELETE CASCADE);
-- Create index "spenttoken_session_id" to table: "spent_tokens"
CREATE INDEX `spenttoken_session_id` ON `spent_tokens` (`session_id`);
-- Create index "spenttoken_expires_at" to table: "spent_tokens"
CREATE INDEX `spenttoken_expires_at` ON `spent_tokens` (`expires_at`);
