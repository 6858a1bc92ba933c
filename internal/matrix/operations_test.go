package matrix

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"tidings/internal/testkit"
)

// raw runs one operation of a document at a node, as a viewer.
func (p *planted) raw(node *testkit.Node, v *viewer, query, operation string, variables map[string]any) outcome {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "operationName": operation, "variables": variables})
	p.must(err)
	req, err := http.NewRequest("POST", node.URL+"/graphql", bytes.NewReader(body))
	p.must(err)
	req.Header.Set("Content-Type", "application/json")
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	resp, err := http.DefaultClient.Do(req)
	p.must(err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	p.must(err)
	return outcome{resp.StatusCode, string(b)}
}

// Two operations of one document share a fragment on the root; one of them asks for more of the same field. Each is
// answered with what it asks for, in whichever order they come.
func TestOperationsOfOneDocumentShareNoPlan(t *testing.T) {
	plantEverywhere(t, func(p *planted) {
		const document = `
			query More { ...Page posts(first: 3) { totalCount nodes { title author { username } } } }
			query Less { ...Page }
			fragment Page on Query { posts(first: 3) { nodes { id } } }`
		for _, operation := range []string{"More", "Less", "More"} {
			got, want := p.raw(p.node, p.viewers[0], document, operation, nil), p.raw(p.executor, p.viewers[0], document, operation, nil)
			if got != want {
				t.Errorf("%s\ndirectly:    %s\nby executor: %s", operation, got.body, want.body)
			}
		}
	})
}
