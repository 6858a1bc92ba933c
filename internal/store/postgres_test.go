package store_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/lib/pq"

	"tidings/internal/store"
	"tidings/internal/testkit"
	"tidings/internal/testkit/pgtest"
	"tidings/internal/testkit/require"
)

const secret = "s3cr3t-p4ss"

// edited is a URL with some of its parts changed.
func edited(t testing.TB, base string, edit func(u *url.URL, q url.Values)) string {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	edit(u, q)
	u.RawQuery = q.Encode()
	return u.String()
}

func TestPostgresRefusals(t *testing.T) {
	base := testkit.Postgres(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	proxied := newProxy(t, base).url
	proxyAt := must[*url.URL](t)(url.Parse(proxied)).Host
	refused := func(dsn, want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		s, err := store.Open(ctx, store.Target{Dialect: dialect.Postgres, DSN: dsn})
		if err == nil {
			_ = s.Close()
			t.Errorf("%s was opened", dsn)
			return
		}
		if got := err.Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") || strings.Contains(got, secret) || strings.Contains(got, "s3cr") {
			t.Errorf("it says %s\nwant    %s", got, want)
		}
	}
	unreadable := "the URL of the Postgres database can't be read"
	refused("postgres://ada:"+secret+"@"+closed+"/tidings?sslmode=disable", "no Postgres answers at "+closed+": connect: connection refused")
	refused("postgres://ada:s3cr#3t-p4ss@localhost/tidings", unreadable)
	refused("postgres://ada:"+secret+"%zz@localhost/tidings", unreadable)
	refused("postgres://ada:"+secret+"@local host/tidings", unreadable)
	refused("postgres://ada:"+secret+"@localhost:port/tidings", unreadable)
	refused("mysql://ada:"+secret+"@localhost/tidings", unreadable)
	refused("postgres://ada:"+secret+"@localhost/tidings?sslmode=perhaps", "the URL of the Postgres database can't be used: pq: ")
	refused(edited(t, proxied, func(u *url.URL, q url.Values) {
		u.Path = "/nowhere"
		u.User = url.UserPassword(u.User.Username(), secret)
	}), `there is no database "nowhere" on Postgres at `+proxyAt)
	refused(edited(t, proxied, func(u *url.URL, q url.Values) { q.Set("sslmode", "require") }), "the Postgres at "+proxyAt+" speaks no TLS: add sslmode=disable")
	refused(edited(t, proxied, func(u *url.URL, q url.Values) { u.User = url.UserPassword("stranger", secret) }), "the Postgres at "+proxyAt+` refuses the user "stranger": `)
	refused(edited(t, base, func(u *url.URL, q url.Values) { q.Set("host", "/no/such/socket") }), "no Postgres answers at /no/such/socket: ")
}

// A cluster of its own, for the rules of who may connect are the cluster's.
func TestPostgresRefusesAPassword(t *testing.T) {
	c, err := pgtest.Start(t.Context())
	if err != nil {
		require.Missing(t, "postgres", err)
	}
	defer c.Stop()
	db := openRaw(t, store.Target{Dialect: dialect.Postgres, DSN: c.URL()})
	db.exec("CREATE ROLE ada LOGIN PASSWORD '" + secret + "'")
	var hba string
	if err := db.QueryRow("SHOW hba_file").Scan(&hba); err != nil {
		t.Fatal(err)
	}
	db.exec("COPY (SELECT 'local all postgres trust' UNION ALL SELECT 'local all all scram-sha-256') TO " + pq.QuoteLiteral(hba))
	db.exec("SELECT pg_reload_conf()")
	as := func(password string) error {
		s, err := store.Open(t.Context(), store.Target{Dialect: dialect.Postgres, DSN: edited(t, c.URL(), func(u *url.URL, q url.Values) { q.Set("user", "ada"); q.Set("password", password) })})
		if err == nil {
			_ = s.Close()
		}
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); as("wrong") == nil || !strings.Contains(as("wrong").Error(), "the password is wrong"); {
		if time.Now().After(deadline) {
			t.Fatalf("with a wrong password it says %v", as("wrong"))
		}
	}
	if got := as("wr0ng").Error(); !strings.HasPrefix(got, "the Postgres at /") || !strings.HasSuffix(got, ` refuses the user "ada": the password is wrong`) || strings.Contains(got, "wr0ng") {
		t.Errorf("it says %s", got)
	}
	if err := as(secret); err == nil || !strings.Contains(err.Error(), "permission denied for schema public") || strings.Contains(err.Error(), "\n") { // since Postgres 15
		t.Errorf("it says %v", err)
	}
	db.exec("GRANT CREATE ON SCHEMA public TO ada")
	if err := as(secret); err != nil {
		t.Error(err)
	}
}

func TestPostgresConnections(t *testing.T) {
	base := testkit.MigratedPostgres(t)
	s := oneConnection(t, edited(t, base, func(u *url.URL, q url.Values) { q.Set("timezone", "Asia/Tokyo") }))
	for query, want := range map[string]string{"SHOW application_name": "tidings", "SHOW timezone": "UTC"} {
		if got := must[string](t)(one[string](t.Context(), s.Client(), query)); got != want {
			t.Errorf("%s: %q", query, got)
		}
	}
	if u := must[*url.URL](t)(url.Parse(s.DSN())); u.Query().Get("application_name") != "tidings" {
		t.Errorf("a listener would be called %q", u.Query().Get("application_name"))
	}
	named := oneConnection(t, edited(t, base, func(u *url.URL, q url.Values) { q.Set("application_name", "tidings-7") }))
	if got := must[string](t)(one[string](t.Context(), named.Client(), "SHOW application_name")); got != "tidings-7" {
		t.Errorf("it is called %q", got)
	}
}

// The server may end a connection that waits in the pool; who comes next must not notice.
func TestPostgresConnectionsAreReplaced(t *testing.T) {
	base := testkit.MigratedPostgres(t)
	s, db := oneConnection(t, base), openRaw(t, store.Target{Dialect: dialect.Postgres, DSN: base})
	for range 3 {
		if got := must[int](t)(one[int](t.Context(), s.Client(), "SELECT $1::int", 7)); got != 7 {
			t.Errorf("got %d", got)
		}
		db.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
