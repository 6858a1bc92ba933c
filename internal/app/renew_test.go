package app_test

import (
	"strings"
	"testing"
	"time"

	"tidings/internal/testkit"
)

// A socket is renewed by what refreshSession gives, and by nothing of another log-in; what runs on it doesn't notice.
func TestRenewalOfASocket(t *testing.T) {
	testkit.Everywhere(t, func(t *testing.T, n *testkit.Node) {
		n.SignUp("ada")
		logIn := func() (access, refresh string) {
			s := n.Must("", `mutation { logIn(input: {login: "ada", password: "Sesame-123"}) { accessToken refreshToken } }`, nil)
			return s.Text("logIn", "accessToken"), s.Text("logIn", "refreshToken")
		}
		access, refresh := logIn()
		elsewhere, _ := logIn()
		expires := time.Now().Add(3 * time.Second).Truncate(time.Second)
		brief := newForger(t, access).with(nil, part{"exp": expires.Unix()})
		s, left, mixed := n.Open(brief), n.Open(brief), n.Open(brief)
		s.Subscribe("1", posts, nil)
		renew := func(s *testkit.Socket, token string) {
			s.Send("", "ping", part{"authorization": "Bearer " + token})
		}
		renew(s, n.Must("", `mutation($t: String!) { refreshSession(refreshToken: $t) { accessToken } }`, part{"t": refresh}).Text("refreshSession", "accessToken"))
		renew(mixed, elsewhere)
		if code, reason := mixed.Closed(); code != 4403 || !strings.Contains(reason, "session") {
			t.Errorf("with the token of another log-in: %d %s", code, reason)
		}
		if code, reason := left.Closed(); code != 4403 || reason != "The access token has expired" || time.Now().Before(expires) {
			t.Errorf("not renewed: %d %s", code, reason)
		}
		n.CreatePost(elsewhere, "A post for those who stay")
		if got := s.Next().Text("postCreated", "title"); got != "A post for those who stay" {
			t.Error(got)
		}
		s.Subscribe("2", `mutation { logOut }`, nil)
		if r := s.Next(); r.Data["logOut"] != true {
			t.Errorf("logging out: %v", r)
		}
		if code, reason := s.Closed(); code != 4403 || reason != "The session has ended" {
			t.Errorf("after logging out: %d %s", code, reason)
		}
	})
}
