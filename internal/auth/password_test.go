package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPasswordRoundTrip(t *testing.T) {
	p := NewPasswords()
	ctx := t.Context()
	const password = "Correct Horse 1 é"
	encoded, err := p.Hash(ctx, password)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(encoded, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(encoded, "=$") || len(encoded) > maxEncoded {
		t.Errorf("encoded as %s", encoded)
	}
	if again, _ := p.Hash(ctx, password); again == encoded {
		t.Error("two hashes of one password are equal: no salt")
	}
	for given, want := range map[string]bool{
		password:                  true,
		"Correct Horse 1 e\u0301": true, // the same letter, composed of two
		"correct Horse 1 é":       false,
		password + "\x00":         false,
		"":                        false,
	} {
		ok, rehash, err := p.Verify(ctx, encoded, given)
		if ok != want || rehash || err != nil {
			t.Errorf("%q: %t, %t, %v; want %t", given, ok, rehash, err, want)
		}
	}
	if err := p.VerifyNothing(ctx, password); err != nil {
		t.Error(err)
	}
	if ok, _, err := p.Verify(ctx, p.nothing, ""); ok || err != nil {
		t.Error("nothing is somebody's password")
	}
}

// TestPasswordOfOldCost verifies a hash of the reference implementation
// (P-H-C/phc-winner-argon2, test.c: argon2id, "password", "somesalt", t=2, m=256, p=1),
// whose cost is not ours.
func TestPasswordOfOldCost(t *testing.T) {
	const encoded = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	p := NewPasswords()
	if ok, rehash, err := p.Verify(t.Context(), encoded, "password"); !ok || !rehash || err != nil {
		t.Errorf("%t, %t, %v", ok, rehash, err)
	}
	if ok, rehash, err := p.Verify(t.Context(), encoded, "passwore"); ok || rehash || err != nil {
		t.Errorf("a wrong password: %t, %t, %v", ok, rehash, err)
	}
}

var brokenHashes = []string{
	"",
	"$",
	"password",
	"$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
	"$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=65537,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=99999999999999999999,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=11,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=0,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2,p=0$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2,p=5$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2,p=257$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=0256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=-1,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$t=2,m=256,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/5",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ=$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4$",
	"$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$" + strings.Repeat("A", 86+2),
	"$argon2id$v=19$m=256,t=2,p=1$" + strings.Repeat("A", 86+2) + "$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
	strings.Repeat("$argon2id", 1000),
}

func TestBrokenHashes(t *testing.T) {
	p := NewPasswords()
	for _, encoded := range brokenHashes {
		if ok, _, err := p.Verify(t.Context(), encoded, "password"); ok || !errors.Is(err, errEncoded) {
			t.Errorf("%.80q: %t, %v", encoded, ok, err)
		}
	}
}

// FuzzDecode: what decode takes stays within the bounds and has one spelling.
func FuzzDecode(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	for _, encoded := range brokenHashes {
		f.Add(encoded)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		c, salt, key, err := decode(encoded)
		if err != nil {
			return
		}
		if c.memory > maxMemory || c.time > maxTime || c.threads > maxThreads || c.time < 1 || c.threads < 1 {
			t.Errorf("asks for %+v", c)
		}
		if again := encode(c, salt, key); again != encoded {
			t.Errorf("%q is also %q", encoded, again)
		}
	})
}

// A desk computes no passwords: it takes the order in which they come, and the time it is told to.
type desk struct {
	*Passwords
	took time.Duration

	mu              sync.Mutex
	came            []string
	at, mostAtOnce  int
	computed, spent int
}

func newDesk(took time.Duration) *desk {
	d := &desk{Passwords: NewPasswords(), took: took}
	d.derive = func(password, _ []byte, c cost) []byte {
		d.mu.Lock()
		d.came = append(d.came, string(password))
		d.at++
		d.mostAtOnce = max(d.mostAtOnce, d.at)
		d.computed++
		d.spent += int(c.memory * c.time)
		d.mu.Unlock()
		time.Sleep(d.took) // in a bubble's time
		d.mu.Lock()
		d.at--
		d.mu.Unlock()
		return make([]byte, c.key)
	}
	return d
}

func TestAtOnce(t *testing.T) {
	for processors, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 64: 32} {
		if got := atOnce(processors); got != want {
			t.Errorf("%d on %d processors", got, processors)
		}
	}
}

// TestPasswordsInOrder: whoever comes first is served first, whether the login is known or not, and as many at once as
// may be.
func TestPasswordsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(20 * time.Millisecond)
		n := atOnce(runtime.GOMAXPROCS(0))
		known, err := d.Hash(t.Context(), "nobody's")
		if err != nil {
			t.Fatal(err)
		}
		d.came, d.computed, d.spent = nil, 0, 0
		for i := range 100 {
			go func() {
				var err error
				if password := fmt.Sprint(i / n); i%2 == 0 {
					_, _, err = d.Verify(t.Context(), known, password)
				} else {
					err = d.VerifyNothing(t.Context(), password)
				}
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}()
			synctest.Wait() // until it stands in the queue
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if d.mostAtOnce != n {
			t.Errorf("%d at once, want %d", d.mostAtOnce, n)
		}
		if d.computed != 100 || d.spent != 100*int(current.memory*current.time) {
			t.Errorf("%d computed with a work of %d", d.computed, d.spent)
		}
		for i, password := range d.came {
			if want := fmt.Sprint(i / n); password != want {
				t.Fatalf("in place %d came %s, want %s", i, password, want)
			}
		}
	})
}

// TestPasswordsBound: of a flood, as many as may wait do, for no longer than they may; the others are turned away at
// once. Who gives up makes room.
func TestPasswordsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Second)
		n := atOnce(runtime.GOMAXPROCS(0))
		type end struct {
			after time.Duration
			err   error
		}
		ends := make(chan end, 1000)
		come := func(ctx context.Context) {
			start := time.Now()
			go func() {
				err := d.VerifyNothing(ctx, "password")
				ends <- end{time.Since(start), err}
			}()
		}
		impatient, leave := context.WithCancel(t.Context())
		for range n * (1 + maxWaiting) {
			come(t.Context())
		}
		synctest.Wait()
		for range 100 {
			come(impatient)
		}
		synctest.Wait()
		for range 100 {
			if e := <-ends; e.after != 0 || !errors.Is(e.err, ErrBusy) {
				t.Fatalf("one too many: %v after %v", e.err, e.after)
			}
		}
		time.Sleep(maxWait)
		synctest.Wait()
		count := map[end]int{}
		for len(ends) > 0 {
			e := <-ends
			if errors.Is(e.err, ErrBusy) {
				e.err = ErrBusy
			}
			count[e]++
		}
		// Those of the third second's end may still have had their turn, or not: both are right.
		third, late := count[end{3 * time.Second, nil}], count[end{3 * time.Second, ErrBusy}]
		if count[end{time.Second, nil}] != n || count[end{2 * time.Second, nil}] != n || third != n {
			t.Errorf("computed: %v", count)
		}
		if least := n * (maxWaiting - 3); late < least || late > least+n {
			t.Errorf("%d waited too long, want %d: %v", late, least, count)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for len(ends) > 0 {
			<-ends
		}

		// Somebody who goes away is not computed for.
		before := d.computed
		for range n {
			come(t.Context())
		}
		synctest.Wait()
		come(impatient)
		synctest.Wait()
		leave()
		if e := <-ends; e.after != 0 || !errors.Is(e.err, context.Canceled) {
			t.Errorf("one who left: %v after %v", e.err, e.after)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if d.computed != before+n || len(d.admitted) != 0 {
			t.Errorf("%d computed, %d still admitted", d.computed-before, len(d.admitted))
		}
		if _, err := d.Hash(impatient, "password"); !errors.Is(err, context.Canceled) {
			t.Errorf("for nobody: %v", err)
		}
	})
}

// TestPasswordsFlood: 500 at the same time, computed in earnest, each end in an answer, and hold little memory. One
// computation takes 19 MiB; without the queue they would hold 9.3 GiB.
func TestPasswordsFlood(t *testing.T) {
	p := NewPasswords()
	limit := uint64(atOnce(runtime.GOMAXPROCS(0)))*19<<20*6 + 64<<20 // the collector lets several times of it pile up
	runtime.GC()
	held := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(held)
		return held[0].Value.Uint64()
	}
	before, most := read(), uint64(0)
	ends := make(chan error, 500)
	for range 500 {
		go func() { ends <- p.VerifyNothing(t.Context(), "password") }()
	}
	done, busy := 0, 0
	for range 500 {
		switch err := <-ends; {
		case err == nil:
			done++
		case errors.Is(err, ErrBusy):
			busy++
		default:
			t.Error(err)
		}
		most = max(most, read())
	}
	t.Logf("%d computed, %d turned away, at most %d MiB held", done, busy, (most-before)>>20)
	if done == 0 || busy == 0 && cap(p.admitted) < 500 {
		t.Errorf("%d computed, %d turned away", done, busy)
	}
	if most-before > limit {
		t.Errorf("%d MiB held", (most-before)>>20)
	}
}

// TestNothingCostsWhatAPasswordDoes: it is the same computation.
func TestNothingCostsWhatAPasswordDoes(t *testing.T) {
	c, _, _, err := decode(NewPasswords().nothing)
	if err != nil || c != current {
		t.Errorf("%+v, %v", c, err)
	}
}

func BenchmarkVerify(b *testing.B) {
	p := NewPasswords()
	encoded, err := p.Hash(b.Context(), "password")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, _, err := p.Verify(b.Context(), encoded, "password"); !ok {
			b.Fatal(fmt.Errorf("not verified: %w", err))
		}
	}
}
