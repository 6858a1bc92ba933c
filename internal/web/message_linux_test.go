package web

import (
	"fmt"
	"strings"
	"testing"

	"tidings/internal/testkit/spend"
)

// TestMessagesThatAttack: what a socket reads is JSON in JSON, and as bounded
// as the body of a request.
func TestMessagesThatAttack(t *testing.T) {
	const size = 256 << 10
	const before = `{"id":"1","type":"subscribe","payload":{"query":"{ viewer }"`
	var most spend.Most
	for name, parts := range map[string][3]string{
		"deep variables":   {`,"variables":{"a":`, `[`, ""},
		"deep extensions":  {`,"extensions":{"a":`, `{"a":`, ""},
		"small objects":    {`,"variables":{"a":[0`, `,{"":0}`, `]}}}`},
		"numbers":          {`,"variables":{"a":[0`, `,0`, `]}}}`},
		"repeated fields":  {``, `,"variables":{"a":{}}`, `}}`},
		"repeated payload": {`}`, `,"payload":{"query":""}`, `}`},
		"unknown fields":   {`}`, `,"":{}`, `}`},
		"escapes":          {`,"operationName":"`, `\u0001`, `"}}`},
	} {
		text := before + parts[0]
		text += strings.Repeat(parts[1], (size-len(text)-len(parts[2]))/len(parts[1])) + parts[2]
		var err error
		cpu, bytes := spend.Of(func() { _, err = decodeMessage([]byte(text)) })
		most.Add(name, cpu, bytes)
		if (err != nil) != strings.HasPrefix(name, "deep") {
			t.Errorf("%s: %v", name, err)
		}
		if cpu > spend.MaxCPU || bytes > spend.MaxBytes {
			t.Errorf("%s: took %v and %d KiB", name, cpu, bytes>>10)
		}
	}
	t.Logf("the slowest took %v (%s), the largest %d KiB (%s)", most.CPU, most.Slowest, most.Bytes>>10, most.Largest)
}

// TestAuthorizationsThatDiffer: a connection_init full of them is one with two.
func TestAuthorizationsThatDiffer(t *testing.T) {
	for name, wrap := range map[string][2]string{"at the top": {"{", "}"}, "headers": {`{"headers":{`, "}}"}} {
		var payload strings.Builder
		payload.WriteString(wrap[0] + `"authorization":""`)
		for i := 0; payload.Len() < 250<<10; i++ {
			fmt.Fprintf(&payload, `,"Authorization":"%05d"`, i)
		}
		payload.WriteString(wrap[1])
		var got []string
		cpu, _ := spend.Of(func() { got = authorizations([]byte(payload.String())) })
		if len(got) != 2 || got[0] != "00000" || got[1] != "00001" {
			t.Errorf("%s: %d values", name, len(got))
		}
		if cpu > spend.MaxCPU {
			t.Errorf("%s: took %v", name, cpu)
		}
	}
}

// TestPingsThatAttack: the largest payload that is looked through for a token, of whatever, takes little.
func TestPingsThatAttack(t *testing.T) {
	for name, parts := range map[string][3]string{
		"unknown fields":  {`{"a":0`, `,"":0`, `}`},
		"nested":          {`{"headers":{"a":0`, `,"":0`, `}}`},
		"headers":         {`{"headers":{}`, `,"headers":{}`, `}`},
		"tokens":          {`{"authorization":""`, `,"authorization":""`, `}`},
		"small objects":   {`{"a":[0`, `,{"":0}`, `]}`},
		"escaped letters": {`{"a`, `\u0061`, `":0}`},
	} {
		text := parts[0] + strings.Repeat(parts[1], (maxRenewal-len(parts[0])-len(parts[2]))/len(parts[1])) + parts[2]
		cpu, bytes := spend.Of(func() { authorizations([]byte(text)) })
		t.Logf("%s: %v, %d KiB", name, cpu, bytes>>10)
		if most := spend.MaxCPU * maxRenewal / (256 << 10) * 5; cpu > most { // for 32 points
			t.Errorf("%s: took %v, want at most %v", name, cpu, most)
		}
	}
}
