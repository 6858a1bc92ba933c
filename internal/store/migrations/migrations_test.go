package migrations_test

import (
	"testing"

	"ariga.io/atlas/sql/migrate"
	"entgo.io/ent/dialect"

	"tidings/internal/store/migrations"
)

// A file that was changed without its sum was changed by accident.
func TestSums(t *testing.T) {
	for _, d := range []string{dialect.SQLite, dialect.Postgres} {
		for _, part := range migrations.Parts {
			dir, err := migrations.Part(d, part)
			if err != nil {
				t.Fatal(err)
			}
			if err := migrate.Validate(dir); err != nil {
				t.Errorf("%s: %v; after a change by hand, run go run ./internal/store/migrate -sum", migrations.Path(d, part), err)
			}
		}
	}
}

// Both databases go through the same versions of what is written by hand, and everything can be read as statements.
func TestSequence(t *testing.T) {
	manual := map[string][]string{}
	for _, d := range []string{dialect.SQLite, dialect.Postgres} {
		all, err := migrations.Of(d)
		if err != nil {
			t.Fatal(err)
		}
		files, err := all.Files()
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			if i > 0 && f.Version() <= files[i-1].Version() {
				t.Errorf("%s: %s stands behind %s", d, f.Name(), files[i-1].Name())
			}
			if err := migrate.CheckVersion(f.Version()); err != nil || len(f.Version()) != 14 {
				t.Errorf("%s: the version of %s: %v", d, f.Name(), err)
			}
			if statements, err := f.Stmts(); err != nil || len(statements) == 0 {
				t.Errorf("%s: %s has %d statements, %v", d, f.Name(), len(statements), err)
			}
		}
		part, err := migrations.Part(d, "manual")
		if err != nil {
			t.Fatal(err)
		}
		byHand, err := part.Files()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range byHand {
			manual[d] = append(manual[d], f.Name())
		}
	}
	if a, b := manual[dialect.SQLite], manual[dialect.Postgres]; len(a) != len(b) {
		t.Errorf("by hand there is %q, and %q", a, b)
	}
}
