package web

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/fault"
	"tidings/internal/gid"
	"tidings/internal/rate"
)

// refusedCost is what a document costs that doesn't run, in points: somebody had to look at it.
const refusedCost = 10

// Points counts what each key takes. rate.Buckets does so for one process; what does it for several must answer as fast,
// and decide by itself what to say when it can't know.
type Points interface {
	// Take takes points of a key, all or none.
	Take(key string, points int) rate.State
	// Look says what Take would, and takes nothing.
	Look(key string, points int) rate.State
}

// Rates limit what one address and one viewer may take, in points: what an operation costs, for a subscription at its
// start and for each event that is rendered for it or its viewer alone, and 10 for a document that is refused. An event
// waits for its points. An operation counts for the address that it comes from, and if its viewer is signed in for the
// viewer as well, from wherever: one may neither share a token nor make accounts to get around it.
type Rates struct {
	// Addresses and Viewers hold the points. IPv6 addresses count by their /64.
	Addresses, Viewers Points
	// AddressSockets and ViewerSockets are how many sockets and streams each may have open. 100 and 20.
	AddressSockets, ViewerSockets int
	// Standing is what the open subscriptions of an address may cost together,
	// each counted with what one of its events costs, and three times that is for
	// those of a viewer. 2,000 points.
	Standing int
}

// What is refused in the same way over and over is told to the log once in ten seconds for each address.
const (
	reportEvery   = 10 * time.Second
	mostReporters = 1 << 12
)

func newReports() *rate.Buckets {
	return rate.NewBuckets(rate.Limit{Burst: 1, Refill: 1 / reportEvery.Seconds()}, mostReporters, time.Now)
}

// meter counts for one request, or for one socket or stream. A nil one counts nothing.
type meter struct {
	server  *Server
	rates   *Rates
	address string
	viewer  string                     // "" for nobody
	last    atomic.Pointer[rate.State] // of whichever has less left, when it was last asked
}

func (s *Server) newMeter(ctx context.Context) *meter {
	if s.rates == nil {
		return nil
	}
	return &meter{server: s, rates: s.rates, address: auth.AddressKey(auth.ClientFrom(ctx).Address)}
}

// count makes the meter count for a viewer too.
func (m *meter) count(v auth.Viewer) {
	if m != nil && v.SignedIn() {
		m.viewer = v.User.String()
	}
}

type meterKey struct{}

func withMeter(ctx context.Context, m *meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

// charge takes points for the operation of ctx from who asks for it. The error is a fault with code RATE_LIMITED, and
// then nothing was taken, and the operation must not run. A context of no request is free.
func charge(ctx context.Context, points int) error {
	m, _ := ctx.Value(meterKey{}).(*meter)
	if m == nil {
		return nil
	}
	if s := m.look(points); !s.OK {
		return m.refuse(ctx, s)
	}
	s := m.rates.Addresses.Take(m.address, points)
	if s.OK && m.viewer != "" {
		s = tighter(s, m.rates.Viewers.Take(m.viewer, points))
	}
	m.last.Store(&s)
	if !s.OK { // somebody else was faster just now
		return m.refuse(ctx, s)
	}
	return nil
}

// paceEvery is how long pace waits at least. Thousands of subscriptions may wait
// for one bucket, and each that finds it empty again has cost a little.
const paceEvery = 100 * time.Millisecond // about

// pace takes points as charge does, but waits until they are there. The error is
// that ctx was over first.
func pace(ctx context.Context, points int) error {
	for {
		f, ok := errors.AsType[*fault.Error](charge(ctx, points))
		if !ok {
			return nil
		}
		select {
		case <-time.After(max(f.RetryAfter, paceEvery/2+rand.N(paceEvery))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// admit says whether whoever asks in ctx could pay for a document that is refused, which is what it takes to have one
// looked at. The error is charge's.
func admit(ctx context.Context) error {
	m, _ := ctx.Value(meterKey{}).(*meter)
	if m == nil {
		return nil
	}
	if s := m.look(refusedCost); !s.OK {
		return m.refuse(ctx, s)
	}
	return nil
}

// look says whether points could be taken.
func (m *meter) look(points int) rate.State {
	s := m.rates.Addresses.Look(m.address, points)
	if m.viewer != "" {
		s = tighter(s, m.rates.Viewers.Look(m.viewer, points))
	}
	m.last.Store(&s)
	return s
}

// stand counts an open subscription, each event of which costs so many points: so what one event can take at most is
// bounded, whoever is to pay for it. Call leave once when the subscription is over. The error is RATE_LIMITED.
func (m *meter) stand(points int) (leave func(), err error) {
	if m == nil {
		return func() {}, nil
	}
	tooMany := fault.RateLimited(0, "The open subscriptions cost too much together: end some of them first.")
	ofAddress, ok := m.server.standing.enter("address "+m.address, points, m.rates.Standing)
	if !ok {
		return nil, tooMany
	}
	if m.viewer == "" {
		return ofAddress, nil
	}
	ofViewer, ok := m.server.standing.enter("viewer "+m.viewer, points, 3*m.rates.Standing)
	if !ok {
		ofAddress()
		return nil, tooMany
	}
	return func() { ofAddress(); ofViewer() }, nil
}

func (m *meter) refuse(ctx context.Context, s rate.State) error {
	m.server.report(ctx, "rate")
	return fault.RateLimited(s.Retry, "Too many requests: wait before you ask for more.")
}

// tighter is whichever of two must be waited for longer, or has less left.
func tighter(a, b rate.State) rate.State {
	switch {
	case a.OK != b.OK:
		if a.OK {
			return b
		}
		return a
	case !a.OK && b.Retry > a.Retry, a.OK && b.Remaining < a.Remaining:
		return b
	}
	return a
}

// headers tells a client what it has left, in the fields of draft-ietf-httpapi-ratelimit-headers-06 (sections 5.1 to
// 5.3): points, and seconds until they are all there again. Later drafts have other fields, which hardly any client reads.
func (m *meter) headers(h http.Header) {
	if m == nil {
		return
	}
	s := m.last.Load()
	if s == nil {
		looked := m.look(0)
		s = &looked
	}
	h.Set("RateLimit-Limit", strconv.Itoa(s.Limit))
	h.Set("RateLimit-Remaining", strconv.Itoa(s.Remaining))
	h.Set("RateLimit-Reset", strconv.Itoa(wholeSeconds(s.Reset)))
}

func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// report writes the security event that a request was refused, unless one of that reason was written just now.
func (s *Server) report(ctx context.Context, reason string) {
	if s.reports.Take(reason+" "+auth.AddressKey(auth.ClientFrom(ctx).Address), 1).OK {
		s.audit.Write(ctx, audit.RequestRefused, reason, gid.User{})
	}
}
