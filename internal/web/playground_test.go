package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func askPlayground(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Playground().ServeHTTP(w, r)
	return w.Result()
}

func content(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if b, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return string(b)
}

func TestPlaygroundFiles(t *testing.T) {
	page := content(t, askPlayground(t, "GET", "/"))
	if !strings.Contains(page, "<title>Tidings</title>") {
		t.Fatal(page)
	}
	refs := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(refs) < 3 {
		t.Fatalf("the page consists of %v", refs)
	}
	for _, ref := range refs {
		if !strings.HasPrefix(ref[1], "/playground/") {
			t.Errorf("the page refers to %s", ref[1])
		}
		plain, packed := askPlayground(t, "GET", ref[1]), askPlayground(t, "GET", ref[1], "Accept-Encoding", "br, gzip")
		if plain.StatusCode != 200 || plain.Header.Get("Content-Encoding") != "" || packed.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %s, %v, %v", ref[1], plain.Status, plain.Header, packed.Header)
		}
		if p, q := content(t, plain), content(t, packed); p != q || p == "" {
			t.Errorf("%s differs when it is compressed", ref[1])
		}
		if refused := askPlayground(t, "GET", ref[1], "Accept-Encoding", "gzip;q=0"); refused.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s comes compressed to a client that can't", ref[1])
		}
		etag := plain.Header.Get("ETag")
		if again := askPlayground(t, "GET", ref[1], "If-None-Match", etag); etag == "" || again.StatusCode != http.StatusNotModified || content(t, again) != "" {
			t.Errorf("%s with ETag %s again: %s", ref[1], etag, again.Status)
		}
		if head := askPlayground(t, "HEAD", ref[1]); head.StatusCode != 200 || content(t, head) != "" {
			t.Errorf("HEAD %s: %s", ref[1], head.Status)
		}
	}
	if strings.Contains(page, "<script>") || strings.Contains(page, "<style") {
		t.Error("the page has inline scripts or styles, which a content security policy would have to allow")
	}
	for _, absent := range []string{"/playground/", "/playground/x.js", "/playground/../web.go", "/x"} {
		if resp := askPlayground(t, "GET", absent); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", absent, resp.Status)
		}
	}
}

func TestPlaygroundSize(t *testing.T) {
	entries, err := playgroundFiles.ReadDir("playground")
	if err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 4<<20 || total == 0 {
		t.Errorf("the playground has %d bytes", total)
	}
}
