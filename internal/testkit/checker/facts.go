package checker

import (
	"slices"
	"time"
)

// facts are what can be said of items by the database and the acts together.
type facts struct {
	*Database
	event    map[item]int      // the place in Events of the first event of that kind on the item
	topics   map[item][]int    // the places in Events of each topic's events
	said     map[string]Act    // how each comment was made, if that is known
	deleted  map[string]bool   // whether one tried to delete the item
	unseen   map[string]bool   // posts that were, or may have been, hidden at some time
	hidden   map[string][]span // when each post was hidden for certain from everyone but its author
	vanished map[string]span   // when each item was deleted for certain
	places   map[string]int64  // the positions of cursors and ids
}

// item is a kind of event and an id: of what happened to the item, or, as a topic, of the scope.
type item struct {
	Kind
	ID string
}

// span is a time, both ends included; no to is for ever.
type span struct{ from, to time.Time }

// covers reports whether all from one time to another is in the span.
func (s span) covers(from, to time.Time) bool {
	return !from.Before(s.from) && (s.to.IsZero() || to.Before(s.to))
}

func newFacts(d *Database, r *Record) *facts {
	f := &facts{Database: d, event: map[item]int{}, topics: map[item][]int{}, said: map[string]Act{}, deleted: map[string]bool{},
		unseen: map[string]bool{}, hidden: map[string][]span{}, vanished: map[string]span{}, places: map[string]int64{}}
	for i, e := range d.Events {
		if _, twice := f.event[item{e.Kind, e.Subject}]; !twice {
			f.event[item{e.Kind, e.Subject}] = i
			if e.Kind == PostCreated || e.Kind == CommentAdded {
				f.places[e.Subject] = e.Position
			}
		}
		f.topics[item{e.Kind, e.Scope}] = append(f.topics[item{e.Kind, e.Scope}], i)
		if e.Kind == PostCreated {
			f.topics[item{e.Kind, ""}] = append(f.topics[item{e.Kind, ""}], i)
		}
		if e.Kind == PostHidden {
			f.unseen[e.Subject] = true
		}
	}
	f.tell(r.Acts)
	for _, s := range r.Streams {
		for _, run := range s.Runs {
			for _, g := range run.Got {
				if i, ok := f.event[item{s.Kind, g.Item}]; ok && g.Cursor != "" {
					if _, known := f.places[g.Cursor]; !known {
						f.places[g.Cursor] = d.Events[i].Position
					}
				}
			}
		}
	}
	return f
}

// tell takes in what was done.
func (f *facts) tell(acts []Act) {
	acts = slices.Clone(acts)
	slices.SortStableFunc(acts, func(a, b Act) int { return a.Sent.Compare(b.Sent) })
	for _, a := range acts {
		hides := func(from time.Time) {
			f.unseen[a.Item] = true
			f.hidden[a.Item] = append(f.hidden[a.Item], span{from: from})
		}
		switch a.Deed {
		case Say:
			f.said[a.Item] = a
		case Draft:
			hides(time.Time{})
		case Hide:
			f.unseen[a.Item] = true
			if !a.Acked.IsZero() {
				hides(a.Acked)
			}
		case Publish:
			for i, s := range f.hidden[a.Item] { // whatever becomes of it
				if s.to.IsZero() {
					f.hidden[a.Item][i].to = a.Sent
				}
			}
		case Delete:
			f.deleted[a.Item] = true
			if !a.Acked.IsZero() {
				f.vanished[a.Item] = span{from: a.Acked}
			}
		}
	}
}

// postOf is the post that an event is about.
func postOf(e Event) string {
	if e.Kind == CommentAdded {
		return e.Scope
	}
	return e.Subject
}

// gone reports whether an item is not in the database any more.
func (f *facts) gone(id string) bool {
	_, post := f.Posts[id]
	_, comment := f.Comments[id]
	return !post && !comment
}

// mayMiss reports whether the viewer may rightly not have been told of an event: at some time they may not have been
// permitted to see its item.
func (f *facts) mayMiss(e Event, viewer string) bool {
	post := postOf(e)
	if f.gone(e.Subject) || f.gone(post) || f.deleted[e.Subject] || f.deleted[post] {
		return true
	}
	p := f.Posts[post]
	return (viewer == "" || p.Author != viewer) && (!p.Public || f.unseen[post])
}

// forbidden reports whether, from when a run began until something was delivered on it, there was no moment at which the
// viewer was allowed to see that.
func (f *facts) forbidden(e Event, viewer string, begun time.Time, at time.Time) bool {
	if said, ok := f.said[e.Subject]; ok && said.Sent.After(begun) {
		begun = said.Sent // before that there was nothing to be seen
	}
	post := postOf(e)
	for _, id := range []string{e.Subject, post} {
		if s, ok := f.vanished[id]; ok && s.covers(begun, at) {
			return true
		}
	}
	if p, ok := f.Posts[post]; ok && viewer != "" && p.Author == viewer {
		return false
	}
	return slices.ContainsFunc(f.hidden[post], func(s span) bool { return s.covers(begun, at) })
}
