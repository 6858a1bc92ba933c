// Package scale holds, by the plans that both databases make for every statement that reads run, that what a read costs
// does not grow with the number of posts, comments or users.
package scale

import (
	"context"
	stdsql "database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/google/uuid"
	_ "github.com/lib/pq"
	_ "modernc.org/sqlite"

	"tidings/ent"
	"tidings/graph"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
	"tidings/internal/relay"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// size is how much there is: more on Postgres, which reads a small table as a whole, and rightly so. A tenth of the
// comments is on one post, a tenth of the posts one user's, and one post of forty is a draft.
type size struct{ users, posts, comments int }

var sizes = map[string]size{
	dialect.SQLite:   {200, 600, 1_200},
	dialect.Postgres: {20_000, 30_000, 60_000},
}

// world is the resolvers on a database with something in it, of which all statements are recorded.
type world struct {
	t       *testing.T
	dialect string
	size    size
	db      *stdsql.DB
	exec    *executor.Executor
	reads   *relay.Direct
	lists   map[string]string // what was asked for to have cursors
	*recorder
}

// recorder is the database as ent has it. It keeps every statement once, with the arguments and the operation of its
// first time.
type recorder struct {
	dialect.Driver
	mu         sync.Mutex
	operation  string
	statements map[string]statement
}

type statement struct {
	text      string
	args      []any
	operation string
}

// Query implements dialect.Driver.
func (r *recorder) Query(ctx context.Context, query string, args, v any) error {
	r.mu.Lock()
	if _, known := r.statements[query]; !known {
		r.statements[query] = statement{query, args.([]any), r.operation}
	}
	r.mu.Unlock()
	return r.Driver.Query(ctx, query, args, v)
}

// head is an event log in which nothing has happened. Of the log nothing is read here, it has a test of its own.
type head struct{ graph.Log }

func (head) Head(context.Context) (event.Cursor, error) { return event.Cursor{}, nil }

// everywhere runs a test in a world on each database.
func everywhere(t *testing.T, test func(w *world)) {
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "scale.db")
		s, err := store.Open(t.Context(), store.Target{Dialect: dialect.SQLite, DSN: path})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		test(newWorld(t, dialect.SQLite, "sqlite", "file:"+path+"?_pragma=foreign_keys(1)&_pragma=synchronous(OFF)&_time_format=sqlite&_timezone=UTC"))
	})
	t.Run("postgres", func(t *testing.T) {
		u, err := url.Parse(testkit.MigratedPostgres(t))
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("timezone", "UTC")
		u.RawQuery = q.Encode()
		test(newWorld(t, dialect.Postgres, "postgres", u.String()))
	})
}

func newWorld(t *testing.T, name, driver, dsn string) *world {
	t.Helper()
	db, err := stdsql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	w := &world{t: t, dialect: name, size: sizes[name], db: db, reads: relay.NewDirect(slog.New(slog.DiscardHandler)), lists: map[string]string{}}
	w.recorder = &recorder{Driver: sql.OpenDB(name, db), statements: map[string]statement{}}
	w.fill()
	w.exec = executor.New(graph.NewExecutableSchema(graph.Config{Resolvers: &graph.Resolver{Ent: ent.NewClient(ent.Driver(w.recorder)), Log: head{}}}))
	w.exec.Use(graph.LiveCursor{Log: head{}})
	w.exec.Use(w.reads)
	return w
}

// fill makes the rows of the tables that grow, in the database itself, which is faster, and counts them.
func (w *world) fill() {
	w.t.Helper()
	// What the two databases write differently.
	numbers := "generate_series(1, %d) AS n"
	id, at, padding := "('00000000-0000-7000-8%03d-' || lpad(to_hex(%s), 12, '0'))::uuid", "timestamptz '2026-01-01 00:00:00Z' + n * interval '1 minute'", "repeat('word ', 40)"
	if w.dialect == dialect.SQLite {
		numbers = "(WITH RECURSIVE numbers(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < %d) SELECT n FROM numbers)"
		id, at, padding = "printf('00000000-0000-7000-8%03d-%%012x', %s)", "strftime('%Y-%m-%d %H:%M:%S+00:00', '2026-01-01', '+' || n || ' minutes')", "replace(hex(zeroblob(20)), '00', 'word ')"
	}
	user := func(n string) string { return fmt.Sprintf(id, users, n) }
	post := func(n string) string { return fmt.Sprintf(id, posts, n) }
	from := func(n int) string { return " FROM " + fmt.Sprintf(numbers, n) }
	for _, statement := range []string{
		`INSERT INTO users (id, username, username_key, full_name, email, email_key, search_text, password_hash, role, is_active, created_at, updated_at)
			SELECT ` + user("n") + `, 'user_' || n, 'user_' || n, 'User ' || n, 'user_' || n || '@example.org', 'user_' || n || '@example.org', 'user_' || n, ` + padding + `,
			CASE n WHEN 1 THEN 'ADMIN' ELSE 'MEMBER' END, true, ` + at + `, ` + at + from(w.size.users),
		`INSERT INTO posts (id, title, content, published, published_at, created_at, updated_at, author_id)
			SELECT ` + post("n") + `, 'Post ' || (n % 977) || ' of them', ` + padding + ` || CASE n % 50 WHEN 0 THEN 'ferry' ELSE 'boat' END, n % 40 <> 7, ` + at + `, ` + at + `, ` + at + `, ` +
			user(fmt.Sprintf("CASE n %% 10 WHEN 3 THEN 2 ELSE n %% %d + 1 END", w.size.users)) + from(w.size.posts),
		`INSERT INTO comments (id, content, created_at, updated_at, post_id, author_id)
			SELECT ` + fmt.Sprintf(id, comments, "n") + `, ` + padding + `, ` + at + `, ` + at + `, ` +
			post(fmt.Sprintf("CASE n %% 10 WHEN 3 THEN %d ELSE n %% %d + 1 END", w.size.posts-2, w.size.posts)) + `, ` + user(fmt.Sprintf("n %% %d + 1", w.size.users)) + from(w.size.comments),
		map[string]string{dialect.SQLite: "ANALYZE", dialect.Postgres: "VACUUM ANALYZE"}[w.dialect],
	} {
		if _, err := w.db.ExecContext(w.t.Context(), statement); err != nil {
			w.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// The tables, as they are told apart in ids.
const (
	users = iota
	posts
	comments
)

func id(table, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("00000000-0000-7000-8%03d-%012x", table, n))
}

func userID(n int) string    { return gid.UserOf(id(users, n)).String() }
func postID(n int) string    { return gid.PostOf(id(posts, n)).String() }
func commentID(n int) string { return gid.CommentOf(id(comments, n)).String() }

// viewers are those who ask: they see different rows, so their statements are different ones.
var viewers = map[string]auth.Viewer{
	"anonymous": {},
	"member":    {User: gid.UserOf(id(users, 2))},
	"admin":     {User: gid.UserOf(id(users, 1)), Admin: true},
}

// ask runs an operation, by rows or by entities.
func (w *world) ask(viewer, document string, byExecutor bool) string {
	w.t.Helper()
	ctx := auth.WithViewer(w.t.Context(), viewers[viewer])
	if byExecutor {
		ctx = relay.ByExecutor(ctx)
	}
	ctx = graphql.StartOperationTrace(ctx)
	w.mu.Lock()
	w.operation = viewer + ": " + document
	w.mu.Unlock()
	now := graphql.Now()
	op, errs := w.exec.CreateOperationContext(ctx, &graphql.RawParams{Query: document, ReadTime: graphql.TraceTiming{Start: now, End: now}})
	if errs != nil {
		w.t.Fatalf("%s: %v", document, errs)
	}
	run, ctx := w.exec.DispatchOperation(ctx, op)
	response := run(ctx)
	if len(response.Errors) > 0 {
		w.t.Fatalf("%s: %s: %v", viewer, document, response.Errors)
	}
	return string(response.Data)
}
