package matrix

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/gid"
)

// unheardOf is a new id of a type, which nothing has.
func unheardOf(typ string) string {
	switch typ {
	case "User":
		return gid.NewUser().String()
	case "Post":
		return gid.NewPost().String()
	}
	return gid.NewComment().String()
}

// A use is an operation in which an id stands as %s.
type use struct {
	of   string // the types that the id may be of
	text string
	why  string // which argument
}

// uses are all that the schema has: every argument and every field of an input that takes an id.
func (w *world) uses() (all []use) {
	for kind, root := range map[string]*ast.Definition{"query": w.w.schema.Query, "mutation": w.w.schema.Mutation, "subscription": w.w.schema.Subscription} {
		for _, f := range root.Fields {
			for _, a := range f.Arguments {
				key := root.Name + "." + f.Name + "." + a.Name
				row := arguments[key]
				switch row.kind {
				case one, some, resume:
				case input:
					for _, in := range w.w.schema.Types[a.Type.Name()].Fields {
						if id := inputs[a.Type.Name()+"."+in.Name].id; id != "" {
							all = append(all, use{id, "mutation { " + mutations[f.Name].do + " { __typename } }", key + "." + in.Name})
						}
					}
					continue
				default:
					continue
				}
				text := f.Name + `(` + a.Name + `: "%s")`
				switch {
				case row.kind == some:
					text = f.Name + `(` + a.Name + `: ["%s"])`
				case root == w.w.schema.Mutation:
					text = mutations[f.Name].do
				case row.kind == resume:
					// Beside what is about something that everyone may see.
					for _, other := range f.Arguments {
						if other.Type.NonNull {
							text = strings.Replace(text, "(", fmt.Sprintf("(%s: %q, ", other.Name, w.public.id), 1)
						}
					}
				}
				all = append(all, use{row.of, kind + " { " + text + " { __typename } }", key})
			}
		}
	}
	return all
}

// What a viewer may not see is to the byte what nobody has ever made, in every place where an id can stand, over HTTP and
// over a socket.
func TestHiddenIsAsIfItWereNot(t *testing.T) {
	everywhere(t, func(w *world) {
		w.comment(w.author, w.public) // a subscription that is taken up has something to say
		w.post(w.author, "The newest post", true)
		compared := map[string]int{}
		for _, v := range w.viewers {
			socket := w.node.Open(v.token)
			over := func(document string) string {
				socket.Subscribe("x", document, nil)
				m := socket.Receive()
				if m.Type == "next" {
					socket = w.node.Open(v.token) // there may be more to come
				}
				return m.Type + string(m.Payload)
			}
			for _, u := range w.uses() {
				for _, o := range w.m.objects {
					if !strings.Contains(u.of, o.typ) || visible(v, o) || wasShown(u, o) {
						continue
					}
					compared[u.why]++
					hidden, unknown := fmt.Sprintf(u.text, o.id), fmt.Sprintf(u.text, unheardOf(o.typ))
					if got, want := over(hidden), over(unknown); got != want {
						w.t.Errorf("%s over a socket, %s of %s is told from what does not exist:\n%s\n%s", v.name, u.why, o.values, got, want)
					}
					if got, want := w.http(v, hidden), w.http(v, unknown); got != want {
						w.t.Errorf("%s over HTTP, %s of %s is told from what does not exist:\n%s\n%s", v.name, u.why, o.values, got, want)
					}
				}
			}
		}
		for _, u := range w.uses() {
			if u.of != "User" && compared[u.why] == 0 { // users are never hidden
				w.t.Errorf("%s was tried with nothing that is hidden", u.why)
			}
		}
	})
}

// wasShown tells the one thing that may be known of what is hidden: a stream that has delivered a post goes on behind it,
// whatever has become of the post since.
func wasShown(u use, o *object) bool {
	return u.why == "Subscription.postCreated.after" && o.values["publishedAt"] != nil
}
