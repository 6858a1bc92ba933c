package gid

import "github.com/google/uuid"

// Crockford's base32 alphabet in lower case, in ASCII order: text sorts as the bytes do.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// encodedLen characters of five bits hold 130 bits; the first two are always zero.
const encodedLen = 26

const invalid = 0xff

var values = func() (t [256]byte) {
	for i := range t {
		t[i] = invalid
	}
	for i := range alphabet {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

func encode(b []byte, u uuid.UUID) []byte {
	var hi, lo uint64
	for i := range 8 {
		hi = hi<<8 | uint64(u[i])
		lo = lo<<8 | uint64(u[i+8])
	}
	for shift := 5 * (encodedLen - 1); shift >= 0; shift -= 5 {
		var v uint64
		switch {
		case shift >= 64:
			v = hi >> (shift - 64)
		case shift > 59: // five bits across the border
			v = hi<<(64-shift) | lo>>shift
		default:
			v = lo >> shift
		}
		b = append(b, alphabet[v&31])
	}
	return b
}

// decode takes exactly what encode writes, so that an id has one spelling.
func decode(s string) (u uuid.UUID, ok bool) {
	if len(s) != encodedLen || values[s[0]] > 7 {
		return uuid.UUID{}, false
	}
	var hi, lo uint64
	for i := range encodedLen {
		v := values[s[i]]
		if v == invalid {
			return uuid.UUID{}, false
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	for i := 7; i >= 0; i-- {
		u[i], u[i+8] = byte(hi), byte(lo)
		hi >>= 8
		lo >>= 8
	}
	return u, true
}
