// Package migrations holds the versioned migrations of both databases and everything that reads them as files.
//
// Each dialect has two directories, which are executed as one sequence, ordered by version:
//
//	sqlite/schema, postgres/schema    what the entities of package ent need; written by `go run ./internal/store/migrate NAME`
//	sqlite/manual, postgres/manual    what ent does not know: search, log, inbox; written by hand
//
// Only schema is ever replayed to find out what has changed in ent, so that the comparison neither sees nor drops what
// manual makes. Each directory has an integrity sum (atlas.sum). A file that was released is never changed: databases
// remember its sum and refuse another.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"path"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
)

//go:embed sqlite postgres
var files embed.FS

// SearchTriggers are the SQLite triggers that keep post_search equal to posts, each by its name, and Refill the
// statements that make it anew from posts. They stand outside the sequence because SQLite drops the triggers of a table
// that a migration rebuilds: package store puts them back after every run.
var (
	//go:embed search_triggers.sql
	SearchTriggers string
	//go:embed search_refill.sql
	SearchRefill string
)

// Parts are the directories of each dialect.
var Parts = []string{"schema", "manual"}

// Of returns the migrations of a dialect (dialect.SQLite or dialect.Postgres) as one directory with its own sum.
// Two files of one version are an error.
func Of(d string) (migrate.Dir, error) {
	all, seen := &migrate.MemDir{}, map[string]string{}
	for _, part := range Parts {
		dir, err := Part(d, part)
		if err != nil {
			return nil, err
		}
		fs, err := dir.Files()
		if err != nil {
			return nil, fmt.Errorf("reading the migrations of %s: %w", d, err)
		}
		for _, f := range fs {
			if other, ok := seen[f.Version()]; ok {
				return nil, fmt.Errorf("the migrations %s and %s of %s have the same version", other, f.Name(), d)
			}
			seen[f.Version()] = f.Name()
		}
		if err := all.CopyFiles(fs); err != nil {
			return nil, fmt.Errorf("reading the migrations of %s: %w", d, err)
		}
	}
	return all, Sum(all)
}

// Part returns one directory of a dialect as it is, its sum included.
func Part(d, part string) (migrate.Dir, error) {
	name := Path(d, part)
	entries, err := fs.ReadDir(files, name)
	if err != nil {
		return nil, fmt.Errorf("reading the migrations %s: %w", name, err)
	}
	dir := &migrate.MemDir{}
	for _, e := range entries {
		b, err := fs.ReadFile(files, path.Join(name, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the migrations %s: %w", name, err)
		}
		if err := dir.WriteFile(e.Name(), b); err != nil {
			return nil, fmt.Errorf("reading the migrations %s: %w", name, err)
		}
	}
	return dir, nil
}

// Path is where a dialect's part lies below this package.
func Path(d, part string) string {
	name := map[string]string{dialect.SQLite: "sqlite", dialect.Postgres: "postgres"}[d]
	return path.Join(name, part)
}

// Sum writes the integrity sum of dir into it.
func Sum(dir migrate.Dir) error {
	sum, err := dir.Checksum()
	if err != nil {
		return fmt.Errorf("summing migrations: %w", err)
	}
	return migrate.WriteSumFile(dir, sum)
}
