package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"
)

// cost is what hashing one password takes: argon2id's parameters (RFC 9106,
// section 3.1) and the lengths of what it works with.
type cost struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
	salt    int // bytes
	key     int // bytes
}

// current is the cost of new hashes: OWASP's Password Storage Cheat Sheet, as
// much salt and key as RFC 9106 (section 4) recommends.
var current = cost{memory: 19 << 10, time: 2, threads: 1, salt: 16, key: 32}

// What a stored hash may ask for. A computation takes 64 MiB at most, whatever
// the database says.
const (
	maxEncoded = 256 // bytes
	maxMemory  = 64 << 10
	maxTime    = 10
	maxThreads = 4
	minSalt    = 8
	minKey     = 16
	maxBinary  = 64 // bytes of salt, and of key
)

// How many computations may wait for each that runs, and how long: about as many as are done in that time.
const (
	maxWaiting = 128
	maxWait    = 3 * time.Second
)

// ErrBusy means that too many passwords are being computed: try again in a
// second.
var ErrBusy = errors.New("too many passwords are being checked")

var errEncoded = errors.New("not a password hash of ours")

// Passwords hashes passwords with argon2id. It computes on half of the
// processors, at least one, at the same time, 19 MiB each, so that a flood of
// log-ins leaves the other half to everybody else. Callers wait their turn in
// the order they came, for 3 s at most, and no more than 128 for each that runs;
// others get ErrBusy. Waiting takes no memory to speak of. A caller whose
// context ends stops waiting; what runs, runs to its end (about 20 ms).
//
// Passwords are compared in Unicode's NFC (RFC 8265, section 4.2.2), since
// keyboards differ in how they compose an é.
type Passwords struct {
	admitted chan struct{}       // held while waiting or running
	running  *semaphore.Weighted // held while running; who waits for it is served in order
	derive   func(password, salt []byte, c cost) []byte
	cost     cost   // of new hashes
	nothing  string // a hash of that cost that no password has
}

// NewPasswords returns a Passwords for the process. Two would share no bound.
func NewPasswords() *Passwords { return NewPasswordsWith(0) }

// NewPasswordsWith is NewPasswords, but that a new hash takes so much memory, in
// KiB and at least 8; 0 is as much as OWASP recommends. Less is for tests.
func NewPasswordsWith(memory uint32) *Passwords {
	n, c := atOnce(runtime.GOMAXPROCS(0)), current
	if memory > 0 {
		c.memory = memory
	}
	return &Passwords{
		cost:     c,
		admitted: make(chan struct{}, n*(1+maxWaiting)),
		running:  semaphore.NewWeighted(int64(n)),
		derive:   derive,
		nothing:  encode(c, make([]byte, c.salt), make([]byte, c.key)),
	}
}

// atOnce is how many computations may run at the same time on so many processors.
func atOnce(processors int) int { return max(1, processors/2) }

// Hash returns the hash of a password in PHC's string format:
// $argon2id$v=19$m=19456,t=2,p=1$salt$key. The error is ErrBusy or the context's.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, p.cost.salt)
	_, _ = rand.Read(salt) // never fails
	key, err := p.compute(ctx, password, salt, p.cost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return encode(p.cost, salt, key), nil
}

// Verify reports whether encoded, as Hash returned it, is the hash of password,
// and if so whether it should be hashed anew because the cost has changed since.
// The error is ErrBusy, the context's, or says that encoded is no such hash or
// asks for more than a hash may; a wrong password is none.
func (p *Passwords) Verify(ctx context.Context, encoded, password string) (ok, needsRehash bool, err error) {
	c, salt, want, err := decode(encoded)
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	got, err := p.compute(ctx, password, salt, c)
	if err != nil {
		return false, false, fmt.Errorf("verify password: %w", err)
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return false, false, nil
	}
	return true, c != p.cost, nil
}

// VerifyNothing takes as long as verifying a wrong password does. Call it when
// a login names nobody, so that the time tells no one who has an account. The
// error is ErrBusy or the context's.
func (p *Passwords) VerifyNothing(ctx context.Context, password string) error {
	_, _, err := p.Verify(ctx, p.nothing, password)
	return err
}

func (p *Passwords) compute(ctx context.Context, password string, salt []byte, c cost) ([]byte, error) {
	select {
	case p.admitted <- struct{}{}:
		defer func() { <-p.admitted }()
	default:
		return nil, ErrBusy
	}
	waiting, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	if err := p.running.Acquire(waiting, 1); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, ErrBusy
	}
	defer p.running.Release(1)
	return p.derive(norm.NFC.Bytes([]byte(password)), salt, c), nil
}

func derive(password, salt []byte, c cost) []byte {
	return argon2.IDKey(password, salt, c.time, c.memory, c.threads, uint32(c.key))
}

var phc = base64.RawStdEncoding

func encode(c cost, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, c.memory, c.time, c.threads, phc.EncodeToString(salt), phc.EncodeToString(key))
}

// decode reads exactly what encode writes, so that a hash has one spelling, and
// only what may be computed.
func decode(encoded string) (c cost, salt, key []byte, err error) {
	if len(encoded) > maxEncoded {
		return cost{}, nil, nil, errEncoded
	}
	parts := strings.Split(encoded, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return cost{}, nil, nil, errEncoded
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return cost{}, nil, nil, errEncoded
	}
	var threads uint32
	for i, p := range []struct {
		name  string
		value *uint32
		most  uint32
	}{{"m=", &c.memory, maxMemory}, {"t=", &c.time, maxTime}, {"p=", &threads, maxThreads}} {
		text, ok := strings.CutPrefix(params[i], p.name)
		n, err := strconv.ParseUint(text, 10, 32)
		if !ok || err != nil || n < 1 || n > uint64(p.most) {
			return cost{}, nil, nil, fmt.Errorf("%w: %s is not from 1 to %d", errEncoded, p.name, p.most)
		}
		*p.value = uint32(n)
	}
	c.threads = uint8(threads)
	salt, err = phc.DecodeString(parts[4])
	if err != nil || len(salt) < minSalt || len(salt) > maxBinary {
		return cost{}, nil, nil, fmt.Errorf("%w: its salt is broken", errEncoded)
	}
	key, err = phc.DecodeString(parts[5])
	if err != nil || len(key) < minKey || len(key) > maxBinary {
		return cost{}, nil, nil, fmt.Errorf("%w: its key is broken", errEncoded)
	}
	c.salt, c.key = len(salt), len(key)
	if encode(c, salt, key) != encoded { // base64 skips line breaks, numbers take leading zeros
		return cost{}, nil, nil, errEncoded
	}
	return c, salt, key, nil
}
