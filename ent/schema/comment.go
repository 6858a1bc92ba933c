package schema

import (
	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/privacy"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tidings/ent/annotation"
	"tidings/ent/rule"
	"tidings/internal/gid"
)

// Comment is what a user says about a post.
type Comment struct{ ent.Schema }

// Fields of a comment.
func (Comment) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", gid.Comment{}).Default(gid.NewComment).Immutable(),
		field.Text("content"),
		field.UUID("author_id", gid.User{}).Immutable(),
		field.UUID("post_id", gid.Post{}).Immutable(),
		createdAt(),
		updatedAt(),
	}
}

// Edges of a comment.
func (Comment) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("author", User.Type).Ref("comments").Field("author_id").Unique().Required().Immutable(),
		edge.From("post", Post.Type).Ref("comments").Field("post_id").Unique().Required().Immutable(),
	}
}

// Indexes: a post's comments in their order, and the way to them when their author is deleted.
func (Comment) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("post_id", "created_at", "id"),
		index.Fields("author_id"),
	}
}

// Annotations hold the limits of the contract in the database too.
func (Comment) Annotations() []schema.Annotation {
	return []schema.Annotation{
		annotation.Order{},
		&entsql.Annotation{Checks: map[string]string{"comments_content": "length(content) BETWEEN 1 AND 10000"}},
	}
}

// Policy: a comment is visible where its post is; its author and admins write it.
func (Comment) Policy() ent.Policy {
	return privacy.Policy{
		Query:    privacy.QueryPolicy{rule.AllowSystemQuery(), rule.OnlyVisible(rule.CommentVisible)},
		Mutation: privacy.MutationPolicy{rule.AllowSystem(), rule.CreateAsViewer("author_id"), rule.OnlyWhere(rule.OwnOrAdmin("author_id"))},
	}
}
