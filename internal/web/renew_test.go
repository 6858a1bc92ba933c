package web_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/testkit/leak"
)

// tokenFor returns an access token that is good for a time, or was until a time ago.
func (w *world) tokenFor(user gid.User, session gid.Session, good time.Duration) (token string, expires time.Time) {
	w.t.Helper()
	tokens, err := auth.NewTokens([][]byte{bytes.Repeat([]byte("s"), auth.MinSecret)},
		func() time.Time { return time.Now().Add(good - auth.TokenLifetime) })
	if err != nil {
		w.t.Fatal(err)
	}
	token, expires, err = tokens.Issue(user, session)
	if err != nil {
		w.t.Fatal(err)
	}
	return token, expires
}

// TestRenewal: a fresh token in a ping keeps a socket open beyond the first one, with all that runs on it; one without is
// closed meanwhile.
func TestRenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, session := gid.NewUser(), gid.NewSession()
	brief, expires := w.tokenFor(user, session, 3*time.Second)
	fresh, _ := w.tokenFor(user, session, time.Minute)
	briefer, _ := w.tokenFor(user, session, 2*time.Second)
	var renewed []*client
	for _, ping := range []string{
		`{"type":"ping","payload":{"authorization":"Bearer ` + fresh + `"}}`,
		`{"type":"ping","payload":{"AUTHORIZATION":"` + fresh + `","more":1}}`,
		`{"type":"ping","payload":{"headers":{"Authorization":"bearer ` + fresh + `"}}}`,
	} {
		c := w.open(`{"authorization":"` + brief + `"}`)
		c.send(ping)
		c.expect(`{"type":"pong"}`)
		renewed = append(renewed, c)
	}
	late := w.open("", "Authorization", "Bearer "+brief)
	late.send(`{"type":"ping","payload":{"authorization":"` + fresh + `"}}`)
	late.expect(`{"type":"pong"}`)
	late.send(`{"type":"ping","payload":{"authorization":"` + briefer + `"}}`) // comes late, and takes nothing away
	late.expect(`{"type":"pong"}`)
	renewed = append(renewed, late)
	token, _ := w.tokenFor(user, gid.NewSession(), 3*time.Second)
	left := w.open(`{"authorization":"` + token + `"}`)
	left.send(`{"type":"ping","payload":{"authorization":null,"headers":{"authorization":""}}}`) // is no token
	left.expect(`{"type":"pong","payload":{"authorization":null,"headers":{"authorization":""}}}`)

	const deed = `mutation { first: wait(key: "g") second: post(text: "hidden") { text } }`
	g := w.gate("g")
	for _, c := range renewed {
		c.subscribe("own", `subscription { posted(after: "`+w.log.cursor(0)+`") { viewer } }`, "")
		c.subscribe("shared", `subscription { posted(after: "`+w.log.cursor(0)+`") { public } }`, "")
		c.subscribe("deed", deed, "")
		within(t, g.entered, "the mutation to run")
	}
	left.subscribe("own", `subscription { posted { viewer } }`, "")
	left.expectClose(4403, "The access token has expired")
	if time.Now().Before(expires) {
		t.Error("closed before the token expired")
	}
	close(g.open)
	for _, c := range renewed { // what began with the old token, and what begins now
		c.expect(`{"id":"deed","type":"next","payload":{"data":{"first":"g","second":{"text":"hidden"}}}}`, `{"id":"deed","type":"complete"}`)
		c.subscribe("q", `{ viewer }`, "")
		c.expect(fmt.Sprintf(`{"id":"q","type":"next","payload":{"data":{"viewer":"%s"}}}`, user), `{"id":"q","type":"complete"}`)
	}
	w.lasts.Store(true)
	w.over.Store(true)
	w.log.post(user, "hidden") // ends everyone's group, and theirs begins
	w.log.post(user, "to both")
	for _, c := range renewed {
		for range 2 {
			if got := c.next(); !strings.Contains(got, `"to both"`) && !strings.Contains(got, user.String()) {
				t.Error(got)
			}
		}
	}
	if strings.Contains(w.lines.String(), fresh[:40]) {
		t.Error("a token stands in the log")
	}
	w.mu.Lock()
	ended := w.watch[session]
	w.ended[session] = true
	w.mu.Unlock()
	ended() // of the one that came last; the end of a session is the end all the same
	late.subscribe("q", "{ viewer }", "")
	late.expectClose(4403, "The session has ended")
}

// TestRenewalForALittle: the new token's expiry counts as the first one's did.
func TestRenewalForALittle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, session := gid.NewUser(), gid.NewSession()
	first, _ := w.tokenFor(user, session, 2*time.Second)
	second, expires := w.tokenFor(user, session, 4*time.Second)
	c := w.open(`{"authorization":"` + first + `"}`)
	c.send(`{"type":"ping","payload":{"authorization":"` + second + `"}}`)
	c.expect(`{"type":"pong"}`)
	c.expectClose(4403, "The access token has expired")
	if time.Now().Before(expires) {
		t.Error("closed before the new token expired")
	}
}

// TestRenewalRefused: whoever shows a token that is not one of the socket's session has to open another socket.
func TestRenewalRefused(t *testing.T) {
	w := newWorld(t)
	user, session := gid.NewUser(), gid.NewSession()
	good, _ := w.tokenFor(user, session, time.Minute)
	expired, _ := w.tokenFor(user, session, -time.Second)
	elsewhere, _ := w.tokenFor(user, gid.NewSession(), time.Minute)
	stranger, _ := w.token()
	over, overSession := "", gid.NewSession()
	over, _ = w.tokenFor(user, overSession, time.Minute)
	w.ended[overSession] = true
	const other = "The token is not of this socket's session"
	for name, c := range map[string]struct{ init, authorization, reason string }{
		"nonsense":             {good, `"Bearer nonsense"`, "Forbidden"},
		"another scheme":       {good, `"Basic YTpi"`, "Forbidden"},
		"expired":              {good, `"` + expired + `"`, "Forbidden"},
		"a session that ended": {good, `"` + over + `"`, "Forbidden"},
		"a number":             {good, `7`, "Forbidden"},
		"two":                  {good, `"` + good + `","Authorization":"` + elsewhere + `"`, "Forbidden"},
		"another log-in":       {good, `"` + elsewhere + `"`, other},
		"another user":         {good, `"` + stranger + `"`, other},
		"nobody's socket":      {"", `"` + good + `"`, other},
	} {
		t.Run(name, func(t *testing.T) {
			s := w.open(`{"authorization":"` + c.init + `"}`)
			s.subscribe("1", "subscription { posted { id } }", "")
			s.send(`{"type":"ping","payload":{"authorization":` + c.authorization + `}}`)
			s.expectClose(4403, c.reason)
		})
	}
	s := w.dial() // where nobody has been let in
	s.send(`{"type":"ping","payload":{"authorization":"` + good + `"}}`)
	s.expect(`{"type":"pong"}`)
	s.send(`{"type":"connection_init"}`)
	s.expect(`{"type":"connection_ack"}`)
	s.subscribe("1", "{ viewer }", "")
	s.expect(`{"id":"1","type":"next","payload":{"data":{"viewer":null}}}`)
	s = w.open("")
	long := `{"a":"` + strings.Repeat("x", 16<<10) + `","authorization":"nonsense"}` // is not looked through
	s.send(`{"type":"ping","payload":` + long + `}`)
	s.expect(`{"type":"pong","payload":` + long + `}`)
	s.send(`{"type":"pong","payload":{"authorization":"nonsense"}}`) // asks for nothing
	s.quiet()
}

// TestGraphQLWSRenews: the client of graphql-ws keeps its socket by sending a fresh token, and where it only has one for
// the next connection it is closed with 4403, comes back and misses nothing.
func TestGraphQLWSRenews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	user, session := gid.NewUser(), gid.NewSession()
	cmd := node(t, "renew.mjs", "ws://"+strings.TrimPrefix(leak.Proxy(t, w.http.URL), "http://")+"/graphql")
	in, said, stderr := talk(t, cmd)
	expect := func(want string) {
		t.Helper()
		if !said.Scan() || said.Text() != want {
			t.Fatalf("it said %s, want %s: %v %s", said.Text(), want, said.Err(), stderr.String())
		}
	}
	tell := func(line string) {
		t.Helper()
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	expect(`{"ready":true}`)
	first, _ := w.tokenFor(user, session, 4*time.Second)
	second, expires := w.tokenFor(user, session, 6*time.Second)
	third, _ := w.tokenFor(user, session, time.Minute)
	tell("token " + first)
	expect(`{"connected":true}`)
	// Connected is not yet subscribed.
	eventually(t, "a post to arrive", func() bool { w.log.post(user, "there?"); return w.loads.Load() > 0 })
	w.log.post(user, "last")
	for said.Scan() && said.Text() != `{"next":"last"}` {
	}
	tell("renew " + second)
	expect(`{"pong":true}`)
	tell("token " + third)
	expect(`{"closed":4403,"reason":"The access token has expired"}`)
	if time.Now().Before(expires) {
		t.Error("closed before the second token expired")
	}
	w.log.post(user, "missed")
	expect(`{"connected":true}`)
	expect(`{"next":"missed"}`)
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	expect(`{"closed":1000,"reason":""}`)
	expect(`{"complete":true}`)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
}
