package matrix

import (
	"testing"
)

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
