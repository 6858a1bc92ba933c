package scale

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"github.com/lib/pq"
)

// growing are the tables that grow, of which no read may take the whole.
var growing = []string{"users", "posts", "comments"}

// manyRows is what no statement may sort, by what Postgres expects: more than the most rows of a page's lists, 100
// with 100 each at the worst, and less than a third of a table, which is what it takes a range to be that it does not know.
const manyRows = 6_500

// querier is a connection, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*stdsql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *stdsql.Row
	ExecContext(ctx context.Context, query string, args ...any) (stdsql.Result, error)
}

// complaints are what is wrong with the plans that the database makes of a statement.
func (w *world) complaints(c querier, s statement) (all []string) {
	w.t.Helper()
	if w.dialect == dialect.SQLite {
		steps, err := sqlitePlan(w.t.Context(), c, s)
		if err != nil {
			w.t.Fatalf("%s: %v", s.text, err)
		}
		return ofSQLite(s.text, steps)
	}
	// A statement that is prepared is planned for its arguments at first, and then for whatever they may be.
	for _, mode := range []string{custom, generic} {
		plan, err := postgresPlan(w.t.Context(), c, mode, s)
		if err != nil {
			w.t.Fatalf("%s: %v", s.text, err)
		}
		for _, complaint := range plan.complaints(nil) {
			if !slices.Contains(all, complaint) {
				all = append(all, complaint)
			}
		}
	}
	return all
}

// How Postgres plans what is prepared. Only the plan for the arguments themselves is also run.
const (
	custom  = "force_custom_plan"
	generic = "force_generic_plan"
)

// node is a part of a plan of Postgres.
type node struct {
	Type      string  `json:"Node Type"`
	Parent    string  `json:"Parent Relationship"`
	Table     string  `json:"Relation Name"`
	Index     string  `json:"Index Name"`
	Condition string  `json:"Index Cond"`
	Rows      float64 `json:"Plan Rows"`
	Plans     []*node `json:"Plans"`

	// What it took, when it was run: rows a loop that were read and not wanted.
	Removed float64 `json:"Rows Removed by Filter"`
	Loops   float64 `json:"Actual Loops"`
}

func postgresPlan(ctx context.Context, c querier, mode string, s statement) (*node, error) {
	if _, err := c.ExecContext(ctx, "SET plan_cache_mode = "+mode); err != nil {
		return nil, err
	}
	if _, err := c.ExecContext(ctx, "PREPARE looked_at AS "+s.text); err != nil {
		return nil, err
	}
	args := make([]string, len(s.args))
	for i, a := range s.args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, err
		}
		if at, ok := v.(time.Time); ok {
			v = at.Format(time.RFC3339Nano)
		}
		args[i] = pq.QuoteLiteral(fmt.Sprint(v))
	}
	query := "EXPLAIN (FORMAT JSON) EXECUTE looked_at"
	if mode == custom {
		query = "EXPLAIN (FORMAT JSON, ANALYZE, TIMING OFF) EXECUTE looked_at"
	}
	if len(args) > 0 {
		query += "(" + strings.Join(args, ", ") + ")"
	}
	var text []byte
	err := c.QueryRowContext(ctx, query).Scan(&text)
	if _, dropped := c.ExecContext(ctx, "DEALLOCATE looked_at"); err != nil || dropped != nil {
		return nil, errors.Join(err, dropped)
	}
	var plans []struct{ Plan *node }
	if err := json.Unmarshal(text, &plans); err != nil {
		return nil, err
	}
	return plans[0].Plan, nil
}

// complaints are what is wrong below and at a node. above are the nodes that have it.
func (n *node) complaints(above []*node) (all []string) {
	if slices.Contains(growing, n.Table) {
		if n.Type == "Seq Scan" {
			all = append(all, "a sequential scan of "+n.Table)
		} else if n.Condition == "" && strings.HasPrefix(n.Type, "Index") && !ends(above) {
			all = append(all, "the whole of "+n.Table+", by an index")
		}
	}
	if slices.Contains(growing, n.Table) && n.Removed*n.Loops > manyRows {
		all = append(all, fmt.Sprintf("most of %s, to be passed over", n.Table))
	}
	if strings.HasSuffix(n.Type, "Sort") && n.Type != "Incremental Sort" && n.Plans[0].Rows > manyRows {
		all = append(all, fmt.Sprintf("a sort of %.0f rows", n.Plans[0].Rows))
	}
	for _, p := range n.Plans {
		all = append(all, p.complaints(append(slices.Clone(above), n))...)
	}
	return all
}

// ends reports whether rows are read only until a page of them is full: there is a LIMIT above, and nothing in between
// that has to have all of them first.
func ends(above []*node) bool {
	for i := len(above) - 1; i >= 0; i-- {
		switch above[i].Type {
		case "Limit":
			return true
		case "Nested Loop", "Subquery Scan", "Result", "Incremental Sort", "Memoize":
		default:
			return false
		}
	}
	return false
}

// step is a line of a plan of SQLite.
type step struct {
	id, parent int
	text       string
}

func sqlitePlan(ctx context.Context, c querier, s statement) (all []step, err error) {
	rows, err := c.QueryContext(ctx, "EXPLAIN QUERY PLAN "+s.text, s.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p step
		var unused int
		if err := rows.Scan(&p.id, &p.parent, &unused, &p.text); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, rows.Err()
}

// loop is a step that reads rows: of a table, or of what a statement calls it, all or those that an index has.
var loop = regexp.MustCompile(`^(SCAN|SEARCH) (\S+)(?: USING (COVERING INDEX|INDEX|INTEGER PRIMARY KEY|AUTOMATIC[A-Z ]* INDEX)(?: (\S+))?)?(?: \((.*)\))?`)

// byID is a condition that one row meets, or as many as are asked for by their ids.
var byID = regexp.MustCompile(`\b(row)?id=\?`)

// referring is a statement that is only about what belongs to one row, or to some.
var referring = regexp.MustCompile("(?:WHERE|AND) .(posts|comments)...[a-z]+_id. (?:=|IN) ")

// ofSQLite are what is wrong with a plan of SQLite (https://www.sqlite.org/eqp.html).
func ofSQLite(text string, steps []step) (all []string) {
	for i, p := range steps {
		m := loop.FindStringSubmatch(p.text)
		if m != nil && slices.ContainsFunc(steps, func(o step) bool { return o.parent == p.parent && o.text == "CO-ROUTINE "+m[2] }) {
			continue // a subquery's rows, as they come; what they are read from is looked at by itself
		}
		// What is under the same parent and sorted there.
		sorted := slices.ContainsFunc(steps, func(o step) bool {
			return o.parent == p.parent && (o.text == "USE TEMP B-TREE FOR ORDER BY" || strings.HasPrefix(o.text, "USE TEMP B-TREE FOR GROUP BY"))
		})
		outermost := !slices.ContainsFunc(steps[:i], func(o step) bool { return o.parent == p.parent && loop.MatchString(o.text) })
		switch {
		case strings.Contains(p.text, "AUTOMATIC"):
			all = append(all, "an index for this statement alone: "+p.text)
		case strings.HasPrefix(p.text, "MATERIALIZE"):
			all = append(all, "a subquery as a table: "+p.text)
		case m == nil:
		case m[1] == "SCAN" && grows(m[2]) && m[3] == "":
			all = append(all, "a scan of "+m[2])
		case m[1] == "SCAN" && grows(m[2]) && (sorted || !outermost):
			all = append(all, "the whole of "+m[2]+", by an index")
		case m[1] == "SCAN" && outermost && slices.Contains(referring.FindStringSubmatch(text), m[2]):
			all = append(all, "the whole of "+m[2]+", by an index, to find those of one")
		case m[1] == "SEARCH" && grows(m[2]) && sorted && outermost && !byID.MatchString(m[5]):
			all = append(all, "a sort of "+m[2]+", as many as there are with "+m[5])
		}
	}
	return all
}

// grows reports whether a name in a plan stands for a table that grows. Names of statements' own (t1, parent,
// visible_post) are taken for such, but for those that are known.
func grows(name string) bool {
	return !slices.Contains([]string{"parent", "json_each", "CONSTANT", "search_hit", "post_search", "post_search_doc"}, name)
}
