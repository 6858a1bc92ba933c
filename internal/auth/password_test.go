package auth

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
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

// TestPasswordsBound fills what may run and what may wait, by hand: then there
// is no room, waiting ends with the context, and room made is used.
func TestPasswordsBound(t *testing.T) {
	p := NewPasswords()
	n := runtime.GOMAXPROCS(0)
	if cap(p.running) != n {
		t.Errorf("%d may run on %d processors", cap(p.running), n)
	}
	for range n {
		p.running <- struct{}{}
	}

	ctx, cancel := context.WithCancel(t.Context())
	waiting := cap(p.admitted)
	ended := make(chan error, waiting+1)
	for range waiting + 1 {
		go func() { ended <- p.VerifyNothing(ctx, "password") }()
	}
	if err := <-ended; !errors.Is(err, ErrBusy) {
		t.Fatalf("the first to return: %v", err)
	}
	if err := p.VerifyNothing(ctx, "password"); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	cancel()
	for range waiting {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("one that waited: %v", err)
		}
	}
	if len(p.admitted) != 0 {
		t.Errorf("%d are still admitted", len(p.admitted))
	}

	<-p.running
	if err := p.VerifyNothing(t.Context(), "password"); err != nil {
		t.Errorf("with room for one: %v", err)
	}
	if _, err := p.Hash(ctx, "password"); !errors.Is(err, context.Canceled) {
		t.Errorf("for nobody: %v", err)
	}
	if len(p.running) != n-1 {
		t.Errorf("%d run", len(p.running))
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
