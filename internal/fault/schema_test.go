package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

const sdl = `
	scalar Odd
	input CreateInput { title: String! size: Int tags: [Odd!] }
	type Query {
		create(input: CreateInput!): String
		resume(after: Odd): String
		plain: String
	}
`

// tiny is an executable schema as gqlgen generates it, by hand: it decodes
// arguments, resolves fields and reports errors through the same functions of
// gqlgen's runtime and in the same order as its field, args, input and type
// templates do.
type tiny struct {
	schema  *ast.Schema
	resolve func(ctx context.Context) (any, error)
	odd     func(v any) (string, error) // the decoder of the custom scalar
}

func (s *tiny) Schema() *ast.Schema { return s.schema }

func (s *tiny) Complexity(context.Context, string, string, int, map[string]any) (int, bool) {
	return 0, false
}

func (s *tiny) Exec(ctx context.Context) graphql.ResponseHandler {
	oc := graphql.GetOperationContext(ctx)
	var data bytes.Buffer
	for _, field := range graphql.CollectFields(oc, oc.Operation.SelectionSet, []string{"Query"}) {
		graphql.ResolveField(ctx, oc, field,
			func(ctx context.Context, field graphql.CollectedField) (*graphql.FieldContext, error) {
				return s.fieldContext(ctx, oc, field)
			},
			s.resolve, nil,
			func(_ context.Context, _ ast.SelectionSet, v string) graphql.Marshaler {
				return graphql.MarshalString(v)
			},
			true, false).MarshalGQL(&data)
	}
	return graphql.OneShot(&graphql.Response{Data: json.RawMessage(data.Bytes()), Errors: graphql.GetErrors(ctx)})
}

func (s *tiny) fieldContext(ctx context.Context, oc *graphql.OperationContext, field graphql.CollectedField) (fc *graphql.FieldContext, err error) {
	fc = &graphql.FieldContext{Object: "Query", Field: field, IsMethod: true, IsResolver: true}
	if len(field.Definition.Arguments) == 0 {
		return fc, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = oc.Recover(ctx, r)
			oc.Error(ctx, err)
		}
	}()
	ctx = graphql.WithFieldContext(ctx, fc)
	if fc.Args, err = s.args(ctx, field.ArgumentMap(oc.Variables)); err != nil {
		oc.Error(ctx, err)
		return fc, err
	}
	return fc, nil
}

func (s *tiny) args(ctx context.Context, raw map[string]any) (map[string]any, error) {
	input, err := graphql.ProcessArgField(ctx, raw, "input", s.unmarshalCreateInput)
	if err != nil {
		return nil, err
	}
	after, err := graphql.ProcessArgField(ctx, raw, "after", s.unmarshalOdd)
	if err != nil {
		return nil, err
	}
	return map[string]any{"input": input, "after": after}, nil
}

func (s *tiny) unmarshalCreateInput(ctx context.Context, v any) (map[string]any, error) {
	it, err := s.unmarshalInput(ctx, v)
	return it, graphql.ErrorOnPath(ctx, err)
}

func (s *tiny) unmarshalInput(ctx context.Context, v any) (map[string]any, error) {
	it := map[string]any{}
	for k, v := range v.(map[string]any) {
		ctx := graphql.WithPathContext(ctx, graphql.NewPathWithField(k))
		var data any
		var err error
		switch k {
		case "title":
			data, err = graphql.UnmarshalString(v)
			err = graphql.ErrorOnPath(ctx, err)
		case "size":
			data, err = graphql.UnmarshalInt8(v)
			err = graphql.ErrorOnPath(ctx, err)
		case "tags":
			for i, elem := range graphql.CoerceList(v) {
				ctx := graphql.WithPathContext(ctx, graphql.NewPathWithIndex(i))
				if data, err = s.unmarshalOdd(ctx, elem); err != nil {
					break
				}
			}
		}
		if err != nil {
			return it, err
		}
		it[k] = data
	}
	return it, nil
}

func (s *tiny) unmarshalOdd(ctx context.Context, v any) (string, error) {
	if v == nil {
		return "", nil
	}
	res, err := s.odd(v)
	return res, graphql.ErrorOnPath(ctx, err)
}

// A line is one record of the log.
type line map[string]any

// run executes a document as gqlgen's transports do, and returns the response
// and what was logged meanwhile.
func (s *tiny) run(t *testing.T, ctx context.Context, document, variables string) (*graphql.Response, []line) {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.schema = gqlparser.MustLoadSchema(&ast.Source{Name: "tiny.graphqls", Input: sdl})
	if s.resolve == nil {
		s.resolve = func(context.Context) (any, error) { return "done", nil }
	}
	if s.odd == nil {
		s.odd = func(v any) (string, error) { return "", fmt.Errorf("%T is odd", v) }
	}
	exec := executor.New(s)
	exec.SetErrorPresenter(Presenter(log))
	exec.SetRecoverFunc(Recover(log))

	params := &graphql.RawParams{Query: document}
	if variables != "" {
		d := json.NewDecoder(bytes.NewBufferString(variables))
		d.UseNumber()
		if err := d.Decode(&params.Variables); err != nil {
			t.Fatal(err)
		}
	}
	ctx = graphql.StartOperationTrace(ctx)
	var resp *graphql.Response
	if oc, errs := exec.CreateOperationContext(ctx, params); errs != nil {
		resp = exec.DispatchError(graphql.WithOperationContext(ctx, oc), errs)
	} else {
		responses, ctx := exec.DispatchOperation(ctx, oc)
		resp = responses(ctx)
	}

	var lines []line
	for d := json.NewDecoder(&out); d.More(); {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return resp, lines
}
