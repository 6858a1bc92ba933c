package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/privacy"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tidings/ent/rule"
	"tidings/internal/gid"
)

// Session is one log-in of a user. Its id stands in every access token made for it.
type Session struct{ ent.Schema }

// Fields of a session.
func (Session) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", gid.Session{}).Default(gid.NewSession).Immutable(),
		field.UUID("user_id", gid.User{}).Immutable(),
		field.Bytes("refresh_hash").Unique().Sensitive(), // SHA-256 of the refresh token, which is kept nowhere
		field.Time("expires_at"),                         // of the refresh token
		createdAt(),
	}
}

// Edges of a session.
func (Session) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("sessions").Field("user_id").Unique().Required().Immutable(),
	}
}

// Indexes: a user's sessions.
func (Session) Indexes() []ent.Index {
	return []ent.Index{index.Fields("user_id")}
}

// Policy: sessions are the server's own business.
func (Session) Policy() ent.Policy {
	return privacy.Policy{
		Query:    privacy.QueryPolicy{rule.AllowSystemQuery(), rule.DenyQuery()},
		Mutation: privacy.MutationPolicy{rule.AllowSystem(), rule.Deny()},
	}
}

// Now is the time as it is stored: UTC, in microseconds, which both databases keep exactly.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func createdAt() ent.Field { return field.Time("created_at").Immutable().Default(Now) }

func updatedAt() ent.Field { return field.Time("updated_at").Default(Now).UpdateDefault(Now) }
