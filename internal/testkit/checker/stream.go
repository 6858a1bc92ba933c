package checker

// stream looks at what one subscriber was told.
func (c *check) stream(s *Stream) {
	for i := range s.Runs {
		if i > 0 {
			c.continues(s, i)
		}
		(&run{check: c, stream: s, Run: &s.Runs[i], topic: c.topics[item{s.Kind, s.Scope}]}).hold()
	}
}

// continues sees to it that a run begins where the one before it ended: otherwise what lies between the two is lost or
// comes twice, and it is nobody's fault but the subscriber's.
func (c *check) continues(s *Stream, i int) {
	before, after := s.Runs[i-1], s.Runs[i].After
	if before.End == cursorExpired { // told so, it may begin anew
		return
	}
	want := []string{before.After}
	if n := len(before.Got); n > 0 {
		want = []string{before.Got[n-1].Cursor, before.Got[n-1].Item}
	}
	for _, w := range want {
		if w == after {
			return
		}
	}
	c.fault(ErrReliable, s.Name, "run %d begins behind %q, and the one before it ended with %q", i, after, want)
}

// run looks at one subscription.
type run struct {
	*check
	stream *Stream
	*Run
	topic []int // places in Events

	from int64           // the position that it begins behind; -1 if that is not known
	at   int64           // that of the last payload
	next int             // the first place in topic that is due
	got  map[string]bool // all that comes on it
}

// hold goes through a run.
func (r *run) hold() {
	if !r.begin() {
		return
	}
	seen := map[string]bool{}
	r.got = map[string]bool{}
	for _, d := range r.Got {
		r.got[d.Item] = true
	}
	told := false // something in its place
	for _, d := range r.Got {
		i, ok := r.event[item{r.stream.Kind, d.Item}]
		if !ok {
			r.fault(ErrAtomic, r.stream.Name, "%s came and is not in the log", d.Item)
			continue
		}
		e := r.Events[i]
		switch {
		case r.stream.Scope != "" && e.Scope != r.stream.Scope:
			r.fault(ErrPermitted, r.stream.Name, "%s came, which is of %s", d.Item, e.Scope)
			continue
		case seen[d.Item]:
			r.fault(ErrUnique, r.stream.Name, "%s came twice behind %q", d.Item, r.After)
			continue
		case e.Position <= r.from:
			r.fault(ErrResumable, r.stream.Name, "%s at %d came behind %q, which is at %d", d.Item, e.Position, r.After, r.from)
			continue
		case told && e.Position <= r.at:
			r.fault(ErrOrdered, r.stream.Name, "%s at %d came behind what is at %d", d.Item, e.Position, r.at)
			continue
		}
		seen[d.Item] = true
		if r.forbidden(e, r.stream.Viewer, r.Begun, d.At) {
			r.fault(ErrPermitted, r.stream.Name, "%s came and was hidden", d.Item)
		}
		r.advance(e.Position, told)
		told = true
	}
	r.end(told)
}

// begin finds the place; it is false if no more can be said.
func (r *run) begin() bool {
	r.from = -1
	if position, ok := r.places[r.After]; ok {
		r.from, r.at = position, position
		r.next = r.behind(position)
		return true
	}
	mark, ok := r.record.Marks[r.After]
	switch {
	case ok: // all that was sent later is required; the first delivery may come from further in front
		r.next = len(r.topic)
		for _, a := range r.record.Acts {
			if it := (item{r.stream.Kind, a.Item}); a.Sent.After(mark.Answered) && (a.Deed == Publish || a.Deed == Say) {
				if i, ok := r.event[it]; ok {
					r.next = min(r.next, r.behind(r.Events[i].Position-1))
				}
			}
		}
	case r.After == "":
		r.next = len(r.topic)
	case len(r.Got) == 0 && r.End != Open && r.End != Completed:
		return false // refused, or cut off before anything came
	default:
		r.fault(ErrResumable, r.stream.Name, "behind %q, which nobody was given, there came %d payloads", r.After, len(r.Got))
		return false
	}
	return true
}

// behind is the first place of the topic behind a position.
func (r *run) behind(position int64) int {
	low, high := 0, len(r.topic)
	for low < high {
		if mid := (low + high) / 2; r.Events[r.topic[mid]].Position <= position {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// advance goes on to a position and looks at what was passed over.
func (r *run) advance(position int64, told bool) {
	end := r.behind(position - 1)
	for ; r.next < end; r.next++ {
		if e := r.Events[r.topic[r.next]]; !r.got[e.Subject] && !r.mayMiss(e, r.stream.Viewer) {
			promise := ErrReliable
			if !told {
				promise = ErrResumable
			}
			r.fault(promise, r.stream.Name, "%s at %d is missing behind %q, in front of %d", e.Subject, e.Position, r.After, position)
		}
	}
	r.at, r.next = position, r.behind(position)
}

// end looks at how a run came to its end.
func (r *run) end(told bool) {
	switch r.End {
	case Cut:
	case Open:
		if n := len(r.topic); n > 0 && (told || r.After != "") {
			r.advance(r.Events[r.topic[n-1]].Position+1, told)
		}
	case Completed:
		p, there := r.Posts[r.stream.Scope]
		hidden := !there || r.unseen[r.stream.Scope] && (r.stream.Viewer == "" || p.Author != r.stream.Viewer)
		if r.stream.Kind != CommentAdded || !hidden {
			r.fault(ErrReliable, r.stream.Name, "it was completed behind %q for no reason", r.After)
		}
	case cursorExpired:
		if position, ok := r.places[r.After]; ok && len(r.Events) > 0 && r.Events[0].Position <= position+1 {
			r.fault(ErrResumable, r.stream.Name, "%q was refused, and all behind it is kept", r.After)
		}
	}
}
