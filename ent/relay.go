package ent

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/google/uuid"
)

// This file is written by hand: what package relay sees of the types, as the generated relay_types.go implements it.

// NodeType describes an entity to package relay.
type NodeType struct {
	Name        string                         // of the GraphQL type
	Table       string                         // of its rows
	ID          string                         // the column of its id
	CreatedAt   string                         // the column of its default order
	NewestFirst bool                           // the direction of its default order
	Columns     map[string]string              // the column behind each GraphQL field that has one
	Times       map[string]bool                // the columns that hold times
	Nullable    map[string]bool                // the columns that may be NULL, or are to some viewers
	Texts       map[string]bool                // the columns that hold texts, names of enumerations too
	Bools       map[string]bool                // the columns that hold booleans
	AppendID    func([]byte, uuid.UUID) []byte // appends an id as clients write it
	Edges       map[string]Edge                // the edges behind GraphQL fields
}

// Qualified is a column as a statement in a dialect names it.
func (t *NodeType) Qualified(dialect, column string) string {
	return sql.Dialect(dialect).Table(t.Table).C(column)
}

// Edge is a way from one type to another, under the name of the GraphQL field.
type Edge struct {
	To      string   // the type it leads to
	Many    bool     // whether it leads to many, which are shown as a connection
	Column  string   // the reference: of the other type when Many, else of this one
	Filters []string // arguments that narrow the connection to rows in which the field of that name is equal
}

// Node is an entity whose edges are loaded from outside. A Node is used by one goroutine while it is loaded.
type Node interface {
	IsNode()
	Key() uuid.UUID
	GlobalID() string
	Ref(column string) uuid.UUID
	SortKey(column string) any // a string or a time.Time
	SetOne(edge string, n Node)
	SetPage(edge string, key PageKey, p Page)
	Answer() []byte
}

// NodeQuery is a query over one entity that has not run. Its policy applies whatever is done with it.
type NodeQuery interface {
	Type() *NodeType
	WhereP(...func(*sql.Selector))
	ModifyP(...func(*sql.Selector))
	Dialect() string
	Copy() NodeQuery
	Others(edge string) NodeQuery
	Load(ctx context.Context, columns []string) ([]Node, error)
	Count(ctx context.Context) (int, error)
	CountBy(ctx context.Context, column string) (map[uuid.UUID]int, error)
	Statement(ctx context.Context, columns []string) (*sql.Selector, dialect.ExecQuerier, error)
	Joined(ctx context.Context, columns []string) (*sql.Selector, error)
	Answered(id uuid.UUID, json []byte) Node
}

// RowReader is a driver that gives rows as the database's driver has them. ent's own drivers need not be one, and those of
// transactions are none.
type RowReader interface {
	// QueryRows runs a query, and calls each for every row with its values in into, which is as long as a row is wide. They
	// are of the types of driver.Value; bytes are the driver's again when each returns. An error of each ends the query and
	// is returned, and so is whatever else happens after the first row: what was begun is not begun again.
	QueryRows(ctx context.Context, query string, args []any, into []driver.Value, each func() error) error
}

// ErrNoStatement says that the rows of a query are not those of one statement.
var ErrNoStatement = errors.New("ent: the query is not one statement")

// PageInfo says where a page stands (Relay cursor connections, section 5).
type PageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Page is a page before it has a type. Cursors is nil, or as long as Nodes.
type Page struct {
	Nodes      []Node
	Cursors    []string
	PageInfo   PageInfo
	TotalCount int
	Answer     []byte // what the page is answered with, in JSON, instead of all else; nil without
}

// PageKey is what was asked of a connection, in a form that can be compared. Two fields with equal keys on one node
// show the same page, whatever their aliases.
type PageKey struct {
	first, last         int // -1 without
	after, before       string
	hasAfter, hasBefore bool
	filters             string
}

// NewPageKey makes a key of the arguments of a field, filters in the order of their declaration.
func NewPageKey(first *int, after *string, last *int, before *string, filters ...string) PageKey {
	k := PageKey{first: -1, last: -1, filters: strings.Join(filters, "&")}
	if first != nil {
		k.first = *first
	}
	if last != nil {
		k.last = *last
	}
	if after != nil {
		k.after, k.hasAfter = *after, true
	}
	if before != nil {
		k.before, k.hasBefore = *before, true
	}
	return k
}

// Filter is one filter of a PageKey; a nil value is no filter.
func Filter[T any](name string, value *T) string {
	if value == nil {
		return ""
	}
	return fmt.Sprintf("%s=%v", name, *value)
}

// loadedPages are the pages of one edge of one node. They are few: one for each different set of arguments.
type loadedPages[C any] []loadedPage[C]

type loadedPage[C any] struct {
	key  PageKey
	page C
}

func (l *loadedPages[C]) set(key PageKey, page C) { *l = append(*l, loadedPage[C]{key, page}) }

func (l loadedPages[C]) get(field string, key PageKey) (page C, err error) {
	for _, p := range l {
		if p.key == key {
			return p.page, nil
		}
	}
	return page, fmt.Errorf("%s was not loaded with these arguments", field)
}
