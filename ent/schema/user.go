package schema

import (
	"context"
	"strings"

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

// User is a person with an account.
type User struct{ ent.Schema }

// Fields of a user. username_key, email_key and search_text are folded copies that keepUserKeys maintains, so that
// uniqueness and search disregard case in the same way on both databases, whatever their collation.
func (User) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", gid.User{}).Default(gid.NewUser).Immutable(),
		field.String("username"),
		field.String("username_key").Unique(),
		field.String("full_name"),
		field.String("email").Nillable(), // nil where the viewer may not see it
		field.String("email_key").Unique(),
		field.String("search_text"),
		field.String("password_hash").Sensitive(),
		field.Enum("role").Values("MEMBER", "ADMIN").Default("MEMBER"),
		field.Bool("is_active").Default(true),
		createdAt(),
		updatedAt(),
	}
}

// Edges of a user. What hangs on a user goes with the user.
func (User) Edges() []ent.Edge {
	return []ent.Edge{
		edge.To("posts", Post.Type).Annotations(entsql.OnDelete(entsql.Cascade), annotation.Connection{Filters: []string{"published"}}),
		edge.To("comments", Comment.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
		edge.To("sessions", Session.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes behind the orders of the users connection; username_key has its own.
func (User) Indexes() []ent.Index {
	return []ent.Index{index.Fields("created_at", "id")}
}

// Annotations hold the limits of the contract in the database too.
func (User) Annotations() []schema.Annotation {
	return []schema.Annotation{
		annotation.Order{NewestFirst: true},
		&entsql.Annotation{Checks: map[string]string{
			"users_username":     "length(username) BETWEEN 3 AND 32 AND trim(username, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_') = ''",
			"users_username_key": "length(username_key) = length(username) AND trim(username_key, 'abcdefghijklmnopqrstuvwxyz0123456789_') = ''",
			"users_full_name":    "length(full_name) BETWEEN 1 AND 100",
			"users_email":        "length(email) BETWEEN 3 AND 254",
			"users_email_key":    "length(email_key) = length(email)",
			"users_role":         "role IN ('MEMBER', 'ADMIN')",
		}},
	}
}

// Policy: everyone sees users; the e-mail address is for the user and admins, who change the user too. Only admins
// decide who is one, and who is active; only the user sets the password.
func (User) Policy() ent.Policy {
	return privacy.Policy{
		Query: privacy.QueryPolicy{rule.AllowSystemQuery(), rule.Mask("email", rule.OwnOrAdmin("id"))},
		Mutation: privacy.MutationPolicy{
			rule.AllowSystem(),
			rule.OnlyAdminsSet("role", "MEMBER"), rule.OnlyAdminsSet("is_active", "true"),
			rule.OnlyOwnersSet("password_hash", rule.Own("id")),
			rule.AllowCreate(), rule.OnlyWhere(rule.OwnOrAdmin("id")),
		},
	}
}

// Hooks of a user.
func (User) Hooks() []ent.Hook { return []ent.Hook{keepUserKeys} }

// keepUserKeys sets the folded copies whenever what they copy is set. To change the username or the full name means
// to set both, for the search text is made of both.
func keepUserKeys(next ent.Mutator) ent.Mutator {
	return ent.MutateFunc(func(ctx context.Context, m ent.Mutation) (ent.Value, error) {
		text := func(field string) (string, bool) {
			v, ok := m.Field(field)
			s, _ := v.(string)
			return s, ok
		}
		set := map[string]string{}
		username, hasName := text("username")
		fullName, hasFull := text("full_name")
		if hasName {
			set["username_key"] = strings.ToLower(username)
		}
		if hasName && hasFull {
			set["search_text"] = strings.ToLower(username + "\n" + fullName)
		}
		if email, ok := text("email"); ok {
			set["email_key"] = strings.ToLower(email)
		}
		for field, value := range set {
			if err := m.SetField(field, value); err != nil {
				return nil, err
			}
		}
		return next.Mutate(ctx, m)
	})
}
