package app

import (
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/web"
)

// Each setting of a socket is the limit of that name.
func TestLimitsAsConfigured(t *testing.T) {
	a := &App{cfg: config.Config{Socket: config.Socket{
		Message: 1, Queue: 2, Subscriptions: 3, Executions: 4, Init: 5 * time.Second, Ping: 6 * time.Second, Pong: 7 * time.Second, Write: 8 * time.Second,
	}}}
	want := web.Limits{
		Message: 1, Queue: 2, Subscriptions: 3, Executions: 4, Init: 5 * time.Second, Ping: 6 * time.Second, Pong: 7 * time.Second, Write: 8 * time.Second,
	}
	if got := a.limits(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
