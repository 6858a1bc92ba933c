package graph_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"entgo.io/ent/dialect"

	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// TestOrdersOfFieldsLeaveNothing: a connection of the database takes no more memory for each new order in which fields
// are written. As records of Postgres (record_send(ROW(...))) 1000 orders left 4 MiB behind.
func TestOrdersOfFieldsLeaveNothing(t *testing.T) {
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: testkit.Postgres(t), MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	w := newWorld(t, s)
	w.post(w.user("ada"), "A post", true)
	post := strings.Fields("id title content published publishedAt createdAt updatedAt")
	author := strings.Fields("id username fullName role isActive createdAt updatedAt")
	read := func(orders int) {
		for range orders {
			for _, fields := range [][]string{post, author} {
				rand.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
			}
			w.as(gid.User{}, "{ posts(first: 1) { nodes { "+strings.Join(post, " ")+" author { "+strings.Join(author, " ")+" } } } }").ok()
		}
	}
	kept := func() (bytes int) {
		rows, err := s.Client().QueryContext(auth.AsSystem(t.Context()), "SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts WHERE name NOT LIKE 'CachedPlan%'")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if !rows.Next() {
			t.Fatal(rows.Err())
		}
		if err := rows.Scan(&bytes); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	read(400) // more than a connection keeps statements
	before := kept()
	read(1000)
	if more := kept() - before; more > 1<<20 {
		t.Errorf("1000 orders took %d KiB", more>>10)
	}
}
