package web

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// entityTag is the ETag of an answer. It is a weak one (RFC 9110, section
// 8.8.1), for it is the same however the answer is encoded: who has it plain or
// compressed, has it.
func entityTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `W/"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}

// has reports whether the tags of If-None-Match have one of ours among them, by
// the weak comparison (RFC 9110, sections 8.8.3.2 and 13.1.2). What isn't well
// formed ends the list.
func has(ifNoneMatch []string, tag string) bool {
	rest := strings.Join(ifNoneMatch, ",")
	if strings.TrimSpace(rest) == "*" {
		return true
	}
	tag = strings.TrimPrefix(tag, "W/")
	for {
		rest = strings.TrimPrefix(strings.TrimLeft(rest, " \t,"), "W/")
		if strings.HasPrefix(rest, tag) {
			return true
		}
		if !strings.HasPrefix(rest, `"`) {
			return false
		}
		var ok bool
		if _, rest, ok = strings.Cut(rest[1:], `"`); !ok { // a tag may have commas
			return false
		}
	}
}
