package observe

import (
	"io"
	"log/slog"
	"strings"
	"time"
)

// The keys of log attributes, so that the same thing has the same key
// everywhere.
const (
	KeyVault     = "vault"
	KeyRun       = "run"
	KeyGroup     = "group"
	KeyPerson    = "person"
	KeyDirectory = "directory"
	KeyError     = "error"
)

// NewLogger is a logger that writes one line a record to w. level is debug,
// info, warn or error, format is text or json, in any case; the configuration
// has checked both, and what it does not know is read as info and text.
//
// Times are UTC. No value can break or forge a line, whatever it holds. Secrets
// have no business in a log; as a net below that rule, attributes named like
// one are written as <redacted>, and so is what looks like one inside a message
// or a value.
func NewLogger(w io.Writer, level, format string) *slog.Logger {
	return slog.New(newHandler(w, level, format, false))
}

// newHandler formats records onto w; timeless leaves out when they were made.
func newHandler(w io.Writer, level, format string, timeless bool) slog.Handler {
	asJSON := strings.EqualFold(format, "json")
	options := &slog.HandlerOptions{Level: levelOf(level), ReplaceAttr: sieve{json: asJSON, timeless: timeless}.replace}
	if asJSON {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

func levelOf(name string) slog.Level {
	switch strings.ToLower(name) {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// sieve is what every attribute goes through on its way to a line.
type sieve struct{ json, timeless bool }

func (s sieve) replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		return a
	}
	if s.timeless && len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.Attr{}
	}
	a.Key = visible(a.Key)
	if (sensitiveName(a.Key) || sensitiveGroup(groups)) && !harmless(a.Value.Kind()) {
		a.Value = slog.StringValue(redacted)
		return a
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(clean(a.Value.String()))
	case slog.KindTime:
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	case slog.KindAny:
		a.Value = s.anyValue(a.Value.Any())
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindUint64, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

// harmless reports whether a value of this kind cannot be a secret, whatever
// its name: tokenExpires, passwordSet.
func harmless(kind slog.Kind) bool {
	return kind == slog.KindBool || kind == slog.KindTime || kind == slog.KindDuration
}

func clean(text string) string {
	return visible(scrub(cut(text)))
}

func (s sieve) anyValue(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case time.Time:
		return slog.TimeValue(v.UTC())
	case *time.Time:
		if v != nil {
			return slog.TimeValue(v.UTC())
		}
	case *slog.Source:
		return slog.AnyValue(v)
	}
	if text, ok := textOf(v); ok {
		return slog.StringValue(clean(text))
	}
	tree, err := treeOf(v)
	if err != nil {
		return slog.StringValue(err.Error())
	}
	tree = prune(tree)
	if s.json {
		return slog.AnyValue(tree)
	}
	return slog.StringValue(cut(compact(tree)))
}
