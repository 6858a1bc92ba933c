package relay

import (
	"context"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
)

// Direct answers reads with JSON that is made of rows, without entities in between, where it can; gqlgen's executor
// answers the others. It is an extension of gqlgen's executor: without it, every read goes by entities.
type Direct struct{ direct, executor, surprises atomic.Int64 }

// NewDirect returns a Direct that has answered nothing.
func NewDirect() *Direct { return &Direct{} }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationInterceptor
	graphql.FieldInterceptor
} = (*Direct)(nil)

// Counts are how many reads (each a call of Page, Node or Load) went which way.
type Counts struct {
	Direct    int64 // answered from rows
	Executor  int64 // left to the executor from the beginning, for what they are
	Surprises int64 // begun directly, discarded and answered by the executor
}

// Counts returns the counts since d was made.
func (d *Direct) Counts() Counts {
	return Counts{d.direct.Load(), d.executor.Load(), d.surprises.Load()}
}

type byExecutor struct{}

// ByExecutor returns a context below which every read goes by entities and gqlgen's executor.
func ByExecutor(ctx context.Context) context.Context {
	return context.WithValue(ctx, byExecutor{}, true)
}

// ExtensionName implements graphql.HandlerExtension.
func (*Direct) ExtensionName() string { return "Direct" }

// Validate implements graphql.HandlerExtension.
func (*Direct) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptOperation implements graphql.OperationInterceptor.
func (d *Direct) InterceptOperation(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	return next(ctx)
}

// InterceptField implements graphql.FieldInterceptor.
func (d *Direct) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) { return next(ctx) }
