package observe

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const redacted = "<redacted>"

// longest is how much of one value is logged, in bytes: a reply that somebody
// put into an error must not fill the disk.
const longest = 16 << 10

// sensitiveWords make a name one of a secret wherever they are in it,
// sensitiveNames only as the whole of it.
//
//nolint:gochecknoglobals // tables
var (
	sensitiveWords = []string{
		"secret", "token", "password", "passwd", "passphrase", "authorization",
		"cookie", "credential", "apikey", "privatekey", "assertion", "bearer",
	}
	sensitiveNames = []string{"pwd", "pass", "auth"}
	// aboutSecrets end the names of what is said about a secret: where it is,
	// of which kind, how long it lives.
	aboutSecrets = []string{"file", "env", "type", "expires", "expiry", "expiresin", "count", "error"}
)

// sensitiveName reports whether what has this name is likely a secret:
// clientSecret, access_token, Proxy-Authorization, but not secretFile.
func sensitiveName(name string) bool {
	folded := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
	if slices.ContainsFunc(aboutSecrets, func(end string) bool { return strings.HasSuffix(folded, end) }) {
		return false
	}
	return slices.Contains(sensitiveNames, folded) ||
		slices.ContainsFunc(sensitiveWords, func(word string) bool { return strings.Contains(folded, word) })
}

func sensitiveGroup(groups []string) bool {
	return slices.ContainsFunc(groups, sensitiveName)
}

// shapes are what secrets look like inside a text. They rather take too much:
// a reader misses a word, not the cause.
//
//nolint:gochecknoglobals // compiled once
var shapes = []struct {
	pattern *regexp.Regexp
	with    string
}{
	// A JSON member, also inside a quoted text, to the end of its string.
	{regexp.MustCompile(`(?i)(\\*"[\w$.-]*(?:secret|token|password|passwd|passphrase|assertion|api_?key|authorization)\\*"\s*:\s*\\*")(?:[^"\\]|\\.)*`), "${1}" + redacted},
	// A form field or query parameter: client_secret=, $deltatoken=, %24skiptoken=.
	{regexp.MustCompile(`(?i)([\w$%.-]*(?:secret|token|password|passwd|passphrase|assertion|api_?key)=)[^\s&"'<>]+`), "${1}" + redacted},
	// A header, scheme and all.
	{regexp.MustCompile(`(?i)(authorization["']?\s*[:=]\s*["'\[]*)(?:(?:basic|bearer|digest|negotiate)\s+)?[^\s"'\]]+`), "${1}" + redacted},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{20,}`), "${1} " + redacted},
	// A JSON web token, also one that was cut.
	{regexp.MustCompile(`eyJ[\w-]{8,}(?:\.[\w-]*){0,4}`), redacted},
	// A private key.
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`), redacted},
	// The user and password of a URL.
	{regexp.MustCompile(`://[^\s/@"]*:[^\s/@"]*@`), "://" + redacted + "@"},
}

// scrub replaces what looks like a secret in s.
func scrub(s string) string {
	for _, shape := range shapes {
		s = shape.pattern.ReplaceAllString(s, shape.with)
	}
	return s
}

// cut shortens s to what is logged of it.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	end := longest
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s… (%d bytes more)", s[:end], len(s)-end)
}

// visible writes out what a terminal would obey or hide: escape sequences and
// marks that turn text around. The handlers of slog leave some of them as they
// are (DEL in both formats, C1 and U+202E in JSON). Line ends stay; both
// handlers escape those.
func visible(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !unprintable(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRuneToASCII(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

func unprintable(r rune) bool {
	return r != '\n' && r != '\r' && r != '\t' && !unicode.IsPrint(r)
}

// textOf is the text of a value that has one of its own. A value that panics
// when asked costs its text, not the program.
func textOf(v any) (text string, ok bool) {
	defer func() {
		if recover() == nil {
			return
		}
		text, ok = fmt.Sprintf("%T that cannot be shown", v), true
		if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.IsNil() {
			text = "<nil>"
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error(), true
	case encoding.TextMarshaler:
		b, err := v.MarshalText()
		if err != nil {
			return fmt.Sprintf("%T that cannot be shown", v), true
		}
		return string(b), true
	case fmt.Stringer:
		return v.String(), true
	case []byte:
		return string(v), true
	}
	return "", false
}

// treeOf is any other value as JSON has it.
func treeOf(v any) (tree any, err error) {
	unshown := fmt.Errorf("%T that cannot be shown", v)
	defer func() {
		if recover() != nil {
			tree, err = nil, unshown
		}
	}()
	b, err := json.Marshal(v)
	if err != nil {
		return nil, unshown // the encoder's error may quote the value
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, unshown
	}
	return tree, nil
}

// prune redacts a tree by the names of its members and the looks of its texts.
func prune(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		pruned := make(map[string]any, len(tree))
		for name, v := range tree {
			if sensitiveName(name) && !empty(v) {
				pruned[clean(name)] = redacted
			} else {
				pruned[clean(name)] = prune(v)
			}
		}
		return pruned
	case []any:
		for i, v := range tree {
			tree[i] = prune(v)
		}
		return tree
	case string:
		return clean(tree)
	default:
		return tree
	}
}

// empty reports whether a value says nothing that could be secret.
func empty(v any) bool {
	switch v := v.(type) {
	case nil, bool:
		return true
	case string:
		return v == ""
	default:
		return false
	}
}

func compact(tree any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(tree); err != nil {
		return "a value that cannot be shown"
	}
	return strings.TrimSuffix(b.String(), "\n")
}
