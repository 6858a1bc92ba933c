package graph_test

import (
	"strings"
	"testing"

	"tidings/graph"
)

func TestEverythingIsDescribed(t *testing.T) {
	schema := graph.NewExecutableSchema(graph.Config{}).Schema()
	undescribed := func(description string, path ...string) {
		if strings.TrimSpace(description) == "" {
			t.Errorf("%s has no description", strings.Join(path, "."))
		}
	}
	for name, typ := range schema.Types {
		if typ.BuiltIn {
			continue
		}
		undescribed(typ.Description, name)
		for _, f := range typ.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			undescribed(f.Description, name, f.Name)
			for _, a := range f.Arguments {
				undescribed(a.Description, name, f.Name, a.Name)
			}
		}
		for _, v := range typ.EnumValues {
			undescribed(v.Description, name, v.Name)
		}
	}
}
