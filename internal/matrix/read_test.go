package matrix

import (
	"fmt"
	"strings"
	"testing"
)

// Each query, by every call and every chain of fields, for each viewer: the answer is the model's. That is direct, by
// node, nested, in lists, in searches and in counts.
func TestQueries(t *testing.T) {
	everywhere(t, func(w *world) {
		all := w.w.queries()
		if len(all) < 300 {
			w.t.Errorf("only %d queries", len(all))
		}
		asked := 0
		for i, v := range w.viewers {
			ways := w.ways(v)
			for from := 0; from < len(all); from += batch {
				some := all[from:min(len(all), from+batch)]
				// The ways take turns, so that each query goes each way for some viewers.
				way := []string{"HTTP", "socket"}[(i+from/batch)%2]
				asked++
				w.compare(v, way, ways[way], some)
			}
		}
		w.t.Logf("%d queries for %d viewers in %d operations", len(all), len(w.viewers), asked)
	})
}

// batch is how many root fields go into one operation: within the limits on what one may cost.
const batch = 1

func (w *world) compare(v *viewer, way string, ask asker, some []*selection) {
	w.t.Helper()
	var document strings.Builder
	document.WriteString("{")
	for i, s := range some {
		s.alias = fmt.Sprint("r", i)
		document.WriteString(" " + s.String())
	}
	document.WriteString(" }")
	r := w.read(ask(document.String()))
	if len(r.Errors) > 0 {
		w.t.Fatalf("%s over %s: %v\n%s", v.name, way, r.Errors, &document)
	}
	if d := differs("data", w.m.answer(v, "Query", nil, some), r.Data); d != "" {
		w.t.Errorf("%s over %s: %s\n%s", v.name, way, d, &document)
	}
}

// Pages of one, forwards and backwards: neither what is on them nor that there is another tells of what is hidden.
func TestPages(t *testing.T) {
	everywhere(t, func(w *world) {
		walked := 0
		for _, f := range w.w.schema.Query.Fields {
			if !strings.HasSuffix(f.Type.Name(), "Connection") {
				continue
			}
			base, more := w.w.calls("Query", f)
			for _, args := range append(base, more...) {
				delete(args, "first")
				s := &selection{name: f.Name, args: args, of: f.Type.Name()}
				for _, v := range w.viewers {
					c, ok := fields["Query."+f.Name].value(call{w.m, v, nil, f.Name, args}).(conn)
					if !ok {
						w.t.Fatal(f.Name, " is no connection in the model")
					}
					ways := [][3]string{{"first", "after", "end"}}
					if f.Arguments.ForName("last") != nil {
						ways = append(ways, [3]string{"last", "before", "start"})
					}
					for _, way := range ways {
						walked++
						if got := w.walk(v, s, way); got != len(c.items) {
							w.t.Errorf("%s walks %d pages of %s with %s, there are %d to see", v.name, got, s, way[0], len(c.items))
						}
					}
				}
			}
		}
		if walked < 50 {
			w.t.Errorf("only %d connections were walked", walked)
		}
	})
}

// walk counts the items of a connection from page to page.
func (w *world) walk(v *viewer, s *selection, way [3]string) (n int) {
	w.t.Helper()
	more := map[string]string{"first": "hasNextPage", "last": "hasPreviousPage"}[way[0]]
	args := map[string]string{way[0]: "1"}
	for k, x := range s.args {
		args[k] = x
	}
	for {
		page := &selection{name: s.name, alias: "c", args: args}
		r := w.read(w.http(v, "{ "+page.String()+" { nodes { id } totalCount pageInfo { "+more+" "+way[2]+"Cursor } } }"))
		if len(r.Errors) > 0 {
			w.t.Fatalf("%s: %v", page, r.Errors)
		}
		c := r.Data["c"].(map[string]any)
		info, items := c["pageInfo"].(map[string]any), c["nodes"].([]any)
		for _, item := range items {
			if o := w.m.byID(item.(map[string]any)["id"].(string)); !visible(v, o) {
				w.t.Errorf("%s sees %s by %s", v.name, o.id, page)
			}
		}
		n += len(items)
		if info[more] != true {
			return n
		}
		if len(items) != 1 || n > 20 {
			w.t.Fatalf("%s: %d items on a page, and more behind", page, len(items))
		}
		args[way[1]] = fmt.Sprintf("%q", info[way[2]+"Cursor"])
	}
}
