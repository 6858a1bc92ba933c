package matrix

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/internal/config"
	"tidings/internal/relay"
	"tidings/internal/testkit"
)

// Viewers who read at once, some of whom leave in the middle, are each answered as if alone: nothing of what is used
// again (rows, buffers, statements, plans) carries anything from one to another.
func TestTogetherAsAlone(t *testing.T) {
	plantEverywhere(t, func(p *planted) { together(p, nil) })
}

// Where connections to the database die all the time, a read gives what it gives otherwise, or fails: never anything else.
func TestTogetherWhileConnectionsDie(t *testing.T) {
	url := testkit.Postgres(t)
	p := plant(t, config.Database{Dialect: config.Postgres, URL: url})
	db, err := sql.Open("postgres", url)
	p.must(err)
	defer db.Close()
	together(p, func() {
		_, _ = db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.3`)
		time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
	})
}

// together holds what many are told at once to what each is told alone. disturb is called again and again meanwhile.
func together(p *planted, disturb func()) {
	t := p.t
	c := newComparison(p, seed(t))
	type asked struct {
		v          *viewer
		body, want string
	}
	var all []asked
	for len(all) < 200 {
		d := c.g.Query()
		op := d.Operations[0]
		for _, v := range p.viewers {
			want := p.ask(p.executor, v, d, op)
			if p.ask(p.executor, v, d, op) == want {
				all = append(all, asked{v, string(p.body(d.Text(), op.Name, d.Variables(op))), want.body})
			}
		}
	}
	before := p.node.Reads()
	ctx, stop := context.WithTimeout(t.Context(), testkit.Of(2*time.Second, time.Minute))
	defer stop()
	var wg sync.WaitGroup
	var mu sync.Mutex
	done, gone, wrong, failed := 0, 0, 0, 0
	if disturb != nil {
		wg.Go(func() {
			for ctx.Err() == nil {
				disturb()
			}
		})
	}
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for ctx.Err() == nil {
				a := all[r.IntN(len(all))]
				each, cancel := context.WithCancel(ctx)
				if r.IntN(4) == 0 {
					cancel()
					each, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(3000))*time.Microsecond)
				}
				o, _, err := p.post(each, p.node, a.v, []byte(a.body))
				got := o.body
				cancel()
				mu.Lock()
				switch {
				case err != nil:
					gone++
				case disturb != nil && strings.Contains(got, `"INTERNAL"`):
					failed++
				case inOrder(got) != inOrder(a.want):
					if wrong++; wrong < 4 {
						t.Errorf("%s: %s\ntogether: %.600s\nalone:    %.600s", a.v.name, a.body, got, a.want)
					}
				default:
					done++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d answered, %d gone, %d failed, %d wrong, %+v", done, gone, failed, wrong, added(relay.Counts{}, before, p.node.Reads()))
	if done == 0 {
		t.Error("nothing was answered")
	}
}
