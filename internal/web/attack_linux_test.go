package web_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tidings/internal/testkit/spend"
)

// TestAttacks sends what hurts before there is a document: JSON that is deep,
// wide or repeats itself. Each ends as it should, in bounds.
func TestAttacks(t *testing.T) {
	const size = 256 << 10
	fill := func(before, part, after string) string {
		return before + strings.Repeat(part, (size-len(before)-len(after))/len(part)) + after
	}
	nest := func(before, open, within, closing, after string, depth int) string {
		return before + strings.Repeat(open, depth) + within + strings.Repeat(closing, depth) + after
	}
	const hello = `{"query":"query($n: Int = 1) { count(number: $n) }",`
	w := newWorld(t)
	var most spend.Most
	for name, body := range map[string]string{
		"deep variables":                  nest(hello+`"variables":{"n":`, "[", "", "]", "}}", 9_000),
		"deeper variables":                nest(hello+`"variables":{"n":`, "[", "", "]", "}}", 100_000),
		"deep variables without an end":   fill(hello+`"variables":{"n":`, "[", ""),
		"deep objects":                    nest(hello+`"variables":{"n":`, `{"a":`, "1", "}", "}}", 9_000),
		"deep extensions":                 nest(hello+`"extensions":{"n":`, `{"a":`, "1", "}", "}}", 9_000),
		"deep unknown field":              nest(hello+`"more":`, `{"a":`, "1", "}", "}", 9_000),
		"empty objects":                   fill(hello+`"variables":{"n":[{}`, `,{}`, "]}}"),
		"small objects":                   fill(hello+`"variables":{"n":[{}`, `,{"":0}`, "]}}"),
		"small objects in extensions":     fill(hello+`"extensions":{"n":[{}`, `,{"":0}`, "]}}"),
		"empty lists":                     fill(hello+`"variables":{"n":[[]`, `,[]`, "]}}"),
		"lists of one":                    fill(hello+`"variables":{"n":[[]`, `,[0]`, "]}}"),
		"numbers":                         fill(hello+`"variables":{"n":[0`, `,0`, "]}}"),
		"one long number":                 fill(hello+`"variables":{"n":`, `1`, "}}"),
		"texts":                           fill(hello+`"variables":{"n":[""`, `,""`, "]}}"),
		"escapes":                         fill(hello+`"variables":{"n":"`, `\u0001`, `"}}`),
		"keys":                            keys(hello+`"variables":{"n":1`, "}}", size),
		"keys at the top":                 keys(hello+`"variables":{"n":1}`, "}", size),
		"fields that repeat":              fill(hello+`"variables":{"n":1}`, `,"variables":{"n":{}}`, "}"),
		"documents that repeat":           fill(`{"query":"{ viewer }"`, `,"query":"{"`, "}"),
		"a document of escapes":           fill(`{"query":"`, `\u007b`, `"}`),
		"spaces":                          fill(hello+`"variables":{"n":1}`, ` `, "}"),
		"a list for a number":             fill(hello+`"variables":{"n":[0`, `,0`, "]}}"),
		"not JSON":                        fill("", `{`, ""),
		"not UTF-8":                       fill("", "\xff", ""),
		"a huge document":                 document(strings.Repeat("{ viewer ", 20_000)),
		"a huge document without tokens":  document(strings.Repeat(",", 200_000)),
		"chained fragments":               document("{ ...F0 }" + chain(40)),
		"a document that is valid but is": document("{ ... { " + strings.Repeat("viewer ", 29) + "} }" + strings.Repeat("#", 200_000)),
	} {
		if len(body) > size {
			t.Fatalf("%s: %d bytes", name, len(body))
		}
		var got string
		cpu, bytes := spend.Of(func() {
			r := httptest.NewRequest("POST", "/graphql", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			w.server.ServeHTTP(rec, r)
			got = rec.Body.String()
		})
		most.Add(name, cpu, bytes)
		if cpu > spend.MaxCPU || bytes > spend.MaxBytes {
			t.Errorf("%s: took %v and %d KiB", name, cpu, bytes>>10)
		}
		if strings.Contains(got, "INTERNAL") || len(got) > 2000 {
			t.Errorf("%s: %.2000s", name, got)
		}
	}
	t.Logf("the slowest took %v (%s), the largest %d KiB (%s)", most.CPU, most.Slowest, most.Bytes>>10, most.Largest)
}

// keys fills an object with different keys.
func keys(before, after string, size int) string {
	var b strings.Builder
	b.WriteString(before)
	for i := 0; b.Len() < size-len(after)-20; i++ {
		b.WriteString(`,"` + string(rune('a'+i%26)) + time.Duration(i).String() + `":0`)
	}
	return b.String() + after
}

func document(text string) string {
	body, err := json.Marshal(map[string]string{"query": text})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func chain(n int) string {
	var b strings.Builder
	for i := range n {
		f := string(rune('A'+i/26)) + string(rune('a'+i%26))
		next := string(rune('A'+(i+1)/26)) + string(rune('a'+(i+1)%26))
		if i == 0 {
			f = "F0"
		}
		b.WriteString(" fragment " + f + " on Query { hello ..." + next + " ..." + next + " }")
	}
	return b.String() + " fragment Bo on Query { hello }"
}
