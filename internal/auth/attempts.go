package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"time"

	"tidings/internal/rate"
)

// How failed log-ins are slowed. An account and an address together:
const (
	freeAttempts   = 5 // failures that cost nothing
	firstWait      = time.Second
	longestWait    = time.Minute
	attemptsMemory = 15 * time.Minute // without a failure, until all is forgotten
)

// An address, whichever accounts it tries; an account, from wherever it is tried.
const (
	addressBurst  = 20
	addressRefill = 1.0 / 3 // a second
	underAttack   = 50      // failures in attackWindow, over all addresses
	attackWindow  = 15      // minutes
)

// How many of each are remembered at least; at most twice as many are.
const (
	maxPairs    = 1 << 16
	maxAddress  = 1 << 15
	maxAccounts = 1 << 15
)

// Attempts slows those who guess passwords, and locks nobody out. Before a password is looked at, Begin says whether it
// may be yet; what is refused is not looked at, and counts for nothing:
//
//   - From one address, five failures on an account are free. Each further attempt waits after the last one, 1 s, then
//     2 s, doubling up to 60 s. Success ends that, and so do 15 minutes without a failure.
//   - An address may fail 20 times, on whichever accounts, and once more every 3 s.
//   - An account that fails more than 50 times in 15 minutes, from wherever, is under attack: then one failure from each
//     address is free, rather than five.
//
// So whoever comes from an address without failures is tried at once, however many strangers guess at the account: no
// stranger can lock its owner out, unless they share an address. An address is a whole /64 of IPv6 (see
// [AddressKey]). An account is what is typed as its login, in lower case as it is looked up; whether there is
// such an account makes no difference. One with two logins, a username and an e-mail address, counts as two.
//
// An attempt counts as failed from Begin on, so that many at once are no way around the waits. Each Begin that lets
// one through is followed by exactly one of Failed, Succeeded and Untried.
//
// Logins are not kept, only their hashes under a key of the process's own. A flood of addresses and logins can make
// Attempts forget those used least recently: it holds at most 2^17 pairs of the two and 2^16 of each, together less
// than 32 MiB. It is safe for concurrent use, and counts for this process only. A nil *Attempts slows nobody.
type Attempts struct {
	now       func() time.Time
	key       []byte
	addresses *rate.Buckets

	mu       sync.Mutex
	pairs    *rate.Recent[hashed, pair]
	accounts *rate.Recent[hashed, failures]
}

type hashed [16]byte

// pair is what came from an address for an account.
type pair struct {
	failed int
	last   time.Time
}

// NewAttempts returns one that knows of no failures; now is the time, as time.Now.
func NewAttempts(now func() time.Time) *Attempts {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return &Attempts{
		now: now, key: key,
		addresses: rate.NewBuckets(rate.Limit{Burst: addressBurst, Refill: addressRefill}, maxAddress, now),
		pairs:     rate.NewRecent[hashed, pair](maxPairs, attemptsMemory),
		accounts:  rate.NewRecent[hashed, failures](maxAccounts, attackWindow*time.Minute),
	}
}

// Begin says whether a password for login, which comes from addr, may be tried now, and if not, after how long.
func (a *Attempts) Begin(addr netip.Addr, login string) (retryAfter time.Duration, ok bool) {
	if a == nil {
		return 0, true
	}
	address, account, both := a.keys(addr, login)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if wait := a.due(account, both, now); wait > 0 {
		return wait, false
	}
	if s := a.addresses.Take(address, 1); !s.OK {
		return s.Retry, false
	}
	p := a.pairs.At(both, now)
	if now.Sub(p.last) >= attemptsMemory {
		p.failed = 0
	}
	p.failed, p.last = p.failed+1, now
	a.accounts.At(account, now).add(now)
	return 0, true
}

// due is how long to wait until a pair may try again.
func (a *Attempts) due(account, both hashed, now time.Time) time.Duration {
	p := a.pairs.Find(both, now)
	if p == nil || now.Sub(p.last) >= attemptsMemory {
		return 0
	}
	free := freeAttempts
	if f := a.accounts.Find(account, now); f != nil && f.sum(now) > underAttack {
		free = 1
	}
	beyond := p.failed - free
	if beyond < 0 {
		return 0
	}
	wait := longestWait
	if beyond < 6 {
		wait = firstWait << beyond
	}
	return wait - now.Sub(p.last)
}

// Failed says that the password was wrong, or the login nobody's, or whatever else looks like that to the client. The
// next wait counts from now.
func (a *Attempts) Failed(addr netip.Addr, login string) {
	if a == nil {
		return
	}
	_, _, both := a.keys(addr, login)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if p := a.pairs.Find(both, now); p != nil {
		p.last = now
	}
}

// Succeeded says that it was the right password: from this address, the account has no failures any more.
func (a *Attempts) Succeeded(addr netip.Addr, login string) { a.takeBack(addr, login, true) }

// Untried says that the password was never looked at, because the server was too busy or the client went away.
func (a *Attempts) Untried(addr netip.Addr, login string) { a.takeBack(addr, login, false) }

func (a *Attempts) takeBack(addr netip.Addr, login string, clear bool) {
	if a == nil {
		return
	}
	address, account, both := a.keys(addr, login)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if p := a.pairs.Find(both, now); p != nil {
		p.failed = max(0, p.failed-1)
		if clear || p.failed == 0 {
			a.pairs.Delete(both)
		}
	}
	if f := a.accounts.Find(account, now); f != nil {
		f.takeBack(now)
	}
	a.addresses.Give(address, 1)
}

// keys are those of an address, of an account, and of both together.
func (a *Attempts) keys(addr netip.Addr, login string) (address string, account, both hashed) {
	address = AddressKey(addr)
	login = strings.ToLower(login)
	return address, a.hash("account", login), a.hash(address, login)
}

func (a *Attempts) hash(what, login string) (h hashed) {
	m := hmac.New(sha256.New, a.key)
	m.Write([]byte(what + "\x00" + login)) // no address and no word of ours has a zero in it
	copy(h[:], m.Sum(nil))
	return h
}

// AddressKey is what to count a client under by its address: that of an IPv4 address, the same written as IPv6, is the
// address itself, that of an IPv6 address its /64, since most clients may choose freely in theirs. All whose address
// isn't known have one.
func AddressKey(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // fails for too many bits only
	return prefix.String()
}

// failures counts those of the last attackWindow minutes, by minute.
type failures struct {
	by     [attackWindow]uint8 // by minute modulo attackWindow; no more than 255 a minute are counted
	minute int64               // of the last change
}

func (f *failures) add(now time.Time) {
	f.age(now)
	if n := &f.by[f.minute%attackWindow]; *n < 255 {
		*n++
	}
}

// takeBack takes away the latest one.
func (f *failures) takeBack(now time.Time) {
	f.age(now)
	for i := range int64(attackWindow) {
		if n := &f.by[(f.minute-i+attackWindow)%attackWindow]; *n > 0 {
			*n--
			return
		}
	}
}

func (f *failures) sum(now time.Time) (n int) {
	f.age(now)
	for _, each := range f.by {
		n += int(each)
	}
	return n
}

// age empties the minutes since the last change.
func (f *failures) age(now time.Time) {
	minute := now.Unix() / 60
	for m := max(f.minute+1, minute-attackWindow+1); m <= minute; m++ {
		f.by[m%attackWindow] = 0
	}
	f.minute = max(f.minute, minute)
}
