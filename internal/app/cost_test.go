package app_test

import (
	"net/http"
	"strings"
	"testing"

	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/leak"
)

// TestCostIsLimited holds that the limits of the configuration reach the server, and that they are the defaults if
// nothing is said.
func TestCostIsLimited(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		cfg := testkit.Config(d)
		cfg.Limits.Cost, cfg.Production = 30, true
		n := testkit.StartWith(t, cfg)
		refused := func(query string, variables map[string]any, code, reason string, cost float64) {
			t.Helper()
			r, err := n.Post("", query, variables)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Errors) != 1 || r.Errors[0].Extensions["code"] != code || reason != "" && (r.Errors[0].Extensions["reason"] != reason || r.Errors[0].Extensions["cost"] != cost) {
				t.Errorf("%s: %+v", query, r)
			}
		}
		const page = `query($n: Int) { posts(first: $n) { nodes { id comments(first: 1) { nodes { id } } } } }`
		n.Must("", page, map[string]any{"n": 5})
		refused(page, map[string]any{"n": 50}, "QUERY_TOO_COMPLEX", "COST", 161)
		n.Must("", page, map[string]any{"n": 5})
		refused(`{ `+strings.Repeat("viewer { ", 16)+`id`+strings.Repeat(" }", 17), nil, "QUERY_TOO_COMPLEX", "", 0)
		refused(`{ __schema { queryType { name } } }`, nil, "GRAPHQL_VALIDATION_FAILED", "", 0)
		refused(`{ psts { totalCount } }`, nil, "GRAPHQL_VALIDATION_FAILED", "", 0)
		for _, path := range []string{"/", "/schema.graphql"} {
			resp, err := leak.Client(t).Get(n.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", path, resp.Status)
			}
		}
	})
}
