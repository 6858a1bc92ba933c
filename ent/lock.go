package ent

import (
	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
)

// This file is written by hand.

// LockShared is a modifier of a query in a transaction: the rows stay as they were read until the transaction ends
// (PostgreSQL, section 13.3.2: FOR SHARE). On SQLite, where one transaction writes at a time, they do so anyway.
func LockShared(s *sql.Selector) {
	if s.Dialect() == dialect.Postgres {
		s.ForShare()
	}
}

// LockForUpdate is LockShared for rows of which the transaction is about to change some: no two transactions hold it.
func LockForUpdate(s *sql.Selector) {
	if s.Dialect() == dialect.Postgres {
		s.ForUpdate()
	}
}
