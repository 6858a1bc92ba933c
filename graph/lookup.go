package graph

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	"tidings/ent"
	"tidings/ent/comment"
	"tidings/ent/post"
	"tidings/ent/user"
	"tidings/graph/model"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/relay"
)

// nodes looks up ids of any kind, one statement for each kind, in the order of the ids and nil for each of nothing.
func (r *Resolver) nodes(ctx context.Context, argument string, ids []string) ([]ent.Node, error) {
	if len(ids) > maxNodes {
		return nil, fault.BadInput(argument, fmt.Sprintf("at most %d ids at once, these are %d", maxNodes, len(ids)))
	}
	var users []gid.User
	var posts []gid.Post
	var comments []gid.Comment
	for _, s := range ids {
		switch gid.Kind(s) {
		case gid.UserKind:
			id, _ := gid.ParseUser(s)
			users = append(users, id)
		case gid.PostKind:
			id, _ := gid.ParsePost(s)
			posts = append(posts, id)
		case gid.CommentKind:
			id, _ := gid.ParseComment(s)
			comments = append(comments, id)
		default:
			return nil, fault.BadInput(argument, "not the id of a user, a post or a comment")
		}
	}
	found := map[string]ent.Node{}
	var queries []ent.NodeQuery
	if users != nil {
		queries = append(queries, r.Ent.User.Query().Where(user.IDIn(users...)))
	}
	if posts != nil {
		queries = append(queries, r.Ent.Post.Query().Where(post.IDIn(posts...)))
	}
	if comments != nil {
		queries = append(queries, r.Ent.Comment.Query().Where(comment.IDIn(comments...)))
	}
	for _, q := range queries {
		nodes, err := relay.Load(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, n := range nodes {
			found[n.GlobalID()] = n
		}
	}
	nodes := make([]ent.Node, len(ids))
	for i, id := range ids {
		nodes[i] = found[id]
	}
	return nodes, nil
}

// authorOf finds the author of a post that the viewer may see.
func (r *Resolver) authorOf(ctx context.Context, c *ent.Client, id gid.Post) (gid.User, error) {
	p, err := c.Post.Query().Where(post.ID(id)).Select(post.FieldID, post.FieldAuthorID).Only(ctx)
	if err != nil {
		return gid.User{}, err
	}
	return p.AuthorID, nil
}

// sees reports whether there is such a post for the viewer.
func (r *Resolver) sees(ctx context.Context, c *ent.Client, id gid.Post) (bool, error) {
	found, err := c.Post.Query().Where(post.ID(id)).Select(post.FieldID).All(ctx)
	return len(found) > 0, err
}

// visible is NOT_FOUND unless sees.
func (r *Resolver) visible(ctx context.Context, c *ent.Client, id gid.Post) error {
	ok, err := r.sees(ctx, c, id)
	if err == nil && !ok {
		return fault.NotFound("there is no such post")
	}
	return err
}

// ownComment is an error for every comment but the viewer's own.
func (r *Resolver) ownComment(ctx context.Context, c *ent.Client, id gid.Comment) error {
	found, err := c.Comment.Query().Where(comment.ID(id)).Select(comment.FieldID, comment.FieldAuthorID).Only(ctx)
	if err != nil {
		return owned(ctx, "comment", gid.User{}, err)
	}
	return owned(ctx, "comment", found.AuthorID, nil)
}

// nothing matches no row, so that they need no order.
func nothing(s *sql.Selector)              { s.Where(sql.False()) }
func unranked(s *sql.Selector) sql.Querier { return sql.Raw(s.C(post.FieldID)) }

func searchText(s string) (string, error) {
	if n := utf8.RuneCountInString(s); n > maxSearch {
		return "", fault.BadInput("search", fmt.Sprintf("a search has at most %d characters, this has %d", maxSearch, n))
	}
	return strings.ToLower(s), nil
}

func checkQuery(s string) error {
	if n := utf8.RuneCountInString(s); n > maxFullTextQuery {
		return fault.BadInput("query", fmt.Sprintf("a query has at most %d characters, this has %d", maxFullTextQuery, n))
	}
	return nil
}

func userOrder(o *model.UserOrder) relay.Order {
	if o == nil {
		return relay.Order{}
	}
	column := user.FieldCreatedAt
	if o.Field == model.UserOrderFieldUsername {
		column = user.FieldUsernameKey
	}
	return relay.Order{Column: column, Descending: o.Direction == model.OrderDirectionDesc}
}

func postOrder(o *model.PostOrder) relay.Order {
	if o == nil {
		return relay.Order{}
	}
	columns := map[model.PostOrderField]string{
		model.PostOrderFieldCreatedAt: post.FieldCreatedAt,
		model.PostOrderFieldUpdatedAt: post.FieldUpdatedAt,
		model.PostOrderFieldTitle:     post.FieldTitle,
	}
	return relay.Order{Column: columns[o.Field], Descending: o.Direction == model.OrderDirectionDesc}
}
