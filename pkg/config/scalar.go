package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// fault is what is wrong with a text, and what to write instead.
type fault struct{ message, fix string }

// format is how a setting is written: its YAML type, and its meaning as text.
// The same parse reads the environment and the flags.
type format[T any] struct {
	kind  kind
	parse func(string) (T, *fault)
}

// kind is the YAML type of a scalar.
type kind uint8

const (
	textual  kind = iota
	numeric       // decimal, no quotes
	boolean       // true or false, no quotes
	temporal      // text, or a bare 0
)

// into reads a scalar of format f into target, which keeps its default when
// there is something wrong.
func into[T any](target *T, f format[T]) reader {
	return func(v value) {
		if wrong := v.mistyped(f.kind); wrong != nil {
			v.fault(wrong.message, wrong.fix)
			return
		}
		got, wrong := f.parse(v.node.Value)
		if wrong != nil {
			v.fault(wrong.message, wrong.fix)
			return
		}
		*target = got
	}
}

// intoList reads a list of scalars of format f, no two of them the same by
// same. An empty list is refused unless empty says that it means something.
func intoList[T any](target *[]T, f format[T], same func(a, b T) bool, empty bool) reader {
	return func(v value) {
		var list []T
		clean := v.each(func(_ int, item value) {
			var one T
			good := false
			into(&one, format[T]{f.kind, func(s string) (T, *fault) {
				got, wrong := f.parse(s)
				good = wrong == nil
				return got, wrong
			}})(item)
			switch {
			case !good:
			case slices.ContainsFunc(list, func(other T) bool { return same(one, other) }):
				item.fault(quote(item.node.Value)+" stands twice", "keep one of the two")
			default:
				list = append(list, one)
			}
		})
		if !clean {
			return
		}
		if len(v.node.Content) == 0 && !empty {
			v.fault("is an empty list", "name at least one, or leave the key out")
			return
		}
		*target = list
	}
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// mistyped reports a value whose YAML type is not k, without showing it.
func (v value) mistyped(k kind) *fault {
	n := v.node
	if n.Kind != yaml.ScalarNode {
		want := map[kind]string{textual: "text", numeric: "a number", boolean: "true or false", temporal: "a duration"}[k]
		return &fault{"wants " + want + ", not " + describe(n), "write one plain value"}
	}
	switch k {
	case textual:
		if n.Tag != "!!str" {
			return &fault{"wants text, but this reads as " + describe(n), "put it in quotes"}
		}
	case numeric:
		switch {
		case n.Tag == "!!str" && decimal.MatchString(n.Value):
			return &fault{"wants a number, not text", "remove the quotes"}
		case n.Tag == "!!int" && !decimal.MatchString(n.Value):
			return &fault{quote(n.Value) + " can be read in more than one way", "write a plain decimal number, without leading zeros or prefixes"}
		case n.Tag != "!!int" && (n.Tag != "!!float" || !decimal.MatchString(n.Value)):
			return &fault{"wants a whole number, not " + describe(n), "write it in decimal digits"}
		}
	case boolean:
		if n.Tag != "!!bool" || (n.Value != "true" && n.Value != "false") {
			return &fault{"wants true or false, not " + quote(n.Value), "write " + meantBool(n.Value)}
		}
	case temporal:
		if n.Tag == "!!int" && n.Value != "0" || n.Tag == "!!float" {
			return &fault{quote(n.Value) + " has no unit", "write one, like 30s, 15m, 24h or 7d"}
		}
		if n.Tag != "!!str" && n.Tag != "!!int" {
			return &fault{"wants a duration, not " + describe(n), "write a number with a unit, like 15m"}
		}
	}
	return nil
}

// meantBool is the boolean that a YAML 1.1 word or a quoted one stands for.
func meantBool(word string) string {
	switch strings.ToLower(word) {
	case "yes", "y", "on", "true", "1":
		return "true, without quotes"
	case "no", "n", "off", "false", "0":
		return "false, without quotes"
	default:
		return "true or false"
	}
}

func yesNo() format[bool] {
	return format[bool]{boolean, func(s string) (bool, *fault) { return s == "true", nil }}
}

// number is a whole number from low to high.
func number(low, high int) format[int] {
	return format[int]{numeric, func(s string) (int, *fault) {
		span := fmt.Sprintf("write a number from %d to %d", low, high)
		if !decimal.MatchString(s) {
			return 0, &fault{quote(s) + " is not a whole number", span}
		}
		n, err := strconv.Atoi(s)
		switch {
		case s[0] == '-' || err == nil && n < low:
			return 0, &fault{quote(s) + " is too small", span}
		case err != nil || n > high:
			return 0, &fault{quote(s) + " is too large", span}
		}
		return n, nil
	}}
}

// span is a duration of at least low.
func span(low time.Duration) format[time.Duration] {
	return format[time.Duration]{temporal, func(s string) (time.Duration, *fault) {
		d, err := ParseDuration(s)
		switch {
		case err != nil:
			return 0, &fault{quote(s) + " is not a duration", "write a number with a unit, like 30s, 15m, 24h or 7d"}
		case d < 0:
			return 0, &fault{quote(s) + " is negative", "write a duration of 0s or more"}
		case d < low:
			return 0, &fault{quote(s) + " is too short", "write at least " + short(low)}
		}
		return d, nil
	}}
}

// short is d without the zeros at its end: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// oneOf is one of these words.
func oneOf[T ~string](words ...T) format[T] {
	known := make([]string, len(words))
	for i, word := range words {
		known[i] = string(word)
	}
	return format[T]{textual, func(s string) (T, *fault) {
		if slices.Contains(known, s) {
			return T(s), nil
		}
		return "", &fault{quote(s) + " is not known here", suggest(s, known)}
	}}
}

// text is any one line without control characters and without blanks around
// it; empty says whether "" is one.
func text(empty bool) format[string] {
	return format[string]{textual, func(s string) (string, *fault) {
		switch {
		case s == "" && !empty:
			return "", &fault{"is empty", "write a value, or leave the key out"}
		case strings.TrimSpace(s) != s:
			return "", &fault{quote(s) + " has blanks around it", "remove them"}
		case !printable(s):
			return "", &fault{quote(s) + " has a control character in it", "write it on one line"}
		}
		return s, nil
	}}
}

// prose is text of any number of lines.
func prose() format[string] {
	return format[string]{textual, func(s string) (string, *fault) { return strings.TrimSpace(s), nil }}
}

// printable reports whether s stays on one line of a log or a terminal. Marks
// that turn the direction of text count as control characters.
func printable(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError ||
			(r >= '\u202A' && r <= '\u202E') || (r >= '\u2066' && r <= '\u2069') {
			return false
		}
	}
	return true
}

// plainWord reports whether s can be shown without quotes.
func plainWord(s string) bool {
	return s != "" && len(s) <= maxShown && printable(s) && !strings.ContainsAny(s, " .[]\"")
}

const maxShown = 64

// quote is s as a message shows it: in quotes, on one line, not too long.
func quote(s string) string {
	if len(s) <= maxShown {
		return strconv.Quote(s)
	}
	// Flags and environment need not be UTF-8, so that a rune's start may be
	// nowhere near.
	cut := maxShown
	for cut > maxShown-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}
