package gid

import (
	"fmt"
	"io"
)

// gqlgen looks only at methods that are declared on a named type itself, not at promoted ones, so each id spells
// out its pair. They implement graphql.Marshaler and graphql.Unmarshaler for the ID scalar (GraphQL, section 3.5.5).

// MarshalGQL writes the id as a JSON string.
func (i User) MarshalGQL(w io.Writer) { i.marshalGQL(w) }

// UnmarshalGQL reads an ID.
func (i *User) UnmarshalGQL(v any) error { return i.unmarshalGQL(v) }

// MarshalGQL writes the id as a JSON string.
func (i Post) MarshalGQL(w io.Writer) { i.marshalGQL(w) }

// UnmarshalGQL reads an ID.
func (i *Post) UnmarshalGQL(v any) error { return i.unmarshalGQL(v) }

// MarshalGQL writes the id as a JSON string.
func (i Comment) MarshalGQL(w io.Writer) { i.marshalGQL(w) }

// UnmarshalGQL reads an ID.
func (i *Comment) UnmarshalGQL(v any) error { return i.unmarshalGQL(v) }

func (i of[K]) marshalGQL(w io.Writer) {
	b := append(make([]byte, 0, 42), '"')
	b, _ = i.AppendText(b)
	_, _ = w.Write(append(b, '"')) // gqlgen's writers are buffers: they don't fail
}

func (i *of[K]) unmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("an id is a string")
	}
	return i.UnmarshalText([]byte(s))
}
