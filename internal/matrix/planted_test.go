package matrix

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"entgo.io/ent/dialect"
	"github.com/google/uuid"

	"tidings/ent"
	"tidings/ent/user"
	"tidings/internal/auth"
	"tidings/internal/config"
	"tidings/internal/gid"
	"tidings/internal/relay"
	"tidings/internal/store"
	"tidings/internal/testkit"
)

// planted is a server whose rows were written straight into its database, the same ones each time, with all that a row
// can hold and a client would hardly write. Whatever is not for everyone holds a mark.
type planted struct {
	t        *testing.T
	m        *model
	node     *testkit.Node
	executor *testkit.Node // the same, by gqlgen's executor
	viewers  []*viewer
	byID     map[string]*object
	marks    []mark
	cookies  map[*viewer]string // refresh tokens; nil: none are kept
	r        *rand.Rand
	made     int
}

// mark is a text that stands in one field of one row and nowhere else.
type mark struct {
	of    *object
	field string
}

// Whoever may see the field may see the mark.
func (k mark) visible(v *viewer) bool {
	return visible(v, k.of) && fields[k.of.typ+"."+k.field].who.may(v, k.of)
}

var (
	markText   = regexp.MustCompile(`secret(\d+)q`)
	idText     = regexp.MustCompile(`(?:user|post|comment)_[0-9a-z]{26}`)
	cursorText = regexp.MustCompile(`"[A-Za-z0-9_-]{20,}"`)
)

// nasty are texts that are easily written or read wrongly.
var nasty = []string{
	`a "quoted" text, \ and \" and \\ and \u0041 and \n and \uD83D and \x`, "tab\tline\nreturn\r\nform\f back\b bell\a escape\x1b one\x01 last\x1f delete\x7f",
	"line\u2028paragraph\u2029next\u0085", "😀 👩‍👩‍👧 🇩🇪 e\u0301 é", "</script><!-- & ' ` <b> &amp; %20 +", "漢字 عربى \u202e\ufeff \ufffd \ufffe \U0010ffff \u200b",
	`null true {"a":[1,2]} ]} ,`, `\`, `"`, "'; --", "$1 ? %s %!d", "  blanks  around  ",
}

// moments are times with all kinds of fractions.
var moments = []string{
	"2026-11-20T10:00:00Z", "2026-11-20T10:00:00.5Z", "2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.100000Z", "2026-11-20T10:00:00.000001Z",
	"2026-11-20T10:00:00.999999Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.9Z", "1582-10-10T00:00:00.02Z", "9999-12-31T23:59:59.999999Z", "2000-02-29T12:30:00.0101Z",
}

// passwordHash is of "password", cheap to verify (P-H-C/phc-winner-argon2, test.c).
const passwordHash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"

// plantEverywhere runs a test on each database.
func plantEverywhere(t *testing.T, test func(p *planted)) {
	testkit.Databases(t, func(t *testing.T, d config.Database) { test(plant(t, d)) })
}

func plant(t *testing.T, d config.Database) *planted {
	t.Helper()
	p := &planted{t: t, m: &model{}, byID: map[string]*object{}, r: rand.New(rand.NewPCG(7, 7))}
	target := store.Target{Dialect: dialect.SQLite, DSN: d.Path}
	if d.Dialect == config.Postgres {
		target = store.Target{Dialect: dialect.Postgres, DSN: d.URL}
	}
	s, err := store.Open(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := s.Client().Tx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.write(auth.AsSystem(t.Context()), tx.Client())
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p.node = testkit.Start(t, d)
	p.executor = p.node.Within(relay.ByExecutor)
	p.tokens()
	return p
}

// write makes people, posts and comments. The first three people are viewers, with something of every kind: the author,
// another, and an admin.
func (p *planted) write(ctx context.Context, tx *ent.Client) {
	p.t.Helper()
	p.viewers = []*viewer{{name: "anonymous"}}
	var people, posts []*object
	for i, name := range []string{"Author", "other", "admin", "Zoe_1", "zoe_2", "Idle", "_x_", "ninth"} {
		id, at := gid.UserOf(p.uuid()), p.moment(i)
		u := p.add(&object{typ: "User", id: id.String(), values: map[string]any{"username": name}})
		role := user.RoleMEMBER
		if name == "admin" {
			role = user.RoleADMIN
		}
		p.must(tx.User.Create().SetID(id).SetUsername(name).SetFullName(clip(p.nasty(i)+" "+name, 100)).
			SetEmail(fmt.Sprintf(`%s"\'<%s>@example.org`, p.mark(u, "email"), name)).SetPasswordHash(passwordHash).SetRole(role).
			SetIsActive(name != "Idle").SetCreatedAt(at).SetUpdatedAt(p.moment(i + 3)).Exec(ctx))
		people = append(people, u)
		if i < 3 {
			p.viewers = append(p.viewers, &viewer{name: name, user: u, admin: role == user.RoleADMIN})
		}
	}
	for i := range 40 {
		author := people[[]int{0, 1, 0, 2, 3, 4, 0, 1, 7}[i%9]]
		id := gid.PostOf(p.uuid())
		o := p.add(&object{typ: "Post", id: id.String(), author: author, values: map[string]any{"published": i%5 < 3}})
		title, content := clip("The title "+p.nasty(i), 200), p.nasty(i+1)+" everywhere word"+fmt.Sprint(i%4)+strings.Repeat(" "+p.nasty(i), i%7)
		switch {
		case i%5 >= 3:
			title, content = p.mark(o, "title")+title, p.mark(o, "content")+" "+content
		case i%10 == 0:
			title = "A title that others have too" // so that it is the id that orders them
		case i == 11:
			content = clip(strings.Repeat(content, 1000), 40_000)
		}
		create := tx.Post.Create().SetID(id).SetAuthorID(idOf(gid.ParseUser, author)).SetTitle(clip(title, 200)).SetContent(content).SetPublished(i%5 < 3).
			SetCreatedAt(p.moment(i / 2)).SetUpdatedAt(p.moment(i + 5))
		if i%5 != 4 { // 3: public once
			create.SetPublishedAt(p.moment(i + 1))
		}
		p.must(create.Exec(ctx))
		posts = append(posts, o)
	}
	for i := range 120 {
		post := posts[[]int{0, 1, 2, 3, 4, 8, 9, 13, 14, i % len(posts)}[i%10]]
		author := people[i%len(people)]
		id := gid.CommentOf(p.uuid())
		o := p.add(&object{typ: "Comment", id: id.String(), author: author, post: post})
		content := p.nasty(i)
		if post.values["published"] != true {
			content = p.mark(o, "content") + content
		}
		if i == 20 {
			content = clip(strings.Repeat(content, 1000), 10_000)
		}
		p.must(tx.Comment.Create().SetID(id).SetAuthorID(idOf(gid.ParseUser, author)).SetPostID(idOf(gid.ParsePost, post)).SetContent(content).
			SetCreatedAt(p.moment(i / 3)).SetUpdatedAt(p.moment(i)).Exec(ctx))
	}
}

func (p *planted) add(o *object) *object {
	p.byID[o.id] = o
	return p.m.add(o)
}

func (p *planted) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// uuid is one of version 7, later than those before it, and the same in every run.
func (p *planted) uuid() (u uuid.UUID) {
	p.made++
	binary.BigEndian.PutUint64(u[8:], p.r.Uint64())
	binary.BigEndian.PutUint64(u[:8], uint64(1_760_000_000_000+p.made)<<16|0x7000|p.r.Uint64()&0xfff)
	u[8] = u[8]&0x3f | 0x80
	return u
}

func (p *planted) moment(i int) time.Time {
	at, err := time.Parse(time.RFC3339Nano, moments[i%len(moments)])
	p.must(err)
	return at
}

func (p *planted) nasty(i int) string { return nasty[i%len(nasty)] }

func (p *planted) mark(o *object, field string) string {
	p.marks = append(p.marks, mark{o, field})
	return fmt.Sprintf("secret%dq", len(p.marks)-1)
}

func idOf[I any](parse func(string) (I, error), o *object) I {
	id, err := parse(o.id)
	if err != nil {
		panic(err)
	}
	return id
}

// clip cuts a text to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// marked notes the marks in a response, by their fields.
func (p *planted) marked(v *viewer, response string, seen map[*viewer]map[string]int) {
	if seen[v] == nil {
		seen[v] = map[string]int{}
	}
	for _, m := range markText.FindAllStringSubmatch(response, -1) {
		var n int
		if _, err := fmt.Sscan(m[1], &n); err == nil && n < len(p.marks) {
			seen[v][p.marks[n].of.typ+"."+p.marks[n].field]++
		}
	}
}

// hidden are the marks, ids and cursors in a response that its viewer must not be shown.
func (p *planted) hidden(v *viewer, response string) (found []string) {
	for _, m := range markText.FindAllStringSubmatch(response, -1) {
		var n int
		if _, err := fmt.Sscan(m[1], &n); err != nil || n >= len(p.marks) {
			continue
		}
		if k := p.marks[n]; !k.visible(v) {
			found = append(found, fmt.Sprintf("%s.%s of %s", k.of.typ, k.field, k.of.id))
		}
	}
	for _, id := range idText.FindAllString(response, -1) {
		if o := p.byID[id]; o != nil && !visible(v, o) {
			found = append(found, id)
		}
	}
	for _, text := range cursorText.FindAllString(response, -1) {
		b, err := base64.RawURLEncoding.DecodeString(strings.Trim(text, `"`))
		if err != nil || len(b) < 18 {
			continue
		}
		u := uuid.UUID(b[2:18]) // as package relay makes cursors
		for _, id := range []string{gid.PostOf(u).String(), gid.CommentOf(u).String()} {
			if o := p.byID[id]; o != nil && !visible(v, o) {
				found = append(found, "a cursor of "+id)
			}
		}
	}
	return found
}

// foundKind is one thing of hidden, without which one it is.
func foundKind(found string) string {
	if id, ok := strings.CutPrefix(found, "a cursor of "); ok {
		return "a cursor of a " + gid.Kind(id)
	}
	if field, _, ok := strings.Cut(found, " of "); ok {
		return field
	}
	return "the id of a " + gid.Kind(found)
}

// TestWhatIsHiddenIsFound: if others were told what an admin is, as they would be without permissions or with an admin's
// answers kept for them, each kind of thing that is hidden would come up, in either way, and be found.
func TestWhatIsHiddenIsFound(t *testing.T) {
	n := seed(t)
	plantEverywhere(t, func(p *planted) {
		anonymous, other, admin := p.viewers[0], p.viewers[2], p.viewers[3]
		for way, node := range map[string]*testkit.Node{"directly": p.node, "by the executor": p.executor} {
			c := newComparison(p, n)
			for _, v := range []*viewer{anonymous, other} {
				found := map[string]int{}
				wanted := []string{"Post.title", "Post.content", "Comment.content", "User.email", "the id of a post", "the id of a comment", "a cursor of a post", "a cursor of a comment"}
				for tries := 0; tries < 1000 && len(found) < len(wanted); tries++ {
					d := c.g.Query()
					for _, text := range p.hidden(v, p.ask(node, admin, d, d.Operations[0]).body) {
						found[foundKind(text)]++
					}
				}
				for _, kind := range wanted {
					if found[kind] == 0 {
						t.Errorf("%s, nothing is found of %s that is hidden from %s: %v", way, kind, v.name, found)
					}
				}
			}
		}
	})
}

// TestDifferencesAreFound: two answers are the same to the byte, but for the order of errors.
func TestDifferencesAreFound(t *testing.T) {
	c := &comparison{p: &planted{t: t}}
	v := &viewer{name: "anonymous"}
	const a, b = `{"message":"a","path":["a"]}`, `{"message":"b","path":["b"]}`
	for _, test := range []struct {
		one, other string
		same       bool
	}{
		{`{"data":{"a":1,"b":2}}`, `{"data":{"a":1,"b":2}}`, true},
		{`{"data":{"a":1,"b":2}}`, `{"data":{"b":2,"a":1}}`, false},
		{`{"data":{"a":"\u2028"}}`, "{\"data\":{\"a\":\"\u2028\"}}", false},
		{`{"errors":[` + a + `,` + b + `],"data":null}`, `{"errors":[` + b + `,` + a + `],"data":null}`, true},
		{`{"errors":[` + a + `,` + b + `],"data":null}`, `{"errors":[` + b + `,` + a + `],"data":{}}`, false},
		{`{"errors":[` + a + `,` + b + `],"data":null}`, `{"errors":[` + a + `],"data":null}`, false},
		{`{"errors":[` + a + `,` + b + `]}`, `{"errors":[` + a + `,` + a + `]}`, false},
	} {
		if why := c.fault(v, outcome{200, test.one}, outcome{200, test.other}); (why == "") != test.same {
			t.Errorf("%s and %s: %q", test.one, test.other, why)
		}
	}
	if c.fault(v, outcome{200, `{}`}, outcome{400, `{}`}) == "" {
		t.Error("another status is not noticed")
	}
}
