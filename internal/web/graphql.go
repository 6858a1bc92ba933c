package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/auth"
	"tidings/internal/fault"
)

const subscriptionsRunElsewhere = "Subscriptions run over WebSocket at this address, with the subprotocol graphql-transport-ws, or as server-sent events: accept text/event-stream."

// serveGraphQL answers a GraphQL request over HTTP, or opens a socket.
//
// A request that isn't a well-formed one is refused with a status that says
// why, whatever it accepts. Of one that is well formed, the status is 200 in
// application/json; in application/graphql-response+json it is 200 if the
// operation ran and 4xx or 5xx if not (GraphQL over HTTP, section 6.4).
//
// In text/event-stream it is 200 as well, and the response is an event: so
// graphql-sse's protocol has it. A subscription goes on from there.
func (s *Server) serveGraphQL(w http.ResponseWriter, r *http.Request) {
	if websocket.IsWebSocketUpgrade(r) {
		s.upgrade(w, r)
		return
	}
	vary(w.Header(), r.Method)
	media, events := negotiate(r.Header.Values("Accept"))
	a := answer{engine: s.engine, gzipper: s.gzipper, w: w, r: r, media: media, meter: s.newMeter(r.Context())}
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		a.refuse(http.StatusMethodNotAllowed, fault.BadInput("", "This address takes GET and POST."))
		return
	case media == "":
		a.refuse(http.StatusNotAcceptable, fault.BadInput("", "Responses are "+typeResponse+", "+typeJSON+" or "+typeEvents+"."))
		return
	case !s.origins.allow(r):
		s.report(r.Context(), "origin")
		a.refuse(http.StatusForbidden, fault.Forbidden("This origin may not use the server."))
		return
	case events && r.Header.Get(lastEventID) == completedID:
		w.WriteHeader(http.StatusNoContent) // there is nothing to come back for
		return
	}

	viewer, err := s.viewer(r.Header.Values("Authorization"))
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`) // RFC 6750, section 3
		a.refuse(http.StatusUnauthorized, err)
		return
	}
	a.meter.count(viewer)
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.Operation)
	defer cancel()
	client := auth.ClientFrom(ctx)
	client.Cookie = cookieOf(w, r)
	ctx = auth.WithClient(auth.WithViewer(withMeter(ctx, a.meter), viewer), client)
	if err := admit(ctx); err != nil { // before the body is read
		a.refuse(http.StatusTooManyRequests, err)
		return
	}
	params, status, err := s.params(w, r)
	if err != nil {
		_ = charge(ctx, refusedCost) // it is refused in any case
		a.refuse(status, err)
		return
	}
	oc, points, resp := s.engine.begin(ctx, params)
	if resp == nil {
		switch kind := oc.Operation.Operation; {
		case kind == ast.Subscription && events:
			cancel()
			s.stream(a, viewer, oc, points)
			return
		case kind == ast.Subscription:
			resp = s.engine.refuse(ctx, fault.BadInput("", subscriptionsRunElsewhere))
		case kind != ast.Query && r.Method == http.MethodGet:
			w.Header().Set("Allow", "POST")
			a.refuse(http.StatusMethodNotAllowed, fault.BadInput("", "GET runs queries only: send this with POST."))
			return
		default:
			a.query = kind == ast.Query
			if resp = s.engine.run(ctx, oc); resp == nil {
				resp = s.engine.refuse(ctx, context.Cause(ctx))
			}
		}
	}
	note(w, viewer, oc, outcome(resp))
	a.write(statusOf(media, resp), resp)
}

// vary says what an answer depends on, for caches. These take answers to GET only.
func vary(h http.Header, method string) {
	if method == http.MethodGet {
		h["Vary"] = append(h["Vary"], "Accept", "Accept-Encoding", "Authorization", "Origin")
		return
	}
	h["Vary"] = append(h["Vary"], "Accept", "Accept-Encoding")
}

// statusOf returns the status of a response to a well-formed request. What came too early never ran, and is told so in
// either media type (RFC 6585, section 4). That a hash isn't known is no failure but a step of the protocol, whose
// clients wait for 200, as Apollo's server answers in either media type.
func statusOf(media string, r *graphql.Response) int {
	if r.Data == nil && len(r.Errors) > 0 {
		switch fault.Code(codeOf(r.Errors[0])) {
		case fault.CodeRateLimited:
			return http.StatusTooManyRequests
		case fault.CodePersistedQueryNotFound:
			return http.StatusOK
		}
	}
	if media == typeJSON || media == typeEvents || r.Data != nil {
		return http.StatusOK
	}
	for _, err := range r.Errors {
		if codeOf(err) == string(fault.CodeInternal) {
			return http.StatusInternalServerError
		}
	}
	return http.StatusBadRequest
}

// params reads the parameters of a request. The status belongs to the error.
func (s *Server) params(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, int, error) {
	bad := func(status int, err error) (*graphql.RawParams, int, error) {
		return nil, status, fault.BadInput("", err.Error())
	}
	if r.Method == http.MethodGet {
		params, err := paramsOfURL(r.URL.RawQuery)
		if err != nil {
			return bad(http.StatusBadRequest, err)
		}
		return params, 0, nil
	}
	if !sendsJSON(r.Header) {
		return bad(http.StatusUnsupportedMediaType, refusal("The body must be application/json in UTF-8, not compressed."))
	}
	body, err := s.body(w, r)
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return bad(http.StatusRequestEntityTooLarge,
				refusal("The body is larger than "+strconv.FormatInt(s.maxBody, 10)+" bytes."))
		}
		return bad(http.StatusBadRequest, refusal("The body ended before it was complete."))
	}
	params, err := decodeParams(body)
	if err == nil && params.Query == "" && !namesDocument(params) {
		err = errNoQuery
	}
	if err != nil {
		return bad(http.StatusBadRequest, err)
	}
	return params, 0, nil
}

// body reads a request's body, as much as a body may have. What is said to be
// too long isn't begun.
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > s.maxBody {
		w.Header().Set("Connection", "close")
		return nil, &http.MaxBytesError{Limit: s.maxBody}
	}
	limited := http.MaxBytesReader(w, r.Body, s.maxBody)
	if r.ContentLength < 0 {
		return io.ReadAll(limited)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(limited, body)
	return body, err
}

// answer writes the response to one request.
type answer struct {
	engine  *engine
	gzipper *gzipper
	w       http.ResponseWriter
	r       *http.Request
	media   string // what isn't answered in it, or has none ("": the client takes none of ours), is answered in JSON
	meter   *meter // nil if nothing is limited
	query   bool   // it is a query's
}

// refuse answers that the request isn't one that can run.
func (a answer) refuse(status int, err error) {
	resp := a.engine.refuse(a.r.Context(), err)
	note(a.w, auth.Viewer{}, nil, outcome(resp))
	a.write(status, resp)
}

func (a answer) write(status int, resp *graphql.Response) {
	h := a.w.Header()
	a.meter.headers(h)
	if status == http.StatusTooManyRequests {
		if after, ok := resp.Errors[0].Extensions["retryAfter"].(int); ok {
			h.Set("Retry-After", strconv.Itoa(after)) // RFC 9110, section 10.2.3
		}
	}
	if a.media == typeEvents && status == http.StatusOK {
		eventHeaders(h)
		a.send(status, resultEvents(resp))
		return
	}
	spare := spareBodies.Get().(*[]byte)
	body := appendResponse((*spare)[:0], resp, "")
	if cap(body) <= maxSpareBody {
		defer func(written []byte) {
			*spare = written
			spareBodies.Put(spare)
		}(body)
	}
	// What sets a cookie has a secret in it, and so may what a mutation answers:
	// neither a cache nor the length of what is compressed may tell it.
	harmless := a.query && h.Get("Set-Cookie") == ""
	h["Cache-Control"] = noStore
	if harmless && a.r.Method == http.MethodGet && len(resp.Errors) == 0 {
		h.Set("Cache-Control", "private, no-cache")
		tag := entityTag(body)
		h.Set("ETag", tag)
		if has(a.r.Header.Values("If-None-Match"), tag) {
			a.w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h["Content-Type"] = jsonContent
	if a.media == typeResponse {
		h["Content-Type"] = responseContent
	}
	if harmless {
		body = a.encode(body)
	}
	a.send(status, body)
}

// The values are shared by all answers.
var (
	noStore         = []string{"no-store"}
	jsonContent     = []string{typeJSON + "; charset=utf-8"}
	responseContent = []string{typeResponse + "; charset=utf-8"}
)

// spareBodies are what answers were written from, to be used again up to a size: most of what is allocated for a page
// would be for that.
var spareBodies = sync.Pool{New: func() any { return new([]byte) }}

const maxSpareBody = 256 << 10

// encode compresses a body if the client takes that and it is worth it.
func (a answer) encode(body []byte) []byte {
	gzip, plain := encodings(a.r.Header.Values("Accept-Encoding"))
	if !gzip || plain && len(body) < worthGzip {
		return body
	}
	compressed, err := a.gzipper.compress(a.r.Context(), body)
	if err != nil { // the client has gone
		return body
	}
	a.w.Header().Set("Content-Encoding", "gzip")
	return compressed
}

func (a answer) send(status int, body []byte) {
	a.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	a.w.WriteHeader(status)
	_, _ = a.w.Write(body) // the client may be gone: nobody to tell
}
