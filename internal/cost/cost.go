// Package cost judges a GraphQL document before anything dear is done with it.
//
// Validation and execution can take seconds and gigabytes for a document of a
// few hundred bytes, so a [Judge] takes three steps, each bounded by the one
// before it:
//
//   - [Judge.Parse] reads the document up to a number of tokens and measures it
//     in one pass: nesting, root fields, aliases, directives, and how large it
//     is with every fragment written out. Each fragment is measured once, and
//     all arithmetic saturates.
//   - [Document.Cost] is what running one of its operations takes, in points,
//     with page sizes multiplied through nested connections. It is computed
//     from a plan that Parse made, and is next to nothing where no variable
//     gives a page's size.
//   - [Document.Validate] applies the rules of the GraphQL specification. What
//     is left of a document by then is small enough for them.
//
// A document that breaks a limit is a *fault.Error, QUERY_TOO_COMPLEX, with one
// of the reasons below. Its count is where the counting stopped: at least that.
//
// # Points
//
// A point is about the work of one row. The schema says what fields cost, with
// directives after IBM's specification of GraphQL cost directives
// (https://ibm.github.io/graphql-specs/cost-spec.html):
//
//   - @cost(weight:) on a field is what it costs each time it is answered, on
//     an argument what it adds to its field. Without it a field that returns
//     objects costs 1, any other 0.1.
//   - @listSize says how many there can be: slicingArguments hold the number
//     (of a list, its length), slicingArgumentDefaultValue is it without them,
//     assumedSize the most there can be, for the server refuses what asks for
//     more. With sizedFields the number is that of those fields' elements: a
//     page's `nodes` and `edges`.
//
// What is skipped by @skip or @include counts as if it were not. Fields of the
// introspection cost 0.1 for each element that this schema has.
package cost

import (
	"fmt"
	"math"

	"tidings/internal/fault"
)

// Limits bound a document. Zero fields have the defaults.
type Limits struct {
	// Tokens bounds what a document is made of: names, values, punctuation,
	// comments. It bounds how deep the parser recurses, too. 2,000.
	Tokens int
	// Depth bounds how deep fields nest, and how deep the values and types of
	// variables do. Introspection has a bound of its own. 15.
	Depth int
	// RootFields bounds the fields at the top of an operation, those of equal
	// name each counted. 30.
	RootFields int
	// Aliases bounds the aliases of an operation, fragments written out. 100.
	Aliases int
	// Directives bounds the directives of an operation, fragments written out. 50.
	Directives int
	// Cost bounds an operation's cost, in points. At most MaxCost. 20,000.
	Cost int
}

// MaxCost is where costs stop being told apart.
const MaxCost = 1_000_000_000

// Reasons for a refusal, its extensions.reason.
const (
	// ReasonTokens and those up to ReasonCost are the fields of Limits.
	ReasonTokens     = "TOKENS"
	ReasonDepth      = "DEPTH"
	ReasonRootFields = "ROOT_FIELDS"
	ReasonAliases    = "ALIASES"
	ReasonDirectives = "DIRECTIVES"
	ReasonCost       = "COST"
	// ReasonNames is a name longer than 128 bytes. Aliases are repeated for
	// each row.
	ReasonNames = "NAME_LENGTH"
	// ReasonFragments is a document that becomes larger than ten times
	// Limits.Tokens, in fields and fragments, when the fragments of every
	// definition are written out: validation takes as long as that.
	// It is a document, too, whose fields are too many to compare.
	ReasonFragments = "FRAGMENTS"
	// ReasonIntrospection is introspection nested deeper than 20 fields.
	ReasonIntrospection = "INTROSPECTION_DEPTH"
	// ReasonAuthentications is more than one field with @authenticates in an
	// operation: each is a guess at a password.
	ReasonAuthentications = "AUTHENTICATIONS"
)

const (
	maxName          = 128
	maxIntrospection = 20
	maxWrittenOut    = 10 // times Limits.Tokens
)

func (l Limits) withDefaults() Limits {
	or(&l.Tokens, 2000)
	or(&l.Depth, 15)
	or(&l.RootFields, 30)
	or(&l.Aliases, 100)
	or(&l.Directives, 50)
	or(&l.Cost, 20_000)
	l.Cost = min(l.Cost, MaxCost)
	return l
}

func or(field *int, initial int) {
	if *field == 0 {
		*field = initial
	}
}

// over is the refusal of a document.
func over(reason string, count, limit int, sentence string) error {
	f := fault.TooComplex(fmt.Sprintf(sentence, count, limit))
	f.Reason, f.Over = reason, &fault.Over{Measure: "count", Value: count, Limit: limit}
	if reason == ReasonCost {
		f.Over.Measure = "cost"
	}
	return f
}

// An amount is tenths of points, or any other count that must not wrap around.
type amount int64

const (
	point   amount = 10
	maximum        = MaxCost * point
)

func (a amount) plus(b amount) amount { return min(a+b, maximum) }

func (a amount) times(b amount) amount {
	if b != 0 && a > maximum/b {
		return maximum
	}
	return a * b
}

// points rounds up.
func (a amount) points() int { return int((a + point - 1) / point) }

// most is n as an int that can be shown: JSON's numbers end at 2^53.
func most(n amount) int { return int(min(n, math.MaxInt32)) }
