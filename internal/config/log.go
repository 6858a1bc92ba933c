package config

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// LogFormat is how lines of the log look.
type LogFormat string

const (
	LogAuto LogFormat = "auto" // text on a terminal, JSON elsewhere
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format LogFormat
	// NoColor keeps colours off a terminal (NO_COLOR in the environment).
	NoColor bool
}

// Logger returns a logger that writes to w: JSON for machines, with the time in
// RFC 3339, or lines for people, with the time of day and, on a terminal, in
// colour.
func (l Log) Logger(w io.Writer) *slog.Logger {
	f, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd()))
	if l.Format == LogText || l.Format == LogAuto && terminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level:      l.Level,
			TimeFormat: "15:04:05.000",
			NoColor:    l.NoColor || !terminal,
		}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l.Level, ReplaceAttr: durationsAsText}))
}

// durationsAsText writes durations in JSON as people read them, as the other
// format does; slog's own are bare nanoseconds.
func durationsAsText(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().Round(time.Microsecond).String())
	}
	return a
}
