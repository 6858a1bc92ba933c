// Package leak looks at what a server says to its clients when something goes wrong, and finds what of its inside is in
// there: SQL, drivers, paths, stacks, Go's own words, secrets. The test clients of the suite show it every answer they
// get, so that each test that provokes an error tests this as well.
//
// It errs on the side of finding: a new error text that it takes for an inner one is better said in other words.
package leak

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// A class is one kind of thing that must stay inside.
type class struct {
	name string
	text *regexp.Regexp
}

// columns are the names of the database that no GraphQL name is spelt like. A test holds them against the schema.
const columns = `username_key|email_key|search_text|password_hash|refresh_hash|full_name|is_active|author_id|post_id|user_id|session_id|` +
	`published_at|created_at|updated_at|spent_at|expires_at|spent_tokens|log_inbox|log_epoch|log_head`

var classes = []class{
	{"SQL", regexp.MustCompile(`\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE|VALUES|RETURNING|ORDER BY|GROUP BY|LEFT JOIN|INNER JOIN|CREATE TABLE|ALTER TABLE|SQLSTATE)\b` +
		`|(?i:\bselect\b.+\bfrom\b|\binsert into\b|\bdelete from\b|\bupdate\b.+\bset\b.+=)` +
		`|(?i:\b(unique|check|foreign key|not[- ]null|primary key)\b.{0,40}\bconstraint\b|violates|constraint failed|duplicate key|no such (table|column)|syntax error at or near|` +
		`(relation|column|table) \\?"[^"]*"|deadlock|could not serialize|database is (locked|closed)|\btransaction has already\b|\bprepared statement\b|\bno rows in result\b)` +
		`|\b(` + columns + `)\b|[` + "`" + `"]\.[` + "`" + `"]|\$\d+\b`)},
	{"driver", regexp.MustCompile(`(?i:\b(sqlite\w*|modernc|libpq|pgx|postgres\w*|psql|entgo|entsql|gqlgen|gqlparser|gorilla|driver)\b)|\bpq\b|\b(ent|sql|atlas|dialect|pq|eventlog|relay|store): ?|\batlas\b|bad connection`)},
	{"path", regexp.MustCompile(`(^|[\s"'(=:,])/(tmp|work|home|root|usr|var|etc|proc|opt|srv|private|go|mnt|build|Users)(/|\b)|\b[A-Za-z]:\\\\?\w|[\w/.-]+\.(go|db|sql|graphqls|mod)\b(:\d+)?|\bfile:`)},
	{"stack", regexp.MustCompile(`\bgoroutine\b|\bruntime (error|stack)\b|\bpanic\b|\[recovered\]|\bcreated by\b|\b0x[0-9a-fA-F]{4,}\b|nil pointer|invalid memory address|index out of range|slice bounds|nil map|divide by zero|interface conversion|debug\.Stack`)},
	{"package", regexp.MustCompile(`\btidings/(internal|ent|graph|web)\b|\b(github\.com|golang\.org|google\.golang|honnef\.co|entgo\.io|modernc\.org|ariga\.io)\b|` +
		`\*?\b(ent|graph|model|scalar|rule|privacy|app|audit|auth|config|cost|demo|event|eventlog|fault|gid|live|rate|relay|search|session|store|testkit|wake|web|` +
		`ast|big|bufio|bytes|context|driver|errors|fmt|graphql|gqlerror|http|io|json|jwt|net|os|pq|reflect|regexp|runtime|schema|slog|sql|sqlite|strconv|strings|sync|time|tls|url|utf8|uuid|websocket|x509)\.\(?\*?[A-Z]\w*`)},
	{"Go", regexp.MustCompile(`map\[string\]|\binterface ?\{\}|\[\](interface|any|string|byte|uint8)\b|\bunmarshal|%!\w?\(|\bjson: |\bstrconv: ?|\bcontext (canceled|deadline exceeded)\b|\binvalid character\b|` +
		`\bi/o timeout\b|\b(dial|read|write) (tcp|udp|unix)\b|\bconnection re(set|fused)\b|\bbroken pipe\b|\bunexpected EOF\b|\bEOF$|closed network connection|\b(use|send) of closed\b|token is (malformed|unverifiable|expired)|signature is invalid|\bcrypto/|<nil>|\bno secret with this kid\b`)},
	{"secret", regexp.MustCompile(`argon2|\btidings_rt_|\beyJ[\w-]{8,}|(?i:bearer [\w-]{16,})|postgres(ql)?://|-----BEGIN`)},
}

// Find returns the class of what text holds of the inside and the words it was found by, and "" if there is nothing.
func Find(text string) (what, words string) {
	for _, c := range classes {
		if at := c.text.FindStringIndex(text); at != nil {
			return c.name, text[at[0]:at[1]]
		}
	}
	return "", ""
}

// T is what of a test is needed to fail it.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

var _ T = testing.TB(nil)

// Text fails the test if a text that a client was sent when something went wrong holds anything of the inside. where is
// a word for where it stood.
func Text(t T, where, text string) {
	t.Helper()
	if what, words := Find(text); what != "" {
		t.Errorf("%s leaks %s (%q): %s", where, what, words, text)
	}
}

// Error is Text for one GraphQL error: its message, and its extensions however deep. The extensions' codes are ours, and
// a name of the schema in the path is not looked at.
func Error(t T, message string, extensions any) {
	t.Helper()
	Text(t, "the message of an error", message)
	walk(t, "an extension of an error", extensions)
}

func walk(t T, where string, value any) {
	t.Helper()
	switch v := value.(type) {
	case string:
		Text(t, where, v)
	case map[string]any:
		for name, each := range v {
			Text(t, where, name)
			walk(t, where, each)
		}
	case []any:
		for _, each := range v {
			walk(t, where, each)
		}
	}
}

type gqlError struct {
	Message    string         `json:"message"`
	Extensions map[string]any `json:"extensions"`
}

func list(t T, errs []gqlError) {
	t.Helper()
	for _, e := range errs {
		Error(t, e.Message, e.Extensions)
	}
}

// Body fails the test if a response over HTTP leaks: in its GraphQL errors, or anywhere if it is an error (400 and
// above) and no GraphQL response.
func Body(t T, status int, body []byte) {
	t.Helper()
	var r struct {
		Errors []gqlError `json:"errors"`
	}
	if err := json.Unmarshal(body, &r); err == nil && len(r.Errors) > 0 {
		list(t, r.Errors)
	} else if status >= 400 {
		Text(t, "the body of a failed request", string(body))
	}
}

// Client returns an HTTP client whose responses are looked at, for tests that make their requests themselves. It reads
// them whole before it hands them out, but for streams of events.
func Client(t testing.TB) *http.Client { return &http.Client{Transport: looking{t}} }

type looking struct{ t T }

func (l looking) RoundTrip(r *http.Request) (*http.Response, error) {
	l.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, err
	}
	if isStream(resp) {
		Header(l.t, resp.Header)
		resp.Body = &events{ReadCloser: resp.Body, t: l.t}
		return resp, nil
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	Header(l.t, resp.Header)
	Body(l.t, resp.StatusCode, body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// Header fails the test if a header leaks.
func Header(t T, header map[string][]string) {
	t.Helper()
	for name, values := range header {
		if name != "Location" && name != "Content-Type" && name != "Set-Cookie" && name != "Content-Security-Policy" {
			Text(t, "the header "+name, strings.Join(values, ", "))
		}
	}
}

// Message fails the test if a message of graphql-transport-ws leaks: an error, or the errors of a payload.
func Message(t T, text []byte) {
	t.Helper()
	var m struct {
		Type    string
		Payload json.RawMessage
	}
	if !bytes.Contains(text, []byte("error")) || json.Unmarshal(text, &m) != nil {
		return // most are payloads without
	}
	switch m.Type {
	case "error":
		var errs []gqlError
		if json.Unmarshal(m.Payload, &errs) != nil {
			Text(t, "an error message", string(m.Payload))
		}
		list(t, errs)
	case "next":
		Body(t, 200, m.Payload)
	}
}

// Closed fails the test if the reason leaks with which a socket was closed.
func Closed(t T, reason string) {
	t.Helper()
	Text(t, "the reason of a close", reason)
}
