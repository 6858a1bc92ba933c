//go:build linux

package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
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

// Trace in the environment of a Go program makes it say what its heap is like after every collection.
const Trace = "GODEBUG=gctrace=1"

// Client speaks to all servers.
var Client = &http.Client{Timeout: patience}

// Process is a server under measurement, in a process of its own. What it says of its heap, if it runs with Trace, is
// read from its standard error, so that nothing needs to be built into it.
type Process struct {
	cmd     *exec.Cmd
	Address string // 127.0.0.1:port
	exited  chan struct{}

	mu   sync.Mutex
	heap Heap
	last string // line that it wrote, but for those on its heap
}

// Heap is what a process has said of its memory at the end of its garbage collections, in MiB, as whole numbers.
type Heap struct {
	Collections int
	Live        int // marked by the last one
	Goal        int // at which the next one begins
	Stacks      int
	Allocated   int // from the start to the end of the last one
}

// Start runs a server and waits until it is ready. arguments gets the address to listen on.
func Start(ctx context.Context, path string, env []string, arguments func(address string) []string) (*Process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &Process{Address: address, exited: make(chan struct{})}
	p.cmd = exec.Command(path, arguments(address)...)
	p.cmd.Env = append(os.Environ(), env...)
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
		p.Stop()
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

func (p *Process) ready(ctx context.Context) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		resp, err := Client.Get("http://" + p.Address + "/readyz")
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

// Stop kills the process and waits for its end.
func (p *Process) Stop() {
	_ = p.cmd.Process.Kill() // it fails when it has ended
	<-p.exited
}

// End asks the process to end (SIGTERM), and waits until it has. That it ended in disorder is an error.
func (p *Process) End(ctx context.Context) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(patience):
		return fmt.Errorf("%s does not end", p.cmd.Path)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s has ended: %v", p.cmd.Path, p.cmd.ProcessState)
	}
	return nil
}

// listen takes in what the process says of its heap, and passes on the rest.
func (p *Process) listen(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		h, end, ok := parseTrace(lines.Text())
		if !ok {
			if !strings.HasPrefix(lines.Text(), "gc ") { // the last one may have been cut off
				p.said(lines.Text())
			}
			continue
		}
		p.mu.Lock()
		h.Collections = p.heap.Collections + 1
		// Until the mark ends the heap holds what was live before, and what was allocated since.
		h.Allocated = p.heap.Allocated + end - p.heap.Live
		p.heap = h
		p.mu.Unlock()
	}
}

// said passes on a line, unless it is about nothing out of the ordinary.
func (p *Process) said(line string) {
	p.mu.Lock()
	p.last = line
	p.mu.Unlock()
	var l struct{ Level string }
	if json.Unmarshal([]byte(line), &l) != nil || l.Level != "INFO" {
		fmt.Fprintln(os.Stderr, line)
	}
}

// Reads are how many reads a server answered in which way, as its last line has it.
type Reads struct {
	Direct     int
	ByEntities int `json:"by entities"`
	BegunAgain int `json:"begun again"`
}

// EndTold is End of a server that was started with Told, and how it answered reads.
func (p *Process) EndTold(ctx context.Context) (Reads, error) {
	if err := p.End(ctx); err != nil {
		return Reads{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var l struct {
		Msg   string
		Reads *Reads
	}
	if err := json.Unmarshal([]byte(p.last), &l); err != nil || l.Msg != "stopped" || l.Reads == nil {
		return Reads{}, fmt.Errorf("the last that the server said is %.300q: %v", p.last, err)
	}
	return *l.Reads, nil
}

// parseTrace reads a line of gctrace (package runtime, "Environment Variables"): "gc 7 @1.2s 0%: … ms cpu, 4->5->2 MB,
// 5 MB goal, 0 MB stacks, 0 MB globals, 2 P". end is the heap when marking ended.
func parseTrace(line string) (h Heap, end int, ok bool) {
	if !strings.HasPrefix(line, "gc ") {
		return h, 0, false
	}
	parts := strings.Split(line, ", ")
	if len(parts) < 5 {
		return h, 0, false
	}
	parts = parts[len(parts)-5:]
	var begin int
	if _, err := fmt.Sscanf(parts[0], "%d->%d->%d MB", &begin, &end, &h.Live); err != nil {
		return h, 0, false
	}
	if _, err := fmt.Sscanf(parts[1], "%d MB goal", &h.Goal); err != nil {
		return h, 0, false
	}
	_, err := fmt.Sscanf(parts[2], "%d MB stacks", &h.Stacks)
	return h, end, err == nil
}

func (p *Process) HeapNow() Heap {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heap
}

// Collect makes the process allocate, by requests that it has to read, until it has collected its garbage twice: one
// collection may have been under way.
func (p *Process) Collect(ctx context.Context) (Heap, error) {
	body := []byte(`{"query":"{ __typename }` + strings.Repeat(" ", 100<<10) + `"}`)
	begin := p.HeapNow().Collections
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if h := p.HeapNow(); h.Collections >= begin+2 {
			return h, nil
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.Address+"/graphql", bytes.NewReader(body))
		if err != nil {
			return Heap{}, err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := Client.Do(req)
		if err != nil {
			return Heap{}, err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return Heap{}, fmt.Errorf("%s collects no garbage", p.cmd.Path)
}

// CPU is what the process has spent so far, in user and system mode.
func (p *Process) CPU() (time.Duration, error) {
	s, err := ReadStat(p.cmd.Process.Pid)
	return s.CPU, err
}

// Settle waits until the process has done nothing to speak of for that long, for at most ten times that.
func (p *Process) Settle(ctx context.Context, period time.Duration) error {
	for range 10 {
		before, err := p.CPU()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(period):
		}
		if after, err := p.CPU(); err != nil || after-before <= 3*tick {
			return err
		}
	}
	return nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	Resident, Private int64 // Rss, and Private_Dirty, of smaps_rollup
	Peak              int64 // of the resident, since ResetPeak
}

func (p *Process) Memory() (Memory, error) {
	rollup, err := p.values("smaps_rollup")
	if err != nil {
		return Memory{}, err
	}
	status, err := p.values("status")
	return Memory{rollup["Rss"], rollup["Private_Dirty"], status["VmHWM"]}, err
}

// ResetPeak makes Memory.Peak what is resident now (proc(5), clear_refs).
func (p *Process) ResetPeak() error { return os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) }

// values reads the lines "Name: 123 kB" of a file.
func (p *Process) values(name string) (map[string]int64, error) {
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

func (p *Process) proc(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name)
}
