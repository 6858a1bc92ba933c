// Tidings is a GraphQL API server for posts and the conversations around them, with live subscriptions.
package main

// ent first: gqlgen binds the schema to its types.
//go:generate go run -C ent generate_main.go
//go:generate go tool gqlgen generate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/heap"
)

func main() {
	cfg, err := config.Parse(os.Args[1:], os.Environ())
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(config.Help())
		return
	case err != nil:
		fmt.Fprintf(os.Stderr, "tidings: %v\n", err)
		os.Exit(2)
	case cfg.Version:
		fmt.Println("tidings", app.Version())
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	heap.Tune()
	do := app.Run
	if cfg.Admin != "" {
		do = app.MakeAdmin
	}
	if err := do(ctx, cfg, cfg.Log.Logger(os.Stderr), os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "tidings: %v\n", err)
		os.Exit(1)
	}
}
