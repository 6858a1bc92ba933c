package web

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/auth"
)

// The messages of graphql-transport-ws, as PROTOCOL.md of the npm package
// graphql-ws has them.

// subprotocol is its name in the handshake.
const subprotocol = "graphql-transport-ws"

// The close codes of the protocol, and of RFC 6455 and IANA's registry those
// that a stock client retries on (1001, 1013) or doesn't (the rest). It retries
// on 4403 and 4408 too.
const (
	closeInvalid        = 4400
	closeUnauthorized   = 4401
	closeForbidden      = 4403
	closeNoSubprotocol  = 4406
	closeInitTimeout    = 4408
	closeDuplicate      = 4409
	closeTooManyInits   = 4429
	closeProtocolError  = 1002
	closeNotUTF8        = 1007
	closeTooLarge       = 1009
	closeGoingAway      = 1001
	closeTryAgainLater  = 1013
	closeNoStatus       = 1005 // never sent: stands for a close frame without a code
	closeWithoutClosing = 1006 // never sent: the peer was gone
)

// maxOperationID bounds the id of an operation, in bytes: each of its messages
// repeats it.
const maxOperationID = 256

// A message is what a client may send.
type message struct {
	kind      string
	id        string
	payload   json.RawMessage    // of connection_init, ping and pong: an object, or nil
	operation *graphql.RawParams // of subscribe
}

// decodeMessage reads a message, and refuses what the protocol has no room for.
// The error says why in the words for 4400.
func decodeMessage(text []byte) (m message, err error) {
	var kind, id *string
	var payload json.RawMessage
	err = decodeObject(text, func(name string) field {
		switch name {
		case "type":
			kind = nil
			return field{&kind, aString}
		case "id":
			id = nil
			return field{&id, aString}
		case "payload":
			payload = nil
			return field{&payload, aMap}
		}
		return field{}
	})
	if err != nil {
		return m, err
	}
	if kind == nil {
		return m, refusal("The field type is missing.")
	}
	m.kind = *kind
	if id != nil {
		m.id = *id
	}
	if bytes.Equal(payload, []byte("null")) {
		payload = nil
	}
	switch m.kind {
	case "connection_init", "ping", "pong":
		if payload != nil && payload[0] != '{' {
			return m, &fieldError{"payload", aMap}
		}
		m.payload = payload
	case "subscribe", "complete":
		if m.id == "" {
			return m, refusal("The field id is missing.")
		}
		if len(m.id) > maxOperationID {
			return m, refusal("The id is too long.")
		}
		if m.kind == "complete" {
			break
		}
		if payload == nil {
			return m, refusal("The field payload is missing.")
		}
		m.operation, err = decodeParams(payload)
	default:
		return m, refusal("This type of message is not one that a client sends.")
	}
	return m, err
}

// authorizations returns the values of "authorization", in any case, of the
// payload of a connection_init or a ping: at its top or, if there is none, under "headers".
// Null and empty ones are none. What is not a string can't be a token, and is
// returned as one that isn't good. Of several that differ two are returned: that
// is too many already, and to compare all would take long.
func authorizations(payload json.RawMessage) []string {
	if payload == nil {
		return nil
	}
	var values, nested []string
	var headers json.RawMessage
	collect := func(object json.RawMessage, into *[]string, headers *json.RawMessage) {
		var found []*json.RawMessage
		// What fails to decode has nothing to say.
		_ = decodeObject(object, func(name string) field {
			switch {
			case strings.EqualFold(name, "authorization"):
				found = append(found, new(json.RawMessage))
				return field{found[len(found)-1], aString}
			case headers != nil && name == "headers":
				return field{headers, aMap}
			}
			return field{}
		})
		for _, raw := range found {
			var value string
			if err := json.Unmarshal(*raw, &value); err != nil {
				value = "not a string"
			}
			if value != "" && len(*into) < 2 && !slices.Contains(*into, value) {
				*into = append(*into, value)
			}
		}
	}
	collect(payload, &values, &headers)
	if len(values) == 0 && headers != nil {
		collect(headers, &nested, nil)
		return nested
	}
	return values
}

// socketViewer returns who asks on a socket: by its connection_init, or else by
// the Authorization headers of its upgrade. In connection_init the word
// "Bearer" may be left out.
func (s *Server) socketViewer(payload json.RawMessage, headers []string) (auth.Viewer, error) {
	if given := authorizations(payload); len(given) > 0 {
		return s.givenViewer(given)
	}
	return s.viewer(headers)
}

// givenViewer returns who asks by the authorizations of a payload.
func (s *Server) givenViewer(given []string) (auth.Viewer, error) {
	if len(given) == 1 && !strings.ContainsAny(given[0], " \t") {
		return s.verify(given[0])
	}
	return s.viewer(given)
}

// ackFrame answers connection_init.
func ackFrame() []byte {
	return textFrame(32, func(b []byte) []byte { return append(b, `{"type":"connection_ack"}`...) })
}

// pongFrame answers ping.
func pongFrame(payload json.RawMessage) []byte {
	return textFrame(len(payload)+32, func(b []byte) []byte {
		b = append(b, `{"type":"pong"`...)
		if payload != nil {
			b = append(append(b, `,"payload":`...), payload...)
		}
		return append(b, '}')
	})
}

// nextPrefix is a next message up to its payload, and nextEnd what comes behind
// that.
func nextPrefix(id string) []byte {
	return append(appendJSON([]byte(`{"id":`), id), `,"type":"next","payload":`...)
}

const nextEnd = "}"

// nextFrame delivers a response of an operation.
func nextFrame(id string, r *graphql.Response, cursor string) []byte {
	return textFrame(len(r.Data)+len(id)+len(cursor)+96, func(b []byte) []byte {
		b = appendJSON(append(b, `{"id":`...), id)
		b = appendResponse(append(b, `,"type":"next","payload":`...), r, cursor)
		return append(b, '}')
	})
}

// errorFrame ends an operation that failed. No complete follows it.
func errorFrame(id string, errs gqlerror.List) []byte {
	return textFrame(256, func(b []byte) []byte {
		b = appendJSON(append(b, `{"id":`...), id)
		b = appendJSON(append(b, `,"type":"error","payload":`...), errs)
		return append(b, '}')
	})
}

// completeFrame ends an operation that came to its end.
func completeFrame(id string) []byte {
	return textFrame(len(id)+32, func(b []byte) []byte {
		b = appendJSON(append(b, `{"id":`...), id)
		return append(b, `,"type":"complete"}`...)
	})
}
