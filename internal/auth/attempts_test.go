package auth

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"
)

// guesser is somebody at an address who tries passwords, at a time that stands still until it is moved.
type guesser struct {
	t        *testing.T
	attempts *Attempts
	now      *time.Time
	addr     netip.Addr
}

func newGuesser(t *testing.T, addr string) guesser {
	now := time.Unix(1_000_000, 0)
	return guesser{t, NewAttempts(func() time.Time { return now }), &now, netip.MustParseAddr(addr)}
}

// from is another one, elsewhere at the same time.
func (g guesser) from(addr string) guesser {
	g.addr = netip.MustParseAddr(addr)
	return g
}

// fails tries n wrong passwords at once, all of which must be tried.
func (g guesser) fails(login string, n int) {
	g.t.Helper()
	for i := range n {
		if wait, ok := g.attempts.Begin(g.addr, login); !ok {
			g.t.Fatalf("attempt %d of %d on %s from %s: wait %v", i+1, n, login, g.addr, wait)
		}
		g.attempts.Failed(g.addr, login)
	}
}

// refused wants the next attempt to have to wait so long, and not to be counted.
func (g guesser) refused(login string, want time.Duration) {
	g.t.Helper()
	for range 3 {
		if wait, ok := g.attempts.Begin(g.addr, login); ok || wait != want {
			g.t.Fatalf("%s from %s: %v, wait %v; want to wait %v", login, g.addr, ok, wait, want)
		}
	}
}

func (g guesser) pass(d time.Duration) { *g.now = g.now.Add(d) }

func TestAttemptsWait(t *testing.T) {
	g := newGuesser(t, "192.0.2.1")
	g.fails("Ada", 5)
	for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		wait *= time.Second
		g.refused("ada", wait)
		g.pass(wait - 1)
		g.refused("aDA", 1)
		g.pass(1)
		g.fails("ada", 1)
	}
	g.fails("ben", 1)
	g.from("192.0.2.2").fails("ada", 5)
	g.pass(15*time.Minute - 1)
	g.fails("ada", 1) // 60 s are long over
	g.refused("ada", time.Minute)
	g.pass(15 * time.Minute)
	g.fails("ada", 5)
	g.refused("ada", time.Second)
}

func TestAttemptsSucceed(t *testing.T) {
	g := newGuesser(t, "192.0.2.1")
	g.fails("ada", 5)
	g.pass(time.Second)
	if _, ok := g.attempts.Begin(g.addr, "ada"); !ok {
		t.Fatal("refused after its wait")
	}
	g.attempts.Succeeded(g.addr, "ada")
	g.fails("ada", 5)
	g.refused("ada", time.Second)

	// However often one succeeds, it makes neither the address nor the account suspicious.
	owner := g.from("192.0.2.9")
	for range 1000 {
		if _, ok := owner.attempts.Begin(owner.addr, "ada"); !ok {
			t.Fatal("an owner who only succeeds is refused")
		}
		owner.attempts.Succeeded(owner.addr, "ada")
	}
	owner.fails("ada", 5)
}

// TestAttemptsUntried: what was not tried is as if it had not begun.
func TestAttemptsUntried(t *testing.T) {
	g := newGuesser(t, "192.0.2.1")
	g.fails("ada", 4)
	for range 100 {
		if _, ok := g.attempts.Begin(g.addr, "ada"); !ok {
			t.Fatal("refused for what was not tried")
		}
		g.attempts.Untried(g.addr, "ada")
	}
	g.fails("ada", 1)
	g.refused("ada", time.Second)
}

// TestAttemptsAtOnce: of a hundred at once, five are tried.
func TestAttemptsAtOnce(t *testing.T) {
	g := newGuesser(t, "192.0.2.1")
	var all sync.WaitGroup
	var mu sync.Mutex
	tried := 0
	for range 100 {
		all.Go(func() {
			if _, ok := g.attempts.Begin(g.addr, "ada"); ok {
				mu.Lock()
				tried++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if tried != freeAttempts {
		t.Errorf("%d were tried", tried)
	}
	for range tried {
		g.attempts.Failed(g.addr, "ada")
	}
	g.refused("ada", time.Second)
}

func TestAttemptsOfAnAddress(t *testing.T) {
	g := newGuesser(t, "2001:db8::1")
	for i := range 20 {
		g.fails(fmt.Sprint("user", i), 1)
	}
	g.refused("ada", 3*time.Second)
	g.from("2001:db8::ffff:1").refused("ada", 3*time.Second) // the same /64
	g.from("2001:db8:0:1::1").fails("ada", 5)                // another one
	g.pass(3 * time.Second)
	g.fails("ada", 1)
	g.refused("ben", 3*time.Second)
	g.pass(time.Minute)
	for i := range 20 {
		g.fails(fmt.Sprint("other", i), 1)
	}
	g.refused("ben", 3*time.Second)
}

// TestAttemptsUnderAttack: strangers from everywhere guess at an account for an hour. Its owner, from an address without
// failures, gets in at once at any time of it, and has one free failure; the strangers have one each.
func TestAttemptsUnderAttack(t *testing.T) {
	g := newGuesser(t, "198.51.100.1")
	stranger := func(i int) guesser { return g.from(fmt.Sprintf("10.0.%d.%d", i/250, i%250)) }
	owner := 0
	ownerComes := func(what string) guesser {
		t.Helper()
		owner++
		o := g.from(fmt.Sprintf("198.51.100.%d", owner))
		if wait, ok := o.attempts.Begin(o.addr, "ada"); !ok {
			t.Fatalf("%s: the owner is to wait %v", what, wait)
		}
		o.attempts.Succeeded(o.addr, "ada")
		return o
	}
	for i := range 9 {
		stranger(i).fails("ada", 5)
	}
	stranger(9).fails("ada", 4)
	ownerComes("at 49 failures").fails("ada", 2) // the second of which makes 51
	for i := range 9 {
		stranger(i).refused("ada", 16*time.Second) // four beyond the one that is free
	}
	for minute := range 60 {
		for i := range 20 {
			s := stranger(20 + 20*minute + i)
			s.fails("ada", 1)
			s.refused("ada", time.Second)
		}
		o := ownerComes("under attack")
		o.fails("ada", 1)
		o.refused("ada", time.Second)
		o.pass(time.Second)
		o.fails("ada", 1)
		g.pass(59 * time.Second)
	}
	g.from("203.0.113.1").fails("ben", 5) // others aren't slowed
	for range 3 {                         // some go on, but no longer an attack
		g.from("203.0.113.2").fails("ada", 1)
		g.pass(5 * time.Minute)
	}
	g.from("203.0.113.3").fails("ada", 5)
}

// TestAttemptsTake: the wait counts from when an attempt has failed, however long that took.
func TestAttemptsTake(t *testing.T) {
	g := newGuesser(t, "192.0.2.1")
	g.fails("ada", 4)
	if _, ok := g.attempts.Begin(g.addr, "ada"); !ok {
		t.Fatal("refused")
	}
	g.pass(900 * time.Millisecond)
	g.refused("ada", 100*time.Millisecond)
	g.attempts.Failed(g.addr, "ada")
	g.refused("ada", time.Second)
}

// TestAttemptsBounded: a flood of addresses and logins, known to nobody, is remembered in a bounded room.
func TestAttemptsBounded(t *testing.T) {
	g := newGuesser(t, "192.0.2.1")
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 2*maxPairs + maxPairs/2 {
		var addr [4]byte
		addr[0], addr[1], addr[2], addr[3] = 10, byte(i>>16), byte(i>>8), byte(i)
		g.attempts.Begin(netip.AddrFrom4(addr), fmt.Sprint("somebody with quite a long name ", i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if n := g.attempts.pairs.Len(); n < maxPairs || n > 2*maxPairs {
		t.Errorf("%d pairs", n)
	}
	if n := g.attempts.accounts.Len(); n < maxAccounts || n > 2*maxAccounts {
		t.Errorf("%d accounts", n)
	}
	if n := g.attempts.addresses.Len(); n < maxAddress || n > 2*maxAddress {
		t.Errorf("%d addresses", n)
	}
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d KiB", grown>>10)
	if grown > 32<<20 {
		t.Errorf("%d bytes", grown)
	}
	runtime.KeepAlive(g)
}

func TestAddressKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1",
		"::ffff:192.0.2.1":   "192.0.2.1",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64",
		"fe80::1%eth0":       "fe80::/64",
		"::1":                "::/64",
		"2001:db8:1:2::ffff": "2001:db8:1:2::/64",
	} {
		if got := AddressKey(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
	if AddressKey(netip.Addr{}) == AddressKey(netip.IPv4Unspecified()) {
		t.Error("no address is one")
	}
}

func TestNoAttempts(t *testing.T) {
	var a *Attempts
	addr := netip.MustParseAddr("192.0.2.1")
	for range 1000 {
		if _, ok := a.Begin(addr, "ada"); !ok {
			t.Fatal("slowed by nobody")
		}
		a.Failed(addr, "ada")
	}
	a.Succeeded(addr, "ada")
	a.Untried(addr, "ada")
}
