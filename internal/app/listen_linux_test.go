package app

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPeersThatAreGone: the kernel gives up on connections whose peer confirms nothing, long before it would by itself.
func TestPeersThatAreGone(t *testing.T) {
	l, err := listenConfig(35*time.Second).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	raw, err := accepted.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if outer := raw.Control(func(fd uintptr) {
		got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); outer != nil || err != nil {
		t.Fatal(outer, err)
	}
	if got != 35_000 {
		t.Errorf("%d ms", got)
	}
}
