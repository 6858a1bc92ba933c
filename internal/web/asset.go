package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"time"
)

// asset is a file that stays as it is while the server runs, compressed.
type asset struct {
	gzip        []byte
	tag         string // of its content, to be quoted
	contentType string
	cache       string
	policy      string // its Content-Security-Policy; "" for the one of all responses
}

// newAsset compresses a file, as far as it can be, for it is done once.
func newAsset(content []byte, tag, contentType, cache string) *asset {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // which is a level
	_, _ = w.Write(content)                               // a Buffer takes everything
	_ = w.Close()
	return &asset{gzip: b.Bytes(), tag: tag, contentType: contentType, cache: cache}
}

// ServeHTTP answers with the file in the encoding that the client accepts. The two encodings are two
// representations, so their strong ETags differ (RFC 9110, section 8.8.3.3).
func (f *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", f.cache)
	if f.policy != "" {
		header.Set("Content-Security-Policy", f.policy)
	}
	header.Set("Referrer-Policy", "no-referrer")
	header.Add("Vary", "Accept-Encoding")
	header.Set("X-Content-Type-Options", "nosniff")
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		header.Set("ETag", `"`+f.tag+`-gzip"`)
		header.Set("Content-Encoding", "gzip")
		header.Set("Content-Length", strconv.Itoa(len(f.gzip)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.gzip))
		return
	}
	content, err := f.identity()
	if err != nil {
		http.Error(w, "The file is damaged.", http.StatusInternalServerError)
		return
	}
	header.Set("ETag", `"`+f.tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// identity returns the file's content, decompressed.
func (f *asset) identity() ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(f.gzip))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}
