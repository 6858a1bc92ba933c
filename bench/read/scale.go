//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"tidings/bench/rig"
	"tidings/internal/gid"
	"tidings/internal/testkit/pgtest"
)

// growth is what there is ten times of, and what may not cost much more for it.
type growth struct {
	name       string
	operations []string
	of         func(size) size
}

var growths = []growth{
	{"ten times the posts", []string{"Q1", "Q2", "Q4"}, func(s size) size { s.posts *= 10; return s }},
	{"ten times the comments on one post", []string{"Q3"}, func(s size) size { s.busy *= 10; return s }},
}

const (
	mostGrowth  = 1.2   // times what it costs with the plain data
	plainOnBusy = 1_000 // comments on the busy post of the plain data
)

// scale measures what operations cost with more data, beside what they cost with the plain data.
func (b *bench) scale(ctx context.Context) (lines []rig.Line, err error) {
	err = b.inDir(ctx, func(dir string) error {
		for _, name := range b.databases {
			more, err := b.scaleOn(ctx, dir, name == dialectPostgres)
			if errors.Is(err, pgtest.ErrNoBinaries) {
				b.say("no Postgres: %v", err)
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			lines = append(lines, more...)
		}
		return nil
	})
	return lines, err
}

func (b *bench) scaleOn(ctx context.Context, dir string, postgres bool) (lines []rig.Line, err error) {
	if b.size.busy == 0 {
		b.size.busy = plainOnBusy
	}
	load := func(name string, s size) (*place, error) {
		dir := filepath.Join(dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		db, err := prepare(ctx, b.server, dir, postgres, generate(s))
		if err != nil {
			return nil, err
		}
		b.say("%s is loaded: %s", db.name, name)
		return &place{database: db, at: db.original, drop: func() error { return errors.Join(db.drop(), os.RemoveAll(dir)) }}, nil
	}
	plain, err := load("plain data", b.size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.drop()) }()
	for _, g := range growths {
		var chosen []operation
		for _, o := range operations {
			if slices.Contains(g.operations, o.name) && slices.Contains(b.operations, o.name) {
				chosen = append(chosen, o)
			}
		}
		if len(chosen) == 0 {
			continue
		}
		grown, err := load(g.name, g.of(b.size))
		if err != nil {
			return nil, err
		}
		more, err := b.grow(ctx, g, chosen, plain, grown)
		if err := errors.Join(err, grown.drop()); err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// grow measures operations with the plain and with the grown data in turn.
func (b *bench) grow(ctx context.Context, g growth, chosen []operation, plain, grown *place) (lines []rig.Line, err error) {
	places := []*place{plain, grown}
	for _, o := range chosen {
		var asked [2]scripts
		for i, p := range places {
			if asked[i], err = compare(ctx, p, o, ""); err != nil {
				return nil, err
			}
		}
		cost := map[string]*[2][]float64{}
		for _, c := range contenders {
			cost[c.name] = new([2][]float64)
		}
		for round := range b.rounds {
			for turn := range places {
				i := (round + turn) % len(places)
				for _, c := range contenders {
					f, err := b.plan.measure(ctx, places[i], c, asked[i], b.conns[0])
					if err != nil {
						return nil, fmt.Errorf("%s, %s: %w", o.name, c.name, err)
					}
					cost[c.name][i] = append(cost[c.name][i], us(f.cpu()))
				}
			}
			ours := cost["tidings"]
			b.say("round %d, %s, %s: CPU %.0f us, with %s %.0f us", round+1, plain.name, o.name, ours[0][round], g.name, ours[1][round])
		}
		for _, c := range contenders {
			line := rig.Line{
				Name: fmt.Sprintf("%s, %s, %s", plain.name, o.name, g.name), Unit: "us", Ours: cost[c.name][1], Control: cost[c.name][0], Against: "plain data",
				Goal: rig.AtMostTimes(mostGrowth),
			}
			if c.control { // what the database makes of it
				line.Name, line.Goal = line.Name+", by hand", rig.Goal{}
			}
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// busiest is the newest post that is public, on the first page of every list.
func (d *data) busiest() post {
	for _, p := range slices.Backward(d.posts) {
		if p.published {
			return p
		}
	}
	return d.posts[0]
}

// crowd adds comments on the busiest post, by what it draws itself, so that all else is what it would be without them.
func (d *data) crowd(n int) {
	g := &generator{rand: rand.New(rand.NewPCG(5, 6)), words: d.words}
	g.zipf = rand.NewZipf(g.rand, 1.1, 8, vocabulary-1)
	on := d.busiest()
	for i := range n {
		at := on.at.Add(between).Add(time.Duration(i) * time.Second)
		d.comments = append(d.comments, comment{gid.CommentOf(g.id(at)), g.text(commentLength), g.author(d), on.id, at})
	}
}
