package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"tidings/internal/event"
	"tidings/internal/live"
)

// TestHeartbeats: one for each Limits.Ping of silence, and none while there are events.
func TestHeartbeats(t *testing.T) {
	w := httptest.NewRecorder()
	c := &stream{
		line: line{server: &Server{limits: Limits{Ping: time.Minute, Write: time.Minute}}, out: out{limit: 100, finished: make(chan struct{})}},
		w:    w, control: http.NewResponseController(w), woken: make(chan struct{}, 1),
	}
	if !c.send([]byte("an event")) {
		t.Fatal("it can't be sent")
	}
	said := time.Unix(0, c.said.Load())
	for _, step := range []struct {
		after time.Duration
		beats int
	}{{0, 0}, {time.Minute - 1, 0}, {time.Minute, 1}, {time.Minute + 1, 1}, {2*time.Minute - 1, 1}, {2 * time.Minute, 2}, {5 * time.Minute, 3}} {
		c.beat(said.Add(step.after))
		if got := len(c.out.items); got != step.beats {
			t.Errorf("after %s: %d heartbeats, want %d", step.after, got, step.beats)
		}
	}
}

// TestEventsAreSized: the queue counts an event as what goes out.
func TestEventsAreSized(t *testing.T) {
	at := event.Cursor{Epoch: event.Epoch{1}, Position: 7, Tag: 9}
	it := item{op: new(operation), event: &live.Payload{At: at, Cursor: at.String(), Data: []byte(`{"data":{"it":1}}`)}}
	want := "event: next\nid: " + at.String() + "\ndata: {\"data\":{\"it\":1}}\n\n"
	if got := string(it.append(nil)); got != want || it.size() != len(want) {
		t.Errorf("%d bytes are counted for %q", it.size(), got)
	}
}

// TestOneLine: no line break of a response ends its field.
func TestOneLine(t *testing.T) {
	got := string(resultEvents(&graphql.Response{Data: []byte("{\"a\":\n[1,\r\n2]}\n")}))
	if want := "event: next\ndata: {\"data\":{\"a\": [1,  2]} }\n\nevent: complete\nid: complete\ndata:\n\n"; got != want {
		t.Errorf("%q", got)
	}
}

// TestComeBack: not all at once.
func TestComeBack(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		field := string(comeBack())
		if !strings.HasPrefix(field, "retry: ") || !strings.HasSuffix(field, "\n") {
			t.Fatal(field)
		}
		seen[field] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d times of a hundred", len(seen))
	}
}
