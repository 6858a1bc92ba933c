package demo

import (
	"context"
	"fmt"
	"time"

	"tidings/ent"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
)

// Log is what the demo needs of the event log.
type Log interface {
	Write(ctx context.Context, fn func(ctx context.Context, tx *ent.Client) ([]event.Event, error)) error
}

// Demo is the demo content in a database.
type Demo struct {
	log   Log
	users map[string]gid.User // by username
	posts map[string]gid.Post // by Key: the archive, and what the trickle may still comment on
}

// Seed writes people, and the archive as if it had been posted before now. Everybody gets the same password hash.
// Each post and comment has its event in the log, as if its author had posted it.
func Seed(ctx context.Context, log Log, passwordHash string, now time.Time) (*Demo, error) {
	d := &Demo{log: log, users: map[string]gid.User{}, posts: map[string]gid.Post{}}
	archive := Posts()
	joined := now
	for _, p := range archive {
		if at := now.Add(-p.Age).Add(-24 * time.Hour); at.Before(joined) {
			joined = at
		}
	}
	err := log.Write(auth.AsSystem(ctx), func(ctx context.Context, tx *ent.Client) (events []event.Event, err error) {
		for i, p := range People() {
			d.users[p.Username] = gid.NewUser()
			at := stored(joined.Add(time.Duration(i) * time.Minute))
			if err := tx.User.Create().SetID(d.users[p.Username]).SetUsername(p.Username).SetFullName(p.FullName).SetEmail(p.Email).
				SetPasswordHash(passwordHash).SetCreatedAt(at).SetUpdatedAt(at).Exec(ctx); err != nil {
				return nil, fmt.Errorf("user %s: %w", p.Username, err)
			}
		}
		for _, p := range archive {
			posted, err := d.addPost(ctx, tx, p, now.Add(-p.Age))
			if err != nil {
				return nil, err
			}
			events = append(events, posted...)
			for _, c := range p.Comments {
				commented, err := d.addComment(ctx, tx, p.Key, c, now.Add(c.After-p.Age))
				if err != nil {
					return nil, err
				}
				events = append(events, commented...)
			}
		}
		return events, nil
	})
	if err != nil {
		return nil, fmt.Errorf("writing the demo content: %w", err)
	}
	return d, nil
}

// Run writes the trickle, one item after another in its rhythm, until ctx is done. The error is that of a write.
func (d *Demo) Run(ctx context.Context) error {
	var late []string // keys of the trickle's posts, oldest first
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for item := range Trickle() {
		timer.Reset(item.Pause)
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := d.log.Write(auth.AsSystem(ctx), func(ctx context.Context, tx *ent.Client) ([]event.Event, error) {
			if item.Post == nil {
				return d.addComment(ctx, tx, item.On, item.Comment, time.Now())
			}
			return d.addPost(ctx, tx, *item.Post, time.Now())
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case ent.IsConstraintError(err) || ent.IsNotFound(err): // a visitor deleted the post
			continue
		case err != nil:
			return fmt.Errorf("writing the demo's trickle: %w", err)
		}
		if item.Post != nil {
			if late = append(late, item.Post.Key); len(late) > 2*Window {
				delete(d.posts, late[0])
				late = late[1:]
			}
		}
	}
	return nil
}

func (d *Demo) addPost(ctx context.Context, tx *ent.Client, p Post, at time.Time) ([]event.Event, error) {
	id, author := gid.NewPost(), d.users[p.Author]
	at = stored(at)
	create := tx.Post.Create().SetID(id).SetAuthorID(author).SetTitle(p.Title).SetContent(p.Content).SetPublished(p.Published).SetCreatedAt(at).SetUpdatedAt(at)
	var events []event.Event
	if p.Published {
		create.SetPublishedAt(at)
		events = append(events, event.NewPostCreated(id, author))
	}
	if err := create.Exec(ctx); err != nil {
		return nil, fmt.Errorf("post %s: %w", p.Key, err)
	}
	d.posts[p.Key] = id
	return events, nil
}

func (d *Demo) addComment(ctx context.Context, tx *ent.Client, on string, c Comment, at time.Time) ([]event.Event, error) {
	id, post := gid.NewComment(), d.posts[on]
	at = stored(at)
	err := tx.Comment.Create().SetID(id).SetAuthorID(d.users[c.Author]).SetPostID(post).SetContent(c.Content).SetCreatedAt(at).SetUpdatedAt(at).Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("a comment on %s: %w", on, err)
	}
	return []event.Event{event.NewCommentAdded(id, post)}, nil
}

// stored is a time as both databases keep it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
