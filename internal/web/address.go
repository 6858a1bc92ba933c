package web

import (
	"net/http"
	"net/netip"
	"strings"
)

// maxHops bounds how many entries of a forwarding header are looked at.
const maxHops = 16

// proxies are the peers whose word counts on where a request comes from.
type proxies []netip.Prefix

func (p proxies) contain(addr netip.Addr) bool {
	for _, each := range p {
		if each.Contains(addr) {
			return true
		}
	}
	return false
}

// client returns the address that a request comes from: that of the connection, unless it is a proxy's. Then it is what
// the proxies say in X-Forwarded-For or Forwarded (RFC 7239), read from the right, since each of them appends: the first
// that is not a proxy's. What stands left of that is the client's own invention. An entry that is no address ends the
// walk at the proxy that wrote it.
//
// A proxy writes one of the two headers and passes the other on as the client sent it. So if there are both they must
// agree; if they don't, the address is the connection's. It is invalid if the connection has none.
func (p proxies) client(r *http.Request) netip.Addr {
	peer, ok := parseAddress(r.RemoteAddr)
	if !ok || !p.contain(peer) {
		return peer
	}
	found, seen := peer, false
	for _, header := range []struct {
		name  string
		parse func(string) (netip.Addr, bool)
	}{{"X-Forwarded-For", parseAddress}, {"Forwarded", parseForwarded}} {
		values := r.Header.Values(header.name)
		if len(values) == 0 {
			continue
		}
		said := p.walk(peer, strings.Join(values, ","), header.parse)
		if seen && said != found {
			return peer
		}
		found, seen = said, true
	}
	return found
}

// walk returns the first address of a list, from the right, that is not a proxy's.
func (p proxies) walk(peer netip.Addr, list string, parse func(string) (netip.Addr, bool)) netip.Addr {
	found := peer
	for range maxHops {
		comma := strings.LastIndexByte(list, ',')
		addr, ok := parse(strings.TrimSpace(list[comma+1:]))
		if !ok {
			return found
		}
		found = addr
		if comma < 0 || !p.contain(addr) {
			return found
		}
		list = list[:comma]
	}
	return found
}

// parseForwarded reads the node in the parameter for of a Forwarded element: for=192.0.2.1, for="[2001:db8::1]:4711".
// Names that hide the node ("unknown", "_secret") are no addresses.
func parseForwarded(element string) (netip.Addr, bool) {
	for parameter := range strings.SplitSeq(element, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(name, "for") {
			return parseAddress(strings.Trim(value, `"`))
		}
	}
	return netip.Addr{}, false
}

// parseAddress reads an address with or without a port, and brackets if it is one of IPv6. An IPv4 address written as
// IPv6 becomes the former; a zone is dropped.
func parseAddress(s string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		port, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = port.Addr()
	}
	return addr.Unmap().WithZone(""), true
}
