//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"tidings/bench/rig"
	"tidings/internal/testkit/pgtest"
)

// latency is how long events took, one after another on an idle server with one subscriber. When a transaction commits
// can't be seen from outside: it is after the mutation was sent and before its answer has come. So two times are
// taken, and what is asked for lies between them.
type latency struct {
	sent     []time.Duration // from sending the mutation until the frame has come
	answered []time.Duration // from the mutation's answer until then; 0 when the frame came first
}

// delays publishes events at moments that have nothing to do with any clock of the server.
func delays(ctx context.Context, address string, events int, publish func(context.Context, int, int) error) (l latency, err error) {
	s, err := subscribe(ctx, address, 1, 0, nil)
	if err != nil {
		return l, err
	}
	defer s.close()
	next, err := s.establish(ctx, 0, publish)
	if err != nil {
		return l, err
	}
	for range events {
		select {
		case <-ctx.Done():
			return l, ctx.Err()
		case <-time.After(10*time.Millisecond + rand.N(40*time.Millisecond)):
		}
		s.expect(next)
		sent := time.Now()
		if err := publish(ctx, next, 1); err != nil {
			return l, err
		}
		answered := time.Now()
		if err := s.await(ctx); err != nil {
			return l, err
		}
		next++
		l.sent = append(l.sent, s.arrival().Sub(sent))
		l.answered = append(l.answered, max(0, s.arrival().Sub(answered)))
	}
	return l, nil
}

// latencies measures, in rounds: SQLite; Postgres; Postgres with the subscriber on another node than the writer, as
// "two nodes"; and gorilla, where to publish is to send. Without a Postgres its lines are left out.
func (b *bench) latencies(ctx context.Context) (map[string][]latency, error) {
	all := map[string][]latency{}
	keep := func(name string, l latency) {
		all[name] = append(all[name], l)
		b.say("latency, %s: p50 %.1f ms, p99 %.1f ms from sending the mutation", name, ms(rig.Percentile(l.sent, 50)), ms(rig.Percentile(l.sent, 99)))
	}
	for range b.rounds {
		err := func() error {
			server, a, err := b.prepared.start(ctx)
			if err != nil {
				return err
			}
			defer server.Stop()
			l, err := delays(ctx, server.Address, b.latencyEvents, a.publish)
			keep("sqlite", l)
			return err
		}()
		if err != nil {
			return nil, err
		}
		switch err := b.onPostgres(ctx, keep); {
		case errors.Is(err, pgtest.ErrNoBinaries):
			b.say("no Postgres: %v", err)
		case err != nil:
			return nil, err
		}
		err = func() error {
			server, err := b.startControl(ctx, "control-gorilla")
			if err != nil {
				return err
			}
			defer server.Stop()
			l, err := delays(ctx, server.Address, min(b.latencyEvents, len(b.messages)-spare), b.messages.publisher(server))
			keep("gorilla", l)
			return err
		}()
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (b *bench) onPostgres(ctx context.Context, keep func(string, latency)) (err error) {
	url, drop, err := pgtest.Scratch(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	one, err := startTidings(ctx, b.prepared.program, url)
	if err != nil {
		return err
	}
	defer one.Stop()
	refreshToken, err := rig.SignUp(ctx, one)
	if err != nil {
		return err
	}
	a, err := signIn(ctx, one, refreshToken)
	if err != nil {
		return err
	}
	l, err := delays(ctx, one.Address, b.latencyEvents, a.publish)
	if err != nil {
		return err
	}
	keep("postgres", l)
	two, err := startTidings(ctx, b.prepared.program, url)
	if err != nil {
		return err
	}
	defer two.Stop()
	if l, err = delays(ctx, two.Address, b.latencyEvents, a.publish); err == nil {
		keep("two nodes", l)
	}
	return err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
