-- Create "comments" table
CREATE TABLE `comments` (`id` uuid NOT NULL, `content` text NOT NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `post_id` uuid NOT NULL, `author_id` uuid NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `comments_posts_comments` FOREIGN KEY (`post_id`) REFERENCES `posts` (`id`) ON DELETE CASCADE, CONSTRAINT `comments_users_comments` FOREIGN KEY (`author_id`) REFERENCES `users` (`id`) ON DELETE CASCADE, CONSTRAINT `comments_content` CHECK (length(content) BETWEEN 1 AND 10000));
-- Create index "comment_post_id_created_at_id" to table: "comments"
CREATE INDEX `comment_post_id_created_at_id` ON `comments` (`post_id`, `created_at`, `id`);
-- Create index "comment_author_id" to table: "comments"
CREATE INDEX `comment_author_id` ON `comments` (`author_id`);
-- Create "posts" table
CREATE TABLE `posts` (`id` uuid NOT NULL, `title` text NOT NULL, `content` text NOT NULL, `published` bool NOT NULL DEFAULT (false), `published_at` datetime NULL, `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, `author_id` uuid NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `posts_users_posts` FOREIGN KEY (`author_id`) REFERENCES `users` (`id`) ON DELETE CASCADE, CONSTRAINT `posts_content` CHECK (length(content) BETWEEN 1 AND 40000), CONSTRAINT `posts_published` CHECK (NOT published OR published_at IS NOT NULL), CONSTRAINT `posts_title` CHECK (length(title) BETWEEN 3 AND 200));
-- Create index "post_created_at_id" to table: "posts"
CREATE INDEX `post_created_at_id` ON `posts` (`created_at`, `id`);
-- Create index "post_updated_at_id" to table: "posts"
CREATE INDEX `post_updated_at_id` ON `posts` (`updated_at`, `id`);
-- Create index "post_title_id" to table: "posts"
CREATE INDEX `post_title_id` ON `posts` (`title`, `id`);
-- Create index "post_author_id_created_at_id" to table: "posts"
CREATE INDEX `post_author_id_created_at_id` ON `posts` (`author_id`, `created_at`, `id`);
-- Create "sessions" table
CREATE TABLE `sessions` (`id` uuid NOT NULL, `refresh_hash` blob NOT NULL, `expires_at` datetime NOT NULL, `created_at` datetime NOT NULL, `user_id` uuid NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `sessions_users_sessions` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`) ON DELETE CASCADE);
-- Create index "sessions_refresh_hash_key" to table: "sessions"
CREATE UNIQUE INDEX `sessions_refresh_hash_key` ON `sessions` (`refresh_hash`);
-- Create index "session_user_id" to table: "sessions"
CREATE INDEX `session_user_id` ON `sessions` (`user_id`);
-- Create "users" table
CREATE TABLE `users` (`id` uuid NOT NULL, `username` text NOT NULL, `username_key` text NOT NULL, `full_name` text NOT NULL, `email` text NOT NULL, `email_key` text NOT NULL, `search_text` text NOT NULL, `password_hash` text NOT NULL, `role` text NOT NULL DEFAULT ('MEMBER'), `is_active` bool NOT NULL DEFAULT (true), `created_at` datetime NOT NULL, `updated_at` datetime NOT NULL, PRIMARY KEY (`id`), CONSTRAINT `users_email` CHECK (length(email) BETWEEN 3 AND 254), CONSTRAINT `users_email_key` CHECK (length(email_key) = length(email)), CONSTRAINT `users_full_name` CHECK (length(full_name) BETWEEN 1 AND 100), CONSTRAINT `users_role` CHECK (role IN ('MEMBER', 'ADMIN')), CONSTRAINT `users_username` CHECK (length(username) BETWEEN 3 AND 32 AND trim(username, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_') = ''), CONSTRAINT `users_username_key` CHECK (length(username_key) = length(username) AND trim(username_key, 'abcdefghijklmnopqrstuvwxyz0123456789_') = ''));
-- Create index "users_username_key_key" to table: "users"
CREATE UNIQUE INDEX `users_username_key_key` ON `users` (`username_key`);
-- Create index "users_email_key_key" to table: "users"
CREATE UNIQUE INDEX `users_email_key_key` ON `users` (`email_key`);
-- Create index "user_created_at_id" to table: "users"
CREATE INDEX `user_created_at_id` ON `users` (`created_at`, `id`);
