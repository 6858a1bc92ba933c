package graph

import (
	"bytes"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/formatter"
)

// SDL is the text of a schema as the server executes it.
func SDL(s graphql.ExecutableSchema) string {
	var b bytes.Buffer
	formatter.NewFormatter(&b, formatter.WithIndent("  ")).FormatSchema(s.Schema())
	return b.String()
}
