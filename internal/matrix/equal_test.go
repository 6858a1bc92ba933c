package matrix

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"

	"tidings/internal/auth"
	"tidings/internal/config"
	"tidings/internal/gid"
	"tidings/internal/relay"
	"tidings/internal/testkit"
	"tidings/internal/testkit/leak"
	"tidings/internal/testkit/opgen"
)

// shape is what fits into the limits on an operation's cost, mostly.
var shape = opgen.Shape{Roots: 3, Fields: 28, Depth: 7, Bad: 0.15}

// seed is what TIDINGS_TEST_SEED says, or a new one.
func seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("TIDINGS_TEST_SEED"), 10, 64)
	if err != nil {
		n = rand.Uint64()
	}
	t.Logf("TIDINGS_TEST_SEED=%d", n)
	return n
}

// outcome is what a client is told.
type outcome struct {
	status int
	body   string
}

// tokens signs the viewers in, for 15 minutes.
func (p *planted) tokens() {
	p.t.Helper()
	tokens, err := auth.NewTokens(testkit.Config(config.Database{}).Secrets, time.Now)
	p.must(err)
	for _, v := range p.viewers {
		if v.user != nil {
			v.token, _, err = tokens.Issue(idOf(gid.ParseUser, v.user), gid.NewSession())
			p.must(err)
		}
	}
}

// ask runs an operation of a document.
func (p *planted) ask(node *testkit.Node, v *viewer, d *opgen.Document, op *opgen.Operation) outcome {
	p.t.Helper()
	return p.raw(node, v, d.Text(), op.Name, d.Variables(op))
}

// raw runs one operation of a document at a node, as a viewer.
func (p *planted) raw(node *testkit.Node, v *viewer, query, operation string, variables map[string]any) outcome {
	p.t.Helper()
	o, cookies, err := p.post(p.t.Context(), node, v, p.body(query, operation, variables))
	p.must(err)
	for _, cookie := range cookies {
		if p.cookies[v] != "" {
			p.cookies[v] = cookie.Value
		}
	}
	return o
}

func (p *planted) body(query, operation string, variables map[string]any) []byte {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "operationName": operation, "variables": variables})
	p.must(err)
	return body
}

// post sends a request as a viewer. The error is that no answer came, or not all of it.
func (p *planted) post(ctx context.Context, node *testkit.Node, v *viewer, body []byte) (outcome, []*http.Cookie, error) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(ctx, "POST", node.URL+"/graphql", bytes.NewReader(body))
	p.must(err)
	req.Header.Set("Content-Type", "application/json")
	if v.token != "" {
		req.Header.Set("Authorization", "Bearer "+v.token)
	}
	if cookie := p.cookies[v]; cookie != "" {
		req.AddCookie(&http.Cookie{Name: "tidings_refresh", Value: cookie})
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return outcome{}, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		leak.Body(p.t, resp.StatusCode, b)
	}
	return outcome{resp.StatusCode, string(b)}, resp.Cookies(), err
}

// A comparison runs what a generator makes on both paths, for each viewer.
type comparison struct {
	p       *planted
	g       *opgen.Generator
	choices *choices

	runs, answered, reordered int
	codes                     map[string]int
	features                  map[string]int
	failures                  int
	reads                     [2]relay.Counts            // directly and by the executor
	seen                      map[*viewer]map[string]int // marks, by their fields
}

func newComparison(p *planted, seed uint64) *comparison {
	c := &comparison{p: p, choices: &choices{p: p, cursors: map[string][]string{}}, codes: map[string]int{}, features: map[string]int{}, seen: map[*viewer]map[string]int{}}
	c.g = opgen.New(loaded(), seed, c.choices, shape)
	c.g.Prefer(c.features)
	return c
}

// documents makes n of them, and runs each for each viewer, with other variables as well where it has any. Then it makes
// up to 2,000 more until all has been covered, each for one viewer.
func (c *comparison) documents(n int) {
	for i := 0; i < n || i < n+2000 && len(c.uncovered()) > 0; i++ {
		if i%100 == 0 {
			c.p.tokens()
		}
		d := c.g.Query()
		if i >= n {
			c.run(c.p.viewers[i%len(c.p.viewers)], d, d.Operations[0])
			continue
		}
		c.everyone(d)
		if c.g.Vary(d) {
			c.everyone(d)
		}
		if c.failures >= 3 {
			c.p.t.Fatal("and so on")
		}
	}
}

func (c *comparison) everyone(d *opgen.Document) {
	c.p.t.Helper()
	for _, op := range d.Operations {
		for _, v := range c.p.viewers {
			if !c.run(v, d, op) {
				return // it has been made smaller
			}
		}
	}
}

// run holds one operation to it: the same on both paths, and nothing in it that is not for the viewer.
func (c *comparison) run(v *viewer, d *opgen.Document, op *opgen.Operation) (ok bool) {
	c.p.t.Helper()
	var answers [2]outcome
	for i, node := range []*testkit.Node{c.p.node, c.p.executor} {
		before := node.Reads()
		answers[i] = c.p.ask(node, v, d, op)
		c.reads[i] = added(c.reads[i], before, node.Reads())
	}
	c.runs++
	got := answers[0]
	c.p.marked(v, got.body, c.seen)
	why := c.fault(v, got, answers[1])
	if why == "" {
		why = c.account(d, op, got)
	}
	if why == "" {
		return true
	}
	c.failures++
	opgen.Shrink(d, op, 300, func() bool {
		return c.fault(v, c.p.ask(c.p.node, v, d, op), c.p.ask(c.p.executor, v, d, op)) != ""
	})
	got, want := c.p.ask(c.p.node, v, d, op), c.p.ask(c.p.executor, v, d, op)
	sent, err := json.Marshal(d.Variables(op))
	c.p.must(err)
	c.p.t.Errorf("%s: %s\n%s%s %s\ndirectly:    %d %s\nby executor: %d %s", v.name, why, d.Text(), op.Name, sent, got.status, got.body, want.status, want.body)
	return false
}

// fault says what is wrong with the two answers to one operation; "" if nothing is.
func (c *comparison) fault(v *viewer, direct, executor outcome) string {
	for path, o := range map[string]outcome{"directly": direct, "by the executor": executor} {
		if found := c.p.hidden(v, o.body); found != nil {
			return fmt.Sprint("is shown ", path, ": ", found)
		}
		if strings.Contains(o.body, `"INTERNAL"`) {
			return "fails " + path
		}
	}
	switch {
	case direct == executor:
		return ""
	case direct.status == executor.status && inOrder(direct.body) == inOrder(executor.body):
		c.reordered++
		return ""
	}
	return "the two differ"
}

// inOrder is a response with its errors in the order of their texts: gqlgen resolves root fields at once, and lists the
// errors as they come.
func inOrder(body string) string {
	rest, ok := strings.CutPrefix(body, `{"errors":`)
	if !ok {
		return body
	}
	var errors []json.RawMessage
	d := json.NewDecoder(strings.NewReader(rest)) // what comes behind the errors need not be JSON any more
	if d.Decode(&errors) != nil {
		return body
	}
	slices.SortFunc(errors, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	return fmt.Sprintf("%s %s", errors, rest[d.InputOffset():])
}

// account notes what an answer has covered. It says what is wrong with an answer that does not have what was asked for.
func (c *comparison) account(d *opgen.Document, op *opgen.Operation, o outcome) string {
	var r testkit.Response
	if err := json.Unmarshal([]byte(o.body), &r); err != nil {
		return err.Error()
	}
	if len(r.Errors) > 0 {
		for _, e := range r.Errors {
			c.codes[fmt.Sprint(e.Extensions["code"])]++
		}
		return ""
	}
	if r.Data == nil {
		return "neither data nor errors"
	}
	c.answered++
	if err := d.Visit(op, r.Data, c.choices.learn, func(f string) { c.features[f]++ }); err != nil {
		return err.Error()
	}
	return ""
}

// uncovered is whatever has never been answered with data.
func (c *comparison) uncovered() (missing []string) {
	wanted := opgen.Features()
	schema := loaded()
	for name, typ := range schema.Types {
		if typ.BuiltIn || typ.Kind != ast.Object || typ == schema.Mutation || typ == schema.Subscription || name == "Session" {
			continue
		}
		wanted = append(wanted, "__typename of "+name)
		for _, f := range typ.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			wanted = append(wanted, "field "+name+"."+f.Name)
			if !f.Type.NonNull {
				wanted = append(wanted, "null "+name+"."+f.Name)
			}
			for _, a := range f.Arguments {
				forms := []string{"a literal", "a variable", "a variable's default", "a variable, whatever its default"}
				if !a.Type.NonNull {
					forms = append(forms, "left out", "null", "null by a variable", "a variable that is not given")
				}
				for _, form := range forms {
					wanted = append(wanted, "argument "+name+"."+f.Name+"."+a.Name+" "+form)
				}
			}
		}
	}
	for _, v := range c.p.viewers { // what they may see though others may not, they have seen
		for _, k := range c.p.marks {
			if field := k.of.typ + "." + k.field; k.visible(v) && c.seen[v][field] == 0 {
				missing = append(missing, "a private "+field+" to "+v.name)
			}
		}
	}
	wanted = slices.DeleteFunc(wanted, func(f string) bool { return c.features[f] > 0 })
	slices.Sort(wanted)
	return append(slices.Compact(missing), wanted...)
}

// covered fails the test unless all has been answered with data at least once, and most of what was run.
func (c *comparison) covered() {
	c.p.t.Helper()
	for _, f := range c.uncovered() {
		c.p.t.Errorf("never answered: %s", f)
	}
	if c.codes["BAD_USER_INPUT"] == 0 {
		c.p.t.Errorf("nothing was refused: %v", c.codes)
	}
	if c.answered < c.runs*3/4 {
		c.p.t.Errorf("only %d of %d were answered without an error: %v", c.answered, c.runs, c.codes)
	}
}

// Whatever a client may ask, it gets the same bytes directly and by the executor, and nothing that is not for it.
func TestBothWaysAnswerTheSame(t *testing.T) {
	n := seed(t)
	plantEverywhere(t, func(p *planted) {
		c := newComparison(p, n)
		c.documents(testkit.Of(80, 5000))
		c.covered()
		t.Logf("%d operations, %d answered without an error, %d with their errors in another order; errors %v; %d features", c.runs, c.answered, c.reordered, c.codes, len(c.features))
		c.counted()
	})
}

func added(sum, before, after relay.Counts) relay.Counts {
	return relay.Counts{
		Direct:    sum.Direct + after.Direct - before.Direct,
		Executor:  sum.Executor + after.Executor - before.Executor,
		Surprises: sum.Surprises + after.Surprises - before.Surprises,
	}
}

// counted holds how many reads went which way: of one address nearly all directly, of the other none.
func (c *comparison) counted() {
	c.p.t.Helper()
	c.p.t.Logf("reads: %+v directly, %+v by the executor", c.reads[0], c.reads[1])
	if c.reads[0].Surprises+c.reads[1].Surprises > 0 {
		c.p.t.Error("some reads were begun directly and discarded")
	}
	if c.reads[1].Direct > 0 {
		c.p.t.Error("some reads were answered directly where the executor was to answer them")
	}
	if c.reads[0].Direct < int64(c.answered) {
		c.p.t.Errorf("of %d operations few went directly", c.runs)
	}
	// What the executor is left with is to say what is wrong with an argument: at most one read of each operation's fields.
	if refused := int64(c.runs-c.answered) * int64(shape.Roots); c.reads[0].Executor > refused {
		c.p.t.Errorf("%d reads were left to the executor, and %d fields at most were refused", c.reads[0].Executor, refused)
	}
}
