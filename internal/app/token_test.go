package app_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"tidings/internal/gid"
	"tidings/internal/testkit"
	"tidings/internal/testkit/leak"
)

// key is what the tests' servers sign with (testkit.Config), and kid its id.
var (
	key = []byte(strings.Repeat("test", 8))
	kid = func() string { sum := sha256.Sum256(key); return hex.EncodeToString(sum[:8]) }()
)

type part = map[string]any

func encoded(p any) string {
	b, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func signed(h func() hash.Hash, key []byte, header, claims any) string {
	text := encoded(header) + "." + encoded(claims)
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// forger makes tokens that are nearly good: from the claims of a good one.
type forger struct {
	claims part
	good   string
}

func newForger(t *testing.T, good string) forger {
	t.Helper()
	f := forger{good: good}
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(good, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &f.claims); err != nil {
		t.Fatal(err)
	}
	return f
}

// with is a token with other parts, signed as the server does. nil takes a part away.
func (f forger) with(header, claims part) string {
	return signed(sha256.New, key, changed(part{"alg": "HS256", "typ": "JWT", "kid": kid}, header), changed(f.claims, claims))
}

func changed(p, changes part) part {
	p = maps.Clone(p)
	for name, value := range changes {
		if p[name] = value; value == nil {
			delete(p, name)
		}
	}
	return p
}

// attacks are tokens that must not be taken.
func (f forger) attacks(t *testing.T, refresh string) map[string]string {
	t.Helper()
	pieces := strings.Split(f.good, ".")
	now := time.Now()
	bad := map[string]string{
		"another token":           refresh,
		"one megabyte of dots":    strings.Repeat(".", 1<<20),
		"as much of letters":      strings.Repeat("a", 1<<20),
		"dots that are looked at": strings.Repeat(".", 4<<10),
		"two dots":                "..",
		"no signature":            pieces[0] + "." + pieces[1] + ".",
		"two parts":               pieces[0] + "." + pieces[1],
		"four parts":              f.good + "." + pieces[2],
		"half a signature":        f.good[:len(f.good)-20],
		"another's signature":     pieces[0] + "." + pieces[1] + "." + strings.Split(f.with(nil, part{"iat": 1}), ".")[2],
		"padded":                  f.good + "=",
		"edited sub":              pieces[0] + "." + encoded(changed(f.claims, part{"sub": gid.NewUser().String()})) + "." + pieces[2],
		"edited exp":              pieces[0] + "." + encoded(changed(f.claims, part{"exp": now.Add(time.Hour).Unix()})) + "." + pieces[2],
		"a role":                  pieces[0] + "." + encoded(changed(f.claims, part{"role": "ADMIN"})) + "." + pieces[2],
		"HS512":                   signed(sha512.New, key, part{"alg": "HS512", "kid": kid}, f.claims),
		"HS384":                   signed(sha512.New384, key, part{"alg": "HS384", "kid": kid}, f.claims),
		"another key":             signed(sha256.New, []byte(strings.Repeat("evil", 8)), part{"alg": "HS256", "kid": kid}, f.claims),
		"an empty key":            signed(sha256.New, nil, part{"alg": "HS256", "kid": "../../../../dev/null"}, f.claims),
		"expired":                 f.with(nil, part{"exp": now.Add(-time.Second).Unix()}),
		"expired at the start":    f.with(nil, part{"exp": 0}),
		"not yet valid":           f.with(nil, part{"nbf": now.Add(time.Hour).Unix()}),
		"deep header":             signed(sha256.New, []byte("x"), part{"alg": "HS256", "kid": kid, "x": json.RawMessage(strings.Repeat("[", 900) + strings.Repeat("]", 900))}, f.claims),
		"claims are a list":       signed(sha256.New, key, part{"alg": "HS256", "kid": kid}, []any{f.claims}),
		"claims are null":         signed(sha256.New, key, part{"alg": "HS256", "kid": kid}, nil),
		"header is a string":      signed(sha256.New, key, "HS256", f.claims),
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		bad["alg "+alg] = encoded(part{"alg": alg, "kid": kid}) + "." + pieces[1] + "."
		bad["signed, alg "+alg] = f.with(part{"alg": alg}, nil)
	}
	for _, alg := range []any{"RS256", "RS512", "ES256", "ES384", "PS256", "EdDSA", "HS512", "hs256", "HS256 ", 256, []string{"HS256"}, nil} {
		bad[fmt.Sprint("labelled ", alg)] = f.with(part{"alg": alg}, nil)
	}
	for _, k := range []any{"unknown", "", kid[:8], kid + "0", strings.ToUpper(kid) + "x", "../../../../dev/null", "/etc/passwd", "' OR '1'='1", "x' UNION SELECT 'evil' --", "http://localhost/key", "\x00", 1, []string{kid}, nil} {
		bad[fmt.Sprintf("kid %v", k)] = f.with(part{"kid": k}, nil)
	}
	for name, value := range map[string]any{
		"iss": "somebody else", "aud": "another service", "typ": "refresh", "sub": gid.NewPost().String(), "sid": gid.NewUser().String(),
		"exp": "tomorrow", "iat": "yesterday",
	} {
		bad["no "+name] = f.with(nil, part{name: nil})
		bad["null as "+name] = f.with(nil, part{name: json.RawMessage("null")})
		bad["another "+name] = f.with(nil, part{name: value})
		bad["empty "+name] = f.with(nil, part{name: ""})
	}
	bad["list of other audiences"] = f.with(nil, part{"aud": []string{"a", "b"}})
	bad["nobody"] = f.with(nil, part{"sub": gid.User{}.String()})
	bad["no session"] = f.with(nil, part{"sid": gid.Session{}.String()})

	// A key of the attacker's own, as the header would have it.
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	forged := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(f.claims))
	forged.Header["kid"] = kid
	forged.Header["jwk"] = part{"kty": "RSA", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(own.N.Bytes())}
	forged.Header["jku"] = "http://localhost/keys"
	if bad["a key in the header"], err = forged.SignedString(own); err != nil {
		t.Fatal(err)
	}
	return bad
}

const who = `{ viewer { username } }`

// presenting sends a query with an Authorization header, and gives the response with all that depends on nothing but it.
func presenting(t *testing.T, n *testkit.Node, authorization, accept, document string) string {
	t.Helper()
	body, err := json.Marshal(part{"query": document})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", n.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", accept)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, b, err := n.Send(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Date")
	resp.Header.Del("X-Request-Id")
	for name := range resp.Header {
		if strings.HasPrefix(name, "Ratelimit") { // what is left, and of that there is less each time
			resp.Header.Del(name)
		}
	}
	return fmt.Sprint(resp.Status, " ", resp.Header, " ", string(b))
}

// No token but a good one is taken, and all others are refused in the same way, so that a refusal tells nothing.
func TestTokensThatAreRefused(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		n.SignUp("ada")
		session := n.Must("", `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken refreshToken } }`, nil)
		f := newForger(t, session.Text("logIn", "accessToken"))

		// The forger's tokens are good until something is wrong with them.
		for name, token := range map[string]string{
			"as issued": f.good, "as forged": f.with(nil, nil), "without typ": f.with(part{"typ": nil}, nil), "with more": f.with(nil, part{"role": "ADMIN"}),
			"one audience of two": f.with(nil, part{"aud": []string{"tidings", "b"}}),
		} {
			if got := n.Must(token, who, nil).Text("viewer", "username"); got != "ada" {
				t.Errorf("%s: the viewer is %q", name, got)
			}
		}
		// Without one the viewer is nobody.
		if r := n.Must("", who, nil); r.Data["viewer"] != nil {
			t.Errorf("without a token: %v", r.Data)
		}

		const modern, old = "application/graphql-response+json", "application/json"
		attacks := f.attacks(t, session.Text("logIn", "refreshToken"))
		first := map[string]string{}
		for name, token := range attacks {
			for _, accept := range []string{modern, old} {
				got := presenting(t, n, "Bearer "+token, accept, who)
				if first[accept] == "" {
					first[accept] = got
					if !strings.HasPrefix(got, "401 ") || !strings.Contains(got, `"code":"UNAUTHENTICATED"`) || strings.Contains(got, `"data"`) {
						t.Errorf("%s: %s", name, got)
					}
				}
				if got != first[accept] {
					t.Errorf("%s is told from the others:\n%s\n%s", name, got, first[accept])
				}
			}
		}

		// What is no bearer token at all is refused with the same code and status.
		for _, header := range []string{"Bearer", "Basic YWRhOnNlc2FtZQ==", f.good, "Bearer a b", "Bearer " + f.good + ",x", `Bearer "` + f.good + `"`, "Bearer é"} {
			if got := presenting(t, n, header, modern, who); !strings.HasPrefix(got, "401 ") || !strings.Contains(got, `"code":"UNAUTHENTICATED"`) {
				t.Errorf("%q: %s", header, got)
			}
		}
		// Who presents a bad token is not taken for anonymous: nothing of the operation runs.
		presenting(t, n, "Bearer "+attacks["another key"], modern, `mutation { createUser(input: {username: "eve", email: "eve@example.org", fullName: "Eve", password: "Sesame-123"}) { id } }`)
		if r := n.Must("", `{ user(username: "eve") { id } }`, nil); r.Data["user"] != nil {
			t.Error("an operation with a bad token has run")
		}
	})
}

// The same tokens over a socket, by each way in which one can come: the socket is closed with 4403, and no word said.
func TestTokensThatAreRefusedOverSockets(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		n.SignUp("ada")
		session := n.Must("", `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken refreshToken } }`, nil)
		f := newForger(t, session.Text("logIn", "accessToken"))

		ways := map[string]func(token string) (header http.Header, payload any){
			"payload":      func(token string) (http.Header, any) { return nil, part{"authorization": "Bearer " + token} },
			"bare payload": func(token string) (http.Header, any) { return nil, part{"Authorization": token} },
			"headers in it": func(token string) (http.Header, any) {
				return nil, part{"headers": part{"Authorization": "Bearer " + token}}
			},
			"upgrade": func(token string) (http.Header, any) { return http.Header{"Authorization": {"Bearer " + token}}, nil },
			"payload decides": func(token string) (http.Header, any) {
				return http.Header{"Authorization": {"Bearer " + f.good}}, part{"authorization": "Bearer " + token}
			},
		}
		for name, way := range ways {
			if got := overSocket(t, n, way, f.good); got != "ada" {
				t.Errorf("a good token by %s: %s", name, got)
			}
		}
		for name, token := range f.attacks(t, session.Text("logIn", "refreshToken")) {
			for way, show := range ways {
				want := "closed: 4403 Forbidden"
				if len(token) > 256<<10 && way != "upgrade" {
					want = "closed: 1009 The message is too large"
				}
				if got := overSocket(t, n, show, token); got != want {
					t.Errorf("%s by %s: %s, want %s", name, way, got, want)
				}
			}
		}
		// A message as large as one may be.
		if got := overSocket(t, n, ways["payload"], strings.Repeat(".", 255<<10)); got != "closed: 4403 Forbidden" {
			t.Error(got)
		}
		// An operation before anybody has been let in.
		s := n.Dial()
		s.Subscribe("1", who, nil)
		if code, reason := s.Closed(); code != 4401 || reason != "Unauthorized" {
			t.Errorf("%d %s", code, reason)
		}
		// And nobody is somebody.
		s = n.Open("")
		s.Subscribe("1", who, nil)
		if r := s.Next(); r.Data["viewer"] != nil {
			t.Error(r.Data)
		}
	})
}

// overSocket is who the viewer is on a socket that is opened with a token, or how it was closed.
func overSocket(t *testing.T, n *testkit.Node, way func(string) (http.Header, any), token string) string {
	t.Helper()
	header, payload := way(token)
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: testkit.Wait}
	ws, _, err := dialer.Dial("ws"+strings.TrimPrefix(n.URL, "http")+"/graphql", header)
	if err != nil {
		return "not opened: " + err.Error()
	}
	defer ws.Close()
	hello := part{"type": "connection_init"}
	if payload != nil {
		hello["payload"] = payload
	}
	if err := ws.WriteJSON(hello); err != nil {
		t.Fatal(err)
	}
	for {
		_ = ws.SetReadDeadline(time.Now().Add(testkit.Wait))
		_, text, err := ws.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			leak.Closed(t, closed.Text)
			return fmt.Sprint("closed: ", closed.Code, " ", closed.Text)
		}
		if err != nil {
			t.Fatal(err)
		}
		leak.Message(t, text)
		var m struct {
			Type    string
			Payload testkit.Response
		}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		switch m.Type {
		case "connection_ack":
			if err := ws.WriteJSON(part{"id": "1", "type": "subscribe", "payload": part{"query": who}}); err != nil {
				t.Fatal(err)
			}
		case "next":
			return m.Payload.Text("viewer", "username")
		}
	}
}
