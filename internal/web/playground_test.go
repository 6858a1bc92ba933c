package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

const largestPlayground = 4 << 20 // bytes, compressed

// ask sends one request to the playground; headers are name, value, name, value.
func ask(t *testing.T, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	Playground().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, response *http.Response) []byte {
	t.Helper()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// eachPlaygroundFile runs a subtest for every path that is served.
func eachPlaygroundFile(t *testing.T, run func(t *testing.T, path string)) {
	files, err := readPlayground()
	if err != nil {
		t.Fatal(err)
	}
	if files["/"] == nil {
		t.Fatal("there is no page")
	}
	for path := range files {
		t.Run(path, func(t *testing.T) { run(t, path) })
	}
}

func TestPlaygroundSendsWhatIsStored(t *testing.T) {
	eachPlaygroundFile(t, func(t *testing.T, path string) {
		compressed := ask(t, "GET", path, "Accept-Encoding", "br, gzip")
		stored := body(t, compressed)
		if got := compressed.Header.Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("Content-Encoding is %q, want gzip", got)
		}
		reader, err := gzip.NewReader(bytes.NewReader(stored))
		if err != nil {
			t.Fatal(err)
		}
		if !reader.ModTime.IsZero() || reader.Name != "" {
			t.Errorf("the gzip header has a time (%v) or a name (%q), and differs between builds", reader.ModTime, reader.Name)
		}
		want, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}

		plain := ask(t, "GET", path)
		if got := plain.Header.Get("Content-Encoding"); got != "" {
			t.Errorf("Content-Encoding is %q for a client that accepts none", got)
		}
		if !bytes.Equal(body(t, plain), want) {
			t.Error("the decompressed file is not what the compressed one holds")
		}
		if compressed.Header.Get("Etag") == plain.Header.Get("Etag") {
			t.Error("both encodings have one strong ETag")
		}
		for _, response := range []*http.Response{compressed, plain} {
			if response.StatusCode != http.StatusOK {
				t.Errorf("status is %d", response.StatusCode)
			}
			if got := response.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("Vary is %q", got)
			}
		}
	})
}

func TestPlaygroundIsAskedAgain(t *testing.T) {
	eachPlaygroundFile(t, func(t *testing.T, path string) {
		for _, encoding := range []string{"gzip", "identity"} {
			first := ask(t, "GET", path, "Accept-Encoding", encoding)
			tag := first.Header.Get("Etag")
			if !strings.HasPrefix(tag, `"`) {
				t.Fatalf("ETag is %q, want a strong one", tag)
			}
			again := ask(t, "GET", path, "Accept-Encoding", encoding, "If-None-Match", `"other", `+tag)
			if again.StatusCode != http.StatusNotModified || len(body(t, again)) != 0 {
				t.Errorf("%s: status for a known ETag is %d, want 304 without a body", encoding, again.StatusCode)
			}
			if got := again.Header.Get("Etag"); got != tag {
				t.Errorf("%s: 304 has the ETag %q, want %q", encoding, got, tag)
			}
			other := ask(t, "GET", path, "Accept-Encoding", encoding, "If-None-Match", `"other"`)
			if other.StatusCode != http.StatusOK {
				t.Errorf("%s: status for an unknown ETag is %d, want 200", encoding, other.StatusCode)
			}
			head := ask(t, "HEAD", path, "Accept-Encoding", encoding)
			if len(body(t, head)) != 0 || head.ContentLength != int64(len(body(t, first))) {
				t.Errorf("%s: HEAD says %d bytes, or sends some", encoding, head.ContentLength)
			}
		}
	})
}

func TestPlaygroundCaches(t *testing.T) {
	eachPlaygroundFile(t, func(t *testing.T, file string) {
		want := "public, max-age=31536000, immutable"
		if file == "/" || path.Base(file) == "licenses.txt" {
			want = "no-cache"
		}
		if got := ask(t, "GET", file).Header.Get("Cache-Control"); got != want {
			t.Errorf("Cache-Control is %q, want %q", got, want)
		}
		if want == "no-cache" {
			return
		}
		if !regexp.MustCompile(`^/playground/\w+-[0-9a-f]{12}\.\w+$`).MatchString(file) {
			t.Error("what is cached for ever is not named by its content")
		}
	})
}

func TestPlaygroundHasNothingElse(t *testing.T) {
	for _, path := range []string{
		"/index.html", "/playground", "/playground/", "/playground/index.html", "/playground/app.js",
		"/playground/../playground.go", "/playground/licenses.txt.gz", "/favicon.ico", "/graphql",
	} {
		if got := ask(t, "GET", path).StatusCode; got != http.StatusNotFound {
			t.Errorf("GET %s: status is %d, want 404", path, got)
		}
	}
	response := ask(t, "POST", "/")
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /: status is %d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
	}
}

func TestPlaygroundPageRefersToItsOwnHost(t *testing.T) {
	response := ask(t, "GET", "/")
	page := string(body(t, response))
	if got := response.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	if !strings.Contains(page, "<title>Tidings</title>") {
		t.Error("the page has another title")
	}
	references := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	if len(references) == 0 {
		t.Fatal("the page refers to nothing")
	}
	for _, reference := range references {
		if !strings.HasPrefix(reference[1], "/playground/") {
			t.Errorf("the page refers to %s", reference[1])
		} else if got := ask(t, "GET", reference[1]).StatusCode; got != http.StatusOK {
			t.Errorf("the page refers to %s, which answers %d", reference[1], got)
		}
	}
	if strings.Contains(page, "://") {
		t.Error("the page names a host")
	}
	if regexp.MustCompile(`<script[^>]*>[^<]|\son\w+=|<style`).MatchString(page) {
		t.Error("the page has an inline script or style")
	}
	policy := response.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'; script-src 'self';") || strings.Contains(policy, "unsafe-eval") {
		t.Errorf("Content-Security-Policy is %q", policy)
	}
}

func TestPlaygroundIsSmall(t *testing.T) {
	files, err := readPlayground()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, file := range files {
		total += len(file.gzip)
	}
	if total > largestPlayground {
		t.Errorf("the playground has %d bytes compressed, at most %d are allowed", total, largestPlayground)
	}
}

func TestAcceptsGzip(t *testing.T) {
	for accepted, want := range map[string]bool{
		"":                       false,
		"gzip":                   true,
		"GZIP":                   true,
		"deflate, gzip;q=0.5":    true,
		"deflate, gzip; q=0.5":   true,
		"gzip;q=0":               false,
		"gzip;q=0.000, *":        false,
		"*":                      true,
		"*;q=0":                  false,
		"*;q=0, x-gzip":          true,
		"identity":               false,
		"br":                     false,
		"gzip;q=often, identity": false,
	} {
		if got := acceptsGzip([]string{accepted}); got != want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", accepted, got, want)
		}
	}
}
