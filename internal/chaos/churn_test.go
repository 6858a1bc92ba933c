package chaos_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"tidings/internal/app"
	"tidings/internal/config"
	"tidings/internal/testkit"
	"tidings/internal/testkit/checker"
)

// place is where visits go: the last post but one, and one with many behind it.
type place struct{ address, post, early string }

// visits are the ways in which a connection is opened and closed.
var visits = map[string]func(to place) error{
	"goes without a word":        func(to place) error { return breakOff(to, "") },
	"says half a request":        func(to place) error { return breakOff(to, upgrade[:len(upgrade)-20]) },
	"goes before it is upgraded": func(to place) error { return breakOff(to, upgrade) },
	"goes in the midst of a post": func(to place) error {
		return breakOff(to, "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"query\":")
	},
	"goes in the midst of its word": func(to place) error { return breakFrame(to, `{"type":"connection_init"`) },
	"goes in the midst of a subscribe": func(to place) error {
		return breakFrame(to, `{"type":"connection_init"}`, `{"id":"1","type":"subscribe","payload":{"query":"subscription { postCr`)
	},
	"goes before it is acknowledged": func(to place) error {
		ws, _, err := dialer.Dial("ws://"+to.address+"/graphql", nil)
		if err != nil {
			return err
		}
		defer ws.Close()
		return write(ws, "connection_init", map[string]any{})
	},
	"goes when it has subscribed": func(to place) error {
		ws, err := dial(context.Background(), "http://"+to.address, "")
		if err != nil {
			return err
		}
		defer ws.Close()
		return write(ws, "subscribe", map[string]any{"query": queries[checker.PostCreated], "variables": map[string]any{"after": to.early}})
	},
	"goes in the midst of what it missed": func(to place) error {
		return visit(place{to.address, to.early, ""}, func(*websocket.Conn) error { return nil })
	},
	"has no subprotocol": func(to place) error {
		ws, _, err := new(websocket.Dialer).Dial("ws://"+to.address+"/graphql", nil)
		if err != nil {
			return err
		}
		defer ws.Close()
		if _, _, err := ws.ReadMessage(); closeCode(err) != 4406 {
			return fmt.Errorf("not refused: %w", err)
		}
		return nil
	},
	"is not introduced": func(to place) error {
		ws, _, err := dialer.Dial("ws://"+to.address+"/graphql", nil)
		if err != nil {
			return err
		}
		return ws.Close()
	},
	"is cut off": func(to place) error {
		return visit(to, func(*websocket.Conn) error { return nil })
	},
	"is reset": func(to place) error {
		return visit(to, func(ws *websocket.Conn) error { return ws.NetConn().(*net.TCPConn).SetLinger(0) })
	},
	"closes": func(to place) error { return visit(to, goodbye) },
	"completes and goes": func(to place) error {
		return visit(to, func(ws *websocket.Conn) error {
			if err := ws.WriteJSON(testkit.Message{ID: "1", Type: "complete"}); err != nil {
				return err
			}
			return goodbye(ws)
		})
	},
}

const upgrade = "GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"

// breakOff says something and closes the connection.
func breakOff(to place, said string) error {
	nc, err := net.Dial("tcp", to.address)
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = io.WriteString(nc, said)
	return err
}

// breakFrame sends messages, of the last of which only the beginning comes, and closes the connection.
func breakFrame(to place, messages ...string) error {
	ws, _, err := dialer.Dial("ws://"+to.address+"/graphql", nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	last := messages[len(messages)-1]
	for _, m := range messages[:len(messages)-1] {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			return err
		}
	}
	frame := append([]byte{0x81, 0x80 | 125, 0, 0, 0, 0}, last...) // RFC 6455, 5.2: text, masked with zeros, 125 bytes
	_, err = ws.NetConn().Write(frame[:min(len(frame), 100)])
	return err
}

// visit subscribes, takes a payload, and ends as it is told before the connection is closed.
func visit(to place, end func(*websocket.Conn) error) error {
	ws, err := dial(context.Background(), "http://"+to.address, "")
	if err != nil {
		return err
	}
	defer ws.Close()
	if err := write(ws, "subscribe", map[string]any{"query": queries[checker.PostCreated], "variables": map[string]any{"after": to.post}}); err != nil {
		return err
	}
	if m, err := read(ws); err != nil || m.Type != "next" {
		return fmt.Errorf("%s %s, %w", m.Type, m.Payload, err)
	}
	return end(ws)
}

// goodbye closes as RFC 6455 has it.
func goodbye(ws *websocket.Conn) error {
	if err := ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "")); err != nil {
		return err
	}
	for {
		if _, err := read(ws); err != nil {
			if closeCode(err) != 1000 {
				return err
			}
			return nil
		}
	}
}

// However connections end, they leave nothing behind: goroutines, descriptors and heap are as they were.
func TestConnectionsLeaveNothingBehind(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, d config.Database) {
		ctx, stop := context.WithCancel(context.Background())
		a, err := app.New(ctx, testkit.Config(d), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		n := testkit.At(t, a.URL())
		ada := n.SignUp("ada")
		to := place{early: n.CreatePost(ada, "The first")}
		for range 100 {
			n.CreatePost(ada, "One of many")
		}
		to.post = n.CreatePost(ada, "The last but one")
		n.CreatePost(ada, "The last")
		to.address = strings.Replace(strings.TrimPrefix(a.URL(), "http://"), "localhost", "127.0.0.1", 1)
		churn := func(connections int) {
			t.Helper()
			var left atomic.Int64
			left.Store(int64(connections))
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for {
						for how, visit := range visits {
							if left.Add(-1) < 0 {
								return
							}
							if err := visit(to); err != nil {
								t.Errorf("who %s: %v", how, err)
							}
						}
					}
				})
			}
			all.Wait()
		}
		churn(200) // pools, caches and the database's connections fill
		http.DefaultClient.CloseIdleConnections()
		before := takeStock(t)
		churn(of(1000, 10_000))
		var after stock
		testkit.Eventually(t, func() error {
			after = takeStock(t)
			if after.goroutines > before.goroutines+2 || after.descriptors > before.descriptors+2 || after.heap > before.heap+1<<20 {
				return fmt.Errorf("there were %+v, and are %+v", before, after)
			}
			return nil
		})
		t.Logf("before %+v, after %+v", before, after)
	})
}

// stock is what a process has: heap is what is in use, in bytes.
type stock struct{ goroutines, descriptors, heap int }

func takeStock(t testing.TB) stock {
	runtime.GC()
	runtime.GC() // what had finalizers, and what lay in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return stock{runtime.NumGoroutine(), descriptors(t, os.Getpid()), int(m.HeapAlloc)}
}
