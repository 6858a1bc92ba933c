// Command migrate writes the migrations that bring a database to what ent/schema says now:
//
//	go run ./internal/store/migrate -postgres postgres://localhost/empty NAME
//
// The Postgres must be an empty database, in which the migrations so far are replayed; SQLite's is in memory. It
// writes nothing where nothing changed. What is dropped from ent/schema stays in the database: columns and indexes are
// dropped by hand, in manual/, for the diff would take those of search for leftovers.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"log"

	atlas "ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"entgo.io/ent/dialect/sql/schema"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/ent/migrate"
)

func main() {
	url := flag.String("postgres", "", "URL of an empty Postgres database to replay the migrations in")
	flag.Parse()
	if flag.NArg() != 1 || *url == "" {
		log.Fatal("usage: migrate -postgres URL NAME")
	}
	for _, d := range []struct{ dialect, driver, dsn, folder string }{
		{dialect.SQLite, "sqlite", "file:dev?mode=memory&cache=shared&_pragma=foreign_keys(1)", "sqlite"},
		{dialect.Postgres, "postgres", *url, "postgres"},
	} {
		if err := diff(d.dialect, d.driver, d.dsn, "internal/store/migrations/"+d.folder+"/schema", flag.Arg(0)); err != nil {
			log.Fatalf("%s: %v", d.dialect, err)
		}
	}
}

func diff(d, driver, dsn, folder, name string) error {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	dir, err := atlas.NewLocalDir(folder)
	if err != nil {
		return err
	}
	m, err := schema.NewMigrate(entsql.OpenDB(d, db), schema.WithDir(dir), schema.WithMigrationMode(schema.ModeReplay),
		schema.WithFormatter(atlas.DefaultFormatter), schema.WithErrNoPlan(true))
	if err != nil {
		return err
	}
	err = m.NamedDiff(context.Background(), name, migrate.Tables...)
	if errors.Is(err, atlas.ErrNoPlan) {
		fmt.Println(d + ": nothing changed")
		return nil
	}
	return err
}
