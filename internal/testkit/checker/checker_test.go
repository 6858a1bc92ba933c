package checker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/internal/testkit/checker"
)

// world makes a good record: what a server that keeps its promises does and tells. Time goes on by a second a step.
type world struct {
	checker.Database
	checker.Record
	now time.Time
}

func (w *world) tick() time.Time {
	w.now = w.now.Add(time.Second)
	return w.now
}

func (w *world) log(kind checker.Kind, subject, scope string) {
	w.Events = append(w.Events, checker.Event{Position: int64(len(w.Events)) + 1, Kind: kind, Subject: subject, Scope: scope})
}

func (w *world) act(deed checker.Deed, id string) {
	w.Acts = append(w.Acts, checker.Act{Deed: deed, Item: id, Sent: w.tick(), Acked: w.tick()})
}

func (w *world) publish(id, author string) {
	w.act(checker.Publish, id)
	w.Posts[id] = checker.Post{Author: author, Public: true, Announced: true}
	w.log(checker.PostCreated, id, author)
}

func (w *world) say(id, on, author string) {
	w.act(checker.Say, id)
	w.Comments[id] = checker.Comment{Post: on, Author: author}
	w.log(checker.CommentAdded, id, on)
}

func (w *world) hide(id string) {
	w.act(checker.Hide, id)
	p := w.Posts[id]
	p.Public = false
	w.Posts[id] = p
	w.log(checker.PostHidden, id, id)
}

func cursor(position int64) string { return fmt.Sprint("cursor-", position) }

// run is a subscription that gets what has happened on its topic from one position to another, both included.
func (w *world) run(kind checker.Kind, scope, after string, from, to int64, end checker.End) checker.Run {
	r := checker.Run{After: after, Begun: w.tick(), End: end}
	for _, e := range w.Events {
		if e.Kind == kind && (scope == "" || e.Scope == scope) && e.Position >= from && e.Position <= to && (kind != checker.PostCreated || w.Posts[e.Subject].Public) {
			r.Got = append(r.Got, checker.Delivery{Item: e.Subject, Cursor: cursor(e.Position), At: w.tick()})
		}
	}
	return r
}

const all = 1 << 30

// good is what the planted bugs are planted in.
func good() *world {
	w := &world{now: time.Unix(1e9, 0)}
	w.Posts, w.Comments, w.Marks = map[string]checker.Post{}, map[string]checker.Comment{}, map[string]checker.Mark{}
	w.Marks["start"] = checker.Mark{Answered: w.tick()}
	w.Events = append(w.Events, checker.Event{Position: 1, Kind: "session_ended"})
	for i := range 7 {
		w.publish(fmt.Sprint("post_", i), "user_ada")
	}
	for i := range 12 {
		w.say(fmt.Sprint("comment_", i), fmt.Sprint("post_", i%2), "user_bob")
	}
	w.act(checker.Draft, "post_draft")
	w.Posts["post_draft"] = checker.Post{Author: "user_ada"}
	w.Acts = append(w.Acts, checker.Act{Deed: checker.Say, Sent: w.tick()}) // nobody knows what became of it
	w.Comments["comment_lost"] = checker.Comment{Post: "post_0", Author: "user_bob"}
	w.log(checker.CommentAdded, "comment_lost", "post_0")
	// 1 session, 2-8 posts, 9-20 comments, 21 the lost one
	comments := w.run(checker.CommentAdded, "post_6", "start", 1, all, checker.Open)
	w.say("comment_open", "post_6", "user_bob") // 22
	comments.Got = append(comments.Got, checker.Delivery{Item: "comment_open", Cursor: cursor(22), At: w.tick()})
	w.hide("post_6") // 23
	comments.End = checker.Completed
	w.say("comment_hidden", "post_6", "user_ada") // 24
	author := w.run(checker.CommentAdded, "post_6", "start", 1, all, checker.Open)
	w.publish("post_last", "user_eve") // 25
	w.Streams = []checker.Stream{
		{Name: "posts", Kind: checker.PostCreated, Runs: []checker.Run{
			w.run(checker.PostCreated, "", "start", 1, 4, checker.Cut),
			w.run(checker.PostCreated, "", cursor(4), 5, 6, checker.Cut),
			{After: cursor(6), Begun: w.tick(), End: checker.Cut},
			w.run(checker.PostCreated, "", cursor(6), 7, all, checker.Open)}},
		{Name: "posts of ada", Kind: checker.PostCreated, Scope: "user_ada", Viewer: "user_bob", Runs: []checker.Run{w.run(checker.PostCreated, "user_ada", "post_1", 4, all, checker.Open)}},
		{Name: "comments", Kind: checker.CommentAdded, Scope: "post_0", Viewer: "user_bob", Runs: []checker.Run{
			w.run(checker.CommentAdded, "post_0", "start", 1, 13, checker.Cut),
			w.run(checker.CommentAdded, "post_0", "comment_4", 14, all, checker.Open)}},
		{Name: "comments from now", Kind: checker.CommentAdded, Scope: "post_1", Runs: []checker.Run{w.run(checker.CommentAdded, "post_1", "", 12, all, checker.Open)}},
		{Name: "comments, for strangers", Kind: checker.CommentAdded, Scope: "post_6", Runs: []checker.Run{comments}},
		{Name: "comments, for the author", Kind: checker.CommentAdded, Scope: "post_6", Viewer: "user_ada", Runs: []checker.Run{author}},
	}
	return w
}

// told is the stream of that name.
func (w *world) told(name string) *checker.Stream {
	return &w.Streams[slices.IndexFunc(w.Streams, func(s checker.Stream) bool { return s.Name == name })]
}

func (w *world) got(name string, run int) *[]checker.Delivery { return &w.told(name).Runs[run].Got }

func (w *world) unlog(id string) {
	i := slices.IndexFunc(w.Events, func(e checker.Event) bool { return e.Subject == id })
	w.Events = slices.Delete(w.Events, i, i+1)
	for ; i < len(w.Events); i++ {
		w.Events[i].Position--
	}
}

func promises(errs []error) (broken []error) {
	for _, p := range []error{checker.ErrOrdered, checker.ErrUnique, checker.ErrReliable, checker.ErrAtomic, checker.ErrResumable, checker.ErrPermitted} {
		if slices.ContainsFunc(errs, func(err error) bool { return errors.Is(err, p) }) {
			broken = append(broken, p)
		}
	}
	return broken
}

func TestAGoodRecord(t *testing.T) {
	w := good()
	for _, err := range checker.Check(&w.Database, &w.Record) {
		t.Error(err)
	}
}

// A bug breaks the promise that it is about, and no other, and the error says where.
func TestPlantedBugs(t *testing.T) {
	type d = checker.Delivery
	drop := func(at *[]d, i, n int) { *at = slices.Delete(*at, i, i+n) }
	repeat := func(at *[]d, i, to int) { *at = slices.Insert(*at, to, (*at)[i]) }
	swap := func(at *[]d, i, j int) { (*at)[i], (*at)[j] = (*at)[j], (*at)[i] }
	for name, c := range map[string]struct {
		plant func(w *world)
		want  error
		says  string
	}{
		"two change places":                {func(w *world) { swap(w.got("posts", 3), 0, 1) }, checker.ErrOrdered, "posts"},
		"an early one comes last":          {func(w *world) { g := w.got("comments", 1); repeat(g, 0, len(*g)); drop(g, 0, 1) }, checker.ErrOrdered, "comment"},
		"the log turns two writes around":  {func(w *world) { w.Acts[7].Sent, w.Acts[7].Acked = w.now, w.tick() }, checker.ErrOrdered, "the log"},
		"it comes twice in a row":          {func(w *world) { repeat(w.got("posts", 3), 1, 1) }, checker.ErrUnique, "post_last"},
		"it comes again later":             {func(w *world) { g := w.got("comments", 1); repeat(g, 0, len(*g)) }, checker.ErrUnique, "comment_6"},
		"one is missing":                   {func(w *world) { drop(w.got("comments", 1), 1, 1) }, checker.ErrReliable, "comment_8"},
		"one is missing since now":         {func(w *world) { drop(w.got("comments from now", 0), 2, 1) }, checker.ErrReliable, "comment"},
		"the last one does not come":       {func(w *world) { drop(w.got("posts", 3), 1, 1) }, checker.ErrReliable, "post_last"},
		"what came before the cut is lost": {func(w *world) { g := w.got("posts", 1); drop(g, len(*g)-1, 1) }, checker.ErrReliable, "posts"},
		"completed for no reason":          {func(w *world) { w.told("comments").Runs[1].End = checker.Completed }, checker.ErrReliable, "completed"},
		"posts completed":                  {func(w *world) { w.told("posts").Runs[3].End = checker.Completed }, checker.ErrReliable, "completed"},
		"a completion for the author":      {func(w *world) { w.told("comments, for the author").Runs[0].End = checker.Completed }, checker.ErrReliable, "completed"},
		"a hole in the log":                {func(w *world) { w.Events = slices.Delete(w.Events, 0, 1); w.Events[0].Position = 1 }, checker.ErrReliable, "the log"},
		"an answered post is lost": {func(w *world) {
			w.Acts = append(w.Acts, checker.Act{Deed: checker.Draft, Item: "post_x", Sent: w.tick(), Acked: w.tick()})
		}, checker.ErrAtomic, "post_x"},
		"an answered comment without event": {func(w *world) { w.unlog("comment_11"); drop(w.got("comments from now", 0), 4, 1) }, checker.ErrAtomic, "comment_11"},
		"a hidden post without event": {func(w *world) {
			w.Acts = append(w.Acts, checker.Act{Deed: checker.Hide, Item: "post_4", Sent: w.tick(), Acked: w.tick()})
		}, checker.ErrAtomic, "post_4"},
		"a deleted one that is there": {func(w *world) { w.act(checker.Delete, "comment_2") }, checker.ErrAtomic, "comment_2"},
		"a post without event":        {func(w *world) { w.Posts["post_x"] = checker.Post{Author: "user_x", Public: true, Announced: true} }, checker.ErrAtomic, "post_x"},
		"a comment without event":     {func(w *world) { w.Comments["comment_x"] = checker.Comment{Post: "post_4"} }, checker.ErrAtomic, "comment_x"},
		"an event of a draft":         {func(w *world) { w.log(checker.PostCreated, "post_draft", "user_ada") }, checker.ErrAtomic, "post_draft"},
		"an event of nothing":         {func(w *world) { w.log(checker.CommentAdded, "comment_x", "post_4") }, checker.ErrAtomic, "comment_x"},
		"an event twice":              {func(w *world) { w.log(checker.CommentAdded, "comment_2", "post_4") }, checker.ErrAtomic, "twice"},
		"an event that waits":         {func(w *world) { w.Waiting = 1 }, checker.ErrAtomic, "wait"},
		"a payload of nothing": {func(w *world) {
			g := w.got("posts", 3)
			*g = append(*g, d{Item: "post_x", Cursor: "cursor-x", At: w.tick()})
		}, checker.ErrAtomic, "post_x"},
		"resuming leaves the first one out":   {func(w *world) { drop(w.got("posts", 3), 0, 1) }, checker.ErrResumable, "post_5"},
		"resuming leaves out by an item's id": {func(w *world) { drop(w.got("comments", 1), 0, 1) }, checker.ErrResumable, "comment_6"},
		"resuming gives nothing":              {func(w *world) { g := w.got("posts", 3); *g = nil }, checker.ErrResumable, "post_last"},
		"resuming gives the last one again":   {func(w *world) { *w.got("posts", 3) = slices.Insert(*w.got("posts", 3), 0, (*w.got("posts", 1))[1]) }, checker.ErrResumable, "post_4"},
		"resuming gives it again later":       {func(w *world) { *w.got("posts", 3) = append(*w.got("posts", 3), (*w.got("posts", 0))[0]) }, checker.ErrResumable, "post_0"},
		"from the start but one":              {func(w *world) { drop(w.got("posts", 0), 0, 1) }, checker.ErrResumable, "post_0"},
		"a good cursor is refused":            {func(w *world) { w.told("posts").Runs[2].End = "CURSOR_EXPIRED" }, checker.ErrResumable, "refused"},
		"two have one cursor":                 {func(w *world) { (*w.got("posts of ada", 0))[1].Cursor = cursor(4) }, checker.ErrResumable, "cursor"},
		"one has two cursors":                 {func(w *world) { (*w.got("posts of ada", 0))[1].Cursor = "another" }, checker.ErrResumable, "cursor"},
		"one has no cursor":                   {func(w *world) { (*w.got("posts of ada", 0))[1].Cursor = "" }, checker.ErrResumable, "cursor"},
		"a cursor that nobody gave":           {func(w *world) { w.told("posts of ada").Runs[0].After = "cursor-x" }, checker.ErrResumable, "cursor-x"},
		"posts of somebody else": {func(w *world) {
			*w.got("posts of ada", 0) = append(*w.got("posts of ada", 0), d{Item: "post_last", Cursor: cursor(25), At: w.tick()})
		}, checker.ErrPermitted, "post_last"},
		"a stranger hears of the hidden post": {func(w *world) {
			*w.got("comments, for strangers", 0) = append(*w.got("comments, for strangers", 0), d{Item: "comment_hidden", Cursor: cursor(24), At: w.tick()})
		}, checker.ErrPermitted, "comment_hidden"},
		"a new subscriber hears of it": {func(w *world) {
			w.Streams = append(w.Streams, checker.Stream{Name: "late", Kind: checker.CommentAdded, Scope: "post_6", Runs: []checker.Run{w.run(checker.CommentAdded, "post_6", "start", 1, 22, checker.Cut)}})
		}, checker.ErrPermitted, "late"},
		"the hidden post itself": {func(w *world) {
			w.Streams = append(w.Streams, checker.Stream{Name: "late", Kind: checker.PostCreated, Runs: []checker.Run{
				{After: "post_5", Begun: w.tick(), End: checker.Cut, Got: []d{{Item: "post_6", Cursor: cursor(8), At: w.tick()}}}}})
		}, checker.ErrPermitted, "post_6"},
		"what was deleted": {func(w *world) {
			delete(w.Comments, "comment_10")
			w.act(checker.Delete, "comment_10")
			w.Streams = append(w.Streams, checker.Stream{Name: "late", Kind: checker.CommentAdded, Scope: "post_0", Runs: []checker.Run{w.run(checker.CommentAdded, "post_0", "comment_4", 14, all, checker.Open)}})
		}, checker.ErrPermitted, "comment_10"},
	} {
		t.Run(name, func(t *testing.T) {
			w := good()
			c.plant(w)
			errs := checker.Check(&w.Database, &w.Record)
			if got := promises(errs); !slices.Equal(got, []error{c.want}) {
				t.Errorf("broken: %v, want %v\n%v", got, c.want, errs)
			}
			if !slices.ContainsFunc(errs, func(err error) bool { return strings.Contains(err.Error(), c.says) }) {
				t.Errorf("nobody says %q: %v", c.says, errs)
			}
		})
	}
}

// Whichever payload is left out, repeated or put elsewhere, it is found.
func TestEveryPayloadCounts(t *testing.T) {
	changes := map[string]func(got []checker.Delivery, i int) []checker.Delivery{
		"left out": func(got []checker.Delivery, i int) []checker.Delivery { return slices.Delete(got, i, i+1) },
		"repeated": func(got []checker.Delivery, i int) []checker.Delivery { return slices.Insert(got, i, got[i]) },
		"moved": func(got []checker.Delivery, i int) []checker.Delivery {
			d := got[i]
			return append(slices.Delete(got, i, i+1), d)
		},
	}
	n := 0
	for s, stream := range good().Streams {
		for r, run := range stream.Runs {
			for i := range run.Got {
				for how, change := range changes {
					if i == len(run.Got)-1 && how == "moved" {
						continue // to where it is
					}
					if i == 0 && how == "left out" && run.After == "" || len(run.Got) == 1 && stream.Name == "comments, for strangers" {
						continue // now may have been later, and of what was hidden since nothing need come
					}
					if how == "repeated" && len(run.Got) == 1 {
						continue
					}
					w := good()
					got := &w.Streams[s].Runs[r].Got
					*got = change(slices.Clone(*got), i)
					if len(checker.Check(&w.Database, &w.Record)) == 0 {
						t.Errorf("%s, run %d: payload %d %s, and nobody minds", stream.Name, r, i, how)
					}
					n++
				}
			}
		}
	}
	if n < 50 {
		t.Errorf("only %d changes", n)
	}
}

// Being told so, one may begin anew; and what was hidden for a while need not come, and may.
func TestWhatIsNoFault(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"an expired cursor": func(w *world) {
			w.Events = w.Events[8:]
			w.Acts, w.Posts, w.Comments = nil, map[string]checker.Post{}, map[string]checker.Comment{}
			for _, e := range w.Events {
				if e.Kind == checker.CommentAdded {
					w.Comments[e.Subject] = checker.Comment{Post: e.Scope}
				}
				w.Posts[e.Scope] = checker.Post{Public: true}
			}
			w.Posts["post_last"] = checker.Post{Public: true, Announced: true}
			w.Streams = []checker.Stream{{Name: "late", Kind: checker.CommentAdded, Scope: "post_0", Runs: []checker.Run{
				{After: "cursor-2", Begun: w.tick(), End: "CURSOR_EXPIRED"}, w.run(checker.CommentAdded, "post_0", "", 15, all, checker.Open)}}}
		},
		"a draft is published": func(w *world) {
			w.publish("post_draft", "user_ada")
			for _, name := range []string{"posts", "posts of ada"} {
				s := w.told(name)
				got := &s.Runs[len(s.Runs)-1].Got
				*got = append(*got, checker.Delivery{Item: "post_draft", Cursor: cursor(26), At: w.tick()})
			}
		},
		"hidden and back": func(w *world) {
			w.act(checker.Publish, "post_6")
			w.Posts["post_6"] = checker.Post{Author: "user_ada", Public: true, Announced: true}
			w.Streams = append(w.Streams, checker.Stream{Name: "late", Kind: checker.CommentAdded, Scope: "post_6", Runs: []checker.Run{w.run(checker.CommentAdded, "post_6", "start", 1, all, checker.Open)}})
		},
		"a post is deleted, and nothing of it comes any more": func(w *world) {
			delete(w.Posts, "post_4")
			w.act(checker.Delete, "post_4")
			w.log(checker.PostHidden, "post_4", "post_4") // the deletions of comments are no events
			w.Streams = append(w.Streams, checker.Stream{Name: "late", Kind: checker.PostCreated, Scope: "user_ada", Runs: []checker.Run{w.run(checker.PostCreated, "user_ada", "post_3", 7, all, checker.Open)}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := good()
			change(w)
			for _, err := range checker.Check(&w.Database, &w.Record) {
				t.Error(err)
			}
		})
	}
}

func TestID(t *testing.T) {
	for uuid, want := range map[string]string{
		"00000000-0000-0000-0000-000000000000": "post_00000000000000000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff": "post_7zzzzzzzzzzzzzzzzzzzzzzzzz",
		"00000000-0000-0000-0000-000000000021": "post_00000000000000000000000011",
	} {
		if got := checker.ID("post", uuid); got != want {
			t.Errorf("%s is %s, want %s", uuid, got, want)
		}
	}
}
