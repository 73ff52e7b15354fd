package provlog

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
)

// FormatText is an entry as one line for a terminal, without an end:
//
//	TIME VAULT OUTCOME KIND WHO [group GROUP] [FIELD: BEFORE → AFTER, …] (WHY) [: ERROR]
func FormatText(e Entry) string {
	parts := []string{e.Time.UTC().Format(time.RFC3339), e.Vault, e.Outcome, e.Kind, cmp.Or(e.Login, e.Person.String())}
	if e.Group != "" {
		parts = append(parts, "group "+e.Group)
	}
	if fields := fieldTexts(e); len(fields) > 0 {
		parts = append(parts, strings.Join(fields, ", "))
	}
	if e.Why != "" {
		parts = append(parts, "("+e.Why+")")
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	text := strings.Join(parts, " ")
	if e.Error != "" {
		text += ": " + e.Error
	}
	return Plain(text)
}

// fieldTexts are the fields that an entry changed, sorted by name. That a
// member is one now is said by the kind.
func fieldTexts(e Entry) []string {
	before, after := flatten(e.Before), flatten(e.After)
	names := slices.Collect(maps.Keys(after))
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []string
	for _, name := range names {
		old, had := before[name]
		value, has := after[name]
		switch {
		case name == "member":
		case had && has:
			all = append(all, fmt.Sprintf("%s: %s → %s", name, old, value))
		case has:
			all = append(all, fmt.Sprintf("%s: %s", name, value))
		default:
			all = append(all, fmt.Sprintf("%s: %s → nothing", name, old))
		}
	}
	return all
}

// flatten writes nested attributes with a dot, and every value as text.
func flatten(values map[string]any) map[string]string {
	flat := make(map[string]string, len(values))
	for name, value := range values {
		switch value := value.(type) {
		case map[string]any:
			for inner, v := range value {
				flat[name+"."+inner] = valueText(v)
			}
		case map[string]string:
			for inner, v := range value {
				flat[name+"."+inner] = valueText(v)
			}
		default:
			flat[name] = valueText(value)
		}
	}
	return flat
}

func valueText(v any) string {
	if s, ok := v.(string); ok {
		return `"` + s + `"`
	}
	return fmt.Sprint(v)
}

// Plain is a text that a terminal can do nothing with but show it on one line:
// line breaks and tabs become spaces; control characters, and those that turn
// the direction of writing or cannot be seen, are left out. Names come from the
// directory, where anybody may have typed them.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\r', r == '\t', r == '\u2028', r == '\u2029', r == '\u0085':
			return ' '
		case r == '\u200c', r == '\u200d':
			return r // joiners are part of how some scripts are written
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
			return -1
		default:
			return r
		}
	}, s)
}
