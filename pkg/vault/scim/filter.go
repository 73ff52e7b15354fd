package scim

import (
	"encoding/json"
	"strings"
)

// equals is the filter `attr eq "value"`, the value escaped as JSON is (RFC
// 7644 section 3.4.2.2).
func equals(attr, value string) string { return attr + " eq " + quote(value) }

// quote writes a text as a JSON string.
func quote(text string) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(text) != nil {
		return `""` // a string is always JSON
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// unquote reads what quote writes.
func unquote(text string) (string, bool) {
	var s string
	ok := strings.HasPrefix(text, `"`) && json.Unmarshal([]byte(text), &s) == nil
	return s, ok
}

// plain says that nothing in a text needs escaping or has several Unicode
// forms, so that a service that compares as it should finds it.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return text != ""
}

// swapCase turns the case of the ASCII letters.
func swapCase(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, text)
}
