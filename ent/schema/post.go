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

// Post is what a user publishes, or keeps as a draft.
type Post struct{ ent.Schema }

// Fields of a post.
func (Post) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", gid.Post{}).Default(gid.NewPost).Immutable(),
		field.String("title"),
		field.Text("content"),
		field.Bool("published").Default(false),
		field.Time("published_at").Optional().Nillable(), // when it first became public; set once
		field.UUID("author_id", gid.User{}).Immutable(),
		createdAt(),
		updatedAt(),
	}
}

// Edges of a post. Its comments go with it.
func (Post) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("author", User.Type).Ref("posts").Field("author_id").Unique().Required().Immutable(),
		edge.To("comments", Comment.Type).Annotations(entsql.OnDelete(entsql.Cascade), annotation.Connection{}),
	}
}

// Indexes behind the orders of the posts connections.
func (Post) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("created_at", "id"),
		index.Fields("updated_at", "id"),
		index.Fields("title", "id"),
		index.Fields("author_id", "created_at", "id"),
	}
}

// Annotations hold the limits of the contract in the database too.
func (Post) Annotations() []schema.Annotation {
	return []schema.Annotation{
		annotation.Order{NewestFirst: true},
		&entsql.Annotation{Checks: map[string]string{
			"posts_title":     "length(title) BETWEEN 3 AND 200",
			"posts_content":   "length(content) BETWEEN 1 AND 40000",
			"posts_published": "NOT published OR published_at IS NOT NULL",
		}},
	}
}

// Policy: what is published is everyone's to read, a draft its author's and admins'; the author and admins write.
func (Post) Policy() ent.Policy {
	return privacy.Policy{
		Query:    privacy.QueryPolicy{rule.AllowSystemQuery(), rule.OnlyVisible(rule.PostVisible)},
		Mutation: privacy.MutationPolicy{rule.AllowSystem(), rule.CreateAsViewer("author_id"), rule.OnlyWhere(rule.OwnOrAdmin("author_id"))},
	}
}
