// Command migrate writes the versioned migrations of package store. Run it from the root of the repository:
//
//	go run ./internal/store/migrate NAME
//
// compares what the migrations so far (the schema directories) make of an empty database with the tables of package
// ent, for SQLite and Postgres, and writes the difference as a new file for each database that has one. Look at what it
// wrote: it adds and changes, and never drops a column, an index or a table. What must go is dropped by a file
// written by hand:
//
//	go run ./internal/store/migrate -manual NAME
//
// makes an empty file of the next version in both manual directories, for what ent does not know (search, the log) and
// for moving data. After any change by hand, to files that no release has shipped,
//
//	go run ./internal/store/migrate -sum
//
// writes the integrity sums again. For the Postgres side the command starts a throw-away cluster from the local
// binaries, or makes a database on the server of TIDINGS_TEST_POSTGRES. `go test ./internal/store/...` fails
// when package ent has changed and this command has not been run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tidings/internal/store/migrations"
)

func main() {
	manual := flag.Bool("manual", false, "make empty files in the manual directories")
	sum := flag.Bool("sum", false, "write the integrity sums again")
	root := flag.String("dir", "internal/store/migrations", "where the migrations lie")
	flag.Parse()
	if err := run(context.Background(), *root, flag.Arg(0), *manual, *sum); err != nil {
		fmt.Fprintln(os.Stderr, "migrate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, name string, manual, sum bool) error {
	if sum {
		return resum(root)
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return fmt.Errorf("%q is no name for a migration: give one of lower-case letters, digits and underscores", name)
	}
	version, err := nextVersion(root)
	if err != nil {
		return err
	}
	if manual {
		for _, d := range dialects {
			path := filepath.Join(root, migrations.Path(d, "manual"), version+"_"+name+".sql")
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				return err
			}
			fmt.Println("made", path)
		}
		return resum(root)
	}
	for _, d := range dialects {
		path, err := write(ctx, d, filepath.Join(root, migrations.Path(d, "schema")), version, name)
		if err != nil {
			return fmt.Errorf("comparing ent with the migrations of %s: %w", d, err)
		}
		if path == "" {
			path = "nothing: ent and the migrations agree"
		}
		fmt.Printf("%s: %s\n", d, path)
	}
	return nil
}
