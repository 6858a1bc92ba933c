package checker

import (
	"slices"
	"time"
)

const (
	inLog      = "the log"
	inDatabase = "the database"
)

// log looks at the log by itself.
func (c *check) log() {
	if c.Waiting > 0 {
		c.fault(ErrAtomic, inLog, "%d events were committed and wait to be announced", c.Waiting)
	}
	seen := map[item]int64{}
	for i, e := range c.Events {
		if i > 0 && e.Position != c.Events[i-1].Position+1 {
			c.fault(ErrReliable, inLog, "position %d comes behind %d", e.Position, c.Events[i-1].Position)
		}
		if e.Kind != PostCreated && e.Kind != CommentAdded {
			continue
		}
		if first, twice := seen[item{e.Kind, e.Subject}]; twice {
			c.fault(ErrAtomic, inLog, "%s %s stands there twice, at %d and %d", e.Kind, e.Subject, first, e.Position)
		}
		seen[item{e.Kind, e.Subject}] = e.Position
		if c.gone(e.Subject) && !c.deleted[e.Subject] && !c.deleted[postOf(e)] {
			c.fault(ErrAtomic, inLog, "%s is announced at %d and not in the database", e.Subject, e.Position)
		}
		if p, ok := c.Posts[e.Subject]; ok && e.Kind == PostCreated && !p.Announced {
			c.fault(ErrAtomic, inLog, "%s is announced at %d and has never been public", e.Subject, e.Position)
		}
	}
}

// acts looks for the row and the event of each mutation that was answered, and at their order.
func (c *check) acts() {
	type told struct {
		Act
		position int64
	}
	var all []told
	again := map[item]bool{}
	kinds := map[Deed]Kind{Publish: PostCreated, Say: CommentAdded, Hide: PostHidden}
	for _, a := range sorted(c.record.Acts, func(a Act) time.Time { return a.Sent }) {
		it := item{kinds[a.Deed], a.Item}
		switch {
		case a.Item == "":
			continue
		case a.Acked.IsZero():
			again[it] = true // the event may be its
			continue
		}
		i, announced := c.event[it]
		deleted := c.deleted[a.Item] || announced && c.deleted[postOf(c.Events[i])]
		switch {
		case a.Deed == Delete && !c.gone(a.Item):
			c.fault(ErrAtomic, inDatabase, "%s was deleted and is there", a.Item)
		case a.Deed != Delete && c.gone(a.Item) && !deleted:
			c.fault(ErrAtomic, inDatabase, "%s was answered and is not there: %s", a.Item, a.Deed)
		case it.Kind != "" && !announced:
			c.fault(ErrAtomic, inLog, "%s was answered and is not announced: %s", a.Item, a.Deed)
		case announced && a.Deed != Hide && !again[it]: // published anew there is no other event, hidden anew there is one
			all = append(all, told{a, c.Events[i].Position})
		}
		again[it] = true
	}
	// Whoever was sent when another had been answered stands behind it. They are sorted by when they were sent.
	byAcked := sorted(all, func(t told) time.Time { return t.Acked })
	var last told
	for _, t := range all {
		for len(byAcked) > 0 && byAcked[0].Acked.Before(t.Sent) {
			if byAcked[0].position > last.position {
				last = byAcked[0]
			}
			byAcked = byAcked[1:]
		}
		if t.position < last.position {
			c.fault(ErrOrdered, inLog, "%s at %d was asked for when %s at %d had been answered", t.Item, t.position, last.Item, last.position)
		}
	}
}

func sorted[T any](all []T, by func(T) time.Time) []T {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return by(a).Compare(by(b)) })
	return all
}

// rows looks for the event of each row.
func (c *check) rows() {
	for id, p := range c.Posts {
		if _, ok := c.event[item{PostCreated, id}]; p.Announced && !ok {
			c.fault(ErrAtomic, inDatabase, "%s is or was public and is not announced", id)
		}
	}
	for id := range c.Comments {
		if _, ok := c.event[item{CommentAdded, id}]; !ok {
			c.fault(ErrAtomic, inDatabase, "%s is there and not announced", id)
		}
	}
}

// cursors sees to it that a cursor is of one event, and an event has one cursor, whoever is told.
func (c *check) cursors() {
	items, cursors := map[string]item{}, map[item]string{}
	for _, s := range c.record.Streams {
		for _, run := range s.Runs {
			for _, d := range run.Got {
				it := item{s.Kind, d.Item}
				if d.Cursor == "" {
					c.fault(ErrResumable, s.Name, "%s came without a cursor", d.Item)
					continue
				}
				if other, ok := items[d.Cursor]; ok && other != it {
					c.fault(ErrResumable, s.Name, "%s came with the cursor of %s", d.Item, other.ID)
				}
				if other, ok := cursors[it]; ok && other != d.Cursor {
					c.fault(ErrResumable, s.Name, "%s came with the cursors %s and %s", d.Item, other, d.Cursor)
				}
				items[d.Cursor], cursors[it] = it, d.Cursor
			}
		}
	}
}
