package web

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/fault"
)

// documentHash is the SHA-256 of a document's text.
type documentHash [sha256.Size]byte

const (
	errHashForm    = refusal("The extension persistedQuery must be {version: 1, sha256Hash: …}, the hash in hexadecimal.")
	errHashVersion = refusal("Only version 1 of persisted queries is known here.")
	errHashText    = refusal("The extension persistedQuery has a hash that is not the query's.")
)

// persisted are automatic persisted queries, as the clients of Apollo have them
// (https://www.apollographql.com/docs/apollo-server/performance/apq): a client
// sends the hash of a document instead of its text. If that is not known here
// it is told so, in the words that these clients wait for, and sends both.
//
// What is known is what this process keeps of valid documents anyway; no text
// is kept for its hash. So a hash may be forgotten, and each node learns it by
// itself: the client will send the text again. A text is never found under a
// hash that isn't its own.
//
// It is an extension of gqlgen's executor, and so the same for every transport.
type persisted struct{ documents *documents }

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
} = persisted{}

func (persisted) ExtensionName() string                   { return "PersistedQueries" }
func (persisted) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters finds the text that a hash stands for. Of a text
// that comes with its hash it only notes that: whether it is kept is to be seen.
func (x persisted) MutateOperationParameters(ctx context.Context, p *graphql.RawParams) *gqlerror.Error {
	if !namesDocument(p) {
		return nil
	}
	hash, err := hashOf(p)
	if err != nil {
		return gqlerror.Wrap(fault.BadInput("", err.Error()))
	}
	in, known := entranceOf(ctx), x.documents.findHash(hash)
	switch {
	case p.Query == "" && known == nil:
		return gqlerror.Wrap(fault.PersistedQueryNotFound())
	case p.Query == "":
		p.Query, in.known = known.text, known
	case known != nil && p.Query == known.text: // which is faster found out than the hash
		in.known = known
	case sha256.Sum256([]byte(p.Query)) != hash:
		return gqlerror.Wrap(fault.BadInput("", errHashText.Error()))
	default:
		in.hash = &hash
	}
	return nil
}

const persistedQuery = "persistedQuery"

// namesDocument reports whether a request has the extension that gives the hash
// of its document, and so needs no text.
func namesDocument(p *graphql.RawParams) bool { return p.Extensions[persistedQuery] != nil }

// hashOf reads that extension.
func hashOf(p *graphql.RawParams) (hash documentHash, err error) {
	extension, _ := p.Extensions[persistedQuery].(map[string]any)
	version, _ := extension["version"].(json.Number)
	text, _ := extension["sha256Hash"].(string)
	if version == "" || len(text) != hex.EncodedLen(len(hash)) {
		return hash, errHashForm
	}
	if version != "1" {
		return hash, errHashVersion
	}
	if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
		return hash, errHashForm
	}
	return hash, nil
}
