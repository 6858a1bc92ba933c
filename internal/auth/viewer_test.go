package auth

import (
	"testing"

	"tidings/internal/gid"
)

func TestViewer(t *testing.T) {
	ctx := t.Context()
	if v := ViewerFrom(ctx); v.SignedIn() || v.Admin || IsSystem(ctx) {
		t.Errorf("a bare context has viewer %v, system %t", v, IsSystem(ctx))
	}
	v := Viewer{User: gid.NewUser()}
	ctx = WithViewer(ctx, v)
	if ViewerFrom(ctx) != v || !ViewerFrom(ctx).SignedIn() || IsSystem(ctx) {
		t.Error("the viewer is not in the context")
	}
	system := AsSystem(ctx)
	if !IsSystem(system) || ViewerFrom(system) != v || IsSystem(ctx) {
		t.Error("AsSystem is no system, or loses the viewer")
	}
	if again := WithViewer(system, Viewer{}); IsSystem(again) || ViewerFrom(again).SignedIn() {
		t.Error("who was given a viewer sees what the system sees")
	}
}
