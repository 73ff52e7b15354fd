package entrasim

import (
	"fmt"
	"strings"
)

// word is one piece of a line of the text form: a plain or quoted word, or
// key=value.
type word struct {
	key    string // before the =, "" for a plain word
	text   string
	quoted bool
}

// splitWords reads the words of a line up to a # that begins a comment.
// Quotes keep blanks together; inside them a backslash keeps the next
// character.
func splitWords(line string) ([]word, error) {
	var words []word
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		var w word
		if key, ok := leadingKey(line); ok {
			w.key = key
			line = line[len(key)+1:]
		}
		var err error
		if w.text, w.quoted, line, err = leadingText(line); err != nil {
			return nil, err
		}
		words = append(words, w)
	}
}

// leadingKey is the name before an = at the start of the line.
func leadingKey(line string) (string, bool) {
	for i := range len(line) {
		c := line[i]
		switch {
		case c == '=' && i > 0:
			return line[:i], true
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.':
		default:
			return "", false
		}
	}
	return "", false
}

func leadingText(line string) (text string, quoted bool, rest string, err error) {
	if line == "" || line[0] != '"' {
		end := strings.IndexAny(line, " \t\r")
		if end < 0 {
			end = len(line)
		}
		return line[:end], false, line[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; c {
		case '\\':
			if i++; i < len(line) {
				b.WriteByte(line[i])
			}
		case '"':
			return b.String(), true, line[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	return "", false, "", fmt.Errorf("the quote that begins at %q does not end", shorten(line))
}

func shorten(s string) string {
	if len(s) > 20 {
		return s[:20] + "…"
	}
	return s
}

// splitOutside cuts at a separator that stands outside quotes.
func splitOutside(s string, separator byte, limit int) []string {
	var parts []string
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted && (limit <= 0 || len(parts) < limit-1):
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
