package fault

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// maxText bounds, in bytes, what is quoted of a client's own document or
// values in an error or a line of the log.
const maxText = 400

// Presenter returns gqlgen's error presenter: the one place where an error
// turns into what a client sees.
//
//   - An [Error] shows its message, with code, field, reason, retryAfter
//     (seconds), and what it has over a limit, as extensions. A cause it has is logged at debug level.
//   - A [List] becomes one error each: the presenter hands all but the last to
//     [graphql.AddError], and so presents them in order. This needs a field
//     being resolved; outside of one the last stands for all.
//   - What gqlparser says of the client's own document is shown as it is, with
//     code GRAPHQL_PARSE_FAILED or GRAPHQL_VALIDATION_FAILED.
//   - A variable or argument that doesn't fit its type is BAD_USER_INPUT with
//     the field's path from the variable or argument on.
//   - If ctx was cancelled, anything else is CANCELLED: drivers report that in
//     words of their own. It is logged at debug level.
//   - Everything else is INTERNAL: an id for the client, and the cause under
//     that id, with path and operation, for log at error level.
//
// The path is that of the response field that failed, as section 7.1.2 of the
// GraphQL specification has it (October 2021); gqlgen appends the path inside an
// argument, which goes to extensions.field instead. Locations are kept, and
// are the field's where gqlgen gave none.
//
// The function may be called by a transport too, with a context that holds no
// operation. It returns nil for nil only, and changes no error given to it.
func Presenter(log *slog.Logger) graphql.ErrorPresenterFunc {
	return func(ctx context.Context, err error) *gqlerror.Error {
		if err == nil {
			return nil
		}
		return present(ctx, log, err)
	}
}

func present(ctx context.Context, log *slog.Logger, err error) *gqlerror.Error {
	at := locate(ctx, err)

	// A list first: errors.As would find its first element alone.
	if list, ok := errors.AsType[List](err); ok && len(list) > 0 {
		last := len(list) - 1
		if graphql.GetFieldContext(ctx) != nil {
			for _, each := range list[:last] {
				graphql.AddError(ctx, each)
			}
		}
		err = list[last]
	}

	if f, ok := errors.AsType[*Error](err); ok && (f.Code != CodeInternal || f.id != "") {
		if f.Err != nil {
			log.LogAttrs(ctx, slog.LevelDebug, "fault",
				slog.String("code", string(f.Code)), operation(ctx), slog.String("path", at.path.String()), slog.Any("err", f.Err))
		}
		return at.error(f)
	}

	if at.input != nil {
		return at.error(BadInput("", at.input.String()+": "+coercionText(err)))
	}
	if gqlErr, ok := errors.AsType[*gqlerror.Error](err); ok && gqlErr.Err == nil {
		if code, ok := gqlErr.Extensions["code"].(string); ok {
			if code == errcode.ValidationFailed && isVariable(gqlErr.Path) {
				at.input, at.path = gqlErr.Path[1:], nil
				return at.error(BadInput("", at.input.String()+": "+clip(gqlErr.Message)))
			}
			shown := *gqlErr
			shown.Message = clip(gqlErr.Message)
			return &shown
		}
	}

	if errors.Is(ctx.Err(), context.Canceled) {
		log.LogAttrs(ctx, slog.LevelDebug, "cancelled", operation(ctx), slog.String("path", at.path.String()), slog.Any("err", cause(err)))
		return at.error(&Error{Code: CodeCancelled, Message: "the operation was cancelled"})
	}

	f := internal()
	log.LogAttrs(ctx, slog.LevelError, "internal error",
		slog.String("id", f.id), operation(ctx), slog.String("path", at.path.String()), slog.Any("err", cause(err)))
	return at.error(f)
}

// Recover returns gqlgen's recover function: the client sees INTERNAL with an
// id, and log has the panic and its stack under that id, at error level.
//
// One panic is the client's own doing: gqlparser panics on a number literal too
// large for its Go type where a custom scalar is expected, which validation
// leaves alone. It is BAD_USER_INPUT.
func Recover(log *slog.Logger) graphql.RecoverFunc {
	return func(ctx context.Context, value any) error {
		if err, ok := value.(error); ok && decodesArguments(graphql.GetFieldContext(ctx)) {
			if n, ok := errors.AsType[*strconv.NumError](err); ok {
				return BadInput("", clip(n.Num)+" is not a number that fits here").Because(err)
			}
		}
		f := internal()
		log.LogAttrs(ctx, slog.LevelError, "panic",
			slog.String("id", f.id), operation(ctx), slog.String("path", graphql.GetPath(ctx).String()),
			slog.String("panic", fmt.Sprint(value)), slog.String("stack", string(debug.Stack())))
		return f
	}
}

func internal() *Error {
	id := strings.ToLower(rand.Text()[:12])
	return &Error{Code: CodeInternal, Message: "internal error " + id, id: id}
}

// A place is where in the response and in the input an error belongs.
type place struct {
	path      ast.Path
	locations []gqlerror.Location
	input     ast.Path // inside the arguments; nil unless they were being decoded
}

func locate(ctx context.Context, err error) place {
	at := place{path: graphql.GetPath(ctx)}
	if gqlErr, ok := errors.AsType[*gqlerror.Error](err); ok {
		if gqlErr.Path != nil {
			at.path = gqlErr.Path
		}
		at.locations = gqlErr.Locations
	}
	fc := graphql.GetFieldContext(ctx)
	if fc == nil {
		return at
	}
	if n := len(fc.Path()); len(at.path) > n && decodesArguments(fc) {
		at.path, at.input = at.path[:n:n], at.path[n:]
	}
	if pos := fc.Field.Position; at.locations == nil && pos != nil && pos.Line > 0 {
		at.locations = []gqlerror.Location{{Line: pos.Line, Column: pos.Column}}
	}
	return at
}

// decodesArguments tells whether a field's arguments were still being decoded:
// gqlgen sets Args, empty or not, once that has succeeded.
func decodesArguments(fc *graphql.FieldContext) bool {
	return fc != nil && fc.Args == nil && fc.Field.Field != nil &&
		fc.Field.Definition != nil && len(fc.Field.Definition.Arguments) > 0
}

// isVariable tells the paths that gqlparser gives to the errors of variables:
// "variable", the name, and the path inside its value.
func isVariable(path ast.Path) bool {
	return len(path) >= 2 && path[0] == ast.PathName("variable")
}

func (at place) error(f *Error) *gqlerror.Error {
	extensions := map[string]any{"code": string(f.Code)}
	if f.Field != "" {
		extensions["field"] = f.Field
	} else if at.input != nil {
		extensions["field"] = at.input.String()
	}
	if f.Reason != "" {
		extensions["reason"] = f.Reason
	}
	if f.RetryAfter > 0 {
		extensions["retryAfter"] = int(math.Ceil(float64(f.RetryAfter) / float64(time.Second)))
	}
	if f.Over != nil {
		extensions[f.Over.Measure], extensions["limit"] = f.Over.Value, f.Over.Limit
	}
	if f.id != "" {
		extensions["id"] = f.id
	}
	return &gqlerror.Error{Err: f, Message: f.Message, Path: at.path, Locations: at.locations, Extensions: extensions}
}

// coercionText is what the decoder of a value said of it. It speaks of the
// client's own value, so it can be shown.
func coercionText(err error) string {
	err = cause(err)
	if n, ok := errors.AsType[*strconv.NumError](err); ok {
		return clip(n.Num) + " is not a number that fits here"
	}
	return clip(err.Error())
}

// cause takes off the gqlerror that gqlgen wrapped around an error.
func cause(err error) error {
	if gqlErr, ok := err.(*gqlerror.Error); ok && gqlErr.Err != nil {
		return gqlErr.Err
	}
	return err
}

func operation(ctx context.Context) slog.Attr {
	if !graphql.HasOperationContext(ctx) {
		return slog.Attr{}
	}
	oc := graphql.GetOperationContext(ctx)
	name := oc.OperationName
	if name == "" && oc.Operation != nil {
		name = oc.Operation.Name
	}
	return slog.String("operation", clip(name))
}

// clip cuts s to maxText bytes at a rune's border.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
