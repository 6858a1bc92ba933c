package web

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of responses (GraphQL over HTTP, section 4).
const (
	typeResponse = "application/graphql-response+json"
	typeJSON     = "application/json"
	typeEvents   = "text/event-stream" // graphql-sse's
)

// negotiate returns the media type to answer in, and "" if the client takes
// none of ours. The quality that counts is that of the most specific range that
// matches (RFC 9110, section 12.5.1).
//
// Of equal ones application/graphql-response+json wins if it was named, else
// application/json: who sends no Accept header, or */*, may be a client older
// than the specification.
//
// It is text/event-stream if the client wants that more, or as much and names
// neither of the others. events says that it takes that for a subscription: it
// named it (*/* doesn't).
func negotiate(accept []string) (media string, events bool) {
	if len(accept) == 0 {
		return typeJSON, false
	}
	var response, json, stream preference
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || !utf8Charset(params) {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil || !(q >= 0 && q <= 1) {
				continue
			}
		}
		switch media {
		case typeResponse:
			response.consider(exact, q)
		case typeJSON:
			json.consider(exact, q)
		case typeEvents:
			stream.consider(exact, q)
		case "application/*":
			response.consider(anySubtype, q)
			json.consider(anySubtype, q)
		case "*/*":
			response.consider(anyType, q)
			json.consider(anyType, q)
		}
	}
	events = stream.q > 0
	named := response.specific == exact || json.specific == exact
	switch most := max(response.q, json.q); {
	case events && (stream.q > most || stream.q == most && !named):
		return typeEvents, events
	case most <= 0:
		return "", events
	case response.q > json.q, response.q == json.q && response.specific == exact:
		return typeResponse, events
	}
	return typeJSON, events
}

// How specific a range of Accept is.
const (
	anyType = iota + 1
	anySubtype
	exact
)

// preference is how much a client wants a media type: as the most specific
// range says, and of several such the one that wants it most.
type preference struct {
	specific int // 0: no range matched
	q        float64
}

func (p *preference) consider(specific int, q float64) {
	if specific > p.specific || specific == p.specific && q > p.q {
		*p = preference{specific, q}
	}
}

// sendsJSON reports whether a request's body is application/json in UTF-8 and
// not compressed.
func sendsJSON(h http.Header) bool {
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	encoding := h.Get("Content-Encoding")
	return err == nil && media == typeJSON && utf8Charset(params) &&
		(encoding == "" || strings.EqualFold(encoding, "identity"))
}

// utf8Charset reports whether the parameters of a media type name no charset
// other than UTF-8, which JSON always has (RFC 8259, section 8.1).
func utf8Charset(params map[string]string) bool {
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
