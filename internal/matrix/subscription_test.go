package matrix

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/testkit"
)

// A stream is a subscription, and what is to come of it.
type stream struct {
	text  string
	sel   *selection
	want  []*object // in their order
	error bool      // NOT_FOUND instead
	loose bool      // what comes is not told, only that nothing of it may be hidden
}

// streams are all subscriptions by every call, resumed from a cursor, and each by every selection that selections gives.
func (w *world) streams(v *viewer, after string, selections func(f *ast.FieldDefinition, base bool) [][]*selection) (all []stream) {
	for _, f := range w.w.schema.Subscription.Fields {
		base, more := w.w.calls("Subscription", f)
		for i, args := range append(base, more...) {
			for _, subs := range selections(f, i == 0) {
				full := maps.Clone(args)
				full["after"] = fmt.Sprintf("%q", after)
				s := stream{sel: &selection{name: f.Name, of: f.Type.Name(), args: full, subs: subs}}
				s.text = "subscription { " + s.sel.String() + " }"
				if about := w.m.byID(args["postId"]); about != nil && !visible(v, about) {
					s.error = true
				} else {
					s.want = subscriptions[f.Name](call{w.m, v, nil, f.Name, args})
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// follow takes what comes of streams on a socket until all has come that is to come.
func (w *world) follow(v *viewer, socket *testkit.Socket, all []stream) {
	w.t.Helper()
	left, got := 0, make([]int, len(all))
	for _, s := range all {
		if left += len(s.want); s.error {
			left++
		}
	}
	for left > 0 {
		m := socket.Receive()
		var i int
		if _, err := fmt.Sscan(m.ID, &i); err != nil {
			w.t.Fatalf("a message of %q", m.ID)
		}
		s := all[i]
		switch {
		case s.error:
			if m.Type != "error" || !strings.Contains(string(m.Payload), `"NOT_FOUND"`) {
				w.t.Fatalf("%s: %s %s instead of NOT_FOUND\n%s", v.name, m.Type, m.Payload, s.text)
			}
			left--
		case m.Type == "next":
			var r testkit.Response
			if err := json.Unmarshal(m.Payload, &r); err != nil || len(r.Errors) > 0 {
				w.t.Fatalf("%s: %v %s\n%s", v.name, err, m.Payload, s.text)
			}
			w.audit(v.name+" "+s.text, v, r.Data[s.sel.name], s.sel)
			if s.loose {
				continue
			}
			if got[i] == len(s.want) {
				w.t.Fatalf("%s is delivered more than there is: %s\n%s", v.name, m.Payload, s.text)
			}
			want := w.m.answer(v, s.sel.of, s.want[got[i]], s.sel.subs)
			if d := differs(fmt.Sprint("payload ", got[i]), want, r.Data[s.sel.name]); d != "" {
				w.t.Errorf("%s: %s\n%s", v.name, d, s.text)
			}
			got[i]++
			left--
		case s.loose && (m.Type == "complete" || m.Type == "error" && strings.Contains(string(m.Payload), `"NOT_FOUND"`)):
			// Its post was taken back after it began, or before.
		default:
			w.t.Fatalf("%s: %s %s\n%s", v.name, m.Type, m.Payload, s.text)
		}
	}
}

// Replayed from the beginning, by every call and every chain of fields: what is delivered is what is visible now, and
// shows what the viewer may see.
func TestReplays(t *testing.T) {
	everywhere(t, func(w *world) {
		chains := func(f *ast.FieldDefinition, base bool) [][]*selection {
			if base {
				return w.w.chains(f.Type.Name(), map[string]bool{})
			}
			return [][]*selection{w.w.short(f.Type.Name())}
		}
		for _, v := range w.viewers {
			all := w.streams(v, w.start, chains)
			if len(all) < 30 {
				w.t.Errorf("only %d subscriptions", len(all))
			}
			for some := range slices.Chunk(all, 20) {
				socket := w.node.Open(v.token)
				for i, s := range some {
					socket.Subscribe(fmt.Sprint(i), s.text, nil)
				}
				w.follow(v, socket, some)
				socket.Close()
			}
		}
	})
}

// behind is the cursor behind a public post, which is in the log then.
func (w *world) behind(p *object) string {
	w.t.Helper()
	socket := w.node.Subscribe("", `subscription($c: Cursor) { postCreated(after: $c) { id } }`, map[string]any{"c": w.start})
	defer socket.Close()
	for {
		if r := socket.Next(); r.Text("postCreated", "id") == p.id {
			return r.Extensions["cursor"].(string)
		}
	}
}

// Live, while things are written that are hidden from some: a viewer is delivered what is visible to them, and nothing
// else comes before it or between. All viewers select the same, all fields at once and some chains of fields that chance
// picks: what is shared is shared by them, and what is personal is told apart.
func TestLive(t *testing.T) {
	everywhere(t, func(w *world) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		fleeting := w.post(w.author, "A post that is taken back while it is watched", true)
		head := w.behind(fleeting)
		known := len(w.m.objects)
		some := func(f *ast.FieldDefinition, base bool) [][]*selection {
			all := [][]*selection{w.w.plain(f.Type.Name())}
			if base {
				chains := w.w.chains(f.Type.Name(), map[string]bool{})
				for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(len(chains))[:min(15, len(chains))] {
					all = append(all, chains[i])
				}
			}
			return all
		}
		sockets, all := map[*viewer]*testkit.Socket{}, map[*viewer][]stream{}
		for _, v := range w.viewers {
			sockets[v] = w.node.Open(v.token)
			for i, s := range w.streams(v, head, some) {
				s.want = nil
				// Lists in a payload are as of when it was delivered, which can't be told: only that nothing hidden is in them.
				s.loose = strings.Contains(s.text, fleeting.id) || strings.Contains(s.text, " on_")
				sockets[v].Subscribe(fmt.Sprint(i), s.text, nil)
				all[v] = append(all[v], s)
			}
		}

		w.comment(w.author, w.draft)
		w.comment(w.author, w.takenBack)
		w.post(w.author, "A new draft", false)
		w.post(w.other, "A new draft by another", false)
		w.takeBack(fleeting)
		w.comment(w.author, fleeting)
		for _, p := range w.m.objects[:known] { // what ends the wait: something on each post, hidden from some
			if p.typ == "Post" && p != fleeting {
				for _, v := range []*viewer{w.author, w.other} {
					if visible(v, p) {
						w.comment(v, p)
					}
				}
			}
		}
		w.post(w.author, "The last post of the author", true)
		w.post(w.other, "The last post of the other", true)

		for _, v := range w.viewers {
			for i := range all[v] {
				s := &all[v][i]
				if s.error || s.loose {
					continue
				}
				for _, o := range subscriptions[s.sel.name](call{w.m, v, nil, s.sel.name, s.sel.args}) {
					if slices.Contains(w.m.objects[known:], o) {
						s.want = append(s.want, o)
					}
				}
			}
			w.follow(v, sockets[v], all[v])
		}
	})
}
