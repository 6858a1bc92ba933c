package app_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// How many log-ins are timed on each database, half of them of users that there are, and by how much the two may be told
// apart: the chance that of one log-in of each kind the known user's took longer. If they can't be told apart it is within
// 0.013 of a half two times in three, and beyond the bound once in ten thousand runs.
const (
	logIns     = 2000
	distinctly = 0.05
)

// memory is what hashing a password takes in this test, in KiB: about a tenth of what it takes otherwise, and as much
// less time. So the test takes bearable time, and is the stricter: what else differs has less to hide in.
const memory = 2048

// How long a log-in takes does not tell whether there is such a user: known users with a wrong password and unknown ones
// take turns in random order.
func TestTimeOfLogInsTellsNothing(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		cfg := testkit.Config(d)
		cfg.PasswordMemory = memory
		known, unknown := timed(t, testkit.StartWith(t, cfg), logIns/2)
		auc := mannWhitney(known, unknown)
		t.Logf("%d log-ins of known and %d of unknown users: AUC %.3f; medians %s and %s", len(known), len(unknown), auc, median(known), median(unknown))
		if math.Abs(auc-0.5) > distinctly {
			t.Errorf("known and unknown users are told apart: AUC %.3f", auc)
		}
	})
}

// timed measures log-ins that fail, as many of known as of unknown users.
func timed(t *testing.T, n *testkit.Node, each int) (known, unknown []time.Duration) {
	t.Helper()
	const people = 10
	for i := range people {
		n.SignUp(fmt.Sprintf("known_%04d", i))
	}
	order := make([]bool, 2*each)
	for i := range order {
		order[i] = i < each
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, is := range append([]bool{true, false, true, false}, order...) {
		login := fmt.Sprintf("nobody_%03d", rand.IntN(1000)) // as long as the others
		if is {
			login = fmt.Sprintf("known_%04d", rand.IntN(people))
		}
		took := attempt(t, n, login)
		switch {
		case i < 4: // connections and caches are warm now
		case is:
			known = append(known, took)
		default:
			unknown = append(unknown, took)
		}
	}
	return known, unknown
}

// attempt is the time of one log-in, from the request to the end of the response, which is the same for all.
func attempt(t *testing.T, n *testkit.Node, login string) time.Duration {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": `mutation($i: LogInInput!) { logIn(input: $i) { accessToken } }`,
		"variables": map[string]any{"i": map[string]any{"login": login, "password": "Wrong-" + fmt.Sprintf("%08x", rand.Uint32())}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", n.URL+"/graphql", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	begin := time.Now()
	_, got, err := n.Send(req)
	took := time.Since(begin)
	const want = `{"errors":[{"message":"the login or the password is wrong","path":["logIn"],"locations":[{"line":1,"column":29}],"extensions":{"code":"UNAUTHENTICATED"}}],"data":null}`
	if err != nil || string(got) != want {
		t.Fatalf("%s: %s %v", login, got, err)
	}
	return took
}

// mannWhitney is the area under the ROC curve: the chance that a random one of a is greater than one of b, ties half.
func mannWhitney(a, b []time.Duration) float64 {
	type one struct {
		d   time.Duration
		ofA bool
	}
	var all []one
	for _, d := range a {
		all = append(all, one{d, true})
	}
	for _, d := range b {
		all = append(all, one{d, false})
	}
	slices.SortFunc(all, func(x, y one) int { return cmp.Compare(x.d, y.d) })
	ranks := 0.0 // of a
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].d == all[i].d {
			j++
		}
		for _, x := range all[i:j] {
			if x.ofA {
				ranks += float64(i+1+j) / 2
			}
		}
		i = j
	}
	n, m := float64(len(a)), float64(len(b))
	return (ranks - n*(n+1)/2) / (n * m)
}

func median(of []time.Duration) time.Duration {
	of = slices.Sorted(slices.Values(of))
	return of[len(of)/2].Round(time.Microsecond)
}

// The measure itself: it finds a millisecond in the noise of a busy machine.
func TestMannWhitney(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sample := func(n int, more time.Duration) (all []time.Duration) {
		for range n {
			all = append(all, 20*time.Millisecond+more+time.Duration(random.ExpFloat64()*float64(3*time.Millisecond)))
		}
		return all
	}
	for _, c := range []struct {
		a, b        []time.Duration
		least, most float64
	}{
		{[]time.Duration{1, 2}, []time.Duration{3, 4}, 0, 0},
		{[]time.Duration{3, 4}, []time.Duration{1, 2}, 1, 1},
		{[]time.Duration{1, 1, 1}, []time.Duration{1, 1}, 0.5, 0.5},
		{[]time.Duration{1, 3}, []time.Duration{2, 4}, 0.25, 0.25},
		{sample(1000, 0), sample(1000, 0), 0.5 - distinctly, 0.5 + distinctly},
		{sample(1000, time.Millisecond), sample(1000, 0), 0.5 + distinctly, 1},
		{sample(1000, 0), sample(1000, time.Millisecond), 0, 0.5 - distinctly},
	} {
		if got := mannWhitney(c.a, c.b); got < c.least || got > c.most {
			t.Errorf("%.3f, want it from %.3f to %.3f", got, c.least, c.most)
		}
	}
}
