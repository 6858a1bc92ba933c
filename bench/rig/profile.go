//go:build linux

package rig

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// ProfileFile, in the environment, is where a process that runs UnderProfile leaves its CPU profile.
const ProfileFile = "BENCH_PROFILE"

// UnderProfile runs serve, which returns when its context is done, until SIGTERM comes. If the environment asks for a
// CPU profile it writes one, of all that the process did meanwhile.
func UnderProfile(serve func(context.Context) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if path := os.Getenv(ProfileFile); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	return serve(ctx)
}
