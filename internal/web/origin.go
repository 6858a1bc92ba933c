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
// No request that changes something can be sent by another page: POST takes
// application/json only, which needs a preflight (Fetch, section 4.9), and
// net/http's cross-origin check stands behind that for the day when cookies
// come. A socket needs no preflight, so its Origin is checked.
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
		if err := o.cross.AddTrustedOrigin(origin); err != nil {
			return origins{}, fmt.Errorf("allow an origin: %w", err)
		}
	}
	if len(list) > 0 {
		o.share = cors.New(cors.Options{
			AllowedOrigins: list,
			AllowedMethods: []string{http.MethodGet, http.MethodPost},
			AllowedHeaders: []string{"Authorization", "Content-Type"},
			ExposedHeaders: []string{requestIDHeader},
			MaxAge:         600,
		}).Handler
	}
	return o, nil
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
