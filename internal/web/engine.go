package web

import (
	"context"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/99designs/gqlgen/graphql/handler/extension"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/auth"
	"tidings/internal/cost"
	"tidings/internal/fault"
)

// engine runs operations, for every transport in the same way.
type engine struct {
	exec     *executor.Executor
	present  graphql.ErrorPresenterFunc
	response int64 // Limits.Response
}

// newEngine makes an engine of the options of a Server. The error names what is
// wrong with the schema.
func newEngine(o Options) (*engine, error) {
	judge, err := cost.New(o.Schema.Schema(), o.Cost, o.Production)
	if err != nil {
		return nil, err
	}
	e := &engine{exec: executor.New(o.Schema), present: o.Presenter, response: o.Limits.withDefaults().Response}
	if e.present == nil {
		e.present = fault.Presenter(o.Log)
	}
	e.exec.SetErrorPresenter(e.present)
	e.exec.SetRecoverFunc(fault.Recover(o.Log))
	documents := newDocuments(judge)
	e.exec.SetQueryCache(documents)
	e.exec.Use(persisted{documents})
	e.exec.AroundRootFields(asOfNow(o.Guard))
	if !o.Production {
		e.exec.Use(extension.Introspection{})
	}
	for _, x := range o.Extensions {
		e.exec.Use(x)
	}
	return e, nil
}

// asOfNow runs each mutation of an operation as the viewer is when its turn
// comes: the one before it, or somebody meanwhile, may have ended the session or
// taken the admin's rights.
func asOfNow(guard Guard) graphql.RootFieldMiddleware {
	return func(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
		if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
			return next(ctx)
		}
		viewer, err := guard.Current(auth.ViewerFrom(ctx))
		if err != nil {
			ctx = graphql.WithFieldContext(ctx, &graphql.FieldContext{Field: graphql.GetRootFieldContext(ctx).Field}) // for its path
			graphql.AddError(ctx, fault.Unauthenticated(auth.ErrToken.Error()).Because(err))
			return graphql.Null
		}
		return next(auth.WithViewer(ctx, viewer))
	}
}

// begin judges and validates an operation, once for as often as it will run,
// and charges for that and for one run, whose points it returns. If it must not run, refused is the response
// that says so.
func (e *engine) begin(ctx context.Context, p *graphql.RawParams) (oc *graphql.OperationContext, points int, refused *graphql.Response) {
	if err := admit(ctx); err != nil {
		return nil, 0, e.refuse(ctx, err)
	}
	oc, in, refused := e.judge(ctx, p)
	if refused != nil {
		_ = charge(ctx, refusedCost) // it is refused in any case
		return oc, 0, refused
	}
	// A cheap operation among others that don't run would have their reading for nothing.
	if err := charge(ctx, in.points+in.once); err != nil {
		refused = e.refuse(graphql.WithOperationContext(ctx, oc), err)
	}
	return oc, in.points, refused
}

func (e *engine) judge(ctx context.Context, p *graphql.RawParams) (oc *graphql.OperationContext, in *entrance, refused *graphql.Response) {
	defer func() {
		if v := recover(); v != nil {
			refused = e.recovered(ctx, v)
		}
	}()
	in = &entrance{params: p}
	ctx = context.WithValue(graphql.StartOperationTrace(ctx), entranceKey{}, in)
	oc, errs := e.exec.CreateOperationContext(ctx, p)
	if in.errs != nil {
		errs = in.errs
	}
	if len(errs) > 0 {
		return oc, in, e.exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs)
	}
	if err := nullCondition(oc); err != nil {
		return oc, in, e.refuse(graphql.WithOperationContext(ctx, oc), err)
	}
	allow(oc)
	return oc, in, nil
}

// run executes an operation, which may run several times at once. A nil response
// means that a subscription's resolver yielded nothing, or that ctx was over
// before it began.
// Of one that became too large nothing is left but the error; a mutation has
// taken place all the same.
func (e *engine) run(ctx context.Context, oc *graphql.OperationContext) (resp *graphql.Response) {
	defer func() {
		if v := recover(); v != nil {
			resp = e.recovered(graphql.WithOperationContext(ctx, oc), v)
		}
	}()
	ctx, size := withAllowance(ctx, e.response)
	next, ctx := e.exec.DispatchOperation(ctx, oc)
	resp = next(ctx)
	if err := size.exceeded(); resp != nil && err != nil {
		return e.refuse(ctx, err)
	}
	return resp
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
