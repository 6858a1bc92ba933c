package gid

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestTextRoundTrip(t *testing.T) {
	for _, u := range []uuid.UUID{
		{}, uuid.Max, uuid.MustParse("0195e0a1-7b5c-7cc3-9a4e-0123456789ab"), uuid.Must(uuid.NewV7()),
		uuid.MustParse("00000000-0000-0001-8000-000000000000"),
	} {
		p := PostOf(u)
		got, err := ParsePost(p.String())
		if err != nil || got != p {
			t.Errorf("%s: %v, %v", p, got, err)
		}
		var back struct{ ID Post }
		b, _ := json.Marshal(struct{ ID Post }{p})
		if err := json.Unmarshal(b, &back); err != nil || back.ID != p {
			t.Errorf("json of %s: %s, %v", p, b, err)
		}
		v, _ := p.Value()
		var scanned Post
		if err := scanned.Scan(v); err != nil || scanned != p {
			t.Errorf("database round trip of %s: %v, %v", p, scanned, err)
		}
	}
}

func TestSortsByTime(t *testing.T) {
	var made, sorted []string
	for range 1000 {
		made = append(made, NewComment().String())
	}
	sorted = slices.Sorted(slices.Values(made))
	if !slices.Equal(made, sorted) {
		t.Error("ids do not sort in the order of their making")
	}
}

func TestWrongIDs(t *testing.T) {
	post := NewPost().String()
	if _, err := ParseUser(post); !errors.As(err, new(*KindError)) || !strings.Contains(err.Error(), "user") || !strings.Contains(err.Error(), "post") {
		t.Errorf("a post's id as a user's: %v", err)
	}
	for _, s := range []string{
		"", "post", "post_", post[:len(post)-1], post + "0", strings.ToUpper(post), "posts" + post[4:], post[:5] + "8" + post[6:],
		strings.Replace(post, post[10:11], "u", 1)[:len(post)], "post_\x00" + post[6:], "post-" + post[5:], uuid.Max.String(),
	} {
		if _, err := ParsePost(s); s != post && !errors.As(err, new(*SyntaxError)) {
			t.Errorf("%q: %v", s, err)
		}
		if k := Kind(s); s != post && k != "" {
			t.Errorf("Kind(%q) = %q", s, k)
		}
	}
	if k, u, ok := Parse(post); !ok || k != PostKind || PostOf(u).String() != post {
		t.Errorf("Parse(%q) = %q, %s, %v", post, k, u, ok)
	}
	if k := Kind(post); k != PostKind {
		t.Errorf("Kind(%q) = %q", post, k)
	}
	if _, err := ParsePost("post_" + example); err != nil {
		t.Errorf("the example in the error is not an id: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(NewUser().String())
	f.Add("user_zzzzzzzzzzzzzzzzzzzzzzzzzz")
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := ParseUser(s); err == nil && u.String() != s {
			t.Errorf("%q is a second spelling of %s", s, u)
		}
	})
}
