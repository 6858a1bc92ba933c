package web_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"tidings/internal/gid"
)

// audience is clients of nobody and of two users, with what the field viewer says to each.
type audience struct {
	clients []*client
	viewers []string // "null", or an id in quotes
}

func newAudience(w *world, each int) *audience {
	w.t.Helper()
	a := new(audience)
	for _, signedIn := range []bool{false, true, true} {
		init, viewer := "", "null"
		if signedIn {
			token, user := w.token()
			init, viewer = `{"authorization":"`+token+`"}`, `"`+user.String()+`"`
		}
		for range each {
			a.clients, a.viewers = append(a.clients, w.open(init)), append(a.viewers, viewer)
		}
	}
	return a
}

// TestExecutionsAreShared: an event is loaded once for all who select what is the same for everyone, and once for each
// user who selects anything else; everyone is told what is theirs.
func TestExecutionsAreShared(t *testing.T) {
	for name, c := range map[string]struct {
		selection string
		loads     int64
		want      string // %s is the viewer
	}{
		"marked":              {`{ public }`, 1, `{"public":"news"}`},
		"marked, in pieces":   {`{ ...F } } fragment F on Post { a: public ... on Post { __typename public }`, 1, `{"a":"news","__typename":"Post","public":"news"}`},
		"not marked":          {`{ text }`, 3, `{"text":"news"}`},
		"personal":            {`{ viewer }`, 3, `{"viewer":%s}`},
		"both":                {`{ public viewer }`, 3, `{"public":"news","viewer":%s}`},
		"personal, in pieces": {`{ public ...F } } fragment F on Post { ... on Post { me: viewer }`, 3, `{"public":"news","me":%s}`},
		"personal, skipped":   {`{ public viewer @skip(if: true) }`, 3, `{"public":"news"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := newAudience(w, 5)
			for i, c2 := range a.clients {
				c2.subscribe(fmt.Sprint("id ", i), `subscription { posted(after: "`+w.log.cursor(0)+`") `+c.selection+` }`, "")
			}
			position, inARow := int64(0), 0
			eventually(t, "three events in a row that all have live", func() bool { // not read, each for themselves
				w.log.post(gid.NewUser(), "news")
				position++
				for i, c2 := range a.clients {
					want := c.want
					if strings.Contains(want, "%s") {
						want = fmt.Sprintf(want, a.viewers[i])
					}
					c2.expect(fmt.Sprintf(`{"id":"id %d","type":"next","payload":{"data":{"posted":%s},"extensions":{"cursor":"%s"}}}`, i, want, w.log.cursor(position)))
				}
				n := w.loads.Swap(0)
				if n < c.loads || position > 20 && n > c.loads {
					t.Fatalf("event %d was loaded %d times, want %d", position, n, c.loads)
				}
				if inARow++; n > c.loads {
					inARow = 0
				}
				return inARow == 3
			})
		})
	}
}

// TestGroupsAreApart: what differs in anything but the cursor is not shared.
func TestGroupsAreApart(t *testing.T) {
	w := newWorld(t)
	const query = `query Q { hello } subscription($author: ID, $after: Cursor, $long: Boolean = true) { posted(author: $author, after: $after) { public text @include(if: $long) } }`
	author := gid.NewUser()
	w.log.post(author, "first")
	var clients []*client
	ask := func(variables, want string) {
		t.Helper()
		c := w.open("")
		clients = append(clients, c)
		c.send(fmt.Sprintf(`{"id":"1","type":"subscribe","payload":{"query":%q,"operationName":null,"variables":%s}}`, strings.TrimPrefix(query, "query Q { hello } "), variables))
		if got := c.next(); !strings.Contains(got, want) {
			t.Errorf("%s: %s", variables, got)
		}
	}
	zero := w.log.cursor(0)
	ask(`{"after":"`+zero+`"}`, `{"public":"first","text":"first"}`)
	ask(`{"after":"`+zero+`","long":true}`, `{"public":"first","text":"first"}`)
	ask(`{"after":"`+zero+`","long":false}`, `{"public":"first"}`)
	ask(`{"after":"`+zero+`","author":"`+author.String()+`","long":false}`, `{"public":"first"}`)
	eventually(t, "an event that all have live, of three groups", func() bool {
		w.loads.Store(0)
		w.log.post(author, "second")
		for _, c := range clients {
			if got := c.next(); !strings.Contains(got, `"public":"second"`) {
				t.Error(got)
			}
		}
		if n := w.loads.Load(); n < 3 {
			t.Fatalf("loaded %d times, for three groups", n)
		}
		return w.loads.Load() == 3
	})
}

// TestNobodyGetsWhatIsNotTheirs: whoever subscribes to whatever, in whichever order, comes and goes: what they are told is
// theirs.
func TestNobodyGetsWhatIsNotTheirs(t *testing.T) {
	w := newWorld(t)
	a := newAudience(w, 4)
	fields := []string{"id", "text", "public", "viewer", "__typename"}
	type stream struct {
		c      *client
		viewer string
		seen   int
	}
	var streams []*stream
	texts := 0
	for range 40 {
		i := rand.N(len(a.clients))
		rand.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		id := fmt.Sprint(len(streams))
		a.clients[i].subscribe(id, `subscription { posted(after: "`+w.log.cursor(int64(texts))+`") { `+strings.Join(fields[:1+rand.N(len(fields))], " ")+` } }`, "")
		streams = append(streams, &stream{a.clients[i], a.viewers[i], texts})
		w.log.post(gid.NewUser(), fmt.Sprint("text ", texts))
		texts++
	}
	left := map[*client]int{}
	for _, s := range streams {
		left[s.c] += texts - s.seen
	}
	for i, c := range a.clients {
		for range left[c] {
			got := c.next()
			var n int
			if _, err := fmt.Sscanf(got, `{"id":"%d"`, &n); err != nil || streams[n].c != c {
				t.Fatalf("client %d got %s", i, got)
			}
			if text := fmt.Sprintf(`"text %d"`, streams[n].seen); strings.Contains(got, `"text":`) && !strings.Contains(got, `"text":`+text) ||
				strings.Contains(got, `"public":`) && !strings.Contains(got, `"public":`+text) {
				t.Fatalf("client %d got %s instead of %s", i, got, text)
			}
			if strings.Contains(got, `"viewer":`) && !strings.Contains(got, `"viewer":`+streams[n].viewer) {
				t.Fatalf("client %d, who is %s, got %s", i, streams[n].viewer, got)
			}
			streams[n].seen++
		}
	}
}

// TestSharedEndsWithAnError: members of everyone's group are told why it has ended.
func TestSharedEndsWithAnError(t *testing.T) {
	w := newWorld(t)
	anonymous, token := w.open(""), ""
	token, _ = w.token()
	signedIn := w.open(`{"authorization":"` + token + `"}`)
	for _, c := range []*client{anonymous, signedIn} {
		c.subscribe("1", `subscription { posted(after: "`+w.log.cursor(0)+`") { public } }`, "") // from now may be later than the post
		c.quiet()
	}
	w.published()
	for _, c := range []*client{anonymous, signedIn} {
		c.next()
	}
	w.log.replace()
	for _, c := range []*client{anonymous, signedIn} {
		if got := c.next(); !strings.Contains(got, `{"id":"1","type":"error"`) || !strings.Contains(got, `"CURSOR_EXPIRED"`) {
			t.Error(got)
		}
		c.subscribe("1", `{ hello }`, "") // the id is free
		c.next()
	}
}
