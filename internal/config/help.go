package config

import (
	"fmt"
	"strings"
)

const (
	helpHead = `Tidings serves posts and the conversations around them over GraphQL, and pushes
every new post and comment to its subscribers: each once, in order, none lost.

Usage: tidings [flags]
       tidings [flags] admin USERNAME
`
	helpFoot = `
A flag wins over the environment variable beside it. An empty variable counts as
none.

Examples:

  tidings -demo
      Look around: http://localhost:8080 has a playground and something to see.

  tidings -addr :8080 -database sqlite:/var/lib/tidings/tidings.db
      One node on an embedded database, reachable from other machines.

  openssl rand -base64 32 > secret
  TIDINGS_SECRET=$(cat secret) tidings \
      -database postgres://tidings:password@localhost:5432/tidings
      A node on Postgres, where many can run. All of them take the same secret.

  tidings -database sqlite:/var/lib/tidings/tidings.db admin ada
      Make ada, who has signed up, an admin. Servers on the database may run
      meanwhile, and know it within a second.

  tidings -origins https://app.example.org,http://localhost:5173
      Let a frontend on other origins call the server from the browser.
`
	helpWidth = 80
)

// Help is what -help prints: every setting with its default and its variable,
// then examples. It is at most 80 columns wide and ends in a newline.
func Help() string {
	var b strings.Builder
	b.WriteString(helpHead + "\n" + columns("flag", "variable", "default"))
	for _, g := range groups {
		fmt.Fprintf(&b, "\n%s:\n", g.title)
		for _, s := range g.settings {
			b.WriteString(columns(strings.TrimSpace("-"+s.name+" "+s.arg), s.env(), s.initial))
			text := s.help
			if s.unset != "" {
				text += " Default: " + s.unset + "."
			}
			wrap(&b, text, "      ")
		}
	}
	b.WriteString("\n  -help\n      Print this and exit.\n")
	b.WriteString(helpFoot)
	return b.String()
}

func columns(flag, variable, initial string) string {
	return strings.TrimRight(fmt.Sprintf("  %-22s  %-18s  %s", flag, variable, initial), " ") + "\n"
}

// wrap writes text in lines of at most helpWidth columns, each after indent.
func wrap(b *strings.Builder, text, indent string) {
	line := indent
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == indent:
			line += word
		case len(line)+1+len(word) > helpWidth:
			b.WriteString(line + "\n")
			line = indent + word
		default:
			line += " " + word
		}
	}
	b.WriteString(line + "\n")
}

// FlagTable is the settings as a Markdown table, for the README. A test holds
// the README to it.
func FlagTable() string {
	var b strings.Builder
	b.WriteString("| flag | variable | default | |\n|---|---|---|---|\n")
	for _, s := range settings() {
		initial := s.unset
		if s.initial != "" {
			initial = "`" + s.initial + "`"
		}
		env := s.env()
		if env != "" {
			env = "`" + env + "`"
		}
		row := []string{"`" + strings.TrimSpace("-"+s.name+" "+s.arg) + "`", env, initial, s.help}
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
	}
	return b.String()
}
