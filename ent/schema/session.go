package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/privacy"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"

	"tidings/ent/rule"
	"tidings/internal/gid"
)

// Session is one log-in of a user, which goes on for as long as its refresh token is used. Its id stands in every
// access token made for it. An ended session is deleted.
type Session struct{ ent.Schema }

// Fields of a session.
func (Session) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("id", gid.Session{}).Default(gid.NewSession).Immutable(),
		field.UUID("user_id", gid.User{}).Immutable(),
		field.Bytes("refresh_hash").Unique().Sensitive(), // SHA-256 of the newest refresh token, which is kept nowhere
		field.Time("expires_at"),                         // of the refresh token
		createdAt(),
	}
}

// Edges of a session.
func (Session) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("user", User.Type).Ref("sessions").Field("user_id").Unique().Required().Immutable(),
		edge.To("spent", SpentToken.Type).Annotations(entsql.OnDelete(entsql.Cascade)),
	}
}

// Indexes: a user's sessions, and those that have expired.
func (Session) Indexes() []ent.Index {
	return []ent.Index{index.Fields("user_id"), index.Fields("expires_at")}
}

// Policy: sessions are the server's own business.
func (Session) Policy() ent.Policy {
	return privacy.Policy{
		Query:    privacy.QueryPolicy{rule.AllowSystemQuery(), rule.DenyQuery()},
		Mutation: privacy.MutationPolicy{rule.AllowSystem(), rule.Deny()},
	}
}

// SpentToken is a refresh token that was exchanged for its successor. Whoever presents it again has it from somebody.
type SpentToken struct{ ent.Schema }

// Fields of a spent token.
func (SpentToken) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").StorageKey("hash").Immutable(), // SHA-256 of the token, in hexadecimal
		field.UUID("session_id", gid.Session{}).Immutable(),
		field.Time("spent_at").Immutable(),
		field.Time("expires_at").Immutable(), // when the token would have ended unspent
	}
}

// Edges of a spent token.
func (SpentToken) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("session", Session.Type).Ref("spent").Field("session_id").Unique().Required().Immutable(),
	}
}

// Indexes: a session's tokens, and those that have expired.
func (SpentToken) Indexes() []ent.Index {
	return []ent.Index{index.Fields("session_id"), index.Fields("expires_at")}
}

// Policy: as of a session.
func (SpentToken) Policy() ent.Policy { return Session{}.Policy() }

// Now is the time as it is stored: UTC, in microseconds, which both databases keep exactly.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func createdAt() ent.Field { return field.Time("created_at").Immutable().Default(Now) }

func updatedAt() ent.Field { return field.Time("updated_at").Default(Now).UpdateDefault(Now) }
