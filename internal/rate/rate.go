// Package rate counts how much somebody has taken of late, and says when it is enough: token buckets, by key.
//
// It knows neither requests nor users: what a point is, and whose key is whose, is the caller's to say.
package rate

import (
	"math"
	"sync"
	"time"
)

// Limit is what a bucket holds when it is full, and how fast it fills.
type Limit struct {
	Burst  int     // points
	Refill float64 // points a second
}

// State is what a bucket has after something was taken of it, or refused.
type State struct {
	OK        bool
	Limit     int // Limit.Burst
	Remaining int // points, rounded down
	// Retry is the time until what was refused can be taken; 0 if it was not refused.
	Retry time.Duration
	// Reset is the time until the bucket is full again.
	Reset time.Duration
}

// Buckets are the token buckets of one limit, each made full at its first use. They live in this process: several nodes
// of a service give each client as many buckets.
//
// Only what isn't full has to be remembered, and no bucket takes longer to fill than Burst/Refill: so what wasn't used
// for that long is forgotten, and nothing is lost. Of a flood of keys at most twice as many are remembered as NewBuckets
// was told to, about 150 bytes each; the buckets used least recently become full then.
type Buckets struct {
	limit Limit
	now   func() time.Time

	mu   sync.Mutex
	used *Recent[string, bucket]
}

// bucket is what was taken and hasn't been refilled; zero is a full one.
type bucket struct {
	missing float64
	at      time.Time
}

// NewBuckets returns full buckets. It remembers those of the last most keys; now is the time, as time.Now.
func NewBuckets(limit Limit, most int, now func() time.Time) *Buckets {
	fill := seconds(float64(limit.Burst) / limit.Refill)
	return &Buckets{limit: limit, now: now, used: NewRecent[string, bucket](most, fill)}
}

// Take takes points of a key's bucket, all or none. What costs more than a bucket holds takes a full one.
func (b *Buckets) Take(key string, points int) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.now()
	use := b.at(key, at)
	take := float64(min(points, b.limit.Burst))
	lacking := use.missing + take - float64(b.limit.Burst)
	if lacking > 0 {
		s := b.state(use)
		s.Retry = seconds(lacking / b.limit.Refill)
		return s
	}
	use.missing += take
	s := b.state(use)
	s.OK = true
	return s
}

// Look says whether points could be taken, and takes none.
func (b *Buckets) Look(key string, points int) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.now()
	use := new(bucket)
	if found := b.used.Find(key, at); found != nil {
		b.refill(found, at)
		use = found
	}
	s := b.state(use)
	lacking := use.missing + float64(min(points, b.limit.Burst)) - float64(b.limit.Burst)
	if s.OK = lacking <= 0; !s.OK {
		s.Retry = seconds(lacking / b.limit.Refill)
	}
	return s
}

// Give gives points back that were taken and not used.
func (b *Buckets) Give(key string, points int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.now()
	if use := b.used.Find(key, at); use != nil {
		b.refill(use, at)
		use.missing = max(0, use.missing-float64(min(points, b.limit.Burst)))
	}
}

// Len is how many buckets are remembered.
func (b *Buckets) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used.Len()
}

// at is a key's bucket as of now.
func (b *Buckets) at(key string, at time.Time) *bucket {
	use := b.used.At(key, at)
	b.refill(use, at)
	return use
}

func (b *Buckets) refill(use *bucket, at time.Time) {
	if since := at.Sub(use.at); since > 0 {
		use.missing = max(0, use.missing-b.limit.Refill*since.Seconds())
	}
	use.at = at
}

func (b *Buckets) state(use *bucket) State {
	return State{
		Limit:     b.limit.Burst,
		Remaining: int(math.Floor(float64(b.limit.Burst) - use.missing)),
		Reset:     seconds(use.missing / b.limit.Refill),
	}
}

// seconds is never too short: it is rounded up to a millisecond.
func seconds(s float64) time.Duration {
	return time.Duration(math.Ceil(s*1000)) * time.Millisecond
}
