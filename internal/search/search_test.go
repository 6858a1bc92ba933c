package search_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"tidings/ent"
	"tidings/ent/post"
	"tidings/internal/auth"
	"tidings/internal/gid"
	"tidings/internal/search"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// newUser makes a user of that name.
func newUser(t testing.TB, s *store.Store, name string) *ent.User {
	t.Helper()
	u, err := s.Client().User.Create().SetUsername(name).SetFullName(name).SetEmail(name + "@example.com").SetPasswordHash("x").
		Save(auth.AsSystem(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// newPost makes a published post, or a draft.
func newPost(t testing.TB, s *store.Store, by gid.User, title, content string, published bool) *ent.Post {
	t.Helper()
	c := s.Client().Post.Create().SetAuthorID(by).SetTitle(title).SetContent(content).SetPublished(published)
	if published {
		c.SetPublishedAt(time.Now().UTC().Truncate(time.Microsecond))
	}
	p, err := c.Save(auth.AsSystem(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// bestFirst orders by rank, ties by id.
func bestFirst(rank func(*sql.Selector) sql.Querier) post.OrderOption {
	return func(s *sql.Selector) {
		s.OrderExpr(sql.ExprFunc(func(b *sql.Builder) { b.Join(rank(s)).WriteString(" DESC") })).OrderBy(sql.Desc(s.C("id")))
	}
}

// find returns the titles of the posts that a viewer finds, in order, and holds them against the count.
func find(ctx context.Context, t testing.TB, s *store.Store, text string) []string {
	t.Helper()
	where, rank, ok := search.Posts(text)
	if !ok {
		return nil
	}
	posts, err := s.Client().Post.Query().Where(where).Order(bestFirst(rank)).All(ctx)
	if err != nil {
		t.Fatalf("searching for %.60q: %v", text, err)
	}
	n, err := s.Client().Post.Query().Where(where).Count(ctx)
	if err != nil {
		t.Fatalf("counting for %.60q: %v", text, err)
	}
	if n != len(posts) {
		t.Errorf("%.60q: %d counted, %d found", text, n, len(posts))
	}
	var titles []string
	for _, p := range posts {
		titles = append(titles, p.Title)
	}
	return titles
}

func TestSearchFinds(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada := newUser(t, s, "ada").ID
		newPost(t, s, ada, "Night ferry", "The boat leaves the harbour at ten, and the timetable never lies.", true)
		newPost(t, s, ada, "Boats of the north", "Ferries, trawlers and one lonely lightship.", true)
		newPost(t, s, ada, "École de voile", "On apprend à naviguer; écrivez à ecole@voile.example/inscription, version 3.14 du <b>programme</b>.", true)
		newPost(t, s, ada, "渡し船の話", "渡し船 と 時刻表", true)
		newPost(t, s, ada, "C++ and friends", "node.js, 'quotes' and O'Neill don't mix with foo-bar.", true)
		for _, c := range []struct {
			text string
			want []string
		}{
			{"ferry", []string{"Night ferry", "Boats of the north"}}, // the title before the content, by their stem
			{"FERRIES", []string{"Night ferry", "Boats of the north"}},
			{"boat", []string{"Boats of the north", "Night ferry"}},
			{"ferry timetable", []string{"Night ferry"}},
			{"timetable of the ferry", []string{"Night ferry"}},
			{`"night ferry"`, []string{"Night ferry"}},
			{`"ferry night"`, nil},
			{"ferry -night", []string{"Boats of the north"}},
			{`ferry -"boat leaves"`, []string{"Boats of the north"}},
			{"lightship or timetable", []string{"Night ferry", "Boats of the north"}},
			{"ferry -night or naviguer", []string{"École de voile", "Boats of the north"}},
			{"ecole", []string{"École de voile"}},
			{"ÉCOLE", []string{"École de voile"}},
			{"e\u0301crivez", []string{"École de voile"}}, // decomposed
			{"voile.example", []string{"École de voile"}},
			{"inscription", []string{"École de voile"}},
			{"programme", []string{"École de voile"}},
			{"3.14", []string{"École de voile"}},
			{"14", []string{"École de voile"}},
			{"時刻表", []string{"渡し船の話"}},
			{"node", []string{"C++ and friends"}},
			{"node.js", []string{"C++ and friends"}},
			{"c++", []string{"C++ and friends"}},
			{"o'neill", []string{"C++ and friends"}},
			{"foo-bar", []string{"C++ and friends"}},
			{"bar", []string{"C++ and friends"}},
			{"submarine", nil},
			{"-ferry", nil},
			{"the", nil},
			{"the -ferry", nil},
		} {
			got := find(t.Context(), t, s, c.text)
			if strings.Contains(c.text, " or ") { // how two groups rank against each other is the database's own
				slices.Sort(got)
				slices.Sort(c.want)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q found %q, want %q", c.text, got, c.want)
			}
		}
	})
}

func TestSearchFollowsThePosts(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		system := auth.AsSystem(t.Context())
		ada := newUser(t, s, "ada")
		p := newPost(t, s, ada.ID, "Night ferry", "It leaves at ten.", true)
		q := newPost(t, s, ada.ID, "Day ferry", "It leaves at noon.", true)
		expect := func(text string, want ...string) {
			t.Helper()
			if got := find(t.Context(), t, s, text); !slices.Equal(got, want) {
				t.Errorf("%q found %q, want %q", text, got, want)
			}
		}
		expect("night", "Night ferry")
		if err := s.Client().Post.UpdateOneID(p.ID).SetTitle("Slow train").Exec(system); err != nil {
			t.Fatal(err)
		}
		expect("night")
		expect("train", "Slow train")
		expect("ten", "Slow train")
		if err := s.Client().Post.UpdateOneID(p.ID).SetContent("It leaves at midnight.").Exec(system); err != nil {
			t.Fatal(err)
		}
		expect("ten")
		expect("midnight", "Slow train")
		if err := s.Client().Post.UpdateOneID(p.ID).SetPublished(false).Exec(system); err != nil {
			t.Fatal(err)
		}
		expect("midnight")
		if err := s.Client().Post.DeleteOneID(q.ID).Exec(system); err != nil {
			t.Fatal(err)
		}
		expect("noon")
		if err := s.Client().User.DeleteOneID(ada.ID).Exec(system); err != nil { // whose posts go too
			t.Fatal(err)
		}
		bob := newUser(t, s, "bob")
		newPost(t, s, bob.ID, "Midnight bus", "It leaves at one.", true)
		expect("midnight", "Midnight bus")
	})
}

func TestSearchShowsWhatTheViewerMaySee(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada, bob := newUser(t, s, "ada").ID, newUser(t, s, "bob").ID
		newPost(t, s, ada, "Ferry for all", "x", true)
		newPost(t, s, ada, "Ferry of Ada's drafts", "x", false)
		for _, c := range []struct {
			viewer auth.Viewer
			want   []string
		}{
			{auth.Viewer{}, []string{"Ferry for all"}},
			{auth.Viewer{User: bob}, []string{"Ferry for all"}},
			{auth.Viewer{User: ada}, []string{"Ferry for all", "Ferry of Ada's drafts"}},
		} {
			got := find(auth.WithViewer(t.Context(), c.viewer), t, s, "ferry")
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("viewer %v found %q, want %q", c.viewer.User, got, c.want)
			}
		}
	})
}

// TestSearchRanksRegardlessOfWhatIsHidden: which of two posts comes first tells nothing of posts that the viewer can't
// see, however many of them have which words.
func TestSearchRanksRegardlessOfWhatIsHidden(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada, eve := newUser(t, s, "ada").ID, newUser(t, s, "eve").ID
		newPost(t, s, eve, "Probe A", "merger filler", false)
		newPost(t, s, eve, "Probe B", "quokka filler", false)
		newPost(t, s, eve, "Probe C", "merger quokka quokka filler", false)
		for range 20 {
			newPost(t, s, eve, "Noise", "noise", false)
		}
		const text = "merger or quokka"
		viewer := auth.WithViewer(t.Context(), auth.Viewer{User: eve})
		before := find(viewer, t, s, text)
		for _, content := range []string{"merger", "merger", "quokka " + strings.Repeat("long ", 1000), "quokka", "quokka", "quokka", "quokka"} {
			newPost(t, s, ada, "Secret", content, false)
			if after := find(viewer, t, s, text); !slices.Equal(after, before) {
				t.Fatalf("with a hidden post on %.8q they are %q, without %q", content, after, before)
			}
		}
	})
}

// TestSearchRanksTitles: all in the title, some of it there, nothing of it there, and the newest first.
func TestSearchRanksTitles(t *testing.T) {
	s, err := store.Open(t.Context(), store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(t.TempDir(), "rank.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	ada := newUser(t, s, "ada").ID
	for _, p := range [][2]string{{"Timetable", "of the ferry"}, {"Ferry timetable", "x"}, {"Third", "ferry timetable"}, {"Timetables", "ferries"}, {"Fifth", "ferry timetable"}} {
		newPost(t, s, ada, p[0], p[1], true)
	}
	want := []string{"Ferry timetable", "Timetables", "Timetable", "Fifth", "Third"}
	if got := find(t.Context(), t, s, "ferry timetable"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSearchPagesInOneOrder(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada := newUser(t, s, "ada").ID
		var ids []gid.Post
		for range 25 { // equal matches: the newest first
			ids = append(ids, newPost(t, s, ada, "The same ferry", "the same words", true).ID)
		}
		slices.Reverse(ids)
		where, rank, _ := search.Posts("ferry")
		var got []gid.Post
		for offset := 0; ; offset += 10 {
			posts, err := s.Client().Post.Query().Where(where, post.AuthorID(ada)).Order(bestFirst(rank)).Offset(offset).Limit(10).WithAuthor().All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range posts {
				if p.Edges.Author == nil {
					t.Fatal("no author")
				}
				got = append(got, p.ID)
			}
			if len(posts) < 10 {
				break
			}
		}
		if !slices.Equal(got, ids) {
			t.Errorf("got %v, want %v", got, ids)
		}
	})
}

// TestSearchUsesTheIndex asks both databases how they would search some thousand posts, with nothing forced.
func TestSearchUsesTheIndex(t *testing.T) {
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		ada := newUser(t, s, "ada").ID
		system := auth.AsSystem(t.Context())
		for batch := range 10 {
			creates := make([]*ent.PostCreate, 300)
			for i := range creates {
				n := batch*len(creates) + i
				creates[i] = s.Client().Post.Create().SetAuthorID(ada).SetTitle(fmt.Sprintf("Post %d", n)).
					SetContent(fmt.Sprintf("word%d and word%d %s", n, n%100, strings.Repeat("filler ", 50))).SetPublished(true).SetPublishedAt(time.Now())
			}
			if err := s.Client().Post.CreateBulk(creates...).Exec(system); err != nil {
				t.Fatal(err)
			}
		}
		explain := "EXPLAIN QUERY PLAN "
		if s.Dialect() == dialect.Postgres {
			explain = "EXPLAIN "
			if _, err := s.Client().ExecContext(t.Context(), "ANALYZE posts"); err != nil {
				t.Fatal(err)
			}
		}
		where, rank, _ := search.Posts("word77 -word177")
		var statement string
		var args []any
		q := s.Client().Post.Query().Where(where).Order(bestFirst(rank)).Limit(20)
		q.Modify(func(sel *sql.Selector) { c := *sel; statement, args = (&c).Query() })
		if _, err := q.All(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, err := s.Client().QueryContext(t.Context(), explain+statement, args...)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			into := make([]any, len(columns))
			for i := range into {
				into[i] = new(string)
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, *into[len(into)-1].(*string))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		all := strings.Join(plan, "\n")
		if s.Dialect() == dialect.Postgres {
			if !strings.Contains(all, "posts_search") || strings.Contains(all, "Seq Scan") {
				t.Errorf("the plan does not use the index:\n%s", all)
			}
			return
		}
		for _, step := range plan {
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "post_search VIRTUAL TABLE INDEX") {
				t.Errorf("the plan reads all of a table:\n%s", all)
			}
		}
	})
}

// seeds are what people type, and worse.
var seeds = []string{`ferry "night boat" -fog or x`, `"`, `a"b"c`, `-"`, `NEAR(a b)`, `title:x*`, "^a + b", "💥", "渡し船", "a\x00b", "\xff", "''", `\`,
	"%_", "½ -x", "{a}:b", "a OR NOT b", "<b>-c", "e\u0301\u0301", "x -the", "http://a.b/c?d=e&f", "-5 1e5 0x1f", "ﬁ ß İ", "\u00ad\u200bx", "-- /* */ $$ :* & | !"}

// library fills a store with something to find.
func library(t testing.TB, s *store.Store) {
	ada := newUser(t, s, "ada").ID
	newPost(t, s, ada, "Night ferry", "The boat in the fog: a b c x NEAR 渡し船 title e 5 1e5 ss", true)
	newPost(t, s, ada, "Everything "+strings.Join(seeds[:6], " "), strings.ToValidUTF8(strings.ReplaceAll(strings.Join(seeds, " "), "\x00", ""), ""), true)
}

// TestSearchFindsTheSame holds the databases against each other. They differ only in how they stem, in stop words in the
// middle of a phrase, and in marks that are no accents.
func TestSearchFindsTheSame(t *testing.T) {
	found := map[string][]string{}
	testkit.Stores(t, func(t *testing.T, s *store.Store) {
		library(t, s)
		for _, text := range seeds {
			titles := find(t.Context(), t, s, text)
			slices.Sort(titles)
			other, ok := found[text]
			if ok && !slices.Equal(titles, other) {
				t.Errorf("%q: found %q, on the other database %q", text, titles, other)
			}
			found[text] = titles
		}
	})
}

// FuzzSearch types everything into SQLite, whose query language has errors.
func FuzzSearch(f *testing.F) {
	fuzz(f, store.Target{Dialect: dialect.SQLite, DSN: filepath.Join(f.TempDir(), "fuzz.db")})
}

// FuzzSearchPostgres types everything into Postgres.
func FuzzSearchPostgres(f *testing.F) {
	fuzz(f, store.Target{Dialect: dialect.Postgres, DSN: testkit.MigratedPostgres(f)})
}

func fuzz(f *testing.F, target store.Target) {
	for _, text := range seeds {
		f.Add(text)
	}
	s, err := store.Open(f.Context(), target)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	library(f, s)
	f.Fuzz(func(t *testing.T, text string) { find(t.Context(), t, s, text) })
}
