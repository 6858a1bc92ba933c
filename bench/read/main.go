//go:build linux

// Command read measures what a request costs: Tidings, in a process of its own, beside a handler that was written by
// hand for just these requests, on the same database, in the same run. From anywhere in the repository:
//
//	go run ./bench/read
//
// It prints a table, and a line for each goal that the project has set itself; bench/README.md says what they mean. CPU
// and memory are the servers', as /proc has them, so it runs on Linux only; -help lists what makes it shorter.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tidings/bench/rig"
	"tidings/internal/testkit/pgtest"
)

// bench is a run of the program.
type bench struct {
	databases  []string
	operations []string
	conns      []int
	rounds     int
	plan       plan
	size       size
	server     string
	dir        string
	profiles   string    // where CPU profiles go; "": there are none
	profiled   string    // the program that profiles itself
	scales     bool      // what costs how much more with more data is measured, instead of the rest
	log        io.Writer // progress; the report goes elsewhere
}

var allDatabases = []string{dialectPostgres, dialectSQLite}

func allOperations() (names []string) {
	for _, o := range operations {
		names = append(names, o.name)
	}
	return names
}

func main() {
	control(os.Args)
	b, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "read:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if b.scales {
		var lines []rig.Line
		if lines, err = b.scale(ctx); err == nil {
			err = rig.Report(os.Stdout, lines)
		}
	} else {
		var results results
		if results, err = b.run(ctx); err == nil {
			err = results.report(os.Stdout)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "read:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*bench, error) {
	b := &bench{log: os.Stderr}
	f := flag.NewFlagSet("read", flag.ContinueOnError)
	databases := f.String("databases", strings.Join(allDatabases, ","), "on what to measure")
	operations := f.String("operations", strings.Join(allOperations(), ","), "what to measure")
	conns := f.String("conns", "16,64", "over how many connections, separated by commas")
	f.IntVar(&b.rounds, "rounds", 3, "how often each is measured")
	f.DurationVar(&b.plan.period, "time", 2*time.Second, "for how long, each time")
	f.DurationVar(&b.plan.warm, "warm", 500*time.Millisecond, "for how long before that")
	f.IntVar(&b.size.users, "users", 1000, "how many users there are")
	f.IntVar(&b.size.posts, "posts", 20_000, "how many posts")
	f.IntVar(&b.size.comments, "comments", 100_000, "how many comments")
	f.IntVar(&b.size.busy, "busy", 0, "how many comments more, on the newest post")
	f.BoolVar(&b.scales, "scale", false, "measure Q1, Q2 and Q4 with ten times the posts, and Q3 with ten times the comments on one post, beside the plain data")
	f.StringVar(&b.server, "server", "", "the program of the server; built if not given")
	f.StringVar(&b.dir, "dir", rig.MemoryDir(), "where the SQLite databases are made: in memory, so that the disk is not what is measured")
	f.StringVar(&b.profiles, "profile", "", "a directory for a CPU profile of each contender at each operation")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if b.databases, err = rig.Words(*databases, allDatabases); err != nil {
		return nil, err
	}
	if b.operations, err = rig.Words(*operations, allOperations()); err != nil {
		return nil, err
	}
	for s := range strings.SplitSeq(*conns, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 1000 {
			return nil, fmt.Errorf("%q is no number of connections", s)
		}
		b.conns = append(b.conns, n)
	}
	switch {
	case b.rounds < 1 || b.plan.period <= 0:
		return nil, errors.New("there must be at least one round, and some time")
	case b.size.users < 2 || b.size.posts < 100 || b.size.comments < 1 || b.size.busy < 0:
		return nil, errors.New("there must be at least 2 users, 100 posts and a comment")
	}
	return b, nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// inDir builds the programs that are not given, and runs fn in a directory that is removed afterwards.
func (b *bench) inDir(ctx context.Context, fn func(dir string) error) error {
	dir, err := os.MkdirTemp(b.dir, "tidings-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b.say("%s", rig.Machine())
	if b.server == "" {
		if b.server, err = rig.Build(ctx, dir, "."); err != nil {
			return err
		}
	}
	if b.profiles != "" && b.profiled == "" {
		if b.profiled, err = rig.Build(ctx, dir, "./bench/read/profiled"); err != nil {
			return err
		}
	}
	return fn(dir)
}

// run measures on each database. One that there is no server for is left out.
func (b *bench) run(ctx context.Context) (all results, err error) {
	err = b.inDir(ctx, func(dir string) error {
		d := generate(b.size)
		for _, name := range b.databases {
			db, err := prepare(ctx, b.server, dir, name == dialectPostgres, d)
			if errors.Is(err, pgtest.ErrNoBinaries) {
				b.say("no Postgres: %v", err)
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			b.say("%s is loaded", db.name)
			more, err := b.measure(ctx, db)
			if err = errors.Join(err, db.drop()); err != nil {
				return fmt.Errorf("%s: %w", db.name, err)
			}
			all = append(all, more...)
		}
		return nil
	})
	return all, err
}

// measure compares all answers, and then takes the contenders in turn, in rounds of which each begins with the other one.
func (b *bench) measure(ctx context.Context, db *database) (all results, err error) {
	reading, err := db.copy(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reading.drop()) }()
	token, err := reading.token(ctx)
	if err != nil {
		return nil, err
	}
	var chosen []scripts
	for _, o := range operations {
		if !slices.Contains(b.operations, o.name) {
			continue
		}
		err := db.with(ctx, reading, o.writes, func(p *place) error {
			s, err := compare(ctx, p, o, token)
			chosen = append(chosen, s)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, n := range b.conns {
			all = append(all, &result{database: db.name, scripts: chosen[len(chosen)-1], conns: n, figures: map[string][]figures{}})
		}
	}
	b.say("%s: all answers are the same", db.name)
	for round := range b.rounds {
		for _, r := range all {
			for i := range contenders {
				c := contenders[(i+round)%len(contenders)]
				err := db.with(ctx, reading, r.writes, func(p *place) error {
					f, err := b.plan.measure(ctx, p, c, r.scripts, r.conns)
					r.figures[c.name] = append(r.figures[c.name], f)
					return err
				})
				if err != nil {
					return nil, fmt.Errorf("%s, %s, %d connections: %w", r.name, c.name, r.conns, err)
				}
			}
			ours, control := r.figures["tidings"][round], r.figures["control"][round]
			b.say("round %d, %s, %s, %d connections: CPU %.0f+%.0f us, of the control %.0f+%.0f us: %.0f%%", round+1, r.database, r.name, r.conns,
				us(ours.server), us(ours.postgres), us(control.server), us(control.postgres), 100*share(ours, control))
		}
	}
	if b.profiles == "" {
		return all, nil
	}
	for _, s := range chosen {
		if err := db.with(ctx, reading, s.writes, func(p *place) error { return b.plan.profile(ctx, b.profiled, p, s, b.conns[0], b.profiles) }); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	b.say("%s: profiles are in %s", db.name, b.profiles)
	return all, nil
}

// with has fn use the database: what writes a copy of its own, so that all find the same.
func (db *database) with(ctx context.Context, reading *place, writes bool, fn func(*place) error) error {
	if !writes {
		return fn(reading)
	}
	p, err := db.copy(ctx)
	if err != nil {
		return err
	}
	return errors.Join(fn(p), p.drop())
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
