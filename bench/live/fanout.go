//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"tidings/bench/rig"
)

// plan is how much is measured.
type plan struct {
	subscribers int
	alone       int           // published before anybody subscribes, which tells what the writing costs, and warms up
	events      int           // published one at a time
	burst       int           // published at once
	nap         time.Duration // as in subscribers
	settle      time.Duration // how long a server must be quiet to count as idle
}

// spare is how many messages are captured beside those of a plan, for establishing the subscribers.
const spare = 100

// fanout is what one server was measured to take.
type fanout struct {
	writing  time.Duration // CPU an event, before there are subscribers
	oneByOne time.Duration // CPU a delivery, one event at a time
	rate     float64       // deliveries a second of a burst
	burst    time.Duration // CPU a delivery of a burst
	idle     float64       // resident bytes a subscriber, when nothing happens
	loaded   float64       // the same at its peak, under load
	all      float64       // all resident bytes, when nothing happens
	live     float64       // bytes of heap that is not garbage and of stacks, a subscriber, idle
	garbage  float64       // bytes allocated a delivery, one event at a time: at most so many
}

// measure subscribes to a server, publishes, and reads what that took.
func (p plan) measure(ctx context.Context, server *rig.Process, publish func(context.Context, int, int) error) (f fanout, err error) {
	per := float64(p.subscribers)
	next := 0
	begin, err := server.CPU()
	if err != nil {
		return f, err
	}
	for ; next < p.alone; next++ {
		if err := publish(ctx, next, 1); err != nil {
			return f, err
		}
	}
	end, err := server.CPU()
	if err != nil {
		return f, err
	}
	f.writing = (end - begin) / time.Duration(p.alone)
	heapBefore, err := server.Collect(ctx)
	if err != nil {
		return f, err
	}
	if err := server.Settle(ctx, p.settle); err != nil {
		return f, err
	}
	before, err := server.Memory()
	if err != nil {
		return f, err
	}

	s, err := subscribe(ctx, server.Address, p.subscribers, p.nap, nil)
	if err != nil {
		return f, err
	}
	defer s.close()
	if next, err = s.establish(ctx, next, publish); err != nil {
		return f, err
	}
	if err := server.Settle(ctx, p.settle); err != nil {
		return f, err
	}
	idle, err := server.Memory()
	if err != nil {
		return f, err
	}
	f.idle, f.all = float64(idle.Resident-before.Resident)/per, float64(idle.Resident)
	if err := server.ResetPeak(); err != nil {
		return f, err
	}

	heapAt := server.HeapNow()
	f.oneByOne, _, err = p.spend(ctx, server, s, p.events, func() error {
		for range p.events {
			s.expect(next)
			if err := publish(ctx, next, 1); err != nil {
				return err
			}
			if err := s.await(ctx); err != nil {
				return err
			}
			next++
		}
		return nil
	})
	if err != nil {
		return f, err
	}
	f.garbage = allocatedAtMost(heapAt, server.HeapNow()) / per / float64(p.events)

	f.burst, f.rate, err = p.spend(ctx, server, s, p.burst, func() error {
		s.expect(next + p.burst - 1)
		if err := publish(ctx, next, p.burst); err != nil {
			return err
		}
		return s.await(ctx)
	})
	if err != nil {
		return f, err
	}
	loaded, err := server.Memory()
	if err != nil {
		return f, err
	}
	f.loaded = float64(loaded.Peak-before.Resident) / per
	heapAfter, err := server.Collect(ctx)
	f.live = float64(heapAfter.Live+heapAfter.Stacks-heapBefore.Live-heapBefore.Stacks) * (1 << 20) / per
	return f, err
}

// allocatedAtMost is what was allocated between two moments, in bytes: what the collections between them say, and what
// may have been since the last one.
func allocatedAtMost(from, to rig.Heap) float64 {
	return float64(to.Allocated-from.Allocated+max(0, to.Goal-to.Live)) * (1 << 20)
}

// spend has events delivered, and returns the server's CPU a delivery, and the deliveries a second from before the
// first was published until the last one arrived.
func (p plan) spend(ctx context.Context, server *rig.Process, s *subscribers, events int, deliver func() error) (time.Duration, float64, error) {
	deliveries := float64(p.subscribers) * float64(events)
	before, err := server.CPU()
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := deliver(); err != nil {
		return 0, 0, err
	}
	after, err := server.CPU()
	if err != nil {
		return 0, 0, err
	}
	return time.Duration(float64(after-before) / deliveries), deliveries / s.arrival().Sub(begin).Seconds(), nil
}

// contender is a server of the comparison.
type contender struct {
	name  string
	start func(context.Context) (*rig.Process, func(context.Context, int, int) error, error)
}

func (b *bench) contenders() []contender {
	again := func(name, argument string) contender {
		return contender{name, func(ctx context.Context) (*rig.Process, func(context.Context, int, int) error, error) {
			p, err := b.startControl(ctx, argument)
			return p, b.messages.publisher(p), err
		}}
	}
	all := []contender{{"tidings", func(ctx context.Context) (*rig.Process, func(context.Context, int, int) error, error) {
		p, a, err := b.prepared.start(ctx)
		return p, a.publish, err
	}}, again("gorilla", "control-gorilla"), again("gqlgen", "control-gqlgen")}
	return slices.DeleteFunc(all, func(c contender) bool { return !slices.Contains(b.servers, c.name) })
}

func (b *bench) startControl(ctx context.Context, argument string) (*rig.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return rig.Start(ctx, self, []string{rig.Trace}, func(address string) []string { return []string{argument, address} })
}

// fanouts measures the contenders in turn, in so many rounds, each of which begins with another one.
func (b *bench) fanouts(ctx context.Context, p plan) (map[string][]fanout, error) {
	results := map[string][]fanout{}
	all := b.contenders()
	for round := range b.rounds {
		for i := range all {
			c := all[(i+round)%len(all)]
			f, err := b.once(ctx, c, p)
			if err != nil {
				return nil, fmt.Errorf("%s, %d subscribers: %w", c.name, p.subscribers, err)
			}
			results[c.name] = append(results[c.name], f)
			b.say("round %d, %d subscribers, %s: one by one %.1f us, burst %.1f us and %.0f/s, idle %.1f KiB, loaded %.1f KiB, live %.1f KiB, allocated at most %.0f B",
				round+1, p.subscribers, c.name, us(f.oneByOne), us(f.burst), f.rate, f.idle/1024, f.loaded/1024, f.live/1024, f.garbage)
		}
	}
	return results, nil
}

func (b *bench) once(ctx context.Context, c contender, p plan) (fanout, error) {
	server, publish, err := c.start(ctx)
	if err != nil {
		return fanout{}, err
	}
	defer server.Stop()
	return p.measure(ctx, server, publish)
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
