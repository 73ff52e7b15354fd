package provlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// appendLine appends an entry as one line: what encoding/json makes of it
// without escaping for HTML, and a newline. It is written out because a first
// import logs every membership. JSON escapes every line break within the line.
func appendLine(b []byte, e *Entry) ([]byte, error) {
	if e.Time.IsZero() {
		return nil, fmt.Errorf("an entry of run %q has no time", e.Run)
	}
	start := len(b)
	b = append(b, `{"time":"`...)
	at := len(b)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	if len(b) <= at+4 || b[at+4] != '-' {
		return nil, fmt.Errorf("an entry of run %q has the year %d", e.Run, e.Time.UTC().Year())
	}
	b = append(b, '"')
	b = appendMember(b, `,"vault":`, e.Vault)
	b = appendMember(b, `,"run":`, e.Run)
	if e.Person != (identity.ObjectID{}) {
		var err error
		if b, err = e.Person.AppendText(append(b, `,"person":"`...)); err != nil {
			return nil, fmt.Errorf("write whom an entry is about: %w", err)
		}
		b = append(b, '"')
	}
	if e.Login != "" {
		b = appendMember(b, `,"login":`, e.Login)
	}
	if e.Group != "" {
		b = appendMember(b, `,"group":`, e.Group)
	}
	b = appendMember(b, `,"kind":`, e.Kind)
	b, err := appendValues(append(b, `,"before":`...), e.Before)
	if err == nil {
		b, err = appendValues(append(b, `,"after":`...), e.After)
	}
	if err != nil {
		return nil, fmt.Errorf("write an entry as JSON: %w", err)
	}
	b = appendMember(b, `,"why":`, cut(e.Why))
	b = appendMember(b, `,"outcome":`, e.Outcome)
	b = appendMember(b, `,"error":`, cut(e.Error))
	b = append(b, '}', '\n')
	if n := len(b) - start; n > maxLine {
		return nil, fmt.Errorf("an entry about %s has %d bytes, more than %d", e.Login, n, maxLine)
	}
	return b, nil
}

// appendMember appends a name, punctuation included, and a text.
func appendMember(b []byte, name, text string) []byte { return appendText(append(b, name...), text) }

// appendValues appends an object in the order of its names; nil is empty.
func appendValues[T any](b []byte, values map[string]T) ([]byte, error) {
	var few [8]string
	names := slices.AppendSeq(few[:0], maps.Keys(values))
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		var err error
		if b, err = appendValue(b, values[name]); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendValue(b []byte, value any) ([]byte, error) {
	switch value := value.(type) {
	case string:
		return appendText(b, value), nil
	case bool:
		return strconv.AppendBool(b, value), nil
	case map[string]string:
		if value == nil {
			return append(b, "null"...), nil
		}
		return appendValues(b, value)
	default: // nothing that a change has today
		var other bytes.Buffer
		encoder := json.NewEncoder(&other)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			return nil, fmt.Errorf("a value of type %T: %w", value, err)
		}
		return append(b, bytes.TrimSuffix(other.Bytes(), []byte{'\n'})...), nil
	}
}

// appendText appends a quoted text. What is no UTF-8 becomes the replacement
// character.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	plain := 0 // where what is taken as it is begins
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			if c >= ' ' && c != '"' && c != '\\' {
				continue
			}
			b = append(b, s[plain:i-1]...)
			plain = i
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, `\b`...)
			case '\f':
				b = append(b, `\f`...)
			case '\n':
				b = append(b, `\n`...)
			case '\r':
				b = append(b, `\r`...)
			case '\t':
				b = append(b, `\t`...)
			default:
				b = append(b, `\u00`...)
				b = append(b, digits[c>>4], digits[c&0xf])
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = append(append(b, s[plain:i]...), `\ufffd`...)
			plain = i + size
		case r == '\u2028', r == '\u2029': // line breaks for some readers
			b = append(append(b, s[plain:i]...), `\u202`...)
			b = append(b, digits[r&0xf])
			plain = i + size
		}
		i += size
	}
	return append(append(b, s[plain:]...), '"')
}
