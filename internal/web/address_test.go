package web

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddress(t *testing.T) {
	trusted := proxies{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8:ffff::/48"),
	}
	const xff, fwd = "X-Forwarded-For", "Forwarded"
	for name, c := range map[string]struct {
		peer   string
		header http.Header
		want   string
	}{
		"a client":              {"203.0.113.5:4711", nil, "203.0.113.5"},
		"one of IPv6":           {"[2001:db8::1]:4711", nil, "2001:db8::1"},
		"on a link":             {"[fe80::1%eth0]:4711", nil, "fe80::1"},
		"IPv4 as IPv6":          {"[::ffff:203.0.113.5]:4711", nil, "203.0.113.5"},
		"no address":            {"@", nil, ""},
		"one who says more":     {"203.0.113.5:4711", http.Header{xff: {"198.51.100.1"}, fwd: {"for=198.51.100.1"}}, "203.0.113.5"},
		"a proxy on its own":    {"10.0.0.1:80", nil, "10.0.0.1"},
		"behind a proxy":        {"10.0.0.1:80", http.Header{xff: {"198.51.100.1"}}, "198.51.100.1"},
		"proxy by IPv6":         {"[::ffff:10.0.0.1]:80", http.Header{xff: {"198.51.100.1"}}, "198.51.100.1"},
		"invented":              {"10.0.0.1:80", http.Header{xff: {"1.1.1.1, 198.51.100.1"}}, "198.51.100.1"},
		"invented proxies":      {"10.0.0.1:80", http.Header{xff: {"10.9.9.9, 198.51.100.1"}}, "198.51.100.1"},
		"behind two":            {"10.0.0.1:80", http.Header{xff: {"1.1.1.1, 198.51.100.1,192.0.2.7"}}, "198.51.100.1"},
		"in two lines":          {"10.0.0.1:80", http.Header{xff: {"1.1.1.1, 198.51.100.1", "192.0.2.7"}}, "198.51.100.1"},
		"proxies only":          {"10.0.0.1:80", http.Header{xff: {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		"nothing said":          {"10.0.0.1:80", http.Header{xff: {""}}, "10.0.0.1"},
		"no address said":       {"10.0.0.1:80", http.Header{xff: {"198.51.100.1, unknown"}}, "10.0.0.1"},
		"said by the second":    {"10.0.0.1:80", http.Header{xff: {"198.51.100.1, unknown, 10.0.0.2"}}, "10.0.0.2"},
		"with a port":           {"10.0.0.1:80", http.Header{xff: {"198.51.100.1:4711"}}, "198.51.100.1"},
		"IPv6, bare":            {"10.0.0.1:80", http.Header{xff: {"2001:db8::1"}}, "2001:db8::1"},
		"IPv6 with a port":      {"10.0.0.1:80", http.Header{xff: {"[2001:db8::1]:4711"}}, "2001:db8::1"},
		"IPv6 in brackets":      {"10.0.0.1:80", http.Header{xff: {"[2001:db8::1]"}}, "2001:db8::1"},
		"IPv6 all the way":      {"[2001:db8:ffff::1]:80", http.Header{xff: {"2001:db8::1, 2001:db8:ffff::2"}}, "2001:db8::1"},
		"too many":              {"10.0.0.1:80", http.Header{xff: {"198.51.100.1" + strings.Repeat(",10.0.0.2", 1000)}}, "10.0.0.2"},
		"forwarded":             {"10.0.0.1:80", http.Header{fwd: {"for=198.51.100.1"}}, "198.51.100.1"},
		"forwarded in full":     {"10.0.0.1:80", http.Header{fwd: {`for=1.1.1.1, proto=https; By=10.0.0.2;FOR="198.51.100.1:4711";host="a"`}}, "198.51.100.1"},
		"forwarded, IPv6":       {"10.0.0.1:80", http.Header{fwd: {`for="[2001:db8::1]:4711"`}}, "2001:db8::1"},
		"forwarded, hidden":     {"10.0.0.1:80", http.Header{fwd: {"for=1.1.1.1, for=_gazonk"}}, "10.0.0.1"},
		"forwarded for nobody":  {"10.0.0.1:80", http.Header{fwd: {"for=1.1.1.1, proto=https"}}, "10.0.0.1"},
		"forwarded, open quote": {"10.0.0.1:80", http.Header{fwd: {`for="1.1.1.1, for=198.51.100.1`}}, "198.51.100.1"},
		"both agree":            {"10.0.0.1:80", http.Header{xff: {"198.51.100.1"}, fwd: {"for=198.51.100.1"}}, "198.51.100.1"},
		"one is invented":       {"10.0.0.1:80", http.Header{xff: {"198.51.100.1"}, fwd: {"for=1.1.1.1"}}, "10.0.0.1"},
		"one is hidden":         {"10.0.0.1:80", http.Header{xff: {"unknown"}, fwd: {"for=1.1.1.1"}}, "10.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := trusted.client(&http.Request{RemoteAddr: c.peer, Header: c.header})
			if want, _ := netip.ParseAddr(c.want); got != want {
				t.Errorf("%v, want %v", got, want)
			}
			if got := proxies(nil).client(&http.Request{RemoteAddr: c.peer, Header: c.header}); c.header != nil && strings.HasPrefix(c.peer, "10.") && got.String() != "10.0.0.1" {
				t.Errorf("without proxies it is %v", got)
			}
		})
	}
}

// FuzzClientAddress: whatever a client puts into the headers, behind a proxy that appends to one of them it gets its own
// address or shares the proxy's. It gets no other.
func FuzzClientAddress(f *testing.F) {
	f.Add("", "")
	f.Add("1.1.1.1", "for=1.1.1.1")
	f.Add(`10.0.0.2, 10.0.0.2`, `for="1.1.1.1, for=10.0.0.3;for="`)
	f.Add(`",`, `for=";,"`)
	trusted := proxies{netip.MustParsePrefix("10.0.0.0/8")}
	f.Fuzz(func(t *testing.T, xff, forwarded string) {
		for _, c := range []struct {
			header  http.Header
			certain bool
		}{
			{http.Header{"X-Forwarded-For": {xff + ", 198.51.100.1"}}, true},
			{http.Header{"X-Forwarded-For": {xff, "198.51.100.1"}}, true},
			{http.Header{"Forwarded": {forwarded + ", for=198.51.100.1"}}, true},
			{http.Header{"X-Forwarded-For": {xff, "198.51.100.1"}, "Forwarded": {forwarded}}, false},
			{http.Header{"X-Forwarded-For": {xff}, "Forwarded": {forwarded, "for=198.51.100.1"}}, false},
		} {
			got := trusted.client(&http.Request{RemoteAddr: "10.0.0.1:80", Header: c.header}).String()
			if got != "198.51.100.1" && (c.certain || got != "10.0.0.1") {
				t.Errorf("%v: %s", c.header, got)
			}
		}
	})
}
