package web

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/fault"
)

// reasonResponse is an answer that became larger than Limits.Response.
const reasonResponse = "RESPONSE_SIZE"

// An allowance is how large the data of a response may become. What an operation
// costs bounds its rows and fields, but texts may be long, and an alias repeats
// one for two bytes of document. A response is written as a whole, so it is what
// the fields return that is counted, while they do: where the allowance is used
// up, texts are left out, and the response is refused in place of being written.
//
// Each run of an operation has one, in its context.
type allowance struct {
	limit int64
	left  atomic.Int64 // bytes; less than 0 once it is used up
}

type allowanceKey struct{}

// withAllowance returns a context for one run.
func withAllowance(ctx context.Context, limit int64) (context.Context, *allowance) {
	a := &allowance{limit: limit}
	a.left.Store(limit)
	return context.WithValue(ctx, allowanceKey{}, a), a
}

// allow makes an operation's fields count against the allowance of the run.
func allow(oc *graphql.OperationContext) {
	next := oc.ResolverMiddleware
	oc.ResolverMiddleware = func(ctx context.Context, resolve graphql.Resolver) (any, error) {
		value, err := next(ctx, resolve)
		return ctx.Value(allowanceKey{}).(*allowance).take(ctx, value), err
	}
}

// Bytes beside a field's name and text: quotes, a colon and a comma, and
// whatever is no text.
const (
	aroundField = 6
	otherValue  = 24
)

// take takes what a field adds to the response, and returns what to write of it.
func (a *allowance) take(ctx context.Context, value any) any {
	size := aroundField + len(graphql.GetFieldContext(ctx).Field.Alias)
	text, ok := value.(string)
	switch {
	case ok:
		size += quoted(text)
	case value == nil:
	default:
		if p, ok := value.(*string); ok && p != nil {
			size += quoted(*p)
		} else if finished, ok := value.(interface{ Len() int }); ok { // JSON that a resolver has made
			size += finished.Len()
		} else if events, ok := value.(func(context.Context) graphql.Marshaler); ok { // and those of a subscription
			value = func(ctx context.Context) graphql.Marshaler {
				event := events(ctx)
				if finished, ok := event.(interface{ Len() int }); ok {
					a.left.Add(-int64(finished.Len()))
				}
				return event
			}
		} else {
			size += otherValue
		}
	}
	if a.left.Add(-int64(size)) < 0 && ok {
		return ""
	}
	return value
}

// quoted is how long a text becomes in JSON, or a little more.
func quoted(s string) int {
	n := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ':
			n += 5
		case c == '"' || c == '\\':
			n++
		}
	}
	return n
}

// exceeded is the refusal of a response for which the allowance did not suffice,
// nil for all others.
func (a *allowance) exceeded() error {
	left := a.left.Load()
	if left >= 0 {
		return nil
	}
	f := fault.TooComplex(fmt.Sprintf("The response has at least %d bytes; at most %d are allowed. Ask for less at once.", a.limit-left, a.limit))
	f.Reason, f.Over = reasonResponse, &fault.Over{Measure: "count", Value: int(a.limit - left), Limit: int(a.limit)}
	return f
}
