package web_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/gid"
	"tidings/internal/web"
	"tidings/internal/web/internal/testschema"
)

const tooLarge = `{"message":"The response has at least 1030 bytes; at most 1000 are allowed. Ask for less at once.",` +
	`"extensions":{"code":"QUERY_TOO_COMPLEX","count":1030,"limit":1000,"reason":"RESPONSE_SIZE"}}`

func smallResponses(o *web.Options) { o.Limits.Response = 1000 }

// TestResponsesAreBounded: texts that each fit don't fit together, whatever they
// cost, and the next response has all the room again.
func TestResponsesAreBounded(t *testing.T) {
	w := newWorld(t, smallResponses)
	for range 2 {
		if got := w.post(`{"query":"{ a: letters(count: 490) b: letters(count: 490) }"}`); got.body != `{"data":{"a":"`+strings.Repeat("x", 490)+`","b":"`+strings.Repeat("x", 490)+`"}}` {
			t.Error(got)
		}
		if got := w.post(`{"query":"{ a: letters(count: 508) b: letters(count: 508) }"}`); got.body != `{"errors":[`+tooLarge+`]}` {
			t.Error(got)
		}
	}
	// Escapes count as they are written.
	if got := w.post(`{"query":"{ hello(name: \"` + strings.Repeat(`\\u0001`, 200) + `\") }"}`); !strings.Contains(got.body, "RESPONSE_SIZE") {
		t.Error(got)
	}
}

// TestEventsAreBounded: each event has the room of a response.
func TestEventsAreBounded(t *testing.T) {
	testEvents(t, newWorld(t, smallResponses))
}

// testEvents is an event of 600 letters, three times, and one that is too large.
func testEvents(t *testing.T, w *world) {
	t.Helper()
	c := w.open("")
	c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { text } }`, "null")
	for range 3 {
		w.log.post(gid.NewUser(), "letters 600")
		if text, _ := delivered(t, c.next()); len(text) != 600 {
			t.Error(text)
		}
	}
	w.log.post(gid.NewUser(), "letters 984")
	if got := c.next(); !strings.HasPrefix(got, `{"id":"1","type":"error","payload":[`) || !strings.Contains(got, "RESPONSE_SIZE") {
		t.Error(got)
	}
}

// finished is an event as an extension may have made it, in place of what the
// resolver's channel holds.
type finished string

func (f finished) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, string(f)) }
func (f finished) Len() int               { return len(f) }

// finishes finishes the one event of a channel.
type finishes struct{}

func (finishes) ExtensionName() string                   { return "finishes" }
func (finishes) Validate(graphql.ExecutableSchema) error { return nil }

func (finishes) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	value, err := next(ctx)
	events, ok := value.(<-chan *testschema.Post)
	if !ok || len(events) == 0 {
		return value, err
	}
	text := (<-events).Text
	return func(context.Context) graphql.Marshaler { return finished(`{"posted":{"text":"` + text + `"}}`) }, nil
}

// TestFinishedEventsAreBounded: so are events of finished JSON.
func TestFinishedEventsAreBounded(t *testing.T) {
	testEvents(t, newWorld(t, smallResponses, func(o *web.Options) { o.Extensions = append(o.Extensions, finishes{}) }))
}
