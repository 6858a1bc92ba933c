package live

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tidings/internal/event"
	"tidings/internal/gid"
)

// That a post is hidden, however often, comes in order among the comments on it: live, behind every cursor, and behind a
// cursor of that very event.
func TestHiddenAmongTheComments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		h, stop := running(t, log, Options{Page: 2, Pending: 2})
		defer stop()
		synctest.Wait()
		s, other, all := subscribe(t, h, event.CommentsOn(posts[0]), ""), subscribe(t, h, event.CommentsOn(posts[1]), ""), subscribe(t, h, event.Posts(), "")
		es := log.append(comment(), event.NewPostHidden(posts[0]), comment(), event.NewPostHidden(posts[0]), comment(), event.NewPostHidden(posts[2]))
		log.wake()
		want(t, s, es[:5]...)
		for _, s := range []*Subscription{s, other, all} {
			wantNone(t, s)
		}
		for i, e := range es[:5] {
			want(t, subscribe(t, h, event.CommentsOn(posts[0]), s.Cursor(e)), es[i+1:5]...)
		}
	})
}

// What is committed after Open has looked is delivered, however long it takes until the subscription begins.
func TestNothingFallsBetweenOpenAndSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newMemLog()
		log.append(commentsN(3)...)
		h, stop := running(t, log, Options{})
		defer stop()
		synctest.Wait()
		ctx, r := h.Prepare(t.Context())
		if _, err := Stream(ctx, Source[gid.Post]{
			Topic: event.CommentsOn(posts[0]), Open: func(context.Context) error { return nil },
		}); err != nil {
			t.Fatal(err)
		}
		es := log.append(event.NewPostHidden(posts[0]), comment())
		s, err := h.Subscribe(t.Context(), *r)
		if err != nil {
			t.Fatal(err)
		}
		bounded, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, e := range es {
			if got, err := s.Next(bounded); err != nil || got != e {
				t.Fatalf("Next: event %d, %v; want event %d", got.Position, err, e.Position)
			}
		}
	})
}
