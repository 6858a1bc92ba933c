package web

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tidings/internal/live"
)

// The events of graphql-sse in its distinct connections mode (PROTOCOL.md of the
// npm package graphql-sse), in the format of the HTML standard, section 9.2.
//
// Each next that delivers an event has the event's cursor as its id. An
// EventSource comes back after everything, also after complete, with the last id
// that it was given; so complete has one too, on which 204 tells it to stay away.

// lastEventID is the header in which a client that comes back says what it was given last.
const lastEventID = "Last-Event-ID"

// completedID is the id of complete. No cursor looks like it.
const completedID = "complete"

const (
	nextEventID   = "event: next\nid: "
	nextEventData = "\ndata: "
	nextEvent     = "event: next\ndata: "
	eventEnd      = "\n\n"
	completeEvent = "event: complete\nid: " + completedID + "\ndata:\n\n"
)

// heartbeat is a comment, which clients pass over.
var heartbeat = []byte(":\n\n")

func nextEventSize(p *live.Payload) int {
	return len(nextEventID) + len(p.Cursor) + len(nextEventData) + len(p.Data) + len(eventEnd)
}

// appendNextEvent appends the event that delivers p, which is one line.
func appendNextEvent(b []byte, p *live.Payload) []byte {
	b = append(append(b, nextEventID...), p.Cursor...)
	b = append(append(b, nextEventData...), p.Data...)
	return append(b, eventEnd...)
}

// resultEvents are the events of a response behind which nothing comes.
func resultEvents(r *graphql.Response) []byte {
	b := append(make([]byte, 0, len(r.Data)+512), nextEvent...)
	start := len(b)
	b = appendResponse(b, r, "")
	oneLine(b[start:])
	b = append(b, eventEnd...)
	return append(b, completeEvent...)
}

// failureEvents tell why an operation has failed.
func failureEvents(errs gqlerror.List) []byte { return resultEvents(&graphql.Response{Errors: errs}) }

// openingEvent makes a client that is cut off before the first event come back
// to where its subscription began, and soon, but not all of them at once. It
// delivers nothing.
func openingEvent(cursor string) []byte {
	return append(comeBack(), "id: "+cursor+eventEnd...)
}

// Clients come back after so many milliseconds, from minRetry to maxRetry.
const minRetry, maxRetry = 1000, 3000

// comeBack is the field that says when to come back.
func comeBack() []byte {
	b := strconv.AppendInt([]byte("retry: "), int64(minRetry+rand.IntN(maxRetry-minRetry+1)), 10)
	return append(b, '\n')
}

// oneLine makes JSON fit into one field: line breaks in JSON are only ever
// between its tokens (RFC 8259, sections 2 and 7).
func oneLine(json []byte) {
	for _, end := range []byte("\n\r") {
		for i := bytes.IndexByte(json, end); i >= 0; i = bytes.IndexByte(json, end) {
			json[i] = ' '
		}
	}
}

// eventHeaders are those of a stream. Neither caches nor proxies that compress or buffer may keep events back.
func eventHeaders(h http.Header) {
	h.Set("Content-Type", typeEvents+"; charset=utf-8")
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no") // nginx
}
