package chaos_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
)

// rss is the memory of a process that is in use, in bytes.
func rss(t testing.TB, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("memory is read from /proc: ", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatalf("process %d has no memory", pid)
	return 0
}

// descriptors is how many files and sockets a process has open.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Skip("descriptors are read from /proc: ", err)
	}
	return len(all)
}

// established is the end of a TCP connection over IPv4 that has these two ports: whether it is still held open, and how
// much waits in the kernel, to be sent or to be read.
func established(t testing.TB, local, remote int) (open bool, waiting int) {
	t.Helper()
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		t.Skip("connections are read from /proc: ", err)
	}
	defer f.Close()
	wanted := [2]string{fmt.Sprintf(":%04X", local), fmt.Sprintf(":%04X", remote)}
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) > 4 && strings.HasSuffix(fields[1], wanted[0]) && strings.HasSuffix(fields[2], wanted[1]) {
			var out, in int
			_, _ = fmt.Sscanf(fields[4], "%x:%x", &out, &in) // as it is written since long
			return fields[3] == "01", out + in
		}
	}
	return false, 0
}
