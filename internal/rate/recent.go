package rate

import "time"

// Recent is a map that keeps what was used last: an entry stays for at least life after its last use, unless more than
// most others were used since, and for at most twice as long. It never holds more than twice most entries. Forgetting
// takes no goroutine and no walk: the entries not used for a while are dropped together.
//
// It is not safe for concurrent use, and its time must not run backwards.
type Recent[K comparable, V any] struct {
	most   int
	life   time.Duration
	now    map[K]*V // used since the last turn
	before map[K]*V // used before that
	turned time.Time
}

// NewRecent returns an empty one.
func NewRecent[K comparable, V any](most int, life time.Duration) *Recent[K, V] {
	return &Recent[K, V]{most: most, life: life, now: map[K]*V{}}
}

// At returns the value of k, a new zero one if there is none. It is good to keep only until the next call.
func (r *Recent[K, V]) At(k K, at time.Time) *V {
	if v := r.Find(k, at); v != nil {
		return v
	}
	v := new(V)
	r.put(k, v, at)
	return v
}

// Find returns the value of k, nil if there is none.
func (r *Recent[K, V]) Find(k K, at time.Time) *V {
	r.age(at)
	if v, ok := r.now[k]; ok {
		return v
	}
	v, ok := r.before[k]
	if !ok {
		return nil
	}
	delete(r.before, k)
	r.put(k, v, at)
	return v
}

// Delete forgets k.
func (r *Recent[K, V]) Delete(k K) {
	delete(r.now, k)
	delete(r.before, k)
}

// Len is how many entries there are.
func (r *Recent[K, V]) Len() int { return len(r.now) + len(r.before) }

func (r *Recent[K, V]) put(k K, v *V, at time.Time) {
	if len(r.now) >= r.most {
		r.turn(at)
	}
	r.now[k] = v
}

func (r *Recent[K, V]) age(at time.Time) {
	switch since := at.Sub(r.turned); {
	case since < r.life:
	case since < 2*r.life:
		r.turn(r.turned.Add(r.life)) // when it was due
	default: // what was new at the last turn is too old as well
		r.turn(at)
		r.turn(at)
	}
}

func (r *Recent[K, V]) turn(at time.Time) {
	r.before, r.now, r.turned = r.now, map[K]*V{}, at
}
