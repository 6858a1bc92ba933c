package web

import (
	"bytes"
	stdgzip "compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"tidings/internal/testkit/spend"
)

// BenchmarkGzip compresses answers of the size of a post, of a page of posts with their comments, and of a large one,
// with what gzipper does and with other levels, the standard library's among them. Its cpu-ns/byte is the thread's own
// time, the least of three, and so tells more than the wall's.
func BenchmarkGzip(b *testing.B) {
	for _, posts := range []int{1, 20, 100} {
		text := page(b, posts)
		run := func(name string, compress func(out *bytes.Buffer)) {
			b.Run(fmt.Sprintf("%d bytes/%s", len(text), name), func(b *testing.B) {
				var out bytes.Buffer
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					out.Reset()
					compress(&out)
				}
				b.ReportMetric(float64(out.Len())/float64(len(text)), "left")
				const times = 20
				cpu, _ := spend.Of(func() {
					for range times {
						out.Reset()
						compress(&out)
					}
				})
				b.ReportMetric(float64(cpu.Nanoseconds())/float64(times*len(text)), "cpu-ns/byte")
			})
		}
		g := newGzipper()
		run("gzipper", func(out *bytes.Buffer) {
			compressed, err := g.compress(b.Context(), text)
			if err != nil {
				b.Fatal(err)
			}
			out.Write(compressed)
		})
		for level := 1; level <= 6; level++ {
			theirs, err := gzip.NewWriterLevel(nil, level)
			if err != nil {
				b.Fatal(err)
			}
			standard, err := stdgzip.NewWriterLevel(nil, level)
			if err != nil {
				b.Fatal(err)
			}
			for name, w := range map[string]interface {
				io.WriteCloser
				Reset(io.Writer)
			}{"klauspost": theirs, "standard": standard} {
				run(fmt.Sprintf("%s, level %d", name, level), func(out *bytes.Buffer) {
					w.Reset(out)
					_, _ = w.Write(text)
					_ = w.Close()
				})
			}
		}
	}
}

// page is an answer with so many posts of the demo's text, each with five comments.
func page(b *testing.B, posts int) []byte {
	files, err := filepath.Glob("../demo/content/archive/*.md")
	if err != nil || len(files) < 10 {
		b.Fatal(files, err)
	}
	var words []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		words = append(words, strings.Fields(string(text))...)
	}
	at := 0
	id := func() string { at = at*1_103_515_245 + 12345; return fmt.Sprintf("01m7z%021x", uint64(at)) }
	next := 0
	text := func(n int) string {
		var s strings.Builder
		for s.Len() < n {
			s.WriteString(words[next%len(words)] + " ")
			next += 1
		}
		return s.String()[:n]
	}
	var out strings.Builder
	out.WriteString(`{"data":{"posts":{"nodes":[`)
	for i := range posts {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, `{"id":"post_%s","title":%q,"content":%q,"author":{"id":"user_%s","username":"user_%d"},"comments":{"nodes":[`, id(), text(40), text(1000), id(), i*7919%1000)
		for j := range 5 {
			if j > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, `{"id":"comment_%s","content":%q,"author":{"username":"user_%d"}}`, id(), text(200), (i+j)*7919%1000)
		}
		out.WriteString("]}}")
	}
	out.WriteString("]}}}")
	return []byte(out.String())
}
