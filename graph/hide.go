package graph

import (
	"context"

	"tidings/ent"
	"tidings/ent/post"
	"tidings/ent/predicate"
	"tidings/ent/user"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
)

// hideBatch is the most posts that hidePosts holds at once.
const hideBatch = 500

// hidePosts announces that all posts of a user, public or not, are going: in a transaction that is about to delete the
// user, and the posts with them. It locks them, so that nobody writes or comments on one meanwhile. It appends the
// events in batches, and returns the last of these for Log.Write: however many posts there are, it holds few.
func (r *Resolver) hidePosts(ctx context.Context, tx *ent.Client, author gid.User) ([]event.Event, error) {
	ctx = auth.AsSystem(ctx)
	if _, err := tx.User.Query().Where(user.ID(author)).Modify(ent.LockForUpdate).Select(user.FieldID).All(ctx); err != nil {
		return nil, err
	}
	var events []event.Event
	for of := []predicate.Post{post.AuthorID(author)}; ; {
		posts, err := tx.Post.Query().Where(of...).Order(post.ByCreatedAt(), post.ByID()).Limit(hideBatch).
			Modify(ent.LockForUpdate).Select(post.FieldID, post.FieldCreatedAt).All(ctx)
		if err != nil || len(posts) == 0 {
			return events, err
		}
		if err := r.Log.Append(ctx, tx, events); err != nil {
			return nil, err
		}
		events = events[:0]
		for _, p := range posts {
			events = append(events, event.NewPostHidden(p.ID))
		}
		last := posts[len(posts)-1]
		of = []predicate.Post{post.AuthorID(author), post.CreatedAtGTE(last.CreatedAt),
			post.Or(post.CreatedAtGT(last.CreatedAt), post.IDGT(last.ID))}
	}
}
