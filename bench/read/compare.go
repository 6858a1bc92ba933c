//go:build linux

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"tidings/bench/rig"
	"tidings/internal/gid"
)

// scripts are what each contender is sent and answers, by its name; statements how many it runs a request, on Postgres;
// fallbacks how many reads of a request the server does not answer directly.
type scripts struct {
	operation
	of         map[string]script
	statements map[string]float64
	fallbacks  float64
}

// compare asks both contenders for everything once, and holds their answers against each other as JSON values: a
// difference is an error. The answers are what is expected when it is timed.
func compare(ctx context.Context, p *place, o operation, token string) (s scripts, err error) {
	s = scripts{operation: o, of: map[string]script{}, statements: map[string]float64{}}
	vs := o.variants(p.data, rand.New(rand.NewPCG(3, 4)))
	if !o.writes {
		token = ""
	}
	values := map[string][]any{}
	for _, c := range contenders {
		at, count := p.at, func() int64 { return 0 }
		if p.postgres {
			w, err := tap(p.at)
			if err != nil {
				return s, err
			}
			defer w.close()
			at, count = w.url, w.statements.Load
		}
		server, err := c.start(p, ctx, at, rig.Told)
		if err != nil {
			return s, err
		}
		defer server.Stop()
		sc, n, each, err := ask(ctx, server.Address, o, vs, c.control, token, count)
		if err != nil {
			return s, fmt.Errorf("%s: %w", c.name, err)
		}
		if p.postgres {
			s.statements[c.name] = each
		}
		if !c.control { // of which there is one for each operation, so what it counted is this one's
			reads, err := server.EndTold(ctx)
			if err != nil {
				return s, err
			}
			s.fallbacks = float64(reads.ByEntities+reads.BegunAgain) / float64(n)
		}
		for _, a := range sc.answers {
			v, err := value(a)
			if err != nil {
				return s, fmt.Errorf("%s: %w", c.name, err)
			}
			values[c.name] = append(values[c.name], v)
		}
		if o.writes {
			if err := p.written(ctx, vs, sc.answers, values[c.name]); err != nil {
				return s, fmt.Errorf("%s: %w", c.name, err)
			}
			prefix := []byte(`{"data":{"addComment":{"id":"comment_`)
			sc.answers, sc.whole = slices.Repeat([][]byte{prefix}, len(vs)), false
		}
		s.of[c.name] = sc
	}
	ours, control := values["tidings"], values["control"]
	for i := range vs {
		if d := difference(ours[i], control[i]); d != "" {
			return s, fmt.Errorf("%s %v: the answers differ at %s", o.name, vs[i].variables, d)
		}
	}
	return s, nil
}

// asked is how many requests are sent at least, so that the middle one of their counts is that of nothing else.
const asked = 21

// ask sends every variant, one at a time, and counts the statements of each: of those that read the middle one of the
// counts, which has nothing of what a server does beside; of those that write the mean, for what it does beside
// is to be counted. Who is asked again must answer the same. n is how many requests there were.
func ask(ctx context.Context, address string, o operation, vs []variant, control bool, token string, count func() int64) (s script, n int, statements float64, err error) {
	c, err := dial(ctx, address)
	if err != nil {
		return s, 0, 0, err
	}
	defer c.Close()
	s.whole = true
	var counts []int64
	begin := int64(0)
	n = len(vs)
	for n < asked && !o.writes {
		n += len(vs)
	}
	for i := range n {
		if i < len(vs) {
			request, err := o.request(vs[i], control, token)
			if err != nil {
				return s, 0, 0, err
			}
			s.requests = append(s.requests, request)
		}
		if i == 1 {
			begin = count() // behind what is prepared once
		}
		before := count()
		answer, err := c.do(s.requests[i%len(vs)])
		if err != nil {
			return s, 0, 0, err
		}
		counts = append(counts, count()-before)
		if i < len(vs) {
			s.answers = append(s.answers, slices.Clone(answer))
		} else if err := s.check(i%len(vs), answer); err != nil {
			return s, 0, 0, err
		}
	}
	if o.writes && n > 1 {
		return s, n, float64(count()-begin) / float64(n-1), nil
	}
	slices.Sort(counts)
	return s, n, float64(counts[len(counts)/2]), nil
}

// value is an answer as a JSON value.
func value(answer []byte) (any, error) {
	var v map[string]any
	if err := json.Unmarshal(answer, &v); err != nil {
		return nil, fmt.Errorf("%.300s: %w", answer, err)
	}
	if v["errors"] != nil || v["data"] == nil {
		return nil, fmt.Errorf("an error: %.300s", answer)
	}
	return v, nil
}

// difference says where two JSON values differ first, and in what; "" when they are the same.
func difference(ours, control any) string {
	if reflect.DeepEqual(ours, control) {
		return ""
	}
	switch a := ours.(type) {
	case map[string]any:
		b, _ := control.(map[string]any)
		if len(a) != len(b) {
			break
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if d := difference(a[name], b[name]); d != "" {
				return "." + name + d
			}
		}
	case []any:
		b, _ := control.([]any)
		if len(a) != len(b) {
			break
		}
		for i := range a {
			if d := difference(a[i], b[i]); d != "" {
				return fmt.Sprintf("[%d]%s", i, d)
			}
		}
	}
	return fmt.Sprintf(": %.200v, and by hand %.200v", fmt.Sprint(ours), fmt.Sprint(control))
}

// written looks whether the comments are in the database, each with its event, and takes what is different each time
// out of the answers.
func (p *place) written(ctx context.Context, vs []variant, answers [][]byte, values []any) error {
	db, err := p.open()
	if err != nil {
		return err
	}
	defer db.Close()
	for i, v := range vs {
		added := values[i].(map[string]any)["data"].(map[string]any)["addComment"].(map[string]any)
		text, _ := added["id"].(string)
		id, err := gid.ParseComment(text)
		if err != nil {
			return fmt.Errorf("%.300s: %w", answers[i], err)
		}
		stamp, _ := added["createdAt"].(string)
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil || !strings.HasSuffix(stamp, "Z") {
			return fmt.Errorf("%.300s: %w", answers[i], errors.Join(err, errors.New("not a DateTime")))
		}
		delete(added, "id")
		delete(added, "createdAt")
		input := v.variables["input"].(map[string]any)
		if err := p.hasComment(ctx, db, id, at, input["postId"].(string), input["content"].(string)); err != nil {
			return err
		}
	}
	return nil
}

func (p *place) hasComment(ctx context.Context, db *sql.DB, id gid.Comment, at time.Time, on, content string) error {
	var post gid.Post
	var text string
	var created, updated time.Time
	if err := db.QueryRowContext(ctx, `SELECT post_id, content, created_at, updated_at FROM comments WHERE id = $1`, id).Scan(&post, &text, &created, &updated); err != nil {
		return fmt.Errorf("looking for comment %s: %w", id, err)
	}
	if post.String() != on || text != content || !created.Equal(at) || updated.Before(at) {
		return fmt.Errorf("comment %s is not as it was asked for", id)
	}
	events := `SELECT kind, scope FROM log WHERE subject = $1`
	if p.postgres {
		events += ` UNION ALL SELECT kind, scope FROM log_inbox WHERE subject = $1`
	}
	for deadline := time.Now().Add(patience); ; { // on its way from one to the other it is in both or neither
		found, err := db.QueryContext(ctx, events, id)
		if err != nil {
			return err
		}
		n := 0
		for found.Next() {
			var kind string
			var scope gid.Post
			if err := found.Scan(&kind, &scope); err != nil {
				return errors.Join(err, found.Close())
			}
			if kind == "comment_added" && scope == post {
				n++
			}
		}
		if err := errors.Join(found.Err(), found.Close()); err != nil || n == 1 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("comment %s has %d events", id, n)
		}
	}
}
