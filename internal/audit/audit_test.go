package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/netip"
	"testing"

	"tidings/internal/audit"
	"tidings/internal/auth"
	"tidings/internal/gid"
)

func TestOneShape(t *testing.T) {
	var out bytes.Buffer
	log := audit.New(slog.New(slog.NewJSONHandler(&out, nil)))
	viewer, user := gid.NewUser(), gid.NewUser()
	ctx := auth.WithViewer(t.Context(), auth.Viewer{User: viewer})
	ctx = auth.WithClient(ctx, auth.Client{Address: netip.MustParseAddr("192.0.2.7"), Request: "r1"})
	log.Write(ctx, audit.RoleChanged, "ADMIN", user)
	log.Write(t.Context(), audit.LogInFailed, "login", gid.User{})
	audit.Log{}.Write(ctx, audit.RoleChanged, "ADMIN", user)

	d := json.NewDecoder(&out)
	for _, want := range []map[string]string{
		{"event": "role_changed", "reason": "ADMIN", "user": user.String(), "viewer": viewer.String(), "address": "192.0.2.7", "request": "r1"},
		{"event": "log_in_failed", "reason": "login", "user": "", "viewer": "", "address": "", "request": ""},
	} {
		var got map[string]any
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want)+3 || got["msg"] != "security" || got["level"] != "INFO" {
			t.Errorf("%v", got)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s is %v, want %q", k, got[k], v)
			}
		}
	}
	if d.More() {
		t.Error("the zero Log writes")
	}
}
