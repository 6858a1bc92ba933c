// Package rule holds the permissions of Tidings: what a viewer may see of each type as one predicate, and the
// policies of ent/schema made of them. Nothing else decides who may see what, so that no path can forget it: lists,
// nodes, search, counts, nested fields and delivered events all run ent queries, and every ent query runs its policy.
//
// The predicates are SQL and not filters over loaded rows, so that counts, page sizes and hand-written statements
// agree with them. Package rule names columns as text and imports no generated code: a new type's policy can be
// written before the type is generated.
package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent"
	"entgo.io/ent/dialect/sql"
	"entgo.io/ent/privacy"

	"tidings/internal/auth"
)

// A Predicate says which rows of s the viewer may see or change. nil is all of them.
type Predicate func(v auth.Viewer, s *sql.Selector) *sql.Predicate

// PostVisible: what is published is for everyone, a draft for its author and admins.
func PostVisible(v auth.Viewer, s *sql.Selector) *sql.Predicate {
	if v.Admin {
		return nil
	}
	published := sql.EQ(s.C("published"), true)
	if !v.SignedIn() {
		return published
	}
	return sql.Or(published, sql.EQ(s.C("author_id"), v.User))
}

// CommentVisible: a comment is visible where its post is.
func CommentVisible(v auth.Viewer, s *sql.Selector) *sql.Predicate {
	posts := sql.Dialect(s.Dialect()).Select().From(sql.Table("posts").As("visible_post"))
	visible := PostVisible(v, posts)
	if visible == nil {
		return nil
	}
	posts.Select(posts.C("id")).Where(sql.And(sql.ColumnsEQ(posts.C("id"), s.C("post_id")), visible))
	return sql.Exists(posts)
}

// Own gives the rows in which column is the viewer's own id; none for the anonymous.
func Own(column string) Predicate {
	return func(v auth.Viewer, s *sql.Selector) *sql.Predicate {
		if !v.SignedIn() {
			return sql.False()
		}
		return sql.EQ(s.C(column), v.User)
	}
}

// OwnOrAdmin is Own, and every row for admins.
func OwnOrAdmin(column string) Predicate {
	own := Own(column)
	return func(v auth.Viewer, s *sql.Selector) *sql.Predicate {
		if v.Admin {
			return nil
		}
		return own(v, s)
	}
}

// query is what a policy needs of every generated query (template/relay.tmpl gives it to them).
type query interface {
	WhereP(...func(*sql.Selector))
	ModifyP(...func(*sql.Selector))
}

// queryRule is a query rule as a function.
type queryRule func(context.Context, query) error

func (f queryRule) EvalQuery(ctx context.Context, q ent.Query) error {
	narrow, ok := q.(query)
	if !ok {
		return privacy.Denyf("%T can't be narrowed", q)
	}
	return f(ctx, narrow)
}

// AllowSystemQuery lets a context of auth.AsSystem see everything. It stands first.
func AllowSystemQuery() privacy.QueryRule {
	return queryRule(func(ctx context.Context, _ query) error {
		if auth.IsSystem(ctx) {
			return privacy.Allow
		}
		return privacy.Skip
	})
}

// DenyQuery refuses every query that reaches it.
func DenyQuery() privacy.QueryRule {
	return queryRule(func(_ context.Context, q query) error { return privacy.Denyf("%T is not for clients", q) })
}

// OnlyVisible narrows a query to the rows that p gives the viewer.
func OnlyVisible(p Predicate) privacy.QueryRule {
	return queryRule(func(ctx context.Context, q query) error {
		v := auth.ViewerFrom(ctx)
		q.WhereP(func(s *sql.Selector) {
			if rows := p(v, s); rows != nil {
				s.Where(rows)
			}
		})
		return privacy.Skip
	})
}

type readingKey struct{}

// Reading returns a context in which a query's policy is told that these columns are read, and no others; each may be
// qualified by its table.
func Reading(ctx context.Context, columns []string) context.Context {
	return context.WithValue(ctx, readingKey{}, columns)
}

// mayRead reports whether a column may be among those that are read.
func mayRead(ctx context.Context, column string) bool {
	columns, ok := ctx.Value(readingKey{}).([]string)
	return !ok || slices.ContainsFunc(columns, func(c string) bool { return strings.Contains(c, column) })
}

// Mask makes column NULL in the rows that p does not give the viewer.
func Mask(column string, p Predicate) privacy.QueryRule {
	return queryRule(func(ctx context.Context, q query) error {
		if !mayRead(ctx, column) {
			return privacy.Skip
		}
		v := auth.ViewerFrom(ctx)
		q.ModifyP(func(s *sql.Selector) {
			shown := p(v, s)
			if shown == nil {
				return
			}
			names, columns := s.UnqualifiedColumns(), s.SelectedColumns()
			s.Select()
			for i, name := range names {
				if name != column {
					s.AppendSelect(columns[i])
					continue
				}
				s.AppendSelectExprAs(sql.ExprFunc(func(b *sql.Builder) {
					b.WriteString("CASE WHEN ").Join(shown).WriteString(" THEN ").Ident(columns[i]).WriteString(" END")
				}), column)
			}
		})
		return privacy.Skip
	})
}

// AllowSystem lets a context of auth.AsSystem change everything. It stands first.
func AllowSystem() privacy.MutationRule {
	return privacy.MutationRuleFunc(func(ctx context.Context, _ ent.Mutation) error {
		if auth.IsSystem(ctx) {
			return privacy.Allow
		}
		return privacy.Skip
	})
}

// AllowCreate lets everyone create.
func AllowCreate() privacy.MutationRule {
	return privacy.OnMutationOperation(privacy.MutationRuleFunc(func(context.Context, ent.Mutation) error { return privacy.Allow }), ent.OpCreate)
}

// OnlyAdminsSet refuses mutations by which anyone but an admin gives field another value than initial. It goes before
// the rules that allow something.
func OnlyAdminsSet(field, initial string) privacy.MutationRule {
	return privacy.MutationRuleFunc(func(ctx context.Context, m ent.Mutation) error {
		value, set := m.Field(field)
		if !set || auth.ViewerFrom(ctx).Admin || m.Op().Is(ent.OpCreate) && fmt.Sprint(value) == initial {
			return privacy.Skip
		}
		return privacy.Denyf("the %s of a %s is for admins to set", field, m.Type())
	})
}

// OnlyOwnersSet narrows updates that set field to the rows that own gives the viewer, admins included.
func OnlyOwnersSet(field string, own Predicate) privacy.MutationRule {
	return privacy.MutationRuleFunc(func(ctx context.Context, m ent.Mutation) error {
		if _, set := m.Field(field); !set || m.Op().Is(ent.OpCreate) {
			return privacy.Skip
		}
		if err := OnlyWhere(own).EvalMutation(ctx, m); !errors.Is(err, privacy.Allow) {
			return err
		}
		return privacy.Skip
	})
}

// Deny refuses every mutation that reaches it.
func Deny() privacy.MutationRule {
	return privacy.MutationRuleFunc(func(_ context.Context, m ent.Mutation) error {
		return privacy.Denyf("%s of a %s is not for clients", m.Op(), m.Type())
	})
}

// CreateAsViewer lets the viewer create rows whose field is the viewer's own id, and nobody any others.
func CreateAsViewer(field string) privacy.MutationRule {
	return privacy.OnMutationOperation(privacy.MutationRuleFunc(func(ctx context.Context, m ent.Mutation) error {
		v := auth.ViewerFrom(ctx)
		owner, _ := m.Field(field)
		if !v.SignedIn() || owner != any(v.User) {
			return privacy.Denyf("a %s is created only as oneself", m.Type())
		}
		return privacy.Allow
	}), ent.OpCreate)
}

// OnlyWhere narrows updates and deletions to the rows that p gives the viewer: others are not found.
func OnlyWhere(p Predicate) privacy.MutationRule {
	return privacy.MutationRuleFunc(func(ctx context.Context, m ent.Mutation) error {
		narrow, ok := m.(interface{ WhereP(...func(*sql.Selector)) })
		if !ok || m.Op().Is(ent.OpCreate) {
			return privacy.Denyf("%s of a %s is not allowed", m.Op(), m.Type())
		}
		v := auth.ViewerFrom(ctx)
		if !v.SignedIn() {
			return privacy.Denyf("%s of a %s needs a viewer", m.Op(), m.Type())
		}
		narrow.WhereP(func(s *sql.Selector) {
			rows := p(v, s)
			if rows == nil {
				rows = sql.Not(sql.False()) // ent takes no update whose predicates add nothing
			}
			s.Where(rows)
		})
		return privacy.Allow
	})
}
