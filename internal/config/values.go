package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MinSecret is the least length of a secret, in bytes: what HS256 hashes to
// (RFC 7518, section 3.2).
const MinSecret = 32

const (
	minRetention = time.Hour
	maxDrain     = time.Hour
	minPatience  = time.Second
	maxPatience  = 10 * time.Minute
)

var (
	errSQLite   = errors.New("expected a file after sqlite:, as in sqlite:tidings.db or sqlite:/var/lib/tidings/tidings.db")
	errPostgres = errors.New("this Postgres URL can't be read: expected postgres://user:password@host:5432/name, with /, ?, #, @ and % in a password as %2F, %3F, %23, %40 and %25")
)

func parseAddr(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if _, err := parsePort(s); err == nil {
			return "", fmt.Errorf("expected host:port; did you mean localhost:%s, or :%s for every interface?", s, s)
		}
		return "", errors.New("expected host:port, as in localhost:8080, or [::1]:8080 for IPv6")
	}
	if _, err := parsePort(port); err != nil {
		return "", err
	}
	if strings.ContainsAny(host, "/ ") {
		return "", errors.New("expected host:port without a scheme or path")
	}
	return s, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, errors.New("expected a port from 0 to 65535")
	}
	return uint16(n), nil
}

// parseOrigins normalises to what browsers send in the Origin header (RFC 6454,
// section 6.2), so that comparing strings is enough.
func parseOrigins(s string) ([]string, error) {
	var origins []string
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		origin, err := parseOrigin(part)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins, nil
}

func parseOrigin(s string) (string, error) {
	wrong := func(why string) (string, error) {
		return "", fmt.Errorf("%s: expected scheme://host[:port], as in https://app.example.org%s", quote(s), why)
	}
	if strings.Contains(s, "*") {
		return wrong("; there are no wildcards: list every origin")
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Hostname() == "" {
		return wrong("")
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return wrong(", with nothing after it")
	}
	host := strings.ToLower(u.Host)
	for i := range len(host) {
		if host[i] <= ' ' || host[i] >= utf8.RuneSelf {
			return wrong("; write a host with other letters as browsers do (xn--…)")
		}
	}
	if port := u.Port(); port != "" {
		n, err := parsePort(port)
		if err != nil || n == 0 {
			return wrong("; a port is from 1 to 65535")
		}
		if u.Scheme == "http" && n == 80 || u.Scheme == "https" && n == 443 {
			host = strings.TrimSuffix(host, ":"+port)
		}
	}
	return u.Scheme + "://" + strings.TrimSuffix(host, ":"), nil
}

// parseProxies reads addresses and networks. An IPv4 network is written as one.
func parseProxies(s string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	for _, part := range strings.Split(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if addr, ok := netip.ParseAddr(part); ok == nil {
			addr = addr.Unmap().WithZone("")
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%s: expected an address or a network, as in 192.0.2.7 or 10.0.0.0/8", quote(part))
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s: the address of this network is %s", quote(part), prefix.Masked())
		}
		if !slices.Contains(proxies, prefix) {
			proxies = append(proxies, prefix)
		}
	}
	return proxies, nil
}

func parseCount(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("expected a number from %d to %d", least, most)
	}
	return n, nil
}

func parseDatabase(s string) (Database, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch {
	case scheme == "sqlite" && rest != "":
		switch {
		case rest == ":memory:":
			return Database{}, errors.New("a database in memory can't be shared by connections: -demo makes a throw-away one")
		case strings.ContainsAny(rest, "?#\x00"):
			return Database{}, errors.New("expected a file after sqlite: and no options")
		case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
			return Database{}, errSQLite // sqlite://file: a host, or a file?
		case strings.HasSuffix(rest, "/"):
			return Database{}, errSQLite
		}
		return Database{Dialect: SQLite, Path: filepath.Clean(rest)}, nil
	case scheme == "sqlite":
		return Database{}, errSQLite
	case scheme == "postgres" || scheme == "postgresql":
		if _, err := parsePostgresURL(s); err != nil {
			return Database{}, err
		}
		return Database{Dialect: Postgres, URL: s}, nil
	case !strings.Contains(s, ":") && s != "":
		return Database{}, fmt.Errorf("expected sqlite:file or postgres://…; did you mean sqlite:%s?", bare(s))
	}
	return Database{}, errors.New("expected sqlite:file or postgres://user:password@host:5432/name")
}

// parseListen takes the URL of a Postgres, or nothing.
func parseListen(s string) (Database, error) {
	if s == "" {
		return Database{}, nil
	}
	d, err := parseDatabase(s)
	if err == nil && d.Dialect != Postgres || err != nil && !errors.Is(err, errPostgres) {
		return Database{}, errors.New("expected postgres://user:password@host:5432/name")
	}
	return d, err
}

// parsePostgresURL refuses what url.Parse takes but a password with unescaped
// characters explains better: such a URL has its password where nobody hides
// it. The errors repeat nothing of s, as url.Parse's would.
func parsePostgresURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" || !strings.Contains(s, "://") || strings.Contains(s, "#") ||
		strings.Contains(u.EscapedPath(), "@") || strings.Contains(u.RawQuery, "@") {
		return nil, errPostgres
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errPostgres
	}
	return u, nil
}

func parseSecrets(s string) (Secrets, error) {
	var secrets Secrets
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if len(part) < MinSecret {
			return nil, fmt.Errorf("secret %d has %d bytes, it takes at least %d: make one with: openssl rand -base64 32",
				len(secrets)+1, len(part), MinSecret)
		}
		secrets = append(secrets, []byte(part))
	}
	return secrets, nil
}

// parseDuration takes durations in Go's notation from least to most, where 0
// is no bound.
func parseDuration(s string, least, most time.Duration, example string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < least || most > 0 && d > most {
		bounds := " of at least " + short(least)
		if most > 0 {
			bounds = " from " + short(least) + " to " + short(most)
		}
		return 0, fmt.Errorf("expected a duration%s, such as %s", bounds, example)
	}
	return d, nil
}

// short is a duration without the zeros that Duration.String ends it in.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// parseSize takes a number of bytes, or of KiB or MiB.
func parseSize(s string, least, most int64) (int64, error) {
	digits, unit := s, int64(1)
	if n, ok := strings.CutSuffix(s, "KiB"); ok {
		digits, unit = n, 1<<10
	} else if n, ok := strings.CutSuffix(s, "MiB"); ok {
		digits, unit = n, 1<<20
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > most/unit || n*unit < least {
		return 0, fmt.Errorf("expected a size from %dKiB to %dMiB, such as 262144, 256KiB or 1MiB", least>>10, most>>20)
	}
	return n * unit, nil
}

func parseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, errors.New("expected debug, info, warn or error")
}

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("expected true or false")
	}
	return b, nil
}

// quote shows a value in an error: on one line, and not all of a long one.
func quote(s string) string { return strconv.Quote(clip(s)) }

// bare is quote without the quotes, for names.
func bare(s string) string {
	q := quote(s)
	return q[1 : len(q)-1]
}

func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
