package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"

	"tidings/internal/gid"
)

var (
	key1  = []byte("0123456789abcdef0123456789abcdef")
	key2  = []byte("fedcba9876543210fedcba9876543210")
	start = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
)

func tokens(t testing.TB, now time.Time, secrets ...[]byte) *Tokens {
	t.Helper()
	tk, err := NewTokens(secrets, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	return tk
}

// forge signs any header and claims, by hand: what comes of it is what a
// token says, not what a library would write.
func forge(secret []byte, header, claims any) string {
	return forgeWith(sha256.New, secret, header, claims)
}

func forgeWith(hash func() hash.Hash, secret []byte, header, claims any) string {
	part := func(v any) string {
		if s, ok := v.(string); ok {
			return base64.RawURLEncoding.EncodeToString([]byte(s))
		}
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(header) + "." + part(claims)
	mac := hmac.New(hash, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestTokenRoundTrip(t *testing.T) {
	user, session := gid.NewUser(), gid.NewSession()
	tk := tokens(t, start, key1)
	token, expires, err := tk.Issue(user, session)
	if err != nil {
		t.Fatal(err)
	}
	if want := start.Add(15 * time.Minute).Truncate(time.Second); !expires.Equal(want) {
		t.Errorf("expires %s, want %s", expires, want)
	}
	v, err := tk.Verify(token)
	if err != nil || v.User != user || v.Session != session || v.Admin || !v.Expires.Equal(expires) {
		t.Errorf("%+v, %v", v, err)
	}
	if len(token) > 600 {
		t.Errorf("%d bytes long", len(token))
	}

	var claims map[string]any
	payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"iss": "tidings", "aud": []any{"tidings"}, "sub": user.String(), "sid": session.String(), "typ": "access",
		"iat": float64(start.Unix()), "exp": float64(start.Unix() + 900),
	}
	if fmt.Sprint(claims) != fmt.Sprint(want) {
		t.Errorf("claims %v, want %v", claims, want)
	}

	for after, good := range map[time.Duration]bool{0: true, 15*time.Minute - time.Second: true, 15 * time.Minute: false, 24 * time.Hour: false} {
		if _, err := tokens(t, start.Add(after), key1).Verify(token); (err == nil) != good {
			t.Errorf("after %s: %v", after, err)
		}
	}
}

// TestSecretsReplaced goes through the replacement of a secret.
func TestSecretsReplaced(t *testing.T) {
	before, during, after := tokens(t, start, key1), tokens(t, start, key2, key1), tokens(t, start, key2)
	old, _, _ := before.Issue(gid.NewUser(), gid.NewSession())
	made, _, _ := during.Issue(gid.NewUser(), gid.NewSession())
	for _, c := range []struct {
		by    *Tokens
		token string
		good  bool
	}{{before, old, true}, {during, old, true}, {after, old, false}, {before, made, false}, {during, made, true}, {after, made, true}} {
		if _, err := c.by.Verify(c.token); (err == nil) != c.good {
			t.Errorf("%v, want good: %t", err, c.good)
		}
	}
}

func TestSecretsRefused(t *testing.T) {
	for _, secrets := range [][][]byte{nil, {}, {nil}, {key1[:31]}, {key1, key2[:31]}} {
		if tk, err := NewTokens(secrets, time.Now); err == nil || tk != nil {
			t.Errorf("%q are taken", secrets)
		}
	}
}

type object = map[string]any

func goodHeader() object {
	return object{"alg": "HS256", "typ": "JWT", "kid": keyID(key1)}
}

func goodClaims() object {
	return object{
		"iss": "tidings", "aud": []string{"tidings"}, "sub": gid.NewUser().String(), "sid": gid.NewSession().String(), "typ": "access",
		"iat": start.Unix(), "exp": start.Add(time.Minute).Unix(),
	}
}

// garbage is tokens for TestTokensRefused and to begin fuzzing with.
func garbage() map[string]string {
	with := func(o object, key string, value any) object {
		if value == nil {
			delete(o, key)
		} else {
			o[key] = value
		}
		return o
	}
	claim := func(key string, value any) string { return forge(key1, goodHeader(), with(goodClaims(), key, value)) }
	header := func(key string, value any) string { return forge(key1, with(goodHeader(), key, value), goodClaims()) }
	good := forge(key1, goodHeader(), goodClaims())
	parts := strings.Split(good, ".")
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	signature[0] ^= 1

	return map[string]string{
		"empty":             "",
		"dots":              "..",
		"many dots":         strings.Repeat(".", MaxToken),
		"two parts":         parts[0] + "." + parts[1],
		"four parts":        good + ".",
		"no base64":         "!." + parts[1] + "." + parts[2],
		"padding":           good + "=",
		"space":             good + " ",
		"NUL":               "\x00" + good,
		"line break":        good[:len(good)-1] + "\n" + good[len(good)-1:],
		"spare bits":        good[:len(good)-1] + string(spareBit(good[len(good)-1])),
		"no signature":      parts[0] + "." + parts[1] + ".",
		"another signature": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(signature),
		"half a signature":  parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(signature[:16]),
		"another secret":    forge(key2, goodHeader(), goodClaims()),
		"empty secret":      forge(nil, goodHeader(), goodClaims()),
		"too long":          forge(key1, goodHeader(), with(goodClaims(), "pad", strings.Repeat("a", MaxToken))),

		"header not JSON": forge(key1, "{", goodClaims()),
		"header null":     forge(key1, "null", goodClaims()),
		"header list":     forge(key1, "[]", goodClaims()),
		"alg missing":     header("alg", nil),
		"alg none":        header("alg", "none"),
		"alg None":        header("alg", "None"),
		"alg HS512":       header("alg", "HS512"),
		"HS512 all right": forgeWith(sha512.New, key1, with(goodHeader(), "alg", "HS512"), goodClaims()),
		"alg HS384":       header("alg", "HS384"),
		"alg RS256":       header("alg", "RS256"),
		"alg a number":    header("alg", 256),
		"kid missing":     header("kid", nil),
		"kid unknown":     header("kid", keyID(key2)),
		"kid a list":      header("kid", []string{keyID(key1)}),

		"claims not JSON": forge(key1, goodHeader(), "{"),
		"claims null":     forge(key1, goodHeader(), "null"),
		"claims a list":   forge(key1, goodHeader(), "[]"),
		"claims a number": forge(key1, goodHeader(), "1"),
		"exp missing":     claim("exp", nil),
		"exp zero":        claim("exp", 0),
		"exp now":         claim("exp", start.Unix()),
		"exp text":        claim("exp", "tomorrow"),
		"iat missing":     claim("iat", nil),
		"iat text":        claim("iat", "today"),
		"nbf tomorrow":    claim("nbf", start.Add(24*time.Hour).Unix()),
		"iss missing":     claim("iss", nil),
		"iss another":     claim("iss", "rumours"),
		"aud missing":     claim("aud", nil),
		"aud empty":       claim("aud", []string{}),
		"aud another":     claim("aud", "rumours"),
		"typ missing":     claim("typ", nil),
		"typ another":     claim("typ", "refresh"),
		"typ in capitals": claim("typ", "ACCESS"),
		"sub missing":     claim("sub", nil),
		"sub a post":      claim("sub", gid.NewPost().String()),
		"sub a session":   claim("sub", gid.NewSession().String()),
		"sub zero":        claim("sub", gid.User{}.String()),
		"sub a number":    claim("sub", 1),
		"sid missing":     claim("sid", nil),
		"sid a user":      claim("sid", gid.NewUser().String()),
		"sid zero":        claim("sid", gid.Session{}.String()),
	}
}

// spareBit returns another spelling of the last letter of 32 bytes in base64:
// its two lowest bits mean nothing.
func spareBit(c byte) byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return letters[strings.IndexByte(letters, c)|1]
}

func TestTokensRefused(t *testing.T) {
	tk := tokens(t, start, key1)
	if _, err := tk.Verify(forge(key1, goodHeader(), goodClaims())); err != nil {
		t.Fatalf("what the others are made of is refused itself: %v", err)
	}
	for name, token := range garbage() {
		v, err := tk.Verify(token)
		if !errors.Is(err, ErrToken) || v != (Viewer{}) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error repeats the token", name)
		}
	}
	// No role is taken from a token.
	if v, err := tk.Verify(forge(key1, goodHeader(), object{
		"iss": "tidings", "aud": "tidings", "sub": gid.NewUser().String(), "sid": gid.NewSession().String(), "typ": "access",
		"iat": start.Unix(), "exp": start.Add(time.Minute).Unix(), "adm": true, "Admin": true, "role": "ADMIN",
	})); err != nil || v.Admin {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestLongTokensCostNothing(t *testing.T) {
	tk := tokens(t, start, key1)
	long := strings.Repeat("a", 1<<20)
	if n := testing.AllocsPerRun(10, func() { _, _ = tk.Verify(long) }); n > 10 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzVerify(f *testing.F) {
	for _, token := range garbage() {
		f.Add(token)
	}
	tk := tokens(f, start, key1)
	f.Fuzz(func(t *testing.T, token string) {
		if v, err := tk.Verify(token); err == nil || !errors.Is(err, ErrToken) {
			t.Errorf("%q is %+v", token, v) // nobody here can sign
		}
	})
}

func TestBearerToken(t *testing.T) {
	const good, none, bad = "good", "none", "bad"
	for header, want := range map[string]string{
		"":                       none,
		"  \t":                   none,
		"Bearer abc.DEF-_~+/1==": good,
		"bearer abc":             good,
		"BEARER   abc  ":         good,
		"Bearer":                 bad,
		"Bearer ":                bad,
		"Bearer =":               bad,
		"Bearer a b":             bad,
		"Bearer a=b":             bad,
		"Bearer a,b":             bad,
		"Bearer a\x00":           bad,
		"Bearer ä":               bad,
		"Bearer\tabc":            bad,
		"abc":                    bad,
		"Basic abc":              bad,
		"Bearerabc":              bad,
	} {
		token, ok, err := BearerToken(header)
		got := bad
		switch {
		case ok && err == nil && token != "":
			got = good
		case !ok && err == nil && token == "":
			got = none
		case ok || !errors.Is(err, ErrBearer) || token != "":
			t.Errorf("%q: %q, %t, %v", header, token, ok, err)
		}
		if got != want {
			t.Errorf("%q is %s, want %s", header, got, want)
		}
	}
	if token, _, _ := BearerToken("  Bearer   abc== "); token != "abc==" {
		t.Errorf("token %q", token)
	}
}

func TestRefreshToken(t *testing.T) {
	token, hash := NewRefreshToken()
	other, _ := NewRefreshToken()
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "tidings_rt_"))
	if !strings.HasPrefix(token, "tidings_rt_") || err != nil || len(raw) != 32 || token == other {
		t.Errorf("%s, %v", token, err)
	}
	sum := sha256.Sum256([]byte(token))
	if !bytes.Equal(hash, sum[:]) || !bytes.Equal(HashRefreshToken(token), hash) || bytes.Equal(HashRefreshToken(other), hash) {
		t.Errorf("hash %x", hash)
	}
}
