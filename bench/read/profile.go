//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"

	"tidings/bench/rig"
)

// What the time goes to: with -profile each operation is run once more, by contenders that profile themselves, after
// all has been measured by such that don't.

// profile writes a CPU profile of each contender at an operation into the directory. program is that of package
// profiled.
func (p plan) profile(ctx context.Context, program string, at *place, s scripts, conns int, dir string) error {
	db := *at.database
	db.program = program
	at = &place{database: &db, at: at.at}
	for _, c := range contenders {
		path, err := filepath.Abs(filepath.Join(dir, fmt.Sprintf("%s-%s-%s.pprof", db.name, s.name, c.name)))
		if err != nil {
			return err
		}
		if err := p.profileOne(ctx, at, c, s, conns, path); err != nil {
			return fmt.Errorf("profiling %s: %w", c.name, err)
		}
	}
	return nil
}

func (p plan) profileOne(ctx context.Context, at *place, c contender, s scripts, conns int, path string) error {
	server, err := c.start(at, ctx, at.at, rig.ProfileFile+"="+path)
	if err != nil {
		return err
	}
	defer server.Stop()
	if _, _, err := s.of[c.name].run(ctx, server.Address, conns, p.warm+p.period); err != nil {
		return err
	}
	return server.End(ctx)
}
