package web

import "context"

// refusedPoints is what a document costs its sender that is refused before it
// runs: what it takes to find that out.
const refusedPoints = 10

// charge takes the points of an operation from who asks. It is called once for
// each operation of every transport, after the document was judged and before
// anything runs: with its cost, or with refusedPoints. The error, if there is
// one, is what the operation is refused with.
func (e *engine) charge(ctx context.Context, points int) error {
	if e.charges == nil {
		return nil
	}
	return e.charges(ctx, points)
}
