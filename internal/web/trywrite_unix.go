//go:build unix

package web

import "syscall"

const canTryWrite = true

// tryWrite writes what the kernel takes of b at once, and returns how much that was.
func tryWrite(fd uintptr, b []byte) int {
	for {
		n, err := syscall.Write(int(fd), b)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0)
	}
}
