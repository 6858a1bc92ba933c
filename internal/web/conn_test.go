package web

import (
	"testing"

	"tidings/internal/auth"
)

// TestNoCookieOnASocket: once the handshake is over, there is no response that could set one.
func TestNoCookieOnASocket(t *testing.T) {
	c := newConn(&Server{}, nil, nil, nil, auth.Client{Request: "r", Cookie: new(auth.Cookie)}, nil, nil)
	if got := auth.ClientFrom(c.ctx); got.Cookie != nil || got.Request != "r" {
		t.Errorf("%+v", got)
	}
}

// TestGoesOut: frames that already wait when their operation's client completes
// it stay behind, and an id is free again before the frame that ends it goes.
func TestGoesOut(t *testing.T) {
	c := &conn{}
	c.transport = c
	start := func() *operation {
		op := &operation{busy: 1, id: "a", conn: &c.line}
		c.operations = append(c.operations, op)
		return op
	}
	first := start()
	if !c.goesOut(item{op: first}) || c.operation("a") != first {
		t.Error("a frame of a running operation")
	}
	c.complete("a")
	second := start()
	if c.goesOut(item{op: first}) || c.goesOut(item{op: first, final: true}) {
		t.Error("a frame of a completed operation went out")
	}
	if c.operation("a") != second {
		t.Error("the end of an operation took another one's id")
	}
	if !c.goesOut(item{op: second, final: true}) || len(c.operations) != 0 {
		t.Error("the frame that ends an operation doesn't free its id")
	}
	if !c.goesOut(item{}) {
		t.Error("a frame of no operation")
	}
}
