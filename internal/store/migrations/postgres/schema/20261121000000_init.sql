-- Create "users" table
CREATE TABLE "users" ("id" uuid NOT NULL, "username" character varying NOT NULL, "username_key" character varying NOT NULL, "full_name" character varying NOT NULL, "email" character varying NOT NULL, "email_key" character varying NOT NULL, "search_text" character varying NOT NULL, "password_hash" character varying NOT NULL, "role" character varying NOT NULL DEFAULT 'MEMBER', "is_active" boolean NOT NULL DEFAULT true, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "users_email" CHECK ((length((email)::text) >= 3) AND (length((email)::text) <= 254)), CONSTRAINT "users_email_key" CHECK (length((email_key)::text) = length((email)::text)), CONSTRAINT "users_full_name" CHECK ((length((full_name)::text) >= 1) AND (length((full_name)::text) <= 100)), CONSTRAINT "users_role" CHECK ((role)::text = ANY ((ARRAY['MEMBER'::character varying, 'ADMIN'::character varying])::text[])), CONSTRAINT "users_username" CHECK (((length((username)::text) >= 3) AND (length((username)::text) <= 32)) AND (TRIM(BOTH 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_'::text FROM username) = ''::text)), CONSTRAINT "users_username_key" CHECK ((length((username_key)::text) = length((username)::text)) AND (TRIM(BOTH 'abcdefghijklmnopqrstuvwxyz0123456789_'::text FROM username_key) = ''::text)));
-- Create index "user_created_at_id" to table: "users"
CREATE INDEX "user_created_at_id" ON "users" ("created_at", "id");
-- Create index "users_email_key_key" to table: "users"
CREATE UNIQUE INDEX "users_email_key_key" ON "users" ("email_key");
-- Create index "users_username_key_key" to table: "users"
CREATE UNIQUE INDEX "users_username_key_key" ON "users" ("username_key");
-- Create "posts" table
CREATE TABLE "posts" ("id" uuid NOT NULL, "title" character varying NOT NULL, "content" text NOT NULL, "published" boolean NOT NULL DEFAULT false, "published_at" timestamptz NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "author_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "posts_users_posts" FOREIGN KEY ("author_id") REFERENCES "users" ("id") ON UPDATE NO ACTION ON DELETE CASCADE, CONSTRAINT "posts_content" CHECK ((length(content) >= 1) AND (length(content) <= 40000)), CONSTRAINT "posts_published" CHECK ((NOT published) OR (published_at IS NOT NULL)), CONSTRAINT "posts_title" CHECK ((length((title)::text) >= 3) AND (length((title)::text) <= 200)));
-- Create index "post_author_id_created_at_id" to table: "posts"
CREATE INDEX "post_author_id_created_at_id" ON "posts" ("author_id", "created_at", "id");
-- Create index "post_created_at_id" to table: "posts"
CREATE INDEX "post_created_at_id" ON "posts" ("created_at", "id");
-- Create index "post_title_id" to table: "posts"
CREATE INDEX "post_title_id" ON "posts" ("title", "id");
-- Create index "post_updated_at_id" to table: "posts"
CREATE INDEX "post_updated_at_id" ON "posts" ("updated_at", "id");
-- Create "comments" table
CREATE TABLE "comments" ("id" uuid NOT NULL, "content" text NOT NULL, "created_at" timestamptz NOT NULL, "updated_at" timestamptz NOT NULL, "post_id" uuid NOT NULL, "author_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "comments_posts_comments" FOREIGN KEY ("post_id") REFERENCES "posts" ("id") ON UPDATE NO ACTION ON DELETE CASCADE, CONSTRAINT "comments_users_comments" FOREIGN KEY ("author_id") REFERENCES "users" ("id") ON UPDATE NO ACTION ON DELETE CASCADE, CONSTRAINT "comments_content" CHECK ((length(content) >= 1) AND (length(content) <= 10000)));
-- Create index "comment_author_id" to table: "comments"
CREATE INDEX "comment_author_id" ON "comments" ("author_id");
-- Create index "comment_post_id_created_at_id" to table: "comments"
CREATE INDEX "comment_post_id_created_at_id" ON "comments" ("post_id", "created_at", "id");
-- Create "sessions" table
CREATE TABLE "sessions" ("id" uuid NOT NULL, "refresh_hash" bytea NOT NULL, "expires_at" timestamptz NOT NULL, "created_at" timestamptz NOT NULL, "user_id" uuid NOT NULL, PRIMARY KEY ("id"), CONSTRAINT "sessions_users_sessions" FOREIGN KEY ("user_id") REFERENCES "users" ("id") ON UPDATE NO ACTION ON DELETE CASCADE);
-- Create index "session_user_id" to table: "sessions"
CREATE INDEX "session_user_id" ON "sessions" ("user_id");
-- Create index "sessions_refresh_hash_key" to table: "sessions"
CREATE UNIQUE INDEX "sessions_refresh_hash_key" ON "sessions" ("refresh_hash");
