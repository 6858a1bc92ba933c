package opgen

import "slices"

// Shrink makes a document smaller, in place, for as long as fails says that it still fails: by leaving out selections,
// arguments and directives, and by writing fragments' fields in their place. Operations other than op go whole, if they can. It
// asks at most tries times.
func Shrink(d *Document, op *Operation, tries int, fails func() bool) {
	s := &shrinking{fails: fails, left: tries}
	was := d.Operations
	d.Operations = []*Operation{op}
	s.try(func() { d.Operations = was })
	for smaller := true; smaller && s.left > 0; {
		smaller = false
		for _, op := range d.Operations {
			smaller = s.set(&op.Set) || smaller
		}
	}
}

type shrinking struct {
	fails func() bool
	left  int
}

// try reports whether it fails still; if not, undo is called.
func (s *shrinking) try(undo func()) bool {
	if s.left--; s.left >= 0 && s.fails() {
		return true
	}
	undo()
	return false
}

func (s *shrinking) set(set *[]*Selection) (smaller bool) {
	for i := 0; i < len(*set); i++ {
		was, one := *set, (*set)[i]
		if len(was) > 1 {
			*set = slices.Delete(slices.Clone(was), i, i+1)
			if s.try(func() { *set = was }) {
				smaller = true
				i--
				continue
			}
		}
		if inner := one.inner(); inner != nil {
			*set = slices.Replace(slices.Clone(was), i, i+1, inner...)
			if s.try(func() { *set = was }) {
				smaller = true
				i--
				continue
			}
		}
		smaller = s.selection(one) || smaller
	}
	return smaller
}

// inner is what a fragment holds.
func (s *Selection) inner() []*Selection {
	if s.Spread != nil {
		return s.Spread.Set
	}
	if s.Inline {
		return s.Set
	}
	return nil
}

func (s *shrinking) selection(one *Selection) (smaller bool) {
	if was := one.Directives; was != nil {
		one.Directives = nil
		smaller = s.try(func() { one.Directives = was }) || smaller
	}
	for i := 0; i < len(one.Args); i++ {
		was := one.Args
		if was[i].typ.NonNull {
			continue
		}
		one.Args = slices.Delete(slices.Clone(was), i, i+1)
		if s.try(func() { one.Args = was }) {
			smaller = true
			i--
		}
	}
	if was := one.Alias; was != "" {
		one.Alias = ""
		smaller = s.try(func() { one.Alias = was }) || smaller
	}
	if one.Spread != nil {
		return s.set(&one.Spread.Set) || smaller
	}
	if len(one.Set) > 0 {
		return s.set(&one.Set) || smaller
	}
	return smaller
}
