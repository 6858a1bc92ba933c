//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tick is the unit of CPU time in /proc (USER_HZ), the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// client speaks to all servers.
var client = &http.Client{Timeout: patience}

// process is a server under measurement, in a process of its own, run with GODEBUG=gctrace=1: what it says of its heap
// is read from there, so that nothing needs to be built into it.
type process struct {
	cmd     *exec.Cmd
	address string // 127.0.0.1:port
	exited  chan struct{}

	mu   sync.Mutex
	heap heap
}

// heap is what a process has said of its memory at the end of its garbage collections, in MiB, as whole numbers.
type heap struct {
	collections int
	live        int // marked by the last one
	goal        int // at which the next one begins
	stacks      int
	allocated   int // from the start to the end of the last one
}

// start runs a server and waits until it is ready. arguments gets the address to listen on.
func start(ctx context.Context, path string, env []string, arguments func(address string) []string) (*process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &process{address: address, exited: make(chan struct{})}
	p.cmd = exec.Command(path, arguments(address)...)
	p.cmd.Env = append(append(os.Environ(), "GODEBUG=gctrace=1"), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.exited)
		p.listen(stderr)
		_ = p.cmd.Wait() // it was killed, or has said why it went
	}()
	if err := p.ready(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (p *process) ready(ctx context.Context) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		resp, err := client.Get("http://" + p.address + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			return fmt.Errorf("%s has ended: %v", p.cmd.Path, p.cmd.ProcessState)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s does not get ready", p.cmd.Path)
}

// stop kills the process and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it fails when it has ended
	<-p.exited
}

// listen takes in what the process says of its heap, and passes on the rest.
func (p *process) listen(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		h, end, ok := parseTrace(lines.Text())
		if !ok {
			if !strings.HasPrefix(lines.Text(), "gc ") { // the last one may have been cut off
				fmt.Fprintln(os.Stderr, lines.Text())
			}
			continue
		}
		p.mu.Lock()
		h.collections = p.heap.collections + 1
		// Until the mark ends the heap holds what was live before, and what was allocated since.
		h.allocated = p.heap.allocated + end - p.heap.live
		p.heap = h
		p.mu.Unlock()
	}
}

// parseTrace reads a line of gctrace (package runtime, "Environment Variables"): "gc 7 @1.2s 0%: … ms cpu, 4->5->2 MB,
// 5 MB goal, 0 MB stacks, 0 MB globals, 2 P". end is the heap when marking ended.
func parseTrace(line string) (h heap, end int, ok bool) {
	if !strings.HasPrefix(line, "gc ") {
		return h, 0, false
	}
	parts := strings.Split(line, ", ")
	if len(parts) < 5 {
		return h, 0, false
	}
	parts = parts[len(parts)-5:]
	var begin int
	if _, err := fmt.Sscanf(parts[0], "%d->%d->%d MB", &begin, &end, &h.live); err != nil {
		return h, 0, false
	}
	if _, err := fmt.Sscanf(parts[1], "%d MB goal", &h.goal); err != nil {
		return h, 0, false
	}
	_, err := fmt.Sscanf(parts[2], "%d MB stacks", &h.stacks)
	return h, end, err == nil
}

func (p *process) heapNow() heap {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heap
}

// collect makes the process allocate, by requests that it has to read, until it has collected its garbage twice: one
// collection may have been under way.
func (p *process) collect(ctx context.Context) (heap, error) {
	body := []byte(`{"query":"{ __typename }` + strings.Repeat(" ", 100<<10) + `"}`)
	begin := p.heapNow().collections
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if h := p.heapNow(); h.collections >= begin+2 {
			return h, nil
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.address+"/graphql", bytes.NewReader(body))
		if err != nil {
			return heap{}, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return heap{}, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return heap{}, fmt.Errorf("%s collects no garbage", p.cmd.Path)
}

// cpu is what the process has spent so far, in user and system mode.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return 0, err
	}
	// proc(5): the name, in brackets, may hold anything; utime and stime are the 14th and 15th field.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("no CPU time in %s", b)
	}
	return time.Duration(user+system) * tick, nil
}

// settle waits until the process has done nothing to speak of for that long, for at most ten times that.
func (p *process) settle(ctx context.Context, period time.Duration) error {
	for range 10 {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(period):
		}
		if after, err := p.cpu(); err != nil || after-before <= 3*tick {
			return err
		}
	}
	return nil
}

// memory is what a process holds, in bytes.
type memory struct {
	resident, private int64 // Rss, and Private_Dirty, of smaps_rollup
	peak              int64 // of the resident, since resetPeak
}

func (p *process) memory() (memory, error) {
	rollup, err := p.values("smaps_rollup")
	if err != nil {
		return memory{}, err
	}
	status, err := p.values("status")
	return memory{rollup["Rss"], rollup["Private_Dirty"], status["VmHWM"]}, err
}

// resetPeak makes memory.peak what is resident now (proc(5), clear_refs).
func (p *process) resetPeak() error { return os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

// values reads the lines "Name: 123 kB" of a file.
func (p *process) values(name string) (map[string]int64, error) {
	b, err := os.ReadFile(p.proc(name))
	if err != nil {
		return nil, err
	}
	values := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if number, ok := strings.CutSuffix(strings.TrimSpace(value), " kB"); ok {
			n, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q", name, line)
			}
			values[name] = n << 10
		}
	}
	return values, nil
}

func (p *process) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name)
}
