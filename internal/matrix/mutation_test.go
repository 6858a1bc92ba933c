package matrix

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

// Each mutation, on each kind of thing that it can be about, by each viewer: it is done, or refused with the code that
// the tables say and nothing changed. The answers show what the viewer may see and no more.
func TestMutations(t *testing.T) {
	everywhere(t, func(w *world) {
		done, refused := map[string]int{}, map[string]int{}
		for _, f := range w.w.schema.Mutation.Fields {
			row := mutations[f.Name]
			for i, v := range w.viewers {
				ask := w.ways(v)[[]string{"HTTP", "socket"}[i%2]]
				for _, target := range w.targets(row.on) {
					by, ask := v, ask
					if row.own && v.user != nil {
						by = w.spare()
						ask = w.ways(by)["HTTP"]
					}
					if w.mutate(f, row, by, ask, target) {
						done[f.Name]++
					} else {
						refused[f.Name]++
					}
				}
			}
			if row.on == "User" {
				self := w.spare()
				if w.mutate(f, row, self, w.ways(self)["socket"], self.user) {
					done[f.Name]++
				}
			}
			if done[f.Name] == 0 && row.who != holders || refused[f.Name] == 0 && row.who != newUsers {
				w.t.Errorf("%s was done %d times and refused %d times", f.Name, done[f.Name], refused[f.Name])
			}
		}
	})
}

// spare is somebody whom the other tests don't need.
func (w *world) spare() *viewer {
	w.t.Helper()
	w.made++
	return w.signUp(fmt.Sprint("spare_", w.made))
}

// targets are new things of a type, one for each way in which they can stand to the viewers.
func (w *world) targets(typ string) []*object {
	w.t.Helper()
	switch typ {
	case "":
		return []*object{nil}
	case "User":
		return []*object{w.spare().user}
	}
	public, draft, back := w.post(w.author, "Public again", true), w.post(w.author, "Not public", false), w.post(w.author, "Taken back again", true)
	posts := []*object{public, draft, back, w.post(w.other, "Not public either", false)}
	comments := []*object{w.comment(w.author, public), w.comment(w.other, public), w.comment(w.author, draft), w.comment(w.other, back)}
	w.takeBack(back)
	if typ == "Post" {
		return posts
	}
	return comments
}

// mutate does one mutation, and reports whether it was to be done.
func (w *world) mutate(f *ast.FieldDefinition, row mutation, v *viewer, ask asker, target *object) bool {
	w.t.Helper()
	w.made++
	do := strings.ReplaceAll(row.do, "$new", fmt.Sprint("new_", w.made))
	label := v.name + " does " + do
	want := ""
	if target != nil {
		do = fmt.Sprintf(do, target.id)
		label += fmt.Sprint(" to ", target.values)
	}
	switch {
	case row.who == newUsers:
	case v.user == nil || row.who == holders:
		want = "UNAUTHENTICATED"
	case target != nil && !visible(v, target):
		want = "NOT_FOUND"
	case !row.who.may(v, target):
		want = "FORBIDDEN"
	}
	var before string
	if target != nil {
		before = w.asWritten(target)
	}
	s := &selection{name: f.Name, of: f.Type.Name()}
	if !row.scalar {
		s.subs = w.w.short(s.of)
		for _, sub := range s.subs { // one step further: to others than the viewer
			if strings.HasPrefix(sub.alias, "on_") {
				sub.subs = w.w.short(sub.of)
			}
		}
	}
	r := w.read(ask("mutation { " + do + braced(s.subs) + " }"))
	if got := code(r); got != want || len(r.Errors) > 1 {
		w.t.Errorf("%s: %q, want %q: %v", label, got, want, r.Errors)
	}
	if want != "" {
		if target != nil && w.asWritten(target) != before {
			w.t.Errorf("%s is refused, and yet it has changed", label)
		}
		return false
	}
	if target != nil && row.who == ownerAndAdmins {
		if w.asWritten(target) == before {
			w.t.Errorf("%s changes nothing", label)
		}
	}
	answer := r.Data[f.Name]
	if row.who == newUsers {
		v = w.letIn(answer)
	}
	w.audit(label, v, answer, s)
	return true
}

// asWritten is what can be seen of a thing by who can see most of it.
func (w *world) asWritten(o *object) string {
	w.t.Helper()
	owner := w.anonymous
	for _, v := range []*viewer{w.author, w.other} {
		if v.owns(o) || o.post != nil && v.owns(o.post) {
			owner = v
			break
		}
	}
	return w.http(owner, fmt.Sprintf(`{ node(id: %q) { ...on User { username fullName isActive role } ...on Post { title content published } ...on Comment { content } } }`, o.id))
}

// letIn is the viewer of a mutation's answer that is about a new user or session.
func (w *world) letIn(answer any) *viewer {
	w.t.Helper()
	u, _ := answer.(map[string]any)
	if user, ok := u["on_user"].(map[string]any); ok {
		u = user
	}
	id, _ := u["id"].(string)
	o := w.m.byID(id)
	if o == nil {
		o = &object{typ: "User", id: id, values: map[string]any{}}
	}
	return &viewer{name: "who was let in", user: o}
}

// audit checks an answer of which the model does not know everything: no object is hidden from the viewer, and a field
// that is for some only is null for others, and there for those.
func (w *world) audit(label string, v *viewer, got any, s *selection) {
	w.t.Helper()
	switch x := got.(type) {
	case []any:
		for _, each := range x {
			w.audit(label, v, each, s)
		}
	case map[string]any:
		id, _ := x["id"].(string)
		o := w.m.byID(id)
		if o == nil && v.user != nil && v.user.id == id {
			o = v.user
		}
		if o != nil && !visible(v, o) {
			w.t.Errorf("%s: is shown %s", label, o.values)
		}
		for _, sub := range s.subs {
			row := fields[s.of+"."+sub.name]
			if value, there := x[sub.key()]; there && row.who != everyone && row.who != newUsers && o != nil {
				if (value != nil) != row.who.may(v, o) {
					w.t.Errorf("%s: %s.%s of %s is %v", label, s.of, sub.name, id, value)
				}
			}
			w.audit(label, v, x[sub.key()], sub)
		}
	}
}

// What only admins may give is refused from everyone else, even about themselves.
func TestInputsForAdmins(t *testing.T) {
	everywhere(t, func(w *world) {
		tried := 0
		for _, f := range w.w.schema.Mutation.Fields {
			for _, a := range f.Arguments {
				for _, in := range w.w.schema.Types[a.Type.Name()].Fields {
					row := inputs[a.Type.Name()+"."+in.Name]
					if row.who != adminsOnly {
						continue
					}
					tried++
					for _, v := range append([]*viewer{w.spare()}, w.viewers...) {
						subject := v.user
						if subject == nil || v.admin {
							subject = w.spare().user
						}
						want := "FORBIDDEN"
						switch {
						case v.user == nil:
							want = "UNAUTHENTICATED"
						case v.admin:
							want = ""
						}
						before := w.asWritten(subject)
						r := w.read(w.http(v, fmt.Sprintf(`mutation { %s(id: %q, %s: {%s: %s}) { id } }`, f.Name, subject.id, a.Name, in.Name, row.try)))
						if got := code(r); got != want {
							w.t.Errorf("%s gives %s: %q, want %q", v.name, in.Name, got, want)
						}
						if (w.asWritten(subject) != before) != (want == "") {
							w.t.Errorf("%s gives %s: it is now %s", v.name, in.Name, w.asWritten(subject))
						}
					}
				}
			}
		}
		if tried == 0 {
			w.t.Error("no input has anything for admins only")
		}
	})
}
