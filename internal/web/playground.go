package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// The playground as web/ builds it, every file gzipped.
//
//go:embed playground/*.gz
var playgroundFiles embed.FS

// asset is a file of the playground.
type asset struct {
	compressed   []byte
	contentType  string
	etag         string // of the content, whatever its coding
	cacheControl string
}

// Playground serves GraphiQL: the page at /, and what it consists of below /playground/. It asks no other host for
// anything. Files are sent as they are stored, compressed, to clients that accept gzip (RFC 9110, section 12.5.3).
func Playground() http.Handler {
	entries, err := playgroundFiles.ReadDir("playground")
	if err != nil {
		panic(err) // embedded: it is there
	}
	assets := map[string]asset{}
	for _, e := range entries {
		content, err := playgroundFiles.ReadFile("playground/" + e.Name())
		if err != nil {
			panic(err) // embedded: it is there
		}
		name := strings.TrimSuffix(e.Name(), ".gz")
		sum := sha256.Sum256(content)
		a := asset{compressed: content, contentType: mime.TypeByExtension(path.Ext(name)), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
		// Names that hold a hash belong to one content for ever.
		if a.cacheControl = "no-cache"; strings.Count(name, ".") > 1 {
			a.cacheControl = "public, max-age=31536000, immutable"
		}
		if name == "index.html" {
			assets["/"] = a
			continue
		}
		assets["/playground/"+name] = a
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		a.serve(w, r)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", a.cacheControl)
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.compressed))
		return
	}
	content, err := a.plain()
	if err != nil {
		panic(err) // embedded, and tested
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (a asset) plain() ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(a.compressed))
	if err != nil {
		return nil, fmt.Errorf("decompressing: %w", err)
	}
	return io.ReadAll(z)
}

// acceptsGzip reads Accept-Encoding; a weight of 0 refuses.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if c := strings.ToLower(strings.TrimSpace(coding)); c == "gzip" || c == "*" {
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && !strings.HasPrefix(weight, "q=0.000")
		}
	}
	return false
}
