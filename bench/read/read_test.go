//go:build linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tidings/bench/rig"
	"tidings/internal/gid"
	"tidings/internal/testkit"
	"tidings/internal/testkit/pgtest"
	"tidings/internal/testkit/require"
)

func TestMain(m *testing.M) {
	control(os.Args) // the tests' program is the control's, too
	variants = 25    // an answer takes long under the race detector
	// Nor is there need for the second that programs wait for reports of races when they end.
	_ = os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	code := m.Run()
	if programs != "" {
		_ = os.RemoveAll(programs)
	}
	os.Exit(code)
}

var programs string // where built is

// built are the programs of the server and of the one that profiles itself, built once.
var built = sync.OnceValues(func() (paths [2]string, err error) {
	if programs, err = os.MkdirTemp("", "tidings-bench-"); err != nil {
		return paths, err
	}
	for i, pkg := range []string{".", "./bench/read/profiled"} {
		if paths[i], err = rig.Build(context.Background(), programs, pkg); err != nil {
			return paths, err
		}
	}
	return paths, nil
})

// parsed is the program for some arguments, with the programs that are built already.
func parsed(t *testing.T, args ...string) *bench {
	t.Helper()
	paths, err := built()
	if err != nil {
		t.Fatal(err)
	}
	b, err := parse(append(append([]string{"-server", paths[0]}, small...), args...))
	if err != nil {
		t.Fatal(err)
	}
	b.profiled, b.log = paths[1], new(testkit.Buffer)
	return b
}

var small = []string{"-users", "20", "-posts", "200", "-comments", "1000", "-conns", "4", "-rounds", "1", "-time", "50ms", "-warm", "10ms"}

// TestRun is the whole program with little data and little time. That all answers are the same is held by the program.
func TestRun(t *testing.T) {
	profiles := t.TempDir()
	b := parsed(t, "-profile", profiles)
	log := b.log
	all, err := b.run(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	var out strings.Builder
	if err := all.report(&out); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s\n%s", &out, log)
	databases := []string{"SQLite"}
	if strings.Contains(fmt.Sprint(log), "no Postgres") {
		require.Missing(t, "postgres", fmt.Errorf("%s", log))
	} else {
		databases = []string{"Postgres", "SQLite"}
	}
	if len(all) != len(databases)*len(operations) {
		t.Errorf("there are %d results on %v", len(all), databases)
	}
	for _, r := range all {
		for _, c := range contenders {
			if fs := r.figures[c.name]; len(fs) != 1 || fs[0].rate <= 0 || fs[0].p50 <= 0 || fs[0].p99 < fs[0].p50 || fs[0].memory <= 0 {
				t.Errorf("%s, %s, %s: measured were %+v", r.database, r.name, c.name, fs)
			}
			if r.fallbacks != 0 {
				t.Errorf("%s, %s: %v reads a request are not answered directly", r.database, r.name, r.fallbacks)
			}
			if n := r.statements[c.name]; r.database == "Postgres" && n < 1 {
				t.Errorf("%s, %s: %v statements a request", r.name, c.name, n)
			}
		}
	}
	for _, db := range databases {
		for _, o := range operations {
			for _, c := range contenders {
				path := filepath.Join(profiles, db+"-"+o.name+"-"+c.name+".pprof")
				if b, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(b, []byte("\x1f\x8b")) { // gzip
					t.Errorf("%s is no profile: %d bytes, %v", path, len(b), err)
				}
			}
		}
	}
	// What the control runs is known.
	for _, r := range all {
		if want := map[string]float64{"Q1": 1, "Q2": 1, "Q3": 2, "Q4": 1, "Q5": 1, "addComment": 4}[r.name]; r.database == "Postgres" && r.statements["control"] != want {
			t.Errorf("%s: %v statements were counted of the control, it runs %v", r.name, r.statements["control"], want)
		}
	}
}

// TestScale: what is grown is grown, all else is as it was, and each goal has its line.
func TestScale(t *testing.T) {
	b := parsed(t, "-scale", "-databases", "sqlite", "-busy", "10", "-posts", "100", "-comments", "200", "-operations", "Q2,Q3")
	lines, err := b.scale(t.Context())
	if err != nil {
		t.Fatalf("%v\n%s", err, b.log)
	}
	var names []string
	for _, l := range lines {
		names = append(names, l.Name)
		if len(l.Ours) != 1 || len(l.Control) != 1 || (l.Verdict() == "") != strings.HasSuffix(l.Name, "by hand") && l.Control[0] > 0 {
			t.Errorf("%+v", l)
		}
	}
	if want := []string{"SQLite, Q2, ten times the posts", "SQLite, Q2, ten times the posts, by hand",
		"SQLite, Q3, ten times the comments on one post", "SQLite, Q3, ten times the comments on one post, by hand"}; !slices.Equal(names, want) {
		t.Errorf("the lines are %q", names)
	}
	plain := size{users: 20, posts: 200, comments: 1000}
	if n := len(generate(growths[0].of(plain)).posts); n != 2000 {
		t.Errorf("ten times the posts are %d", n)
	}
	plain.busy = 10
	few, many := generate(plain), generate(growths[1].of(plain))
	if !reflect.DeepEqual(few.posts, many.posts) || !reflect.DeepEqual(few.users, many.users) {
		t.Error("more comments change the posts, or the users")
	}
	on := func(d *data) (n int) {
		for _, c := range d.comments {
			if c.on == d.busiest().id {
				n++
			}
		}
		return n
	}
	if len(few.comments) != 1010 || len(many.comments) != 1100 || on(many)-on(few) != 90 || !slices.ContainsFunc(many.posts[len(many.posts)-20:], func(p post) bool { return p.id == many.busiest().id }) {
		t.Errorf("%d and %d comments, %d and %d of them on the busy post", len(few.comments), len(many.comments), on(few), on(many))
	}
}

// TestLoad: what is loaded is what the server would have written: the log is dense, each post that is public and each
// comment has its event, and every post is found.
func TestLoad(t *testing.T) {
	program := parsed(t).server
	d := generate(size{users: 20, posts: 200, comments: 1000})
	if !reflect.DeepEqual(d, generate(size{users: 20, posts: 200, comments: 1000})) {
		t.Error("the data is another one each time")
	}
	for name, postgres := range map[string]bool{"SQLite": false, "Postgres": true} {
		t.Run(name, func(t *testing.T) {
			if postgres {
				if _, err := pgtest.Server(); err != nil {
					require.Missing(t, "postgres", err)
				}
			}
			db, err := prepare(t.Context(), program, t.TempDir(), postgres, d)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := db.drop(); err != nil {
					t.Error(err)
				}
			}()
			p, err := db.copy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.drop(); err != nil {
					t.Error(err)
				}
			}()
			c, err := p.open()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			same(t, c, "20", `SELECT count(*) FROM users`)
			same(t, c, "200 1000", `SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM comments)`)
			same(t, c, "0", `SELECT count(*) FROM comments c JOIN posts p ON p.id = c.post_id WHERE c.created_at <= p.created_at`)
			same(t, c, "1 1195 1195", `SELECT min(pos), max(pos), count(*) FROM log`)
			same(t, c, "0", `SELECT count(*) FROM log a JOIN log b ON b.pos = a.pos + 1 WHERE b.at < a.at`)
			same(t, c, "195", `SELECT count(*) FROM log l JOIN posts p ON p.id = l.subject AND p.author_id = l.scope AND p.created_at = l.at
				WHERE l.kind = 'post_created' AND p.published AND p.published_at = l.at`)
			same(t, c, "1000", `SELECT count(*) FROM log l JOIN comments c ON c.id = l.subject AND c.post_id = l.scope AND c.created_at = l.at WHERE l.kind = 'comment_added'`)
			if postgres {
				same(t, c, "200", `SELECT count(*) FROM posts WHERE search @@ websearch_to_tsquery('english', search_words(title))`)
			} else {
				same(t, c, "200", `SELECT count(*) FROM posts p JOIN post_search_doc d ON d.post_id = p.id
					WHERE d.doc IN (SELECT rowid FROM post_search WHERE post_search MATCH '"' || p.title || '"')`)
			}
		})
	}
}

// same holds the one row of a query, as text, against what it should be.
func same(t *testing.T, db *sql.DB, want, query string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Errorf("%s: %v", query, err)
		return
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	values := make([]string, len(columns))
	pointers := make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	if !rows.Next() {
		t.Errorf("%s: no row: %v", query, rows.Err())
		return
	}
	if err := rows.Scan(pointers...); err != nil {
		t.Errorf("%s: %v", query, err)
	}
	if got := strings.Join(values, " "); got != want {
		t.Errorf("%s: %s, want %s", query, got, want)
	}
}

// TestDifference: an answer of the control that is not the server's ends the run.
func TestDifference(t *testing.T) {
	defer func(all []operation) { operations = all }(operations)
	for name, test := range map[string]struct {
		at   variant
		want string
	}{
		"other posts":  {variant{path: "/posts/after/" + string(appendCursor(nil, gid.NewPost(), beginning.Add(30*time.Hour)))}, "the answers differ at .data.posts: "},
		"another post": {variant{path: "/post/" + generate(size{users: 20, posts: 200, comments: 1000}).posts[1].id.String()}, "the answers differ at .data.posts: map["},
		"less of them": {variant{path: "/posts/comments"}, "the answers differ at .data.posts.nodes[0]: "},
		"no such path": {variant{path: "/nowhere"}, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			o := operations[slices.Index(allOperations(), "Q2")]
			o.variants = func(*data, *rand.Rand) []variant { return []variant{test.at} }
			operations = []operation{o}
			b := parsed(t, "-databases", "sqlite", "-operations", "Q2")
			if all, err := b.run(t.Context()); err == nil {
				t.Errorf("it was measured: %+v", all[0].figures)
			} else if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got the error %v, want %q", err, test.want)
			}
		})
	}
}

// TestScript: an answer that is not the one that was compared ends the timing.
func TestScript(t *testing.T) {
	whole := script{answers: [][]byte{[]byte(`{"data":1}`)}, whole: true}
	begun := script{answers: [][]byte{[]byte(`{"data":`)}}
	for answer, ok := range map[string][2]bool{`{"data":1}`: {true, true}, `{"data":2}`: {false, true}, `{"errors":[]}`: {false, false}, `{"data":1} `: {false, true}} {
		if got := [2]bool{whole.check(0, []byte(answer)) == nil, begun.check(0, []byte(answer)) == nil}; got != ok {
			t.Errorf("%s passes %v, want %v", answer, got, ok)
		}
	}
}

func TestAppend(t *testing.T) {
	for _, text := range []string{"", "plain", `"quoted" \ and`, "a\n\r\t\x01\x1f b", "é 漢 🎉 \u2028", strings.Repeat("x", 1000) + "\n"} {
		var got string
		if err := json.Unmarshal(appendText(nil, []byte(text)), &got); err != nil || got != text {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
	id, at := gid.NewPost(), time.Now().UTC().Truncate(time.Microsecond)
	cursor := string(appendCursor(nil, id, at))
	if gotAt, gotID, err := parseCursor(cursor); err != nil || !gotAt.Equal(at) || gotID != id.UUID() {
		t.Errorf("a cursor of %v, %v is read as %v, %v, %v", at, id, gotAt, gotID, err)
	}
	for _, bad := range []string{"", "x", cursor[1:], cursor + "A", strings.Repeat("A", len(cursor))} {
		if _, _, err := parseCursor(bad); err == nil {
			t.Errorf("%q passes for a cursor", bad)
		}
	}
}

func TestParse(t *testing.T) {
	for _, args := range []string{"-databases=oracle", "-operations=Q9", "-conns=many", "-conns=0", "-rounds=0", "-time=0s", "-posts=3", "-busy=-1"} {
		if _, err := parse([]string{args}); err == nil {
			t.Errorf("%s is taken", args)
		}
	}
}

func TestGoals(t *testing.T) {
	us := func(server, postgres time.Duration, rate float64) figures {
		return figures{rate: rate, server: server * time.Microsecond, postgres: postgres * time.Microsecond, memory: 50 << 20}
	}
	all := results{
		{"Postgres", scripts{operation: operations[0]}, 16, map[string][]figures{"tidings": {us(100, 50, 1000)}, "control": {us(60, 45, 2000)}}},
		{"SQLite", scripts{operation: operations[0]}, 16, map[string][]figures{"tidings": {us(100, 0, 900)}, "control": {us(60, 0, 2000)}}},
	}
	var got []string
	for _, l := range all.goals() {
		got = append(got, l.Verdict())
	}
	if want := []string{"met", "MISSED", "met"}; !slices.Equal(got, want) { // 70 % of the control; slower on SQLite; 50 MiB
		t.Errorf("got %q, want %q", got, want)
	}
	if s := share(us(100, 50, 0), us(60, 45, 0)); s != 0.7 {
		t.Errorf("a share of %v", s)
	}
}
