package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// playgroundFiles is GraphiQL as `npm run build` in web/ leaves it: every file gzipped, and every
// file but the page and the licenses named by its content.
//
//go:embed playground/*.gz
var playgroundFiles embed.FS

// playgroundPolicy is the page's Content-Security-Policy: everything comes from the page's own
// host, and no script stands in the page. Monaco, GraphiQL's editor, makes style elements and has
// icons and fonts as data: URLs in its stylesheet; its workers are files of ours.
const playgroundPolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; " +
	"style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// playgroundTypes are the kinds of file in the bundle; another kind is a mistake of its build.
var playgroundTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// playgroundFile is a file of the bundle: compressed, as it is embedded and mostly sent.
type playgroundFile struct {
	gzip        []byte
	tag         string
	contentType string
	cache       string
}

// Playground serves GraphiQL, complete without a network: the page at /, its assets under
// /playground/, and 404 for every other path. It answers GET and HEAD, conditional and range
// requests (RFC 9110, sections 13 and 14), and to others 405.
//
// Files go out gzipped as they are embedded; a client that doesn't accept gzip has them
// decompressed for it, which takes the memory of one file (5 MB at most) while the request lasts.
// Assets named by their content may be kept for a year, the page is asked for anew.
//
// It panics if the embedded bundle is not what web's build makes, which the tests rule out.
func Playground() http.Handler {
	files, err := readPlayground()
	if err != nil {
		panic(fmt.Sprintf("web: reading the embedded playground: %v", err))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "The playground is only read: GET or HEAD.", http.StatusMethodNotAllowed)
			return
		}
		file.serve(w, r)
	})
}

// readPlayground returns the embedded files by the path at which they are served.
func readPlayground() (map[string]*playgroundFile, error) {
	entries, err := playgroundFiles.ReadDir("playground")
	if err != nil {
		return nil, err
	}
	files := make(map[string]*playgroundFile, len(entries))
	for _, entry := range entries {
		data, err := playgroundFiles.ReadFile(path.Join("playground", entry.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(entry.Name(), ".gz")
		file, err := newPlaygroundFile(name, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		if name == "index.html" {
			files["/"] = file
		} else {
			files["/playground/"+name] = file
		}
	}
	return files, nil
}

func newPlaygroundFile(name string, data []byte) (*playgroundFile, error) {
	contentType, ok := playgroundTypes[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("no content type is known for %q", path.Ext(name))
	}
	if _, err := gzip.NewReader(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("reading its gzip header: %w", err)
	}
	sum := sha256.Sum256(data)
	file := &playgroundFile{
		gzip:        data,
		tag:         base64.RawURLEncoding.EncodeToString(sum[:16]),
		contentType: contentType,
		cache:       "no-cache",
	}
	if strings.Contains(name, "-") {
		file.cache = "public, max-age=31536000, immutable"
	}
	return file, nil
}

// serve answers with the file in the encoding that the client accepts. The two encodings are two
// representations, so their strong ETags differ (RFC 9110, section 8.8.3.3).
func (f *playgroundFile) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", f.cache)
	header.Set("Content-Security-Policy", playgroundPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Vary", "Accept-Encoding")
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
		http.Error(w, "The playground is damaged.", http.StatusInternalServerError)
		return
	}
	header.Set("ETag", `"`+f.tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// identity returns the file's content, decompressed.
func (f *playgroundFile) identity() ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(f.gzip))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reader)
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3): gzip or * is listed, with a weight
// above zero; what is said of gzip goes before what is said of *.
func acceptsGzip(values []string) bool {
	any := false
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, _ := strings.Cut(coding, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64) // what is not a number is no wish for gzip
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return weight > 0
		case "*":
			any = weight > 0
		}
	}
	return any
}
