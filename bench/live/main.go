//go:build linux

// Command live measures what live delivery costs: Tidings, in a process of its own, beside a plain broadcast with
// gorilla/websocket of the same frames (and gqlgen's own transport), in the same run. From anywhere in the repository:
//
//	go run ./bench/live
//
// It prints a line for each goal that the project has set itself; bench/README.md says what each means. CPU and memory
// are the server's, as /proc has them, so it runs on Linux only. It needs free file descriptors for the subscribers,
// as many again in the server, and takes about a quarter of an hour; -help lists what makes it shorter.
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
)

// bench is a run of the program.
type bench struct {
	parts         []string
	subscribers   []int
	events, burst int
	latencyEvents int
	rounds        int
	servers       []string
	nap           time.Duration
	server        string
	dir           string
	alone         int           // as in plan
	settle        time.Duration // as in plan
	log           io.Writer     // progress; the report goes elsewhere

	prepared *prepared
	messages messages
}

// The parts of a run, and the servers of the first.
var (
	allParts   = []string{"fanout", "allocations", "latency", "write"}
	allServers = []string{"tidings", "gorilla", "gqlgen"}
)

func main() {
	control(os.Args)
	b, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	lines, err := b.run(ctx)
	if err == nil {
		err = rig.Report(os.Stdout, lines)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*bench, error) {
	b := &bench{alone: 100, settle: time.Second, log: os.Stderr}
	f := flag.NewFlagSet("live", flag.ContinueOnError)
	parts := f.String("parts", strings.Join(allParts, ","), "what to measure")
	subscribers := f.String("subscribers", "5000,10000", "how many subscribers, separated by commas")
	f.IntVar(&b.events, "events", 30, "events published one at a time, a round")
	f.IntVar(&b.burst, "burst", 100, "events published at once, a round")
	f.IntVar(&b.latencyEvents, "latency-events", 400, "events to one subscriber, a round")
	f.IntVar(&b.rounds, "rounds", 3, "how often each server is measured")
	servers := f.String("servers", strings.Join(allServers, ","), "what is measured of: lines that need another one are left open")
	f.DurationVar(&b.nap, "nap", time.Millisecond, "how long the reader of the subscribers sleeps between looks")
	f.StringVar(&b.server, "server", "", "the program of the server; built if not given")
	f.StringVar(&b.dir, "dir", rig.MemoryDir(), "where the databases are made: in memory, so that the disk is not what is measured")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if b.parts, err = rig.Words(*parts, allParts); err != nil {
		return nil, err
	}
	if b.servers, err = rig.Words(*servers, allServers); err != nil {
		return nil, err
	}
	for s := range strings.SplitSeq(*subscribers, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of subscribers", s)
		}
		b.subscribers = append(b.subscribers, n)
	}
	if min(b.events, b.burst, b.latencyEvents, b.rounds) < 1 {
		return nil, errors.New("there must be at least one event and one round")
	}
	return b, b.enoughFiles()
}

// enoughFiles refuses numbers of subscribers that the process may not open.
func (b *bench) enoughFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if most := slices.Max(b.subscribers); uint64(most)+200 > limit.Cur {
		return fmt.Errorf("%d subscribers take more files than the %d that a process may open here (ulimit -n)", most, limit.Cur)
	}
	return nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// run measures the parts, and returns the lines that say how it went.
func (b *bench) run(ctx context.Context) (lines []rig.Line, err error) {
	dir, err := os.MkdirTemp(b.dir, "tidings-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b.say("%s", rig.Machine())
	if b.server == "" {
		if b.server, err = rig.Build(ctx, dir, "."); err != nil {
			return nil, err
		}
	}
	if b.prepared, err = prepare(ctx, b.server, dir); err != nil {
		return nil, err
	}
	if b.messages, err = capture(ctx, b.prepared, b.alone+b.events+max(b.burst, b.latencyEvents)+spare); err != nil {
		return nil, err
	}
	b.say("a message has %d bytes: %s", len(b.messages[0]), b.messages[0])
	for _, part := range []struct {
		name string
		run  func(context.Context) ([]rig.Line, error)
	}{{"fanout", b.fanoutLines}, {"allocations", b.allocationLines}, {"latency", b.latencyLines}, {"write", b.writeLines}} {
		if !slices.Contains(b.parts, part.name) {
			continue
		}
		more, err := part.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		lines = append(lines, more...)
	}
	return lines, nil
}
