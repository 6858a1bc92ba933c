// Package annotation holds what ent/schema says of a type beyond its columns, for the templates in ent/template.
package annotation

// Order says how a type's connections are ordered where a client asks for no other order.
type Order struct {
	NewestFirst bool // by creation, newest first; without it oldest first
}

// Name is the key under which templates find it.
func (Order) Name() string { return "Order" }

// Connection marks an edge to many that the GraphQL type shows as a connection under the edge's name.
type Connection struct {
	Filters []string // fields of the target that are arguments too: only rows that equal them, when given
}

// Name is the key under which templates find it.
func (Connection) Name() string { return "Connection" }
