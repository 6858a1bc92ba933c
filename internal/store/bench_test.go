package store_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/internal/auth"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// stores runs a benchmark on each database.
func stores(b *testing.B, run func(b *testing.B, target store.Target)) {
	b.Run("sqlite", func(b *testing.B) {
		run(b, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(b.TempDir(), "x.db")})
	})
	b.Run("postgres", func(b *testing.B) {
		run(b, store.Target{Dialect: dialect.Postgres, DSN: testkit.MigratedPostgres(b)})
	})
}

// BenchmarkOpen opens a database that is migrated already, as most starts do.
func BenchmarkOpen(b *testing.B) {
	stores(b, func(b *testing.B, target store.Target) {
		open(b, target)
		for b.Loop() {
			s, err := store.Open(b.Context(), target)
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWrite makes one post a transaction, 16 writers at a time.
func BenchmarkWrite(b *testing.B) {
	stores(b, func(b *testing.B, target store.Target) {
		s := open(b, target)
		system := auth.AsSystem(b.Context())
		ada := newUser(b, s, "ada")
		var n atomic.Int64
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				tx, err := s.Client().Tx(system)
				if err != nil {
					b.Error(err)
					return
				}
				if err := tx.Post.Create().SetAuthorID(ada.ID).SetTitle(fmt.Sprintf("Post %d", n.Add(1))).SetContent("Some words about it.").Exec(system); err != nil {
					b.Error(err)
				}
				if err := tx.Commit(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkLookup reads one user by id, 16 readers at a time.
func BenchmarkLookup(b *testing.B) {
	stores(b, func(b *testing.B, target store.Target) {
		s := open(b, target)
		ada := newUser(b, s, "ada")
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Client().User.Get(b.Context(), ada.ID); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
