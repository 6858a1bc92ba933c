package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tidings/ent"
	"tidings/graph"
	"tidings/internal/auth"
	"tidings/internal/event"
	"tidings/internal/gid"
)

// scenario is one use of a mutation: who does it, what comes of it, and the events that it makes, these and no others.
type scenario struct {
	name   string
	by     func(s *stage) gid.User
	do     string // with %[1]s a published post of ada's, %[2]s a draft of hers, %[3]s a comment of hers on the post
	errors string
	data   string // "path=value", none when empty
	events []event.Kind
}

// stage is where a scenario begins: ada has written, the others have not. Each but nobody is signed in, ada twice. root
// is the only admin.
type stage struct {
	ada, bob, root       gid.User
	post, draft, comment string
}

func ada(s *stage) gid.User  { return s.ada }
func bob(s *stage) gid.User  { return s.bob }
func root(s *stage) gid.User { return s.root }
func nobody(*stage) gid.User { return gid.User{} }

var scenarios = map[string][]scenario{
	"createUser": {
		{name: "anybody", by: nobody, do: `createUser(input: {username: "Carla", email: "carla@example.org", fullName: "Carla C", password: "Sesame-123"}) { username email }`, data: "createUser.email=carla@example.org"},
		{name: "name taken", by: nobody, do: `createUser(input: {username: "ADA", email: "new@example.org", fullName: "x", password: "Sesame-123"}) { id }`, errors: "CONFLICT input.username USERNAME_TAKEN"},
		{name: "email taken", by: nobody, do: `createUser(input: {username: "new", email: "Ada@Example.org", fullName: "x", password: "Sesame-123"}) { id }`, errors: "CONFLICT input.email EMAIL_TAKEN"},
	},
	"updateUser": {
		{name: "oneself", by: ada, do: `updateUser(id: "%[4]s", input: {username: "Ada2"}) { username fullName email }`, data: "updateUser.username=Ada2"},
		{name: "another", by: bob, do: `updateUser(id: "%[4]s", input: {username: "Ada2"}) { id }`, errors: "FORBIDDEN"},
		{name: "nobody", by: nobody, do: `updateUser(id: "%[4]s", input: {username: "Ada2"}) { id }`, errors: "UNAUTHENTICATED"},
		{name: "the part of admins", by: ada, do: `updateUser(id: "%[4]s", input: {role: ADMIN}) { id }`, errors: "FORBIDDEN"},
		{name: "taken", by: ada, do: `updateUser(id: "%[4]s", input: {username: "BOB"}) { id }`, errors: "CONFLICT input.username USERNAME_TAKEN"},
		{name: "null", by: ada, do: `updateUser(id: "%[4]s", input: {username: null}) { id }`, errors: "BAD_USER_INPUT input.username"},
		{name: "another, as admin", by: root, do: `updateUser(id: "%[4]s", input: {email: "new@example.org"}) { email }`, data: "updateUser.email=new@example.org"},
		{name: "makes an admin", by: root, do: `updateUser(id: "%[4]s", input: {role: ADMIN, fullName: "Boss"}) { role fullName }`, data: "updateUser.role=ADMIN", events: []event.Kind{event.UserChanged}},
		{name: "makes no difference", by: root, do: `updateUser(id: "%[4]s", input: {role: MEMBER, isActive: true}) { role }`, data: "updateUser.role=MEMBER"},
		{name: "deactivates", by: root, do: `updateUser(id: "%[4]s", input: {isActive: false}) { isActive }`, data: "updateUser.isActive=false", events: []event.Kind{event.SessionEnded, event.SessionEnded, event.UserChanged}},
		{name: "the last admin demoted", by: root, do: `updateUser(id: "%[5]s", input: {role: MEMBER}) { id }`, errors: "CONFLICT id LAST_ADMIN"},
		{name: "the last admin deactivated", by: root, do: `updateUser(id: "%[5]s", input: {isActive: false}) { id }`, errors: "CONFLICT id LAST_ADMIN"},
		{name: "the last admin renamed", by: root, do: `updateUser(id: "%[5]s", input: {username: "chief"}) { username }`, data: "updateUser.username=chief"},
		{name: "nobody there", by: root, do: `updateUser(id: "user_00000000000000000000000000", input: {username: "x2x"}) { username }`, errors: "NOT_FOUND"},
	},
	"deleteUser": {
		{name: "oneself", by: ada, do: `deleteUser(id: "%[4]s") { username email posts { nodes { id } totalCount } }`, data: "deleteUser.username=ada", events: []event.Kind{event.PostHidden, event.PostHidden, event.SessionEnded, event.SessionEnded}},
		{name: "another, as admin", by: root, do: `deleteUser(id: "%[4]s") { email }`, data: "deleteUser.email=ada@example.org", events: []event.Kind{event.PostHidden, event.PostHidden, event.SessionEnded, event.SessionEnded}},
		{name: "the last admin", by: root, do: `deleteUser(id: "%[5]s") { id }`, errors: "CONFLICT id LAST_ADMIN"},
		{name: "another", by: bob, do: `deleteUser(id: "%[4]s") { id }`, errors: "FORBIDDEN"},
		{name: "nobody", by: nobody, do: `deleteUser(id: "%[4]s") { id }`, errors: "UNAUTHENTICATED"},
	},
	"logIn": {
		{name: "unknown", by: nobody, do: `logIn(input: {login: "nobody", password: "x"}) { accessToken }`, errors: "UNAUTHENTICATED"},
		{name: "wrong", by: nobody, do: `logIn(input: {login: "ada", password: "x"}) { accessToken }`, errors: "UNAUTHENTICATED"},
		{name: "by username", by: nobody, do: `logIn(input: {login: "ADA", password: "password"}) { user { email } }`, data: "logIn.user.email=ada@example.org"},
		{name: "by e-mail address", by: nobody, do: `logIn(input: {login: "Ada@example.org", password: "password"}) { user { username } }`, data: "logIn.user.username=ada"},
	},
	"refreshSession": {
		{name: "no token", by: nobody, do: `refreshSession { accessToken }`, errors: "UNAUTHENTICATED"},
		{name: "no such token", by: ada, do: `refreshSession(refreshToken: "x") { accessToken }`, errors: "UNAUTHENTICATED"},
		{name: "no such field", by: ada, do: `refreshSession(refreshToken: "x") { user { node { id } } }`, errors: "GRAPHQL_VALIDATION_FAILED"},
	},
	"logOut": {
		{name: "once", by: ada, do: `logOut`, data: "logOut=true", events: []event.Kind{event.SessionEnded}},
		{name: "nobody", by: nobody, do: `logOut`, errors: "UNAUTHENTICATED"},
	},
	"changePassword": {
		{name: "ends the other session", by: ada, do: `changePassword(input: {oldPassword: "password", newPassword: "Sesame-456"}) { user { username } }`, data: "changePassword.user.username=ada", events: []event.Kind{event.SessionEnded}},
		{name: "wrong", by: ada, do: `changePassword(input: {oldPassword: "Password", newPassword: "Sesame-456"}) { user { username } }`, errors: "BAD_USER_INPUT input.oldPassword"},
		{name: "too simple", by: ada, do: `changePassword(input: {oldPassword: "password", newPassword: "password"}) { user { username } }`, errors: "BAD_USER_INPUT input.newPassword"},
		{name: "nobody", by: nobody, do: `changePassword(input: {oldPassword: "password", newPassword: "Sesame-456"}) { user { username } }`, errors: "UNAUTHENTICATED"},
	},
	"createPost": {
		{name: "published", by: bob, do: `createPost(input: {title: "News", content: "x", published: true}) { title published author { username } comments { totalCount nodes { id } } }`, data: "createPost.author.username=bob", events: []event.Kind{event.PostCreated}},
		{name: "draft", by: bob, do: `createPost(input: {title: "News", content: "x"}) { published publishedAt }`, data: "createPost.publishedAt=<nil>"},
		{name: "nobody", by: nobody, do: `createPost(input: {title: "News", content: "x"}) { id }`, errors: "UNAUTHENTICATED"},
		{name: "two rules broken", by: bob, do: `createPost(input: {title: "N", content: ""}) { id }`, errors: "BAD_USER_INPUT input.title, BAD_USER_INPUT input.content"},
	},
	"updatePost": {
		{name: "as admin", by: root, do: `updatePost(id: "%[2]s", input: {title: "Mended"}) { title }`, data: "updatePost.title=Mended"},
		{name: "text", by: ada, do: `updatePost(id: "%[1]s", input: {title: "New title"}) { title content }`, data: "updatePost.title=New title"},
		{name: "first publication", by: ada, do: `updatePost(id: "%[2]s", input: {published: true}) { published }`, data: "updatePost.published=true", events: []event.Kind{event.PostCreated}},
		{name: "publication of what is public", by: ada, do: `updatePost(id: "%[1]s", input: {published: true}) { published }`, data: "updatePost.published=true"},
		{name: "taken back", by: ada, do: `updatePost(id: "%[1]s", input: {published: false}) { published }`, data: "updatePost.published=false", events: []event.Kind{event.PostHidden}},
		{name: "taken back, being a draft", by: ada, do: `updatePost(id: "%[2]s", input: {published: false}) { published }`, data: "updatePost.published=false"},
		{name: "another's", by: bob, do: `updatePost(id: "%[1]s", input: {title: "Mine"}) { id }`, errors: "FORBIDDEN"},
		{name: "another's draft", by: bob, do: `updatePost(id: "%[2]s", input: {title: "Mine"}) { id }`, errors: "NOT_FOUND"},
		{name: "nobody", by: nobody, do: `updatePost(id: "%[1]s", input: {title: "Mine"}) { id }`, errors: "UNAUTHENTICATED"},
		{name: "null", by: ada, do: `updatePost(id: "%[1]s", input: {published: null}) { id }`, errors: "BAD_USER_INPUT input.published"},
		{name: "a comment's id", by: ada, do: `updatePost(id: "%[3]s", input: {title: "Mine"}) { id }`, errors: "BAD_USER_INPUT id"},
	},
	"deletePost": {
		{name: "as admin", by: root, do: `deletePost(id: "%[2]s") { title }`, data: "deletePost.title=Draft of ada", events: []event.Kind{event.PostHidden}},
		{name: "one's own", by: ada, do: `deletePost(id: "%[1]s") { title author { username } comments { nodes { id } totalCount } }`, data: "deletePost.comments.totalCount=0", events: []event.Kind{event.PostHidden}},
		{name: "one's own draft", by: ada, do: `deletePost(id: "%[2]s") { title }`, data: "deletePost.title=Draft of ada", events: []event.Kind{event.PostHidden}},
		{name: "another's", by: bob, do: `deletePost(id: "%[1]s") { id }`, errors: "FORBIDDEN"},
		{name: "another's draft", by: bob, do: `deletePost(id: "%[2]s") { id }`, errors: "NOT_FOUND"},
		{name: "nobody", by: nobody, do: `deletePost(id: "%[1]s") { id }`, errors: "UNAUTHENTICATED"},
	},
	"addComment": {
		{name: "on a public post", by: bob, do: `addComment(input: {postId: "%[1]s", content: "Hear, hear"}) { content author { username } post { title comments { totalCount } } }`, data: "addComment.post.comments.totalCount=2", events: []event.Kind{event.CommentAdded}},
		{name: "on another's draft", by: bob, do: `addComment(input: {postId: "%[2]s", content: "x"}) { id }`, errors: "NOT_FOUND"},
		{name: "on one's own draft", by: ada, do: `addComment(input: {postId: "%[2]s", content: "x"}) { content }`, data: "addComment.content=x", events: []event.Kind{event.CommentAdded}},
		{name: "nobody", by: nobody, do: `addComment(input: {postId: "%[1]s", content: "x"}) { id }`, errors: "UNAUTHENTICATED"},
		{name: "empty", by: bob, do: `addComment(input: {postId: "%[1]s", content: " "}) { id }`, errors: "BAD_USER_INPUT input.content"},
		{name: "on a user", by: bob, do: `addComment(input: {postId: "%[4]s", content: "x"}) { id }`, errors: "BAD_USER_INPUT input.postId"},
	},
	"updateComment": {
		{name: "as admin", by: root, do: `updateComment(id: "%[3]s", input: {content: "mended"}) { content }`, data: "updateComment.content=mended"},
		{name: "one's own", by: ada, do: `updateComment(id: "%[3]s", input: {content: "better"}) { content }`, data: "updateComment.content=better"},
		{name: "another's", by: bob, do: `updateComment(id: "%[3]s", input: {content: "worse"}) { id }`, errors: "FORBIDDEN"},
		{name: "nobody", by: nobody, do: `updateComment(id: "%[3]s", input: {content: "worse"}) { id }`, errors: "UNAUTHENTICATED"},
	},
	"deleteComment": {
		{name: "as admin", by: root, do: `deleteComment(id: "%[3]s") { content }`, data: "deleteComment.content=comment of ada"},
		{name: "one's own", by: ada, do: `deleteComment(id: "%[3]s") { content post { title comments { totalCount } } }`, data: "deleteComment.post.comments.totalCount=0"},
		{name: "another's", by: bob, do: `deleteComment(id: "%[3]s") { id }`, errors: "FORBIDDEN"},
		{name: "nobody", by: nobody, do: `deleteComment(id: "%[3]s") { id }`, errors: "UNAUTHENTICATED"},
	},
}

func TestScenarios(t *testing.T) {
	everywhere(t, func(w *world) { testScenarios(w) })
}

func TestScenariosByExecutor(t *testing.T) {
	everywhere(t, func(w *world) {
		w.byExecutor = true
		testScenarios(w)
		if n := w.reads.Counts().Direct; n > 0 {
			t.Errorf("%d reads were answered directly", n)
		}
	})
}

func testScenarios(w *world) {
	n := 0
	for mutation, list := range scenarios {
		for _, sc := range list {
			n++
			// Every scenario has people of its own, renamed afterwards so that the next can have the names.
			s := &stage{ada: w.user("ada"), bob: w.user("bob"), root: w.admin("root")}
			for _, u := range []gid.User{s.ada, s.bob, s.root, s.ada} {
				w.signIn(u)
			}
			s.post = w.post(s.ada, "Post of ada", true)
			s.draft = w.post(s.ada, "Draft of ada", false)
			s.comment = w.comment(s.ada, s.post, "comment of ada")
			w.log.taken()
			a := w.as(sc.by(s), "mutation { "+fmt.Sprintf(sc.do+"%.0[1]s%.0[2]s%.0[3]s%.0[4]s%.0[5]s", s.post, s.draft, s.comment, s.ada, s.root)+" }")
			label := mutation + ", " + sc.name
			if got := a.codes(); got != sc.errors {
				w.t.Errorf("%s: errors %q, want %q: %v %s", label, got, sc.errors, a.Errors, w.logged())
			}
			if path, want, ok := cut(sc.data); ok && sc.errors == a.codes() {
				if got := fmt.Sprint(a.at(path)); got != want {
					w.t.Errorf("%s: %s is %q, want %q", label, path, got, want)
				}
			}
			want := []string{}
			for _, k := range sc.events {
				want = append(want, string(k))
			}
			if got := w.log.taken(); !slices.Equal(got, want) {
				w.t.Errorf("%s: made the events %v, want %v", label, got, want)
			}
			w.forget()
		}
	}
	if n < len(scenarios) {
		w.t.Error("some mutation has no scenario")
	}
}

func TestEveryMutationHasAScenario(t *testing.T) {
	for _, f := range graph.NewExecutableSchema(graph.Config{}).Schema().Mutation.Fields {
		if len(scenarios[f.Name]) == 0 {
			t.Errorf("%s has no scenario", f.Name)
		}
	}
}

func TestPublishedOnceHoweverManyTry(t *testing.T) {
	everywhere(t, func(w *world) {
		author := w.user("ada")
		draft := w.post(author, "Draft", false)
		w.log.taken()
		done := make(chan answer)
		for range 8 {
			go func() {
				done <- w.as(author, `mutation { updatePost(id: "`+draft+`", input: {published: true}) { published } }`)
			}()
		}
		for range 8 {
			(<-done).ok()
		}
		w.as(author, `mutation { updatePost(id: "`+draft+`", input: {published: false}) { published } }`).ok()
		w.as(author, `mutation { updatePost(id: "`+draft+`", input: {published: true}) { published } }`).ok()
		if got := w.log.taken(); !slices.Equal(got, []string{"post_created", "post_hidden"}) {
			w.t.Errorf("announced as %v", got)
		}
	})
}

func TestLogIn(t *testing.T) {
	everywhere(t, func(w *world) {
		w.as(gid.User{}, `mutation { createUser(input: {username: "Ada", email: "ada@example.org", fullName: "Ada L", password: "Sesame-123"}) { id } }`).ok()
		for _, login := range []string{"ada", "ADA", "Ada@example.ORG"} {
			a := w.as(gid.User{}, `mutation($l: String!) { logIn(input: {login: $l, password: "Sesame-123"}) { accessToken expiresAt refreshToken user { username email } } }`, map[string]any{"l": login}).ok()
			if a.text("logIn.user.email") != "ada@example.org" || a.text("logIn.accessToken") == "" || a.text("logIn.refreshToken") == "" {
				w.t.Error(a.raw)
			}
		}
		wrong := w.as(gid.User{}, `mutation { logIn(input: {login: "ada", password: "Sesame-124"}) { accessToken } }`)
		unknown := w.as(gid.User{}, `mutation { logIn(input: {login: "eve", password: "Sesame-124"}) { accessToken } }`)
		wrong.fails("UNAUTHENTICATED")
		if wrong.Errors[0].Message != unknown.Errors[0].Message {
			w.t.Error("a wrong password and an unknown login are told apart")
		}
	})
}

func cut(s string) (path, want string, ok bool) {
	for i := range s {
		if s[i] == '=' {
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// TestOldHashesAreRenewed: a password that was hashed at another cost is hashed anew when its owner logs in, and by
// nobody else, and the account is otherwise as it was.
func TestOldHashesAreRenewed(t *testing.T) {
	everywhere(t, func(w *world) {
		id := w.user("ada")
		stored := func() *ent.User {
			u, err := w.store.Client().User.Get(auth.AsSystem(w.t.Context()), id)
			if err != nil {
				w.t.Fatal(err)
			}
			return u
		}
		before := stored()
		w.as(gid.User{}, `mutation { logIn(input: {login: "ada", password: "Password"}) { accessToken } }`).fails("UNAUTHENTICATED")
		if got := stored().PasswordHash; got != passwordHash {
			w.t.Errorf("after a wrong password: %s", got)
		}
		done := make(chan answer)
		for range 4 {
			go func() {
				done <- w.as(gid.User{}, `mutation { logIn(input: {login: "ada", password: "password"}) { accessToken } }`)
			}()
		}
		for range 4 { // one of them stores the new hash
			(<-done).ok()
		}
		after := stored()
		if !strings.HasPrefix(after.PasswordHash, "$argon2id$v=19$m=19456,t=2,p=1$") || !after.UpdatedAt.Equal(before.UpdatedAt) {
			w.t.Errorf("the hash is %s, the account was changed at %s and %s", after.PasswordHash, before.UpdatedAt, after.UpdatedAt)
		}
		w.as(gid.User{}, `mutation { logIn(input: {login: "ada", password: "password"}) { accessToken } }`).ok()
		if again := stored(); again.PasswordHash != after.PasswordHash {
			w.t.Error("hashed once more")
		}
	})
}
