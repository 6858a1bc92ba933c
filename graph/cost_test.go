package graph_test

import (
	"strings"
	"testing"

	"tidings/graph"
)

// TestListsHaveASize holds that what a list costs is known: each field with elements says how many, or is those of a
// connection that does. Every mutation costs something, for it writes.
func TestListsHaveASize(t *testing.T) {
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	for name, typ := range schema.Types {
		if typ.BuiltIn || strings.HasPrefix(name, "__") || !typ.IsCompositeType() {
			continue
		}
		connection := strings.HasSuffix(name, "Connection")
		for _, f := range typ.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			sized := f.Directives.ForName("listSize") != nil
			if many := f.Type.Elem != nil && !connection || strings.HasSuffix(f.Type.Name(), "Connection"); many != sized {
				t.Errorf("%s.%s: elements %v, @listSize %v", name, f.Name, many, sized)
			}
			if typ == schema.Mutation && f.Directives.ForName("cost") == nil {
				t.Errorf("%s.%s has no @cost", name, f.Name)
			}
		}
	}
}
