package web

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/fault"
)

// maxTokens bounds a document, in tokens. It bounds how deep the parser and
// what comes after it recurse, too.
const maxTokens = 15000

// engine runs operations, for every transport in the same way.
type engine struct {
	exec    *executor.Executor
	present graphql.ErrorPresenterFunc
}

func newEngine(schema graphql.ExecutableSchema, extensions []graphql.HandlerExtension, present graphql.ErrorPresenterFunc, log *slog.Logger) *engine {
	if present == nil {
		present = fault.Presenter(log)
	}
	e := &engine{exec: executor.New(schema), present: present}
	e.exec.SetErrorPresenter(e.present)
	e.exec.SetRecoverFunc(fault.Recover(log))
	e.exec.SetParserTokenLimit(maxTokens)
	e.exec.Use(extension.Introspection{})
	for _, x := range extensions {
		e.exec.Use(x)
	}
	return e
}

// begin parses and validates an operation, once for as often as it will run. If
// there is something wrong with it, refused is the response that says so.
func (e *engine) begin(ctx context.Context, p *graphql.RawParams) (oc *graphql.OperationContext, refused *graphql.Response) {
	defer func() {
		if v := recover(); v != nil {
			refused = e.recovered(ctx, v)
		}
	}()
	if err := admit(ctx); err != nil {
		return nil, e.refuse(ctx, err)
	}
	ctx = graphql.StartOperationTrace(ctx)
	oc, errs := e.exec.CreateOperationContext(ctx, p)
	if len(errs) > 0 {
		_ = charge(ctx, refusedCost) // it is refused in any case
		return oc, e.exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs)
	}
	if err := charge(ctx, len(oc.Operation.SelectionSet)); err != nil {
		return oc, e.refuse(graphql.WithOperationContext(ctx, oc), err)
	}
	return oc, nil
}

// run executes an operation. A nil response means that a subscription's
// resolver yielded nothing, or that ctx was over before it began.
func (e *engine) run(ctx context.Context, oc *graphql.OperationContext) (resp *graphql.Response) {
	defer func() {
		if v := recover(); v != nil {
			resp = e.recovered(graphql.WithOperationContext(ctx, oc), v)
		}
	}()
	next, ctx := e.exec.DispatchOperation(ctx, oc)
	return next(ctx)
}

// recovered is the response of a panic outside of all fields.
func (e *engine) recovered(ctx context.Context, panicked any) *graphql.Response {
	return e.refuse(ctx, e.exec.PresentRecoveredError(ctx, panicked))
}

// refuse is the response of an operation that did not run.
func (e *engine) refuse(ctx context.Context, err error) *graphql.Response {
	return &graphql.Response{Errors: gqlerror.List{e.present(ctx, err)}}
}

// appendResponse appends a response as JSON, errors first (GraphQL, section
// 7.1), with an extension "cursor" unless that is empty. A response without
// data gets no such entry: it means that the operation did not run.
//
// The data is finished JSON and is copied as it is: encoding/json would read
// and compact all of it again.
func appendResponse(b []byte, r *graphql.Response, cursor string) []byte {
	b = append(b, '{')
	if len(r.Errors) > 0 {
		b = append(appendJSON(append(b, `"errors":`...), r.Errors), ',')
	}
	if r.Data != nil {
		b = append(append(append(b, `"data":`...), r.Data...), ',')
	}
	if cursor != "" {
		extensions := make(map[string]any, len(r.Extensions)+1)
		for k, v := range r.Extensions {
			extensions[k] = v
		}
		extensions["cursor"] = cursor
		b = append(appendJSON(append(b, `"extensions":`...), extensions), ',')
	} else if len(r.Extensions) > 0 {
		b = append(appendJSON(append(b, `"extensions":`...), r.Extensions), ',')
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	return append(b, '}')
}

// appendJSON appends v as JSON, and null if that fails: an extension that can't
// be written is no reason to withhold the response.
func appendJSON(b []byte, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text...)
}

// outcome is how a response went, in one word for the log: the code of its
// first error, or "ok".
func outcome(r *graphql.Response) string {
	if r == nil || len(r.Errors) == 0 {
		return "ok"
	}
	if code := codeOf(r.Errors[0]); code != "" {
		return code
	}
	return "error"
}

func codeOf(err *gqlerror.Error) string {
	code, _ := err.Extensions["code"].(string)
	return code
}

// operationName is an operation's name for the log: the client's text, so
// bounded. The log's handlers escape it.
func operationName(oc *graphql.OperationContext) string {
	if oc == nil {
		return ""
	}
	name := oc.OperationName
	if oc.Operation != nil {
		name = oc.Operation.Name
	}
	return clip(name, 80)
}

// operationType is "query", "mutation", "subscription", or "" if that isn't known.
func operationType(oc *graphql.OperationContext) string {
	if oc == nil || oc.Operation == nil {
		return ""
	}
	return string(oc.Operation.Operation)
}

func isSubscription(oc *graphql.OperationContext) bool {
	return oc.Operation.Operation == ast.Subscription
}
