package auth

// NewPasswordsWith is NewPasswords, but that a new hash takes so much memory, in
// KiB and at least 8; 0 is as much as OWASP recommends. Less is for tests.
func NewPasswordsWith(memory uint32) *Passwords {
	p := NewPasswords()
	if memory > 0 {
		cheap := current
		cheap.memory = memory
		p.nothing = encode(cheap, make([]byte, cheap.salt), make([]byte, cheap.key))
	}
	return p
}

// current is the cost of new hashes, which is that of the one that no password
// has: only so do known and unknown users take as long.
func (p *Passwords) current() cost {
	c, _, _, err := decode(p.nothing)
	if err != nil {
		return current
	}
	return c
}
