package session

import (
	"crypto/sha256"
	"sync"

	"tidings/internal/auth"
)

// maxVerified bounds how many tokens each of the two parts of verified keeps, 130 bytes each.
const maxVerified = 4096

// verified remembers whose tokens were good, by their SHA-256: to check a signature and read the claims anew takes 25
// microseconds, with every request. It says nothing about now: neither that they have not expired nor that their
// sessions go on. Its zero value is ready for use.
type verified struct {
	mu     sync.RWMutex
	recent [2]map[[sha256.Size]byte]auth.Viewer // the newer part; what was there before it was full
}

// viewer returns whose token it is, by verify if it is not known.
func (r *verified) viewer(token string, verify func(string) (auth.Viewer, error)) (auth.Viewer, error) {
	sum := sha256.Sum256([]byte(token))
	if v, ok := r.get(sum); ok {
		return v, nil
	}
	v, err := verify(token)
	if err != nil {
		return auth.Viewer{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recent[0] == nil || len(r.recent[0]) >= maxVerified {
		r.recent[0], r.recent[1] = map[[sha256.Size]byte]auth.Viewer{}, r.recent[0]
	}
	r.recent[0][sum] = v
	return v, nil
}

func (r *verified) get(sum [sha256.Size]byte) (v auth.Viewer, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if v, ok = r.recent[0][sum]; !ok {
		v, ok = r.recent[1][sum]
	}
	return v, ok
}
