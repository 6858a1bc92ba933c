package web

import (
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

func TestEncodings(t *testing.T) {
	for accepted, want := range map[string][2]bool{ // gzip, plain
		"":                             {false, true},
		"gzip":                         {true, true},
		"gzip, deflate, br, zstd":      {true, true},
		"gzip;q=0.5":                   {true, true},
		"gzip;Q=0.5":                   {true, true},
		"gzip ; q=1.000":               {true, true},
		"identity":                     {false, true},
		"identity, gzip":               {true, true},
		"identity, gzip;q=0.9":         {false, true},
		"identity;q=0.5, gzip;q=0.5":   {true, true},
		"identity;q=0.5, *":            {true, true},
		"identity;q=0.5, *;q=0.4":      {false, true},
		"gzip;q=0":                     {false, true},
		"gzip;q=0, *":                  {false, true},
		"*;q=0":                        {false, false},
		"*;q=0, gzip":                  {true, false},
		"*;q=0, identity;q=0.1":        {false, true},
		"gzip, identity;q=0":           {true, false},
		"gzip, *;q=0":                  {true, false},
		"identity;q=0":                 {false, false},
		"x-gzip":                       {true, true},
		"gzip;q=2":                     {false, true},
		"gzip;q=-1":                    {false, true},
		"gzip;q=nan":                   {false, true},
		"gzip;q=":                      {false, true},
		"gzip;level=9":                 {false, true},
		"gzip;q=1;level=9":             {false, true},
		", ,gzip,,":                    {true, true},
		"gzip;q=0, x-gzip;q=0.1":       {true, true},
		"br;q=1.0, gzip;q=0.8, *;q=.1": {true, true},
	} {
		gzip, plain := encodings([]string{accepted})
		if got := [2]bool{gzip, plain}; got != want {
			t.Errorf("%q: gzip and plain are %v, want %v", accepted, got, want)
		}
	}
	if gzip, plain := encodings([]string{"identity;q=0", "gzip"}); !gzip || plain {
		t.Error("of two lines one counts")
	}
}

func TestIfNoneMatch(t *testing.T) {
	for list, want := range map[string]bool{
		``:                    false,
		`*`:                   true,
		` * `:                 true,
		`"a"`:                 true, // by the weak comparison
		`W/"a"`:               true,
		`W/"b"`:               false,
		`W/"b", W/"a"`:        true,
		`"b" , ,"a"`:          true,
		`"b,c", "a"`:          true,
		`"b, \"a"`:            false,
		`"x", *`:              false,
		`w/"a"`:               false,
		`a`:                   false,
		`"a`:                  false,
		`b, "a"`:              false,
		`"`:                   false,
		`W/`:                  false,
		`"", W/"", "a"`:       true,
		`"aa", "ba", "a b"`:   false,
		`"b` + "\t" + `","a"`: true,
	} {
		if got := has([]string{list}, `W/"a"`); got != want {
			t.Errorf("%s: %v", list, got)
		}
	}
	if !has([]string{`"b"`, `"a"`}, `W/"a"`) {
		t.Error("of two lines one counts")
	}
}

// TestGzipper compresses many texts at once, which come out as they went in, and looks at what that has taken.
func TestGzipper(t *testing.T) {
	g := newGzipper()
	before := heap()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			text := bytes.Repeat(fmt.Appendf(nil, "%d of many ", i), 1+i*10)
			compressed, err := g.compress(t.Context(), text)
			if err != nil {
				t.Error(err)
				return
			}
			r, err := stdgzip.NewReader(bytes.NewReader(compressed))
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
				t.Errorf("text %d: %v", i, err)
			}
		})
	}
	all.Wait()
	// A Pool may keep one for each processor that no other processor finds.
	if taken, limit := int(heap())-int(before), (1+2*runtime.GOMAXPROCS(0))<<20; taken > limit {
		t.Errorf("%d bytes are kept, at most %d may be", taken, limit)
	}
	for range cap(g.turns) {
		g.turns <- struct{}{}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.compress(gone, []byte("a")); err == nil {
		t.Error("more are compressed at once than there are processors")
	}
}

// TestQueriesHaveNoSecrets: what may be compressed and kept by clients has no field for a token or a password.
func TestQueriesHaveNoSecrets(t *testing.T) {
	schema := productSchema(t)
	seen := map[string]bool{}
	var look func(def *ast.Definition)
	look = func(def *ast.Definition) {
		if def == nil || seen[def.Name] {
			return
		}
		seen[def.Name] = true
		for _, possible := range schema.GetPossibleTypes(def) {
			look(possible)
		}
		for _, f := range def.Fields {
			for _, word := range []string{"token", "password", "secret"} {
				if strings.Contains(strings.ToLower(f.Name), word) {
					t.Errorf("%s.%s can be asked for by a query", def.Name, f.Name)
				}
			}
			look(schema.Types[f.Type.Name()])
		}
	}
	look(schema.Query)
	if !seen["Post"] || !seen["Comment"] || seen["Mutation"] {
		t.Errorf("looked at %v", seen)
	}
}
