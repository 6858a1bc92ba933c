package matrix

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"tidings/internal/config"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/testkit"
	"tidings/internal/testkit/opgen"
)

// replica is one of two servers with equal rows, on which equal things are done: one directly, one by the executor. What
// either makes up by itself (ids, times, tokens) is called by the order in which it has appeared.
type replica struct {
	*planted
	at    *testkit.Node
	begun time.Time
	fresh map[string]int // ids
}

var (
	quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	timeText   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$`)
	newID      = regexp.MustCompile(`\(\w* \d+\)`)
	tokenText  = regexp.MustCompile(`^(eyJ[\w-]+\.[\w-]+\.[\w-]+|tidings_rt_.+)$`)
)

func newReplica(t *testing.T, d config.Database, byExecutor bool) *replica {
	t.Helper()
	r := &replica{planted: plant(t, d), begun: time.Now(), fresh: map[string]int{}}
	r.cookies = map[*viewer]string{}
	if r.at = r.node; byExecutor {
		r.at = r.executor
	}
	for _, v := range r.viewers {
		if v.user != nil { // in earnest, for what is done to sessions
			r.logIn(v)
		}
	}
	return r
}

func (r *replica) logIn(v *viewer) {
	r.t.Helper()
	s := r.node.Must("", `mutation($n: String!) { logIn(input: {login: $n, password: "password"}) { accessToken refreshToken } }`, map[string]any{"n": v.name})
	v.token, r.cookies[v] = s.Text("logIn", "accessToken"), s.Text("logIn", "refreshToken")
}

// told is a response without what the replica has made up.
func (r *replica) told(body string) string {
	return quotedText.ReplaceAllStringFunc(body, func(quoted string) string {
		s := quoted[1 : len(quoted)-1]
		kind, u, isID := gid.Parse(s)
		switch {
		case isID:
			return r.called(kind, u)
		case timeText.MatchString(s):
			at, err := time.Parse(time.RFC3339Nano, s)
			if r.must(err); r.isNew(at) {
				return "(a new time)"
			}
		case tokenText.MatchString(s):
			return "(a token)"
		default:
			if _, err := event.ParseCursor(s); err == nil {
				return "(a place in the stream)"
			}
			if b, err := base64.RawURLEncoding.DecodeString(s); err == nil && len(b) > 19 && b[0] == 1 { // a cursor, as package relay makes them
				return r.place(b)
			}
		}
		return quoted
	})
}

func (r *replica) isNew(at time.Time) bool {
	return at.After(r.begun.Add(-time.Minute)) && at.Before(r.begun.Add(10*24*time.Hour))
}

func (r *replica) called(kind string, u uuid.UUID) string {
	for _, id := range []string{gid.UserOf(u).String(), gid.PostOf(u).String(), gid.CommentOf(u).String()} {
		if r.byID[id] != nil {
			return fmt.Sprint("(", kind, " ", id, ")")
		}
	}
	n, ok := r.fresh[u.String()]
	if !ok {
		n = len(r.fresh)
		r.fresh[u.String()] = n
	}
	return fmt.Sprint("(", kind, " ", n, ")")
}

func (r *replica) place(b []byte) string {
	key := fmt.Sprintf("%q", b[18:])
	if b[18] == 0 && len(b) == 27 && r.isNew(time.UnixMicro(int64(binary.BigEndian.Uint64(b[19:])))) {
		key = "a new time"
	}
	return fmt.Sprintf("(order %d %s %s)", b[1], r.called("", uuid.UUID(b[2:18])), key)
}

// follow changes the model as an operation has changed the rows.
func (p *planted) follow(d *opgen.Document, op *opgen.Operation, o outcome) {
	p.t.Helper()
	var response testkit.Response
	p.must(json.Unmarshal([]byte(o.body), &response))
	p.must(d.Visit(op, response.Data, func(f *opgen.Found) {
		if f.On != "Mutation" || f.Field.Name != "updatePost" {
			return
		}
		id, _ := f.Args["id"].(string)
		input, _ := f.Args["input"].(map[string]any)
		if published, ok := input["published"].(bool); ok {
			p.byID[id].values["published"] = published
		}
	}, func(string) {}))
}

// times is how often each mutation is done, in an order in which each can be: passwords before names change, users deleted
// last. Those that check passwords are dear.
var times = []struct {
	field string
	n     int
}{
	{"createPost", 15}, {"updatePost", 25}, {"addComment", 15}, {"updateComment", 20}, {"createUser", 4}, {"logIn", 4},
	{"refreshSession", 4}, {"changePassword", 4}, {"updateUser", 15}, {"deleteComment", 12}, {"deletePost", 12}, {"deleteUser", 6}, {"logOut", 2},
}

// TestMutationsAnswerTheSame: equal things done to equal rows are answered with equal bytes, but for what is made up, and
// leave equal rows.
func TestMutationsAnswerTheSame(t *testing.T) {
	n := seed(t)
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		other := config.Database{Dialect: d.Dialect, Path: d.Path + ".other"}
		if d.Dialect == config.Postgres {
			other.URL = testkit.Postgres(t)
		}
		one, two := newReplica(t, d, false), newReplica(t, other, true)
		c := newComparison(one.planted, n)
		c.choices.good = func(cursor string) bool { // that of something new is good in one of the two only
			told := one.told(`"` + cursor + `"`)
			return !strings.Contains(told, "a new time") && !newID.MatchString(told)
		}
		done, asked := map[string]int{}, 0
		both := func(v int, d *opgen.Document) (ok bool) {
			asked++
			op := d.Operations[0]
			a, b := one.ask(one.at, one.viewers[v], d, op), two.ask(two.at, two.viewers[v], d, op)
			viewer := one.viewers[v]
			if op.Set[0].Name == "logIn" {
				viewer = one.viewers[1] // whoever logs in, it is as the author
			}
			why := c.fault(viewer, outcome{a.status, one.told(a.body)}, outcome{b.status, two.told(b.body)})
			if why == "" && one.hidden(viewer, a.body) != nil {
				why = fmt.Sprint("is shown ", one.hidden(viewer, a.body))
			}
			if why == "" {
				why = c.account(d, op, a)
			}
			if why != "" {
				sent, err := json.Marshal(d.Variables(op))
				one.must(err)
				t.Fatalf("%s: %s\n%s%s\ndirectly:    %d %s\nby executor: %d %s", viewer.name, why, d.Text(), sent, a.status, one.told(a.body), b.status, two.told(b.body))
			}
			ok = !strings.HasPrefix(a.body, `{"errors"`)
			if ok {
				c.p.follow(d, op, a)
			}
			return ok
		}
		for _, each := range times {
			for i := 0; i < each.n*testkit.Of(1, 3) || done[each.field] == 0 && i < 100; i++ {
				v := []int{3, 1, 3, 2, 1, 0}[i%6]
				if each.field == "createUser" || each.field == "logIn" {
					v = i % 2
				}
				if both(v, c.g.Mutation(each.field)) {
					done[each.field]++
				}
				both(i%4, c.g.Query())
			}
		}
		for _, f := range loaded().Mutation.Fields {
			if done[f.Name] == 0 {
				t.Errorf("%s was never done", f.Name)
			}
		}
		t.Logf("%d operations, %d answered without an error; errors %v; done %v", asked, c.answered, c.codes, done)
		a, b := one.node.Reads(), two.node.Reads()
		t.Logf("reads: %+v and %+v", a, b)
		// Those of logging in are left to whichever way the server takes.
		if a.Surprises+b.Surprises > 0 || a.Direct < int64(asked/2) {
			t.Error("few went directly, or some were begun directly and discarded")
		}
	})
}
