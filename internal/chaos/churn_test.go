package chaos_test

import (
	"context"
	"fmt"
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

// visits are the ways in which a connection is opened and closed.
var visits = map[string]func(address, post string) error{
	"goes without a word": func(address, _ string) error {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return nc.Close()
	},
	"says half a request": func(address, _ string) error {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer nc.Close()
		_, err = fmt.Fprint(nc, "GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: webso")
		return err
	},
	"has no subprotocol": func(address, _ string) error {
		ws, _, err := new(websocket.Dialer).Dial("ws://"+address+"/graphql", nil)
		if err != nil {
			return err
		}
		defer ws.Close()
		if _, _, err := ws.ReadMessage(); closeCode(err) != 4406 {
			return fmt.Errorf("not refused: %w", err)
		}
		return nil
	},
	"is not introduced": func(address, _ string) error {
		ws, _, err := dialer.Dial("ws://"+address+"/graphql", nil)
		if err != nil {
			return err
		}
		return ws.Close()
	},
	"is cut off": func(address, post string) error {
		return visit(address, post, func(*websocket.Conn) error { return nil })
	},
	"is reset": func(address, post string) error {
		return visit(address, post, func(ws *websocket.Conn) error { return ws.NetConn().(*net.TCPConn).SetLinger(0) })
	},
	"closes": func(address, post string) error { return visit(address, post, goodbye) },
	"completes and goes": func(address, post string) error {
		return visit(address, post, func(ws *websocket.Conn) error {
			if err := ws.WriteJSON(testkit.Message{ID: "1", Type: "complete"}); err != nil {
				return err
			}
			return goodbye(ws)
		})
	},
}

// visit subscribes, takes a payload, and ends as it is told before the connection is closed.
func visit(address, post string, end func(*websocket.Conn) error) error {
	ws, err := dial(context.Background(), "http://"+address, "")
	if err != nil {
		return err
	}
	defer ws.Close()
	if err := write(ws, "subscribe", map[string]any{"query": queries[checker.PostCreated], "variables": map[string]any{"after": post}}); err != nil {
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
		first := n.CreatePost(ada, "The first")
		n.CreatePost(ada, "The second")
		address := strings.Replace(strings.TrimPrefix(a.URL(), "http://"), "localhost", "127.0.0.1", 1)
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
							if err := visit(address, first); err != nil {
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
