package app_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// Listening goes by the URL that is given for it, and nothing else does; without one, by that of the database.
func TestListeningElsewhere(t *testing.T) {
	url := testkit.Postgres(t)
	named := func(name string) config.Database {
		return config.Database{Dialect: config.Postgres, URL: url + "&application_name=" + name}
	}
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	first, second := testkit.Config(named("pooled")), testkit.Config(named("alone"))
	first.Listen = named("direct")
	a, b := testkit.StartWith(t, first), testkit.StartWith(t, second)
	a.CreatePost(a.SignUp("ada"), "A post")
	for name, want := range map[string]int{"direct": 1, "pooled": 0, "alone": 1} {
		testkit.Eventually(t, func() error {
			var listening, others int
			err := db.QueryRow(`SELECT count(*) FILTER (WHERE query LIKE 'LISTEN%'), count(*) FILTER (WHERE query NOT LIKE 'LISTEN%')
				FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`, name).Scan(&listening, &others)
			if err == nil && (listening != want || name == "direct" && others > 0) {
				err = errors.New(name + " is not used as it should be")
			}
			return err
		})
	}
	woken(t, a, b)
	woken(t, b, a)
	if log := a.Log.String() + b.Log.String(); strings.Contains(log, "not listening") {
		t.Error(log)
	}
}

// woken tells that posts made at one node are heard of at another.
func woken(t *testing.T, from, at *testkit.Node) (slowest time.Duration) {
	t.Helper()
	ada := from.Must("", `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken } }`, nil).Text("logIn", "accessToken")
	s := at.Subscribe("", posts, map[string]any{"after": from.Must("", `{ liveCursor }`, nil).Text("liveCursor")})
	defer s.Close()
	for range 5 {
		begin := time.Now()
		from.CreatePost(ada, "News")
		if got := s.Next().Text("postCreated", "title"); got != "News" {
			t.Fatal(got)
		}
		slowest = max(slowest, time.Since(begin))
	}
	return slowest
}

// Where nobody can be listened to, ever, events are found by looking.
func TestListeningToNobody(t *testing.T) {
	cfg := testkit.Config(config.Database{Dialect: config.Postgres, URL: testkit.Postgres(t)})
	cfg.Listen = config.Database{Dialect: config.Postgres, URL: "postgres://u:hunter2@127.0.0.1:1/none?sslmode=disable"}
	a, b := testkit.StartWith(t, cfg), testkit.StartWith(t, cfg)
	a.SignUp("ada")
	for _, slowest := range []time.Duration{woken(t, a, b), woken(t, b, a)} {
		if slowest > 5*time.Second { // it is 250 ms and what the machine needs
			t.Errorf("a post took %s to the other node", slowest)
		}
	}
	for _, n := range []*testkit.Node{a, b} {
		if log := n.Log.String(); !strings.Contains(log, "new events are found by polling") || strings.Contains(log, "hunter2") {
			t.Error(log)
		}
	}
}
