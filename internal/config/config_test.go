package config

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	secret  = "0123456789abcdef0123456789abcdef"
	secret2 = "fedcba9876543210fedcba9876543210"
	pgURL   = "postgres://tidings:hunter2@db.example.org:5432/tidings?sslmode=require"
)

func TestDefaults(t *testing.T) {
	got, err := Parse(nil, nil)
	want := Config{
		Addr:     "localhost:8080",
		Database: Database{Dialect: SQLite, Path: "tidings.db"},
		MaxBody:  256 << 10,
		Limits:   Limits{Tokens: 2000, Depth: 15, RootFields: 30, Aliases: 100, Directives: 50, Cost: 20_000},
		Socket: Socket{
			Message: 256 << 10, Queue: 1 << 20, Subscriptions: 128, Executions: 16,
			Init: 10 * time.Second, Ping: 25 * time.Second, Pong: 10 * time.Second, Write: 10 * time.Second,
		},
		Rates: true,

		AddressPoints: 20000, AddressRefill: 1000, AddressSockets: 100, ViewerSockets: 20, AddressStanding: 2000,

		Retention: 7 * 24 * time.Hour,
		Drain:     10 * time.Second,
		Log:       Log{Level: slog.LevelInfo, Format: LogAuto},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}

// TestParsed gives each setting by flag and by variable: the same must come
// of both.
func TestParsed(t *testing.T) {
	for _, c := range []struct {
		name, value string
		get         func(Config) any
		want        any
	}{
		{"addr", ":0", func(c Config) any { return c.Addr }, ":0"},
		{"addr", "[::1]:80", func(c Config) any { return c.Addr }, "[::1]:80"},
		{"database", "sqlite:/var/lib/t.db", func(c Config) any { return c.Database }, Database{Dialect: SQLite, Path: "/var/lib/t.db"}},
		{"database", "sqlite:///var/lib/t.db", func(c Config) any { return c.Database }, Database{Dialect: SQLite, Path: "/var/lib/t.db"}},
		{"database", "sqlite:./a/../b c.db", func(c Config) any { return c.Database }, Database{Dialect: SQLite, Path: "b c.db"}},
		{"database-listen", "", func(c Config) any { return c.Listen }, Database{}},
		{"secret", secret, func(c Config) any { return c.Secrets }, Secrets{[]byte(secret)}},
		{"secret", secret + ", " + secret2, func(c Config) any { return c.Secrets }, Secrets{[]byte(secret), []byte(secret2)}},
		{"origins", "https://App.Example.org:443/, http://localhost:5173,http://[::1]:80,HTTP://localhost:5173,capacitor://localhost",
			func(c Config) any { return c.Origins },
			[]string{"https://app.example.org", "http://localhost:5173", "http://[::1]", "capacitor://localhost"}},
		{"proxies", "10.0.0.0/8, 192.0.2.7,::ffff:192.0.2.7,2001:db8::/32,::1", func(c Config) any { return c.Proxies }, []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::1/128")}},
		{"address-points", "100", func(c Config) any { return c.AddressPoints }, 100},
		{"address-refill", "1", func(c Config) any { return c.AddressRefill }, 1},
		{"address-standing", "10", func(c Config) any { return c.AddressStanding }, 10},
		{"address-sockets", "1000000", func(c Config) any { return c.AddressSockets }, 1000000},
		{"viewer-sockets", "5", func(c Config) any { return c.ViewerSockets }, 5},
		{"rates", "off", func(c Config) any { return c.Rates }, false},
		{"retention", "1h", func(c Config) any { return c.Retention }, time.Hour},
		{"drain", "0s", func(c Config) any { return c.Drain }, time.Duration(0)},
		{"drain", "1h", func(c Config) any { return c.Drain }, time.Hour},
		{"max-tokens", "3000", func(c Config) any { return c.Limits.Tokens }, 3000},
		{"max-depth", "1", func(c Config) any { return c.Limits.Depth }, 1},
		{"max-root-fields", "40", func(c Config) any { return c.Limits.RootFields }, 40},
		{"max-aliases", "10000", func(c Config) any { return c.Limits.Aliases }, 10_000},
		{"max-directives", "7", func(c Config) any { return c.Limits.Directives }, 7},
		{"max-cost", "1000000000", func(c Config) any { return c.Limits.Cost }, 1_000_000_000},
		{"socket-message", "16MiB", func(c Config) any { return c.Socket.Message }, int64(16 << 20)},
		{"socket-queue", "16384", func(c Config) any { return c.Socket.Queue }, int64(16 << 10)},
		{"socket-subscriptions", "1", func(c Config) any { return c.Socket.Subscriptions }, 1},
		{"socket-executions", "1000", func(c Config) any { return c.Socket.Executions }, 1000},
		{"socket-init", "1s", func(c Config) any { return c.Socket.Init }, time.Second},
		{"socket-ping", "10m", func(c Config) any { return c.Socket.Ping }, 10 * time.Minute},
		{"socket-pong", "1500ms", func(c Config) any { return c.Socket.Pong }, 1500 * time.Millisecond},
		{"socket-write", "1m", func(c Config) any { return c.Socket.Write }, time.Minute},
		{"production", "true", func(c Config) any { return c.Production }, true},
		{"max-body", "1MiB", func(c Config) any { return c.MaxBody }, int64(1 << 20)},
		{"max-body", "1024", func(c Config) any { return c.MaxBody }, int64(1024)},
		{"max-body", "16384KiB", func(c Config) any { return c.MaxBody }, int64(16 << 20)},
		{"log", "debug", func(c Config) any { return c.Log.Level }, slog.LevelDebug},
		{"log", "error", func(c Config) any { return c.Log.Level }, slog.LevelError},
		{"log-format", "json", func(c Config) any { return c.Log.Format }, LogJSON},
		{"demo", "true", func(c Config) any { return c.Demo }, true},
		{"demo", "0", func(c Config) any { return c.Demo }, false},
	} {
		env := "TIDINGS_" + strings.ReplaceAll(strings.ToUpper(c.name), "-", "_")
		for how, parse := range map[string]func() (Config, error){
			"flag":          func() (Config, error) { return Parse([]string{"-" + c.name + "=" + c.value}, nil) },
			"two dashes":    func() (Config, error) { return Parse([]string{"--" + c.name + "=" + c.value}, nil) },
			"variable":      func() (Config, error) { return Parse(nil, []string{env + "=" + c.value}) },
			"flag over bad": func() (Config, error) { return Parse([]string{"-" + c.name + "=" + c.value}, []string{env + "=\x00"}) },
		} {
			got, err := parse()
			if err != nil || !reflect.DeepEqual(c.get(got), c.want) {
				t.Errorf("%s %q by %s: %#v, %v; want %#v", c.name, c.value, how, c.get(got), err, c.want)
			}
		}
	}
}

func TestTogether(t *testing.T) {
	c, err := Parse([]string{"-demo", "-addr", ":1", "-addr", ":2"}, []string{"TIDINGS_DATABASE=", "TIDINGS_SECRET=", "NO_COLOR=1"})
	if err != nil || !c.Demo || c.Database != (Database{}) || c.Addr != ":2" || !c.Log.NoColor {
		t.Errorf("%v, %v", c, err)
	}
	c, err = Parse([]string{"-database", pgURL}, []string{"TIDINGS_SECRET=" + secret})
	if err != nil || c.Database.Dialect != Postgres || c.Database.URL != pgURL || len(c.Secrets) != 1 {
		t.Errorf("%v, %v", c, err)
	}
	c, err = Parse([]string{"-database", pgURL, "-database-listen", "postgres://direct/tidings"}, []string{"TIDINGS_SECRET=" + secret})
	if err != nil || c.Database.URL != pgURL || c.Listen != (Database{Dialect: Postgres, URL: "postgres://direct/tidings"}) {
		t.Errorf("%v, %v", c, err)
	}
	// -version answers whatever else is wrong.
	c, err = Parse([]string{"-version"}, []string{"TIDINGS_ADDR=nonsense"})
	if err != nil || !c.Version {
		t.Errorf("%v, %v", c, err)
	}
	// A variable that deployments set to their own version is none of ours.
	if c, err = Parse(nil, []string{"TIDINGS_VERSION=1.2.3"}); err != nil || c.Version {
		t.Errorf("%v, %v", c, err)
	}
}

// TestRefused wants each error whole: they are what a person reads when the
// server doesn't start.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		args string // separated by |
		env  string
		want string
	}{
		{args: "-adr|:1", want: `unknown flag -adr; did you mean -addr? (-help lists them)`},
		{args: "-orgins=x", want: `unknown flag -orgins; did you mean -origins? (-help lists them)`},
		{args: "-colour", want: `unknown flag -colour (-help lists them)`},
		{args: "-addr", want: `-addr needs a value: -addr host:port`},
		{args: "-=1", want: `"-=1" is no flag: expected -name value or -name=value`},
		{args: "serve", want: `unexpected argument "serve": everything is set by flags (-help lists them)`},
		{args: "admin", want: `admin needs a username: tidings admin USERNAME`},
		{args: "admin|ada|bob", want: `unexpected argument "bob": admin takes one username`},
		{args: "-demo|admin|ada", want: `-demo: the demo's database is gone when it ends, and so would its admin be; leave it out`},
		{args: "-demo|false", want: `unexpected argument "false": a switch takes its value after an equals sign, as in -demo=false`},
		{args: "-addr=", want: `-addr "": expected host:port, as in localhost:8080, or [::1]:8080 for IPv6`},
		{args: "-addr=8080", want: `-addr "8080": expected host:port; did you mean localhost:8080, or :8080 for every interface?`},
		{args: "-addr=localhost:http", want: `-addr "localhost:http": expected a port from 0 to 65535`},
		{args: "-addr=http://localhost:80", want: `-addr "http://localhost:80": expected host:port, as in localhost:8080, or [::1]:8080 for IPv6`},
		{args: "-addr=:70000", want: `-addr ":70000": expected a port from 0 to 65535`},
		{args: "-rates=no", want: `-rates "no": expected on or off`},
		{args: "-proxies=10.0.0.0/8,proxy.example.org", want: `-proxies: "proxy.example.org": expected an address or a network, as in 192.0.2.7 or 10.0.0.0/8`},
		{args: "-proxies=10.0.0.1/8", want: `-proxies: "10.0.0.1/8": the address of this network is 10.0.0.0/8`},
		{args: "-proxies=::ffff:10.0.0.0/104", want: `-proxies: "::ffff:10.0.0.0/104": expected an address or a network, as in 192.0.2.7 or 10.0.0.0/8`},
		{args: "-address-points=99", want: `-address-points "99": expected a number from 100 to 1000000000`},
		{args: "-viewer-sockets=none", want: `-viewer-sockets "none": expected a number from 1 to 1000000`},
		{env: "TIDINGS_RETENTION=59m", want: `TIDINGS_RETENTION "59m": expected a duration of at least 1h, such as 168h or 36h30m`},
		{args: "-retention=7d", want: `-retention "7d": expected a duration of at least 1h, such as 168h or 36h30m`},
		{args: "-drain=61m", want: `-drain "61m": expected a duration from 0s to 1h, such as 10s or 1m30s`},
		{args: "-drain=-1s", want: `-drain "-1s": expected a duration from 0s to 1h, such as 10s or 1m30s`},
		{args: "-max-depth=0", want: `-max-depth "0": expected a number from 1 to 100`},
		{args: "-max-cost=1e3", want: `-max-cost "1e3": expected a number from 1 to 1000000000`},
		{args: "-max-body=256KB", want: `-max-body "256KB": expected a size from 1KiB to 16MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-max-body=17MiB", want: `-max-body "17MiB": expected a size from 1KiB to 16MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-max-body=9223372036854775807MiB", want: `-max-body "9223372036854775807MiB": expected a size from 1KiB to 16MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-max-body=1023", want: `-max-body "1023": expected a size from 1KiB to 16MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-max-body=-9223372036854775807KiB", want: `-max-body "-9223372036854775807KiB": expected a size from 1KiB to 16MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-socket-message=1000", want: `-socket-message "1000": expected a size from 1KiB to 16MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-socket-queue=8KiB", want: `-socket-queue "8KiB": expected a size from 16KiB to 64MiB, such as 262144, 256KiB or 1MiB`},
		{args: "-socket-subscriptions=0", want: `-socket-subscriptions "0": expected a number from 1 to 10000`},
		{args: "-socket-executions=-1", want: `-socket-executions "-1": expected a number from 1 to 1000`},
		{args: "-socket-ping=0s", want: `-socket-ping "0s": expected a duration from 1s to 10m, such as 25s or 1m30s`},
		{args: "-socket-ping=25", want: `-socket-ping "25": expected a duration from 1s to 10m, such as 25s or 1m30s`},
		{env: "TIDINGS_SOCKET_WRITE=11m", want: `TIDINGS_SOCKET_WRITE "11m": expected a duration from 1s to 10m, such as 10s or 1m30s`},
		{args: "-log=warning", want: `-log "warning": expected debug, info, warn or error`},
		{args: "-log-format=xml", want: `-log-format "xml": expected auto, text or json`},
		{env: "TIDINGS_DEMO=please", want: `TIDINGS_DEMO "please": expected true or false`},
		{args: "-version=2", want: `-version "2": expected true or false`},
		{args: "-origins=*", want: `-origins: "*": expected scheme://host[:port], as in https://app.example.org; there are no wildcards: list every origin`},
		{args: "-origins=localhost:5173", want: `-origins: "localhost:5173": expected scheme://host[:port], as in https://app.example.org`},
		{args: "-origins=null", want: `-origins: "null": expected scheme://host[:port], as in https://app.example.org`},
		{args: "-origins=http://a,http://b/c", want: `-origins: "http://b/c": expected scheme://host[:port], as in https://app.example.org, with nothing after it`},
		{args: "-origins=http://u@b", want: `-origins: "http://u@b": expected scheme://host[:port], as in https://app.example.org, with nothing after it`},
		{args: "-origins=http://b:0", want: `-origins: "http://b:0": expected scheme://host[:port], as in https://app.example.org; a port is from 1 to 65535`},
		{args: "-origins=http://bücher.example", want: `-origins: "http://bücher.example": expected scheme://host[:port], as in https://app.example.org; write a host with other letters as browsers do (xn--…)`},
		{args: "-database=tidings.db", want: `-database: expected sqlite:file or postgres://…; did you mean sqlite:tidings.db?`},
		{args: "-database=", want: `-database: expected sqlite:file or postgres://user:password@host:5432/name`},
		{args: "-database=mysql://u:hunter2@h/d", want: `-database: expected sqlite:file or postgres://user:password@host:5432/name`},
		{args: "-database=sqlite:", want: "-database: " + errSQLite.Error()},
		{args: "-database=sqlite://tidings.db", want: "-database: " + errSQLite.Error()},
		{args: "-database=sqlite:data/", want: "-database: " + errSQLite.Error()},
		{args: "-database=sqlite:t.db?mode=ro", want: "-database: expected a file after sqlite: and no options"},
		{args: "-database=sqlite::memory:", want: "-database: a database in memory can't be shared by connections: -demo makes a throw-away one"},
		{args: "-database=postgres:hunter2", want: "-database: " + errPostgres.Error()},
		{args: "-database=postgres://u:hunter2 @h/d", want: "-database: " + errPostgres.Error()},
		{args: "-database=postgres://u:hunter2#x@h/d", want: "-database: " + errPostgres.Error()},
		{args: "-database=postgres://u:1#hunter2@h/d", want: "-database: " + errPostgres.Error()},
		{args: "-database=postgres://u:1/hunter2@h/d", want: "-database: " + errPostgres.Error()},
		{args: "-database=postgres://u:1?hunter2@h/d", want: "-database: " + errPostgres.Error()},
		{args: "-database=postgres://h/d?password=hunter2;x", want: "-database: " + errPostgres.Error()},
		{env: "TIDINGS_DATABASE=" + pgURL, want: "TIDINGS_DATABASE: Postgres needs a secret, the same for all nodes: set TIDINGS_SECRET to the output of: openssl rand -base64 32"},
		{args: "-demo", env: "TIDINGS_DATABASE=" + pgURL, want: "-demo: the demo runs on a throw-away database of its own; leave out TIDINGS_DATABASE"},
		{args: "-database-listen=" + pgURL, want: "-database-listen: only with a Postgres database is there something to listen to; leave it out"},
		{args: "-demo", env: "TIDINGS_DATABASE_LISTEN=" + pgURL, want: "TIDINGS_DATABASE_LISTEN: only with a Postgres database is there something to listen to; leave it out"},
		{args: "-database-listen=sqlite:hunter2.db|-database=" + pgURL + "|-secret=" + secret, want: "-database-listen: expected postgres://user:password@host:5432/name"},
		{args: "-database-listen=hunter2|-database=" + pgURL + "|-secret=" + secret, want: "-database-listen: expected postgres://user:password@host:5432/name"},
		{args: "-database-listen=postgres://u:1#hunter2@h/d|-database=" + pgURL + "|-secret=" + secret, want: "-database-listen: " + errPostgres.Error()},
		{args: "-demo|-database=sqlite:tidings.db", want: "-demo: the demo runs on a throw-away database of its own; leave out -database"},
		{env: "TIDINGS_SECRET=hunter2", want: "TIDINGS_SECRET: secret 1 has 7 bytes, it takes at least 32: make one with: openssl rand -base64 32"},
		{args: "-secret=" + secret + ",", want: "-secret: secret 2 has 0 bytes, it takes at least 32: make one with: openssl rand -base64 32"},
	} {
		var args []string
		if c.args != "" {
			args = strings.Split(c.args, "|")
		}
		_, err := Parse(args, []string{c.env})
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %s:\n  got  %v\n  want %s", c.args, c.env, err, c.want)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: %v tells a password or is no line", c.args, c.env, err)
		}
	}
	_, err := Parse([]string{"-addr", strings.Repeat("é", 1000)}, nil)
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("a long value makes a long line: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	c, err := Parse(nil, []string{"TIDINGS_DATABSE=x", "TIDINGS_ADDR=:1", "TIDINGS_TEST_POSTGRES=x", "HOME=/", "TIDINGS_COLOUR=1", "TIDINGS_EMPTY="})
	want := []string{
		"TIDINGS_COLOUR in the environment means nothing",
		"TIDINGS_DATABSE in the environment means nothing; did you mean TIDINGS_DATABASE?",
	}
	if err != nil || !slices.Equal(c.Warnings, want) {
		t.Errorf("%q, %v", c.Warnings, err)
	}
}

// TestNothingSecretIsShown prints and logs a config in every way there is.
func TestNothingSecretIsShown(t *testing.T) {
	for _, url := range []string{pgURL, "postgresql://db.example.org/tidings?password=hunter2"} {
		c, err := Parse([]string{"-database", url, "-database-listen", url, "-secret", secret}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		for _, v := range []any{c, &c, c.Database, c.Secrets, struct{ C Config }{c}, []Config{c}} {
			fmt.Fprintf(&out, "%v %+v %#v %s\n", v, v, v, v)
			if err := json.NewEncoder(&out).Encode(v); err != nil {
				t.Fatal(err)
			}
			slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "config", v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", v)
			Log{Format: LogText}.Logger(&out).Info("start", "config", v)
		}
		s := out.String()
		for _, forbidden := range []string{
			"hunter2", secret, base64.StdEncoding.EncodeToString([]byte(secret)),
			"48 49 50 51 52", "0x30, 0x31, 0x32", hex.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(s, forbidden) {
				t.Errorf("shows %s: %s", forbidden, s)
			}
		}
		if !strings.Contains(s, "db.example.org") || !strings.Contains(s, "localhost:8080") {
			t.Errorf("not shown what may be: %s", s)
		}
	}
	if got := (Database{Dialect: Postgres, URL: "postgres://u:hunter2 @"}).String(); got != "postgres://…" {
		t.Errorf("a URL that can't be read is shown as %s", got)
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"-help", "--help", "-h"} {
		if _, err := Parse([]string{arg}, nil); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v", arg, err)
		}
	}
	help, table := Help(), FlagTable()
	for line := range strings.Lines(help) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 || strings.HasSuffix(line, " \n") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, s := range settings() {
		if !strings.Contains(help, "\n  -"+s.name) || !strings.Contains(table, "\n| `-"+s.name) {
			t.Errorf("-%s is missing", s.name)
		}
		if env := s.env(); !strings.Contains(help, env) || env != "" && !strings.Contains(table, "`"+env+"`") {
			t.Errorf("%s is missing", env)
		}
	}
	// The examples are flags that work.
	t.Setenv("TIDINGS_SECRET", secret)
	examples := 0
	for line := range strings.Lines(strings.ReplaceAll(help[strings.Index(help, "Examples"):], "\\\n", "")) {
		if _, args, ok := strings.Cut(line, " tidings "); ok && strings.HasPrefix(line, "  ") {
			examples++
			if _, err := Parse(strings.Fields(args), os.Environ()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	if examples != 5 {
		t.Errorf("%d examples ran", examples)
	}
	for line := range strings.Lines(table) {
		if strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 5 {
			t.Errorf("not a row of four cells: %s", line)
		}
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	Log{Level: slog.LevelWarn, Format: LogAuto}.Logger(&out).Info("hidden")
	Log{Level: slog.LevelInfo, Format: LogAuto}.Logger(&out).Info("a request", "took", 1500*time.Microsecond)
	var line struct{ Time, Level, Msg, Took string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "a request" || line.Took != "1.5ms" || line.Level != "INFO" {
		t.Errorf("%s: %v", out.String(), err)
	}
	out.Reset()
	Log{Format: LogText}.Logger(&out).Info("a request", "took", 1500*time.Microsecond)
	if s := out.String(); !strings.HasSuffix(s, "INF a request took=1.5ms\n") {
		t.Errorf("no plain text: %q", s)
	}
	f, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	Log{Format: LogAuto}.Logger(f).Info("a request")
	if b, _ := os.ReadFile(f.Name()); !json.Valid(b) {
		t.Errorf("a file is no terminal: %s", b)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-database="+pgURL, "TIDINGS_ORIGINS=http://a:1")
	f.Add("-database=postgres://%", "TIDINGS_MAX_BODY=1KiB")
	f.Add("-origins=http://[::1", "=")
	f.Add("-\n", "TIDINGS_\n=1")
	f.Fuzz(func(t *testing.T, arg, env string) {
		c, err := Parse([]string{arg}, []string{env})
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %v", err)
		}
		_ = c.String()
	})
}
