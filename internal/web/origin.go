package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// origins decides which pages may use the server from a browser: those of its
// own host and those of a list.
//
// No other page can have anything run, whether it could read the answer or not.
// POST takes application/json only, and no body without a type, so that it needs
// a preflight (Fetch, section 4.9). A GET needs none, so what browsers say of
// where a request comes from (Sec-Fetch-Site, Origin) counts for it as for POST,
// by net/http's cross-origin check. A socket needs none either, and its Origin is
// checked.
//
// Pages of the list may send cookies; there are no wildcards.
type origins struct {
	list  []string
	share func(http.Handler) http.Handler // CORS, for the origins of the list
	cross *http.CrossOriginProtection
}

func newOrigins(list []string) (origins, error) {
	o := origins{
		list:  list,
		share: func(h http.Handler) http.Handler { return h },
		cross: http.NewCrossOriginProtection(),
	}
	for _, origin := range list {
		if strings.Contains(origin, "*") { // which package cors would take for any
			return origins{}, fmt.Errorf("allow an origin: %q is not one", origin)
		}
		if err := o.cross.AddTrustedOrigin(origin); err != nil {
			return origins{}, fmt.Errorf("allow an origin: %w", err)
		}
	}
	if len(list) > 0 {
		o.share = cors.New(cors.Options{
			AllowedOrigins:   list,
			AllowedMethods:   []string{http.MethodGet, http.MethodPost},
			AllowedHeaders:   []string{"Authorization", "Content-Type", "If-None-Match", lastEventID},
			ExposedHeaders:   []string{requestIDHeader, "ETag", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"},
			MaxAge:           600,
			AllowCredentials: true,
		}).Handler
	}
	return o, nil
}

// allow reports whether a request may be sent by the page that sends it, if it
// is one.
func (o origins) allow(r *http.Request) bool {
	post := *r
	post.Method = http.MethodPost // it lets all GETs through, for they should change nothing; ours cost something
	return o.cross.Check(&post) == nil
}

// allowSocket reports whether a socket may be opened by the page that asks, if
// it is one (RFC 6455, section 10.2).
func (o origins) allowSocket(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	if u, err := url.Parse(origin); err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
		return true
	}
	for _, allowed := range o.list {
		if strings.EqualFold(origin, allowed) {
			return true
		}
	}
	return false
}
