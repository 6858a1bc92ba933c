package web_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"tidings/internal/gid"
	"tidings/internal/web"
)

// frames counts the bytes that many clients have read.
type frames struct {
	size  int64 // of one event's
	bytes atomic.Int64
	more  chan struct{}
}

// follow opens a socket and a subscription, by hand so that nothing is allocated later, and counts what comes from then
// on.
func (f *frames) follow(b testing.TB, url, query string) net.Conn {
	b.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	send := func(text string) {
		frame := []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0} // masked by zeros
		if _, err := nc.Write(append(frame, text...)); err != nil {
			b.Fatal(err)
		}
	}
	fmt.Fprintf(nc, "GET /graphql HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
	r := bufio.NewReader(nc)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		b.Fatal(resp, err)
	}
	send(`{"type":"connection_init"}`)
	const ack = `{"type":"connection_ack"}`
	if _, err := io.ReadFull(r, make([]byte, 2+len(ack))); err != nil {
		b.Fatal(err)
	}
	send(`{"id":"0c7ff6c6-4bd8-4b3a-9f13-2a0f1c2b7d11","type":"subscribe","payload":{"query":"` + query + `"}}`)
	header := make([]byte, 4) // of an event that was there before
	if _, err := io.ReadFull(r, header); err != nil || header[1] != 126 {
		b.Fatal(header, err)
	}
	f.size = 4 + int64(header[2])<<8 + int64(header[3])
	if _, err := io.CopyN(io.Discard, r, f.size-4); err != nil {
		b.Fatal(err)
	}
	go func() {
		for buffer := make([]byte, 4<<10); ; {
			n, err := r.Read(buffer)
			f.bytes.Add(int64(n))
			select {
			case f.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return nc
}

// BenchmarkDelivery is one event for many subscribers who share it, from the log to where each of them reads it. The
// allocations are those of the process, subscribers included: an event's own, which is what it takes with a single
// subscriber, and what each delivery adds to them.
func BenchmarkDelivery(b *testing.B) {
	for _, n := range []int{100, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			const events = 200
			var own float64
			ofOne, stop := deliverTo(b, 1)
			own = allocations(func() {
				for range events {
					ofOne()
				}
			}) / events
			stop()

			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			deliver, stop := deliverTo(b, n)
			defer stop()
			runtime.GC()
			runtime.ReadMemStats(&after)
			held := float64(after.HeapInuse+after.StackInuse) - float64(before.HeapInuse+before.StackInuse)
			all := allocations(func() {
				for b.Loop() {
					deliver()
				}
			}) / float64(b.N)
			b.ReportMetric(own, "allocs/event")
			b.ReportMetric(max(0, all-own)/float64(n), "allocs/delivery")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
			b.ReportMetric(held/float64(n)/1024, "KiB/subscriber")
		})
	}
}

// allocations counts what f allocates.
func allocations(f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs - before.Mallocs)
}

// deliverTo subscribes n times. What it returns delivers one event to all.
func deliverTo(b *testing.B, n int) (deliver, stop func()) {
	w := newWorld(b, func(o *web.Options) { o.Log = slog.New(slog.DiscardHandler) })
	f := &frames{more: make(chan struct{}, 1)}
	author := gid.NewUser()
	post := func() { w.log.post(author, "a text of some length, such as a title is") }
	post()
	var open []net.Conn
	for range n {
		open = append(open, f.follow(b, w.http.URL, `subscription { posted(after: \"`+w.log.cursor(0)+`\") { public } }`))
	}
	deliver = func() {
		was := f.bytes.Load()
		post()
		for f.bytes.Load() < was+int64(n)*f.size {
			<-f.more
		}
	}
	deliver()
	return deliver, func() {
		for _, nc := range open {
			nc.Close()
		}
	}
}
