// Package scalar reads and writes the leaf values of the schema.
package scalar

import (
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/fault"
)

// MarshalString writes a String (GraphQL, section 3.5.3).
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads a String. NUL bytes and invalid UTF-8, which no database takes, are BAD_USER_INPUT.
func UnmarshalString(v any) (string, error) {
	s, err := graphql.UnmarshalString(v)
	if err != nil {
		return "", err
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", fault.BadInput("", "text can't contain NUL characters or invalid UTF-8")
	}
	return s, nil
}

const layout = "2006-01-02T15:04:05.999999Z07:00"

// MarshalDateTime writes a DateTime: RFC 3339 in UTC, to the microsecond.
func MarshalDateTime(t time.Time) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		b := append(make([]byte, 0, len(layout)+2), '"')
		b = t.UTC().AppendFormat(b, layout)
		_, _ = w.Write(append(b, '"')) // gqlgen's writers are buffers: they don't fail
	})
}

// UnmarshalDateTime reads a DateTime.
func UnmarshalDateTime(v any) (time.Time, error) {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fault.BadInput("", `a DateTime looks like "2026-11-21T09:30:00Z"`)
	}
	return t.UTC().Truncate(time.Microsecond), nil
}
