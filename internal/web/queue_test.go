package web

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func bytesOf(n int) item { return item{frame: make([]byte, n)} }

// sizes takes what waits and returns how large each is.
func sizes(q *queue) (all []int) {
	items, _, _ := q.take(nil)
	for _, it := range items {
		all = append(all, len(it.frame))
	}
	return all
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		q := newQueue(100)
		var order []int
		put := func(n int) {
			go func() {
				if err := q.put(ctx, bytesOf(n)); err != nil {
					t.Error(err)
				}
				order = append(order, n) // one at a time: the bubble waits between them
			}()
			synctest.Wait()
		}
		put(60)
		put(40)
		put(500) // waits until all is gone
		put(1)   // waits behind it, though there were room
		if got := sizes(q); !equal(got, []int{60, 40}) {
			t.Errorf("took %v", got)
		}
		q.release(60)
		synctest.Wait()
		if got := sizes(q); got != nil {
			t.Errorf("took %v while 40 bytes were still being written", got)
		}
		q.release(40)
		synctest.Wait()
		if got := sizes(q); !equal(got, []int{500}) {
			t.Errorf("took %v", got)
		}
		q.release(500)
		synctest.Wait()
		if got := sizes(q); !equal(got, []int{1}) {
			t.Errorf("took %v", got)
		}
		if !equal(order, []int{60, 40, 500, 1}) {
			t.Errorf("put in the order %v", order)
		}
	})
}

func TestQueueWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(100)
		if err := q.put(t.Context(), bytesOf(100)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var first, second, third error
		go func() { first = q.put(ctx, bytesOf(1)) }()
		synctest.Wait()
		go func() { second = q.put(ctx, bytesOf(1)) }() // behind the first
		go func() { third = q.put(t.Context(), bytesOf(1)) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(first, context.Canceled) || !errors.Is(second, context.Canceled) || third != nil {
			t.Errorf("%v, %v, %v", first, second, third)
		}
		q.end([]byte("last"), false)
		synctest.Wait()
		if !errors.Is(third, errEnded) {
			t.Error(third)
		}
		q.end([]byte("another"), false)
		items, last, ended := q.take(nil)
		if len(items) != 1 || string(last) != "last" || !ended {
			t.Errorf("%d items, then %q", len(items), last)
		}
		if err := q.put(t.Context(), bytesOf(1)); !errors.Is(err, errEnded) {
			t.Error(err)
		}
	})
}

func TestQueueDrop(t *testing.T) {
	q := newQueue(100)
	if err := q.put(t.Context(), bytesOf(100)); err != nil {
		t.Fatal(err)
	}
	q.end([]byte("last"), false)
	q.end(nil, true)
	if items, last, ended := q.take(nil); len(items) != 0 || string(last) != "last" || !ended {
		t.Errorf("%d items, then %q", len(items), last)
	}
}

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                  "",
		"*/*":                               typeJSON,
		"application/*":                     typeJSON,
		"application/json":                  typeJSON,
		"APPLICATION/JSON ; Charset=UTF-8":  typeJSON,
		"application/json; charset=latin1":  "",
		"application/graphql-response+json": typeResponse,
		"application/json, application/graphql-response+json":                typeResponse,
		"application/graphql-response+json, application/json;q=0.9":          typeResponse,
		"application/graphql-response+json;q=0.8, application/json":          typeJSON,
		"application/graphql-response+json;q=0.8, */*;q=0.9":                 typeJSON,
		"application/graphql-response+json, */*":                             typeResponse,
		"application/json;q=0, */*":                                          typeResponse,
		"application/json;q=0, application/graphql-response+json;q=0, */*":   "",
		"text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8": typeJSON,
		"text/html":                       "",
		"text/event-stream":               "",
		"application/json;q=2":            "",
		"application/json;q=NaN":          "",
		"nonsense, ;;, application/json":  typeJSON,
		"application/json;q=0.5;q=0.9, a": "",
	} {
		if got := negotiate([]string{accept}); got != want {
			t.Errorf("Accept: %s is answered in %q, want %q", accept, got, want)
		}
	}
	if got := negotiate(nil); got != typeJSON {
		t.Errorf("without Accept in %q", got)
	}
	if got := negotiate([]string{"text/html", typeResponse}); got != typeResponse {
		t.Errorf("with two headers in %q", got)
	}
}
