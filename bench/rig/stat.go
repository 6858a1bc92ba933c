//go:build linux

package rig

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc (USER_HZ), the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Stat is what /proc says of a process.
type Stat struct {
	Parent   int
	CPU      time.Duration // spent so far, in user and system mode
	Children time.Duration // the same of those of its children that have ended and were waited for
}

// ReadStat reads the Stat of a process.
func ReadStat(pid int) (s Stat, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	// proc(5): the name, in brackets, may hold anything; behind it stand the state, the parent, and from the 14th field
	// on utime, stime, cutime and cstime.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 15 {
		return s, fmt.Errorf("no CPU time in %s", b)
	}
	var n [5]int64
	for i, at := range [...]int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return s, fmt.Errorf("no CPU time in %s", b)
		}
	}
	return Stat{int(n[0]), time.Duration(n[1]+n[2]) * tick, time.Duration(n[3]+n[4]) * tick}, nil
}
