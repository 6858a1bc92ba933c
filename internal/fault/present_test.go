package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

func fails(err error) func(context.Context) (any, error) {
	return func(context.Context) (any, error) { return nil, err }
}

const (
	asksPlain  = "query Asks {\n  plain\n}"
	asksCreate = `query($input: CreateInput!) { create(input: $input) }`
)

// TestPresented shows what a client sees of each kind of error, as JSON.
func TestPresented(t *testing.T) {
	for name, c := range map[string]struct {
		document, variables string
		resolver, odd       error
		want                string
	}{
		"fault": {
			document: asksPlain, resolver: NotFound("There is no such post."),
			want: `[{"message":"There is no such post.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"NOT_FOUND"}}]`,
		},
		"fault wrapped and with a cause": {
			document: asksPlain, resolver: fmt.Errorf("create user: %w", Conflict("USERNAME_TAKEN", "input.username", "This name is taken.").Because(errors.New("pq: secret"))),
			want: `[{"message":"This name is taken.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"CONFLICT","field":"input.username","reason":"USERNAME_TAKEN"}}]`,
		},
		"fault in a gqlerror": {
			document: asksPlain, resolver: gqlerror.Wrap(Forbidden("Only its author may.")),
			want: `[{"message":"Only its author may.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"FORBIDDEN"}}]`,
		},
		"seconds are rounded up": {
			document: asksPlain, resolver: RateLimited(1200*time.Millisecond, "Slow down."),
			want: `[{"message":"Slow down.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"RATE_LIMITED","retryAfter":2}}]`,
		},
		"list": {
			document: asksPlain, resolver: fmt.Errorf("check: %w", List{BadInput("input.a", "A."), BadInput("input.b", "B."), BadInput("input.c", "C.")}.Err()),
			want: `[{"message":"A.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"BAD_USER_INPUT","field":"input.a"}},
				{"message":"B.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"BAD_USER_INPUT","field":"input.b"}},
				{"message":"C.","path":["plain"],"locations":[{"line":2,"column":3}],"extensions":{"code":"BAD_USER_INPUT","field":"input.c"}}]`,
		},
		"parsing": {
			document: `{ plain( }`,
			want:     `[{"message":"Expected Name, found }","locations":[{"line":1,"column":10}],"extensions":{"code":"GRAPHQL_PARSE_FAILED"}}]`,
		},
		"validation": {
			document: `{ plane }`,
			want:     `[{"message":"Cannot query field \"plane\" on type \"Query\". Did you mean \"plain\"?","locations":[{"line":1,"column":3}],"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]`,
		},
		"no operation": {
			document: "fragment f on Query { plain }",
			want:     `[{"message":"no operation provided","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]`,
		},
		"variable missing": {
			document: asksCreate,
			want:     `[{"message":"input: must be defined","extensions":{"code":"BAD_USER_INPUT","field":"input"}}]`,
		},
		"field of a variable missing": {
			document: asksCreate, variables: `{"input":{}}`,
			want: `[{"message":"input.title: must be defined","extensions":{"code":"BAD_USER_INPUT","field":"input.title"}}]`,
		},
		"field of a variable of another type": {
			document: asksCreate, variables: `{"input":{"title":[]}}`,
			want: `[{"message":"input.title: cannot use slice as String","extensions":{"code":"BAD_USER_INPUT","field":"input.title"}}]`,
		},
		"field of an input out of range": {
			document: asksCreate, variables: `{"input":{"title":"t","size":1000}}`,
			want: `[{"message":"input.size: 1000 overflows signed 8-bit integer","path":["create"],"locations":[{"line":1,"column":31}],"extensions":{"code":"BAD_USER_INPUT","field":"input.size"}}]`,
		},
		"argument its decoder refuses, under an alias": {
			document: `{ again: resume(after: "x") }`,
			want:     `[{"message":"after: string is odd","path":["again"],"locations":[{"line":1,"column":3}],"extensions":{"code":"BAD_USER_INPUT","field":"after"}}]`,
		},
		"element of a list its decoder refuses with a fault": {
			document: asksCreate, variables: `{"input":{"title":"t","tags":[1]}}`, odd: BadInput("", "A tag is a word."),
			want: `[{"message":"A tag is a word.","path":["create"],"locations":[{"line":1,"column":31}],"extensions":{"code":"BAD_USER_INPUT","field":"input.tags[0]"}}]`,
		},
		"number that gqlparser panics on": {
			document: `{ resume(after: 99999999999999999999) }`,
			want:     `[{"message":"99999999999999999999 is not a number that fits here","path":["resume"],"locations":[{"line":1,"column":3}],"extensions":{"code":"BAD_USER_INPUT"}}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tiny{}
			if c.resolver != nil {
				s.resolve = fails(c.resolver)
			}
			if c.odd != nil {
				s.odd = func(any) (string, error) { return "", c.odd }
			}
			resp, lines := s.run(t, t.Context(), c.document, c.variables)
			got, err := json.Marshal(resp.Errors)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.NewReplacer("\n", "", "\t", "").Replace(c.want); string(got) != want {
				t.Errorf("presented\n%s\nwant\n%s", got, want)
			}
			for _, l := range lines {
				if l["level"] != "DEBUG" {
					t.Errorf("a client's mistake is logged: %v", l)
				}
			}
		})
	}
}

// TestInternal holds that nothing of a cause gets out, that the log has it
// once, and that both bear one id.
func TestInternal(t *testing.T) {
	cause := fmt.Errorf("load posts: %w", errors.New("pq: relation secret does not exist"))
	for name, c := range map[string]struct {
		resolve func(context.Context) (any, error)
		logged  string
	}{
		"error":             {fails(cause), "load posts: pq: relation secret does not exist"},
		"gqlerror":          {fails(gqlerror.Wrap(cause)), "load posts: pq: relation secret does not exist"},
		"gqlerror's own":    {fails(gqlerror.Errorf("secret")), "input:2:3: plain secret"},
		"fault INTERNAL":    {fails(&Error{Code: CodeInternal, Message: "secret"}), "INTERNAL: secret"},
		"deadline":          {fails(context.DeadlineExceeded), "context deadline exceeded"},
		"cancelled, not we": {fails(context.Canceled), "context canceled"},
		"empty list":        {fails(List{}), ""},
		"panic":             {func(context.Context) (any, error) { panic("secret") }, ""},
		"number, not input": {func(context.Context) (any, error) { panic(errNumber()) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tiny{resolve: c.resolve}
			resp, lines := s.run(t, t.Context(), asksPlain, "")
			if len(resp.Errors) != 1 || len(lines) != 1 {
				t.Fatalf("%d errors, %d lines: %v %v", len(resp.Errors), len(lines), resp.Errors, lines)
			}
			e, l := resp.Errors[0], lines[0]
			id, _ := e.Extensions["id"].(string)
			if len(id) < 12 || e.Message != "internal error "+id || e.Extensions["code"] != "INTERNAL" || e.Path.String() != "plain" {
				t.Errorf("presented %+v", e)
			}
			if b, _ := json.Marshal(e); strings.Contains(string(b), "secret") {
				t.Errorf("the cause got out: %s", b)
			}
			if l["id"] != id || l["level"] != "ERROR" || l["path"] != "plain" || l["operation"] != "Asks" {
				t.Errorf("logged %v", l)
			}
			if panicked := strings.Contains(name, "panic") || strings.Contains(name, "number"); panicked {
				if stack, _ := l["stack"].(string); !strings.Contains(stack, "TestInternal") {
					t.Errorf("no stack of the panic in %v", l)
				}
			} else if l["err"] != c.logged {
				t.Errorf("logged %q, want %q", l["err"], c.logged)
			}
		})
	}
}

func errNumber() error {
	_, err := strconv.Atoi("secret")
	return err
}

// TestResolverWithArguments: once the arguments are decoded, what looks like
// their fault isn't.
func TestResolverWithArguments(t *testing.T) {
	deeper := &gqlerror.Error{Message: "secret", Path: ast.Path{ast.PathName("create"), ast.PathName("input")}, Err: errors.New("secret")}
	coded := &gqlerror.Error{Message: "secret", Extensions: map[string]any{"code": "X"}, Err: errors.New("secret")}
	for name, resolve := range map[string]func(context.Context) (any, error){
		"number":      func(context.Context) (any, error) { panic(errNumber()) },
		"deeper path": fails(deeper),
		"code":        fails(coded),
	} {
		s := &tiny{resolve: resolve}
		resp, lines := s.run(t, t.Context(), asksCreate, `{"input":{"title":"t"}}`)
		if len(resp.Errors) != 1 || resp.Errors[0].Extensions["code"] != "INTERNAL" || len(lines) != 1 {
			t.Errorf("%s: %v %v", name, resp.Errors, lines)
		}
	}
}

func TestPanicWhileArgumentsAreDecoded(t *testing.T) {
	s := &tiny{odd: func(any) (string, error) { panic("secret") }}
	resp, lines := s.run(t, t.Context(), `{ resume(after: "x") }`, "")
	if len(resp.Errors) != 1 || resp.Errors[0].Extensions["code"] != "INTERNAL" || len(lines) != 1 {
		t.Errorf("%v %v", resp.Errors, lines)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var presented gqlerror.List
	s := &tiny{}
	s.resolve = func(ctx context.Context) (any, error) {
		cancel()
		// What drivers say of it is theirs; it doesn't wrap context.Canceled.
		graphql.AddError(ctx, errors.New("pq: canceling statement due to user request"))
		graphql.AddError(ctx, NotFound("Gone."))
		presented = graphql.GetErrors(ctx)
		return "done", nil
	}
	_, lines := s.run(t, ctx, asksPlain, "")
	if len(presented) != 2 || presented[0].Extensions["code"] != "CANCELLED" || presented[1].Extensions["code"] != "NOT_FOUND" {
		t.Errorf("presented %v", presented)
	}
	if len(lines) != 1 || lines[0]["level"] != "DEBUG" {
		t.Errorf("logged %v", lines)
	}
}

// TestOutsideOfAField covers what transports hand over before there is an
// operation or a place for its errors.
func TestOutsideOfAField(t *testing.T) {
	present := Presenter(slog.New(slog.NewJSONHandler(io.Discard, nil)))
	if got := present(t.Context(), nil); got != nil {
		t.Errorf("nil became %v", got)
	}
	if got := present(t.Context(), List{NotFound("A."), NotFound("B.")}); got.Message != "B." {
		t.Errorf("a list became %v", got)
	}
	if got := present(t.Context(), errors.New("secret")); got.Extensions["code"] != "INTERNAL" {
		t.Errorf("an error became %v", got)
	}
}

// TestGivenErrorsStayAsTheyAre: validation errors may be shared with a cache.
func TestGivenErrorsStayAsTheyAre(t *testing.T) {
	present := Presenter(slog.New(slog.NewJSONHandler(io.Discard, nil)))
	given := gqlerror.Errorf("%s", strings.Repeat("é", maxText))
	given.Extensions = map[string]any{"code": "GRAPHQL_VALIDATION_FAILED"}
	was := *given
	got := present(t.Context(), given)
	if given.Message != was.Message {
		t.Error("the given error was changed")
	}
	if want := strings.Repeat("é", maxText/2) + "…"; got.Message != want {
		t.Errorf("quoted %d bytes of the document", len(got.Message))
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("why")
	e := Conflict("EMAIL_TAKEN", "input.email", "Taken.")
	with := e.Because(cause)
	if e.Err != nil || !errors.Is(with, cause) {
		t.Error("Because changed its receiver or lost the cause")
	}
	if got, want := with.Error(), "CONFLICT EMAIL_TAKEN input.email: Taken.: why"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	list := List{e, TooComplex("Too much.").Because(cause)}
	if !errors.Is(list, cause) || list.Error() != "CONFLICT EMAIL_TAKEN input.email: Taken.; QUERY_TOO_COMPLEX: Too much.: why" {
		t.Errorf("%q", list.Error())
	}
	if (List{}).Err() != nil || (List{e}).Err() == nil {
		t.Error("only an empty list is no error")
	}
}
