package app

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listenConfig makes the connections of a listener end when a peer has confirmed nothing of what it was sent for so long
// (tcp(7), TCP_USER_TIMEOUT): one that is gone without a word. The kernel would go on for about a quarter of an hour,
// during which a stream of events keeps its seat; a socket has pings for that.
func listenConfig(gone time.Duration) *net.ListenConfig {
	return &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		outer := c.Control(func(fd uintptr) { // connections inherit it
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(gone.Milliseconds()))
		})
		if outer != nil {
			return outer
		}
		return err
	}}
}
