package scale

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
)

type exception struct {
	why                    string
	statements, complaints *regexp.Regexp
}

// exceptions are the statements that may do what others may not, with what it is.
var exceptions = []exception{{
	why:        "users are searched for any part of their names, which no index of ours finds: the contract says so, and its cost is 50 points",
	statements: regexp.MustCompile("FROM .users. WHERE .*(LIKE|instr)"),
	complaints: regexp.MustCompile("^(a sequential scan of users|a scan of users|the whole of users, by an index|most of users, to be passed over)$"),
}, {
	why:        "totalCount counts: all rows of a table, or those of a narrower index",
	statements: regexp.MustCompile(`^SELECT COUNT\(.(posts|users).\..id.\) FROM`),
	complaints: regexp.MustCompile("^(a sequential scan|a scan|the whole|most) of (posts|users)(, by an index|, to be passed over)?$"),
}, {
	why: "the totalCount of many comments asks of each whether its post may be seen; when they are a good part of all comments, " +
		"Postgres rather takes all posts than each by its id",
	statements: regexp.MustCompile(`^SELECT .comments.\..post_id. AS .key., COUNT\(\*\) AS .count. FROM .comments. WHERE .*EXISTS`),
	complaints: regexp.MustCompile("^(a sequential scan of posts|most of posts, to be passed over)$"),
}, {
	why:        "one author's posts in an order other than by time are sorted, all of that author's: the index by author has them by time",
	statements: regexp.MustCompile(`FROM .posts. .*WHERE .*author_id. = .*ORDER BY .posts.\..(title|updated_at).`),
	complaints: regexp.MustCompile(`^a sort of posts, as many as there are with author_id=\?$`),
}, {
	why:        "drafts stand among all posts in every order, and a page is full when enough were found that the viewer may see: of somebody else's there are none",
	statements: regexp.MustCompile(`FROM .posts. .*WHERE .*NOT .posts.\..published.`),
	complaints: regexp.MustCompile("^most of posts, to be passed over$"),
}}

// complained are the complaints about a statement that no exception covers; used counts those that one does.
func (w *world) complained(c querier, s statement, used []int) (all []string) {
	w.t.Helper()
	for _, complaint := range w.complaints(c, s) {
		i := slices.IndexFunc(exceptions, func(e exception) bool {
			return e.statements.MatchString(s.text) && e.complaints.MatchString(complaint)
		})
		if i < 0 {
			all = append(all, complaint)
		} else {
			used[i]++
		}
	}
	return all
}

// TestPlans reads the plans of every statement by which anything is read, in every order, forwards and backwards, with
// and without cursors, by visitors, members and admins, by rows and by entities: none takes the whole of a table that
// grows, or sorts it, but for the exceptions. And then, that it would have been noticed.
func TestPlans(t *testing.T) {
	needed, databases := make([]int, len(exceptions)), 0
	everywhere(t, func(w *world) {
		databases++
		ops := w.operations()
		for _, viewer := range slices.Sorted(maps.Keys(viewers)) {
			for _, o := range ops {
				w.run(viewer, o, false)
				w.run(viewer, o, true)
			}
		}
		if n := w.reads.Counts(); n.Direct < int64(len(ops)*len(viewers)) || n.Executor+n.Surprises > 0 {
			t.Errorf("of %d operations, asked for by %d viewers, so many were answered by rows: %+v", len(ops), len(viewers), n)
		}
		for _, text := range slices.Sorted(maps.Keys(w.statements)) {
			s := w.statements[text]
			if found := w.complained(w.db, s, needed); len(found) > 0 {
				w.t.Errorf("%q\n%.300s\n%.700s", found, s.operation, s.text)
			}
		}
		w.t.Logf("%d operations, %d statements", len(ops), len(w.statements))
		w.missed()
	})
	if databases == len(sizes) { // some are one database's only
		for i, n := range needed {
			if n == 0 {
				t.Errorf("there is no need for an exception: %s", exceptions[i].why)
			}
		}
	}
}

// missed drops each index on which reads stand, for a moment, and looks whether that is noticed.
func (w *world) missed() {
	w.t.Helper()
	indexes := map[string]string{ // and what the statements name that stand on it
		"post_created_at_id":            "ORDER BY .posts...created_at",
		"post_updated_at_id":            "ORDER BY .posts...updated_at",
		"post_title_id":                 "ORDER BY .posts...title",
		"post_author_id_created_at_id":  "posts.*author_id. = .*ORDER BY .posts...created_at",
		"comment_post_id_created_at_id": "comments.*post_id. = ",
		"user_created_at_id":            "ORDER BY .users...created_at",
		"users_username_key_key":        "users.*username_key. = ",
	}
	if w.dialect == dialect.Postgres {
		indexes["posts_search"] = "websearch_to_tsquery"
	}
	for _, index := range slices.Sorted(maps.Keys(indexes)) {
		tx, err := w.db.BeginTx(w.t.Context(), nil)
		if err != nil {
			w.t.Fatal(err)
		}
		if _, err := tx.ExecContext(w.t.Context(), "DROP INDEX "+index); err != nil {
			w.t.Fatal(err)
		}
		concerned, noticed := 0, 0
		for _, text := range slices.Sorted(maps.Keys(w.statements)) {
			if s := w.statements[text]; regexp.MustCompile(indexes[index]).MatchString(text) {
				concerned++
				if len(w.complained(tx, s, make([]int, len(exceptions)))) > 0 {
					noticed++
				}
			}
			if noticed == enough {
				break
			}
		}
		if noticed < min(enough, concerned) || concerned == 0 {
			w.t.Errorf("without the index %s %d statements of %d are complained about", index, noticed, concerned)
		}
		if err := tx.Rollback(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// enough statements that complain, when an index is missing.
const enough = 5

// TestComplaints: what the plans say is understood.
func TestComplaints(t *testing.T) {
	plan := func(lines ...string) (steps []step) { // indented by a dot for each level
		parents := []int{0}
		for i, line := range lines {
			text := strings.TrimLeft(line, ".")
			level := len(line) - len(text)
			steps = append(steps, step{i + 1, parents[level], text})
			parents = append(parents[:level+1], i+1)
		}
		return steps
	}
	statement := "SELECT * FROM `posts` WHERE (`posts`.`published` OR `posts`.`author_id` = ?) AND `posts`.`created_at` < ?"
	for want, steps := range map[string][]step{
		"[]":                                plan("SCAN posts USING INDEX post_created_at_id", "SEARCH users USING INDEX sqlite_autoindex_users_1 (id=?)"),
		"[a scan of posts]":                 plan("SCAN posts", "USE TEMP B-TREE FOR ORDER BY"),
		"[the whole of posts, by an index]": plan("SCAN posts USING INDEX post_title_id", "USE TEMP B-TREE FOR ORDER BY"),
		"[the whole of users, by an index]": plan("SCAN posts USING INDEX post_created_at_id", "SCAN users USING COVERING INDEX x"),
		"[a sort of posts, as many as there are with author_id=?]":                             plan("SEARCH posts USING INDEX post_author_id_created_at_id (author_id=?)", "USE TEMP B-TREE FOR ORDER BY"),
		"[a sort of posts, as many as there are with created_at<?]":                            plan("SEARCH posts USING INDEX post_created_at_id (created_at<?)", "USE TEMP B-TREE FOR ORDER BY"),
		"[an index for this statement alone: SEARCH t1 USING AUTOMATIC COVERING INDEX (id=?)]": plan("SCAN posts USING INDEX x", "SEARCH t1 USING AUTOMATIC COVERING INDEX (id=?)"),
		"[a subquery as a table: MATERIALIZE t1 a scan of users]":                              plan("MATERIALIZE t1", ".SCAN users", "SCAN posts USING INDEX x"),
		"[]  ":               plan("CO-ROUTINE posts", ".SEARCH posts USING INDEX sqlite_autoindex_posts_1 (id=?)", ".USE TEMP B-TREE FOR ORDER BY", "SCAN posts", "USE TEMP B-TREE FOR ORDER BY"),
		"[a scan of posts] ": plan("CO-ROUTINE posts", ".SCAN posts", "SCAN posts"),
		"[] ": plan("SCAN json_each VIRTUAL TABLE INDEX 1:", "SEARCH comments USING INTEGER PRIMARY KEY (rowid=?)", "CORRELATED LIST SUBQUERY 4",
			".SEARCH comments USING COVERING INDEX comment_post_id_created_at_id (post_id=?)", "USE TEMP B-TREE FOR ORDER BY"),
	} {
		if got := fmt.Sprint(ofSQLite(statement, steps)); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %s, want %s", steps, got, want)
		}
	}
	statement = "SELECT * FROM `posts` WHERE `posts`.`published` AND `posts`.`author_id` = ? ORDER BY `posts`.`created_at`"
	if got := ofSQLite(statement, plan("SCAN posts USING INDEX post_created_at_id")); fmt.Sprint(got) != "[the whole of posts, by an index, to find those of one]" {
		t.Error(got)
	}
	limit, join := &node{Type: "Limit"}, &node{Type: "Nested Loop"}
	for want, test := range map[string]struct {
		n     *node
		above []*node
	}{
		"[a sequential scan of posts]":       {&node{Type: "Seq Scan", Table: "posts"}, []*node{limit}},
		"[]":                                 {&node{Type: "Index Scan", Table: "posts"}, []*node{limit, join}},
		"[the whole of posts, by an index]":  {&node{Type: "Index Scan", Table: "posts"}, []*node{limit, {Type: "Hash"}}},
		"[] ":                                {&node{Type: "Seq Scan", Table: "log"}, nil},
		"[a sort of 20000 rows]":             {&node{Type: "Sort", Plans: []*node{{Rows: 20000}}}, []*node{limit}},
		"[most of posts, to be passed over]": {&node{Type: "Index Scan", Table: "posts", Condition: "x", Removed: 3000, Loops: 5}, []*node{limit}},
		"[the whole of users, by an index]":  {&node{Type: "Index Only Scan", Table: "users"}, []*node{{Type: "Aggregate"}}},
		"[a sort of 9000 rows a sequential scan of comments]": {&node{Type: "Sort", Plans: []*node{{Type: "Seq Scan", Table: "comments", Rows: 9000}}}, nil},
	} {
		if got := fmt.Sprint(test.n.complaints(test.above)); got != strings.TrimSpace(want) {
			t.Errorf("%+v: %s, want %s", test.n, got, want)
		}
	}
}
