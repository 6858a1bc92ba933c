package app_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"tidings/internal/testkit"
)

// TestResponsesThatAliasesBlowUp: the longest texts, each asked for nineteen times in an operation that costs less than
// it may, would be more than 400 megabytes. They are refused without being written.
func TestResponsesThatAliasesBlowUp(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		token := n.SignUp("ada")
		content := strings.Repeat("\x01", 40_000) // six bytes each in JSON
		for range 100 {
			n.Must(token, `mutation($c: String!) { createPost(input: {title: "Long", content: $c, published: true}) { id } }`, map[string]any{"c": content})
		}
		var query strings.Builder
		query.WriteString("{ posts(first: 100) { nodes {")
		for i := range 19 {
			fmt.Fprintf(&query, " a%d: content", i)
		}
		query.WriteString(" } } }")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := n.Post("", query.String(), nil)
		runtime.ReadMemStats(&after)
		if c := code(t, r, err); c != "QUERY_TOO_COMPLEX" || r.Errors[0].Extensions["reason"] != "RESPONSE_SIZE" || r.Data != nil {
			t.Errorf("%q %v", c, r.Errors)
		}
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 200 {
			t.Errorf("it took %d MiB", took)
		} else {
			t.Logf("it took %d MiB", took)
		}
		// Without the aliases it is a page like others.
		half := n.Must("", "{ posts(first: 50) { nodes { content } } }", nil)
		if nodes := half.Data["posts"].(map[string]any)["nodes"].([]any); len(nodes) != 50 {
			t.Errorf("%d posts", len(nodes))
		}
	})
}
