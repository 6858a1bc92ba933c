package app_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tidings/internal/config"
	"tidings/internal/testkit"
)

// small starts a server whose sockets take little, and wait little.
func small(t *testing.T, change func(*config.Socket)) *testkit.Node {
	cfg := testkit.Config(config.Database{Dialect: config.SQLite, Path: filepath.Join(t.TempDir(), "test.db")})
	change(&cfg.Socket)
	return testkit.StartWith(t, cfg)
}

// What is configured of a socket is what it is held to.
func TestLimitsOfASocket(t *testing.T) {
	t.Run("message", func(t *testing.T) {
		s := small(t, func(c *config.Socket) { c.Message = 1 << 10 }).Open("")
		s.Send("", "ping", part{"a": strings.Repeat("x", 900)})
		s.Send("", "ping", part{"a": strings.Repeat("x", 1<<10)})
		if code, _ := s.Closed(); code != 1009 {
			t.Errorf("closed with %d", code)
		}
	})
	t.Run("subscriptions", func(t *testing.T) {
		s := small(t, func(c *config.Socket) { c.Subscriptions = 2 }).Open("")
		for i := range 3 {
			s.Subscribe(fmt.Sprint(i), posts, nil)
		}
		if code := s.Ended(); code != "RATE_LIMITED" {
			t.Errorf("ended with %s", code)
		}
	})
	t.Run("executions", func(t *testing.T) {
		s := small(t, func(c *config.Socket) { c.Subscriptions, c.Executions = 1, 1 }).Open("")
		const all = 100
		for i := range all { // which take long, and of which one runs and eight wait
			s.Subscribe(fmt.Sprint(i), `mutation { logIn(input: {login: "nobody", password: "x"}) { expiresAt } }`, nil)
		}
		ended := map[string]int{}
		for ended["complete"]+ended["error"] < all {
			ended[s.Receive().Type]++
		}
		if ended["error"] == 0 || ended["complete"] < 9 {
			t.Error("of 100 at once: ", ended)
		}
	})
	t.Run("init", func(t *testing.T) {
		begin := time.Now()
		if code, _ := small(t, func(c *config.Socket) { c.Init = 50 * time.Millisecond }).Dial().Closed(); code != 4408 || time.Since(begin) > 8*time.Second {
			t.Errorf("closed with %d after %s", code, time.Since(begin))
		}
	})
	t.Run("ping and pong", func(t *testing.T) {
		n := small(t, func(c *config.Socket) { c.Ping, c.Pong = 200*time.Millisecond, 100*time.Millisecond })
		ws, _, err := (&websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}}).Dial("ws"+strings.TrimPrefix(n.URL, "http")+"/graphql", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		pings := 0
		answer := ws.PingHandler()
		ws.SetPingHandler(func(data string) error {
			if pings++; pings > 3 {
				return nil
			}
			return answer(data)
		})
		_ = ws.SetReadDeadline(time.Now().Add(testkit.Wait))
		if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseAbnormalClosure) || pings < 4 {
			t.Errorf("after %d pings: %v", pings, err)
		}
	})
	t.Run("write", func(t *testing.T) {
		n := small(t, func(c *config.Socket) { c.Write, c.Queue = 200*time.Millisecond, 16<<10 })
		token := n.SignUp("ada")
		post := n.Must(token, `mutation($i: CreatePostInput!) { createPost(input: $i) { id } }`, part{"i": part{
			"title": "Long", "content": strings.Repeat("long ", 4000), "published": true}}).Text("createPost", "id")
		begin := time.Now()
		s := n.Open("") // which reads nothing
		var long strings.Builder
		for i := range 20 {
			fmt.Fprintf(&long, "a%d: post(id: $p) { content } ", i)
		}
		for i := range 100 { // of 400 KB: more than a kernel keeps
			s.Subscribe(fmt.Sprint(i), "query($p: ID!) { "+long.String()+"}", part{"p": post})
		}
		testkit.Eventually(t, func() error {
			if !strings.Contains(n.Log.String(), `"msg":"socket closed"`) {
				return errors.New("who takes nothing is kept")
			}
			return nil
		})
		if !strings.Contains(n.Log.String(), `"code":1013`) {
			t.Error("not closed for being too slow: ", n.Log)
		}
		if took := time.Since(begin); took > 4*time.Second { // unless configured it takes 5 at least
			t.Errorf("closed after %s", took)
		}
	})
}
