package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	envPrefix = "TIDINGS_"
	// testPrefix begins the variables that the tests read, not the server.
	testPrefix = "TIDINGS_TEST_"
)

// A setting is one flag and its environment variable: how it is read and what
// is said of it.
type setting struct {
	name    string // without the dash
	arg     string // what it takes, for people; empty for a switch
	initial string // parsed like a given value; empty means empty
	unset   string // what the default is, said in words, where initial says nothing
	help    string
	command bool // does something and exits: no environment variable
	whole   bool // its errors stand for themselves: the value is secret, or they quote the part at fault
	set     func(c *Config, value string) error
}

// env is the name of its environment variable, empty if it has none.
func (s *setting) env() string {
	if s.command {
		return ""
	}
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// A group is settings that belong together in the help.
type group struct {
	title    string
	settings []*setting
}

var groups = []group{
	{"Serving", []*setting{
		{
			name: "addr", arg: "host:port", initial: "localhost:8080",
			help: "Where to listen. :8080 is every interface, port 0 any free port.",
			set: func(c *Config, v string) (err error) {
				c.Addr, err = parseAddr(v)
				return err
			},
		},
		{
			name: "origins", arg: "list", unset: "none", whole: true,
			help: "Origins whose pages may call the server from a browser, beside its own: scheme://host[:port], separated by commas.",
			set: func(c *Config, v string) (err error) {
				c.Origins, err = parseOrigins(v)
				return err
			},
		},
		{
			name: "proxies", arg: "list", unset: "none", whole: true,
			help: "Proxies in front of the server, whose X-Forwarded-For or Forwarded tells where a request comes from: addresses and networks such as 10.0.0.0/8, separated by commas. Without them every client behind a proxy has the proxy's address, and its limits.",
			set: func(c *Config, v string) (err error) {
				c.Proxies, err = parseProxies(v)
				return err
			},
		},
		{
			name: "max-body", arg: "size", initial: "256KiB",
			help: "The largest request body: bytes, or a number with KiB or MiB, from 1KiB to 16MiB.",
			set: func(c *Config, v string) (err error) {
				c.MaxBody, err = parseSize(v, 1<<10, 16<<20)
				return err
			},
		},
		{
			name: "rates", arg: "on|off", initial: "on",
			help: "Whether requests are limited per viewer and per address, and failed log-ins slowed; off is for tests and benchmarks.",
			set: func(c *Config, v string) error {
				if v != "on" && v != "off" {
					return errors.New("expected on or off")
				}
				c.Rates = v == "on"
				return nil
			},
		},
		{
			name: "address-points", arg: "points", initial: "20000",
			help: "What the operations from one address may cost at once, from 100; a signed-in viewer's, from wherever, three times that. A refused document costs 10.",
			set: func(c *Config, v string) (err error) {
				c.AddressPoints, err = parseCount(v, 100, 1e9)
				return err
			},
		},
		{
			name: "address-refill", arg: "points", initial: "1000",
			help: "How many of these points come back each second; to a viewer three times as many.",
			set: func(c *Config, v string) (err error) {
				c.AddressRefill, err = parseCount(v, 1, 1e9)
				return err
			},
		},
		{
			name: "address-sockets", arg: "number", initial: "100",
			help: "How many connections for subscriptions, WebSockets and streams of events, one address may have open.",
			set: func(c *Config, v string) (err error) {
				c.AddressSockets, err = parseCount(v, 1, 1e6)
				return err
			},
		},
		{
			name: "address-standing", arg: "points", initial: "2000",
			help: "What the open subscriptions from one address may cost together, each counted with what one of its events costs; a signed-in viewer's, from wherever, three times that.",
			set: func(c *Config, v string) (err error) {
				c.AddressStanding, err = parseCount(v, 10, 1e9)
				return err
			},
		},
		{
			name: "viewer-sockets", arg: "number", initial: "20",
			help: "How many connections for subscriptions one signed-in viewer may have open.",
			set: func(c *Config, v string) (err error) {
				c.ViewerSockets, err = parseCount(v, 1, 1e6)
				return err
			},
		},
		{
			name: "drain", arg: "duration", initial: "10s",
			help: "How long a shutdown waits for what is under way, from 0s to 1h.",
			set: func(c *Config, v string) (err error) {
				c.Drain, err = parseDuration(v, 0, maxDrain, "10s or 1m30s")
				return err
			},
		},
		{
			name: "production",
			help: "Hide what helps people who write clients, and who attack: introspection, \"Did you mean …?\" in errors, the playground and /schema.graphql, all together.",
			set: func(c *Config, v string) (err error) {
				c.Production, err = parseBool(v)
				return err
			},
		},
	}},
	{"Limits of an operation", []*setting{
		count("max-tokens", 2000, 10, 20_000, "The largest document, in tokens: names, values, punctuation and comments", func(c *Config) *int { return &c.Limits.Tokens }),
		count("max-depth", 15, 1, 100, "How deep fields may be nested, without those of introspection, and values in arguments", func(c *Config) *int { return &c.Limits.Depth }),
		count("max-root-fields", 30, 1, 1000, "The most fields at the top of an operation", func(c *Config) *int { return &c.Limits.RootFields }),
		count("max-aliases", 100, 1, 10_000, "The most aliases in an operation, each fragment counted wherever it is spread", func(c *Config) *int { return &c.Limits.Aliases }),
		count("max-directives", 50, 1, 10_000, "The most directives in an operation, counted in the same way", func(c *Config) *int { return &c.Limits.Directives }),
		count("max-cost", 20_000, 1, 1_000_000_000, "The dearest operation, in points: about one for each row that it can read, by @cost and @listSize in the schema", func(c *Config) *int { return &c.Limits.Cost }),
	}},
	{"Limits of a socket, and of a stream of events where they apply", []*setting{
		size("socket-message", "256KiB", 1<<10, 16<<20, "The largest message from a client", func(c *Config) *int64 { return &c.Socket.Message }),
		size("socket-queue", "1MiB", 16<<10, 64<<20, "What may wait for a client that reads slowly; what its subscriptions have beyond that waits in the log", func(c *Config) *int64 { return &c.Socket.Queue }),
		count("socket-subscriptions", 128, 1, 10_000, "The most subscriptions", func(c *Config) *int { return &c.Socket.Subscriptions }),
		count("socket-executions", 16, 1, 1000, "The most operations that run at once; more wait", func(c *Config) *int { return &c.Socket.Executions }),
		patience("socket-init", "10s", "How long a client may take to its connection_init", func(c *Config) *time.Duration { return &c.Socket.Init }),
		patience("socket-ping", "25s", "How often a client is asked whether it is there, and a stream that is silent says that it is; less than what proxies in front allow a connection to be idle", func(c *Config) *time.Duration { return &c.Socket.Ping }),
		patience("socket-pong", "10s", "How long it may take to answer. A peer that confirms nothing for -socket-ping and this together is gone", func(c *Config) *time.Duration { return &c.Socket.Pong }),
		patience("socket-write", "10s", "After how long without taking anything of what is written to it a client is closed, at most; half of that at least", func(c *Config) *time.Duration { return &c.Socket.Write }),
	}},
	{"Data", []*setting{
		{
			name: "database", arg: "url", initial: "sqlite:tidings.db", whole: true,
			help: "Where the data is: sqlite:file.db, sqlite:/absolute/file.db, or postgres://user:password@host:5432/name.",
			set: func(c *Config, v string) (err error) {
				c.Database, err = parseDatabase(v)
				return err
			},
		},
		{
			name: "database-listen", arg: "url", unset: "as -database", whole: true,
			help: "Where a node listens for what others have written (LISTEN), if -database leads to a pooler that gives connections out for a transaction each: the same Postgres database without the pooler. Without it, or while it can't be reached, nodes look every 250ms. The pooler must know prepared statements, as PgBouncer does from 1.21 on with max_prepared_statements; others mix up those of different connections.",
			set: func(c *Config, v string) (err error) {
				c.Listen, err = parseListen(v)
				return err
			},
		},
		{
			name: "secret", arg: "list", unset: "made once, kept beside a SQLite database", whole: true,
			help: "What signs access tokens, at least 32 bytes, as from: openssl rand -base64 32. Several are separated by commas: the first signs, all verify, so that one can be replaced in time. Postgres needs it given, the same for all nodes. Other users of the machine can read flags: prefer the variable.",
			set: func(c *Config, v string) (err error) {
				c.Secrets, err = parseSecrets(v)
				return err
			},
		},
		{
			name: "retention", arg: "duration", initial: "168h",
			help: "How long events are kept, so how long a subscriber may be away and still miss nothing; at least 1h.",
			set: func(c *Config, v string) (err error) {
				c.Retention, err = parseDuration(v, minRetention, 0, "168h or 36h30m")
				return err
			},
		},
		{
			name: "demo",
			help: "Run on a throw-away database filled with demo content, with new posts and comments now and then. Refused together with -database.",
			set: func(c *Config, v string) (err error) {
				c.Demo, err = parseBool(v)
				return err
			},
		},
	}},
	{"Logging", []*setting{
		{
			name: "log", arg: "level", initial: "info",
			help: "The least that is logged: debug, info, warn or error.",
			set: func(c *Config, v string) (err error) {
				c.Log.Level, err = parseLevel(v)
				return err
			},
		},
		{
			name: "log-format", arg: "format", initial: "auto",
			help: "text for people, json for machines, or auto: text on a terminal and json elsewhere. NO_COLOR keeps text plain.",
			set: func(c *Config, v string) error {
				c.Log.Format = LogFormat(v)
				if !slices.Contains([]LogFormat{LogAuto, LogText, LogJSON}, c.Log.Format) {
					return errors.New("expected auto, text or json")
				}
				return nil
			},
		},
	}},
	{"About", []*setting{
		{
			name: "version", command: true,
			help: "Print the version and exit.",
			set: func(c *Config, v string) (err error) {
				c.Version, err = parseBool(v)
				return err
			},
		},
	}},
}

// count is a setting that is a number from least to most.
func count(name string, initial, least, most int, help string, field func(*Config) *int) *setting {
	return &setting{
		name: name, arg: "count", initial: strconv.Itoa(initial),
		help: fmt.Sprintf("%s; from %d to %d.", help, least, most),
		set: func(c *Config, v string) (err error) {
			*field(c), err = parseCount(v, least, most)
			return err
		},
	}
}

// size is a setting in bytes, from least to most.
func size(name, initial string, least, most int64, help string, field func(*Config) *int64) *setting {
	return &setting{
		name: name, arg: "size", initial: initial,
		help: fmt.Sprintf("%s; from %dKiB to %dMiB.", help, least>>10, most>>20),
		set: func(c *Config, v string) (err error) {
			*field(c), err = parseSize(v, least, most)
			return err
		},
	}
}

// patience is a setting that is how long to wait for a client.
func patience(name, initial, help string, field func(*Config) *time.Duration) *setting {
	return &setting{
		name: name, arg: "duration", initial: initial,
		help: fmt.Sprintf("%s; from %s to %s.", help, short(minPatience), short(maxPatience)),
		set: func(c *Config, v string) (err error) {
			*field(c), err = parseDuration(v, minPatience, maxPatience, initial+" or 1m30s")
			return err
		},
	}
}

func settings() []*setting {
	var all []*setting
	for _, g := range groups {
		all = append(all, g.settings...)
	}
	return all
}

// given is a flag.Value that keeps the text; what it means is decided once the
// environment is known too.
type given struct {
	text   string
	isBool bool
}

func (g *given) String() string     { return g.text }
func (g *given) Set(s string) error { g.text = s; return nil }
func (g *given) IsBoolFlag() bool   { return g.isBool }

// Parse reads args (os.Args without the program's name) and environ
// (os.Environ). A flag wins over its variable, which then isn't looked at; an
// empty variable counts as none.
//
// It returns flag.ErrHelp if help was asked for: the text is [Help]. Any other
// error is one line for the user that names the flag or variable at fault and
// what it takes, without a secret in it. The command line was wrong then, for
// which programs exit with 2.
func Parse(args, environ []string) (Config, error) {
	flags, words, err := parseFlags(args)
	if err != nil {
		return Config{}, err
	}
	vars := make(map[string]string)
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); name != "" && value != "" {
			vars[name] = value
		}
	}

	var c Config
	if err := c.command(words); err != nil {
		return Config{}, err
	}
	if v, ok := flags["version"]; ok {
		if c.Version, err = parseBool(v); err != nil {
			return Config{}, fmt.Errorf("-version %s: %w", quote(v), err)
		}
		if c.Version {
			return c, nil
		}
	}
	from := make(map[string]string) // setting → what set it, as the user calls it
	for _, s := range settings() {
		value, source := s.initial, ""
		if v, ok := vars[s.env()]; ok {
			value, source = v, s.env()
		}
		if v, ok := flags[s.name]; ok {
			value, source = v, "-"+s.name
		}
		if source != "" {
			from[s.name] = source
		} else if value == "" {
			continue
		}
		if err := s.set(&c, value); err != nil {
			if s.whole {
				return Config{}, fmt.Errorf("%s: %w", source, err)
			}
			return Config{}, fmt.Errorf("%s %s: %w", source, quote(value), err)
		}
	}
	if err := c.check(from); err != nil {
		return Config{}, err
	}
	c.Log.NoColor = vars["NO_COLOR"] != "" // no-color.org
	c.Warnings = strangers(vars)
	return c, nil
}

// command reads what is not a flag: nothing, or a command.
func (c *Config) command(words []string) error {
	switch {
	case len(words) == 0:
		return nil
	case words[0] == "admin" && (len(words) == 1 || words[1] == ""):
		return errors.New("admin needs a username: tidings admin USERNAME")
	case words[0] == "admin" && len(words) == 2:
		c.Admin = words[1]
		return nil
	case words[0] == "admin":
		return fmt.Errorf("unexpected argument %s: admin takes one username", quote(words[2]))
	}
	if _, err := strconv.ParseBool(words[0]); err == nil {
		return fmt.Errorf("unexpected argument %s: a switch takes its value after an equals sign, as in -demo=%s", quote(words[0]), words[0])
	}
	return fmt.Errorf("unexpected argument %s: everything is set by flags (-help lists them)", quote(words[0]))
}

// check holds the settings against each other.
func (c *Config) check(from map[string]string) error {
	if c.Demo {
		if source, ok := from["database"]; ok {
			return fmt.Errorf("%s: the demo runs on a throw-away database of its own; leave out %s", from["demo"], source)
		}
		if c.Admin != "" {
			return fmt.Errorf("%s: the demo's database is gone when it ends, and so would its admin be; leave it out", from["demo"])
		}
		c.Database = Database{}
	}
	if source, ok := from["database-listen"]; ok && c.Listen != (Database{}) && c.Database.Dialect != Postgres {
		return fmt.Errorf("%s: only with a Postgres database is there something to listen to; leave it out", source)
	}
	if c.Admin == "" && c.Database.Dialect == Postgres && len(c.Secrets) == 0 {
		return fmt.Errorf("%s: Postgres needs a secret, the same for all nodes: set %sSECRET to the output of: openssl rand -base64 32",
			from["database"], envPrefix)
	}
	return nil
}

// parseFlags returns the text of each flag given (of one given twice, the last) and the words between and behind them.
func parseFlags(args []string) (set map[string]string, words []string, err error) {
	fs := flag.NewFlagSet("tidings", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	for _, s := range settings() {
		fs.Var(&given{isBool: s.arg == ""}, s.name, "")
	}
	for {
		if err := fs.Parse(args); err != nil {
			return nil, nil, explain(err)
		}
		if fs.NArg() == 0 {
			break
		}
		words = append(words, fs.Arg(0))
		args = fs.Args()[1:]
	}
	set = make(map[string]string)
	fs.Visit(func(f *flag.Flag) { set[f.Name] = f.Value.String() })
	return set, words, nil
}

// explain puts package flag's errors into our words. It has no types for them.
func explain(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return flag.ErrHelp
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("unknown flag -%s%s (-help lists them)", bare(name), suggest("-", name, flagNames()))
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		for _, s := range settings() {
			if s.name == name {
				return fmt.Errorf("-%s needs a value: -%s %s", name, name, s.arg)
			}
		}
	}
	if syntax, ok := strings.CutPrefix(err.Error(), "bad flag syntax: "); ok {
		return fmt.Errorf("%s is no flag: expected -name value or -name=value", quote(syntax))
	}
	return err
}

func flagNames() []string {
	names := []string{"help"}
	for _, s := range settings() {
		names = append(names, s.name)
	}
	return names
}

// strangers returns a warning for each variable that looks like ours and isn't.
func strangers(vars map[string]string) []string {
	var known []string
	for _, s := range settings() {
		if env := s.env(); env != "" {
			known = append(known, env)
		}
	}
	var warnings []string
	for name := range vars {
		if strings.HasPrefix(name, envPrefix) && !strings.HasPrefix(name, testPrefix) && !slices.Contains(known, name) {
			warnings = append(warnings, fmt.Sprintf("%s in the environment means nothing%s", bare(name), suggest("", name, known)))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// suggest returns "; did you mean …?" for the known name nearest to name, if
// one is near enough to be what was meant.
func suggest(prefix, name string, known []string) string {
	const near = 2
	if len(name) > 64 {
		return ""
	}
	best, at := near+1, ""
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < best && d < len(k) {
			best, at = d, k
		}
	}
	if at == "" {
		return ""
	}
	return "; did you mean " + prefix + at + "?"
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour that make b of a (optimal string alignment).
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
