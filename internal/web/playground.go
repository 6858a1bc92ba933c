package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"
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
		file.ServeHTTP(w, r)
	})
}

// readPlayground returns the embedded files by the path at which they are served.
func readPlayground() (map[string]*asset, error) {
	entries, err := playgroundFiles.ReadDir("playground")
	if err != nil {
		return nil, err
	}
	files := make(map[string]*asset, len(entries))
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

func newPlaygroundFile(name string, data []byte) (*asset, error) {
	contentType, ok := playgroundTypes[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("no content type is known for %q", path.Ext(name))
	}
	if _, err := gzip.NewReader(bytes.NewReader(data)); err != nil {
		return nil, fmt.Errorf("reading its gzip header: %w", err)
	}
	sum := sha256.Sum256(data)
	file := &asset{
		gzip:        data,
		tag:         base64.RawURLEncoding.EncodeToString(sum[:16]),
		contentType: contentType,
		cache:       "no-cache",
		policy:      playgroundPolicy,
	}
	if strings.Contains(name, "-") {
		file.cache = "public, max-age=31536000, immutable"
	}
	return file, nil
}
