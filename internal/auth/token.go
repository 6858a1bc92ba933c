package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tidings/internal/gid"
)

const (
	// TokenLifetime is how long an access token is good.
	TokenLifetime = 15 * time.Minute
	// MaxToken is the length of the longest access token that is looked at, in
	// bytes. Ours take about 500.
	MaxToken = 4 << 10
	// MinSecret is the least length of a secret in bytes: that of the hash
	// (RFC 7518, section 3.2).
	MinSecret = 32

	issuer   = "tidings"
	audience = "tidings"
	access   = "access"
)

// sentence is an error whose text is a whole sentence, for clients to see.
type sentence string

func (s sentence) Error() string { return string(s) }

const (
	// ErrToken says that an access token is not good. Why it is not is wrapped
	// beside it, for the log: clients get ErrToken.Error() alone.
	ErrToken = sentence("The access token is not valid or has expired.")
	// ErrBearer says that an Authorization header holds something other than a
	// bearer token.
	ErrBearer = sentence(`The authorization takes the form "Bearer <token>".`)
)

// claims are those of an access token: RFC 7519's, and two of ours.
type claims struct {
	jwt.RegisteredClaims
	Session string `json:"sid"`
	Type    string `json:"typ"`
}

// Validate implements jwt.ClaimsValidator with what jwt's options leave open.
func (c *claims) Validate() error {
	switch {
	case c.IssuedAt == nil:
		return errors.New("no iat claim")
	case c.Type != access:
		return errors.New("typ claim is not " + access)
	}
	return nil
}

// Tokens signs and verifies access tokens: JWTs (RFC 7519) with HS256 that say
// who (sub) is signed in by which session (sid) until when (exp). They carry no
// role. It is safe for concurrent use.
type Tokens struct {
	kid    string            // of the secret that signs
	keys   map[string][]byte // by kid
	chain  [][]byte          // what refresh tokens are derived with, one for each secret, in their order
	now    func() time.Time
	parser *jwt.Parser
}

// NewTokens returns a Tokens whose first secret signs, while all of them
// verify: to replace a secret put the new one first, and drop the old one
// TokenLifetime later. With many nodes, first add the new one last everywhere.
// Each secret takes at least MinSecret bytes. now is the time, as time.Now.
func NewTokens(secrets [][]byte, now func() time.Time) (*Tokens, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to sign tokens with")
	}
	t := &Tokens{keys: make(map[string][]byte, len(secrets)), now: now}
	for i, secret := range secrets {
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("secret %d has %d bytes, it takes at least %d", i+1, len(secret), MinSecret)
		}
		t.keys[keyID(secret)] = secret
		t.chain = append(t.chain, mac(secret, "tidings refresh token"))
	}
	t.kid = keyID(secrets[0])
	t.parser = jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(now),
	)
	return t, nil
}

// keyID tells secrets apart without telling them: the start of their SHA-256.
func keyID(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:8])
}

// Issue returns an access token for a session of a user, and when it expires:
// TokenLifetime from now, in whole seconds.
func (t *Tokens) Issue(user gid.User, session gid.Session) (token string, expires time.Time, err error) {
	now := t.now()
	expires = now.Add(TokenLifetime).Truncate(time.Second)
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    issuer,
			Audience:  jwt.ClaimStrings{audience},
			Subject:   user.String(),
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(expires),
		},
		Session: session.String(),
		Type:    access,
	})
	unsigned.Header["kid"] = t.kid
	token, err = unsigned.SignedString(t.keys[t.kid])
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign access token: %w", err)
	}
	return token, expires, nil
}

// Verify returns the viewer that an access token stands for, with Expires set
// and Admin false. Any error is ErrToken, whatever the text given. That the
// session has not been revoked since is for the caller to look up.
func (t *Tokens) Verify(token string) (Viewer, error) {
	v, err := t.verify(token)
	if err != nil {
		return Viewer{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return v, nil
}

func (t *Tokens) verify(token string) (Viewer, error) {
	if len(token) > MaxToken {
		return Viewer{}, fmt.Errorf("longer than %d bytes", MaxToken)
	}
	if strings.ContainsAny(token, "\r\n") {
		return Viewer{}, errors.New("line breaks, which base64 would skip")
	}
	var c claims
	if _, err := t.parser.ParseWithClaims(token, &c, t.key); err != nil {
		return Viewer{}, err
	}
	user, err := gid.ParseUser(c.Subject)
	if err != nil {
		return Viewer{}, fmt.Errorf("sub claim: %w", err)
	}
	session, err := gid.ParseSession(c.Session)
	if err != nil {
		return Viewer{}, fmt.Errorf("sid claim: %w", err)
	}
	if user.IsZero() || session.IsZero() {
		return Viewer{}, errors.New("the zero id is nobody's")
	}
	return Viewer{User: user, Session: session, Expires: c.ExpiresAt.Time}, nil
}

func (t *Tokens) key(token *jwt.Token) (any, error) {
	kid, _ := token.Header["kid"].(string)
	secret, ok := t.keys[kid]
	if !ok {
		return nil, errors.New("no secret with this kid")
	}
	return secret, nil
}

// BearerToken takes the token out of an Authorization header (RFC 6750, section
// 2.1; the scheme in any case, RFC 9110, section 11.1). ok is false without an
// error if there is none, because the header is empty. The error is ErrBearer.
// The token is well formed, no more: see Tokens.Verify.
func BearerToken(header string) (token string, ok bool, err error) {
	header = strings.Trim(header, " \t")
	if header == "" {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimLeft(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !isToken68(token) {
		return "", false, ErrBearer
	}
	return token, true, nil
}

// isToken68 tells RFC 9110's token68: some letters, digits and -._~+/, then any
// number of =.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		c := s[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return s != ""
}

// refreshPrefix lets scanners for leaked secrets, and people, recognise one.
const refreshPrefix = "tidings_rt_"

// NewRefreshToken returns a refresh token, 256 random bits as text, and what to
// store of it. The token goes to its user and nowhere else.
func NewRefreshToken() (token string, hash []byte) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	token = refreshPrefix + base64.RawURLEncoding.EncodeToString(b)
	return token, HashRefreshToken(token)
}

// Successors returns the refresh tokens that may follow a spent one, the one to give out first: they are derived from
// it, one by each secret. So who presents a token twice within the time allowed can be given the same successor again,
// though only hashes are stored. Who doesn't have a secret can't derive them.
func (t *Tokens) Successors(token string) []string {
	next := make([]string, len(t.chain))
	for i, key := range t.chain {
		next[i] = refreshPrefix + base64.RawURLEncoding.EncodeToString(mac(key, token))
	}
	return next
}

// mac is HMAC-SHA256 (RFC 2104).
func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// HashRefreshToken returns what is stored of a refresh token: its SHA-256, 32
// bytes. Unlike a password it can't be guessed, so a fast hash will do.
func HashRefreshToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
