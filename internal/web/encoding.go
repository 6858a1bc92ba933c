package web

import (
	"bytes"
	"context"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// worthGzip is the size from which on an answer is compressed for who takes that
// as well as it is, in bytes: a smaller one fits one packet either way.
const worthGzip = 1400

// gzipLevel is where a byte of our answers costs least: 5 ns, for 41% of the
// size of a page. Higher levels save up to 3% more of it, and cost up to twice
// as much; the standard library's lowest costs 1.4 to 1.9 times as much, for
// about the same size. (BenchmarkGzip.)
const gzipLevel = gzip.BestSpeed

// gzipper compresses answers. It is safe for concurrent use.
//
// It compresses as many at once as there are processors, each with a writer of
// about 0.8 MiB. Those that haven't been used for a while are garbage.
type gzipper struct {
	turns   chan struct{}
	writers sync.Pool
}

func newGzipper() *gzipper {
	return &gzipper{
		turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
		writers: sync.Pool{New: func() any {
			w, _ := gzip.NewWriterLevel(nil, gzipLevel) // which is a level
			return w
		}},
	}
}

// compress returns text compressed. The error is that ctx was over first.
func (g *gzipper) compress(ctx context.Context, text []byte) ([]byte, error) {
	select {
	case g.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-g.turns }()
	w := g.writers.Get().(*gzip.Writer)
	defer g.writers.Put(w)
	out := bytes.NewBuffer(make([]byte, 0, len(text)/2))
	w.Reset(out)
	_, _ = w.Write(text) // a Buffer takes everything
	_ = w.Close()
	w.Reset(nil)
	return out.Bytes(), nil
}

// acceptsGzip reports whether a client takes gzip, and no less than the plain
// text, by Accept-Encoding.
func acceptsGzip(values []string) bool {
	gzip, _ := encodings(values)
	return gzip
}

// encodings reads Accept-Encoding (RFC 9110, section 12.5.3): whether gzip may
// be sent, and isn't wanted less than the plain text, and whether the plain text
// may. What is said of one goes before what is said of *; what isn't well formed
// says nothing. The plain text may be sent unless that is ruled out.
func encodings(values []string) (gzip, plain bool) {
	const unsaid = -1.0
	ofGzip, ofPlain, ofAny := unsaid, unsaid, unsaid
	for coding := range strings.SplitSeq(strings.Join(values, ","), ",") {
		name, parameters, weighted := strings.Cut(coding, ";")
		weight := 1.0
		if weighted {
			q, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(parameters)), "q=")
			var err error
			if weight, err = strconv.ParseFloat(q, 64); !ok || err != nil || !(weight >= 0 && weight <= 1) {
				continue
			}
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip": // RFC 9110, section 8.4.1.3
			ofGzip = max(ofGzip, weight)
		case "identity":
			ofPlain = weight
		case "*":
			ofAny = weight
		}
	}
	if ofGzip == unsaid {
		ofGzip = ofAny
	}
	if ofPlain == unsaid {
		ofPlain = ofAny
	}
	return ofGzip > 0 && ofGzip >= ofPlain, ofPlain != 0
}
