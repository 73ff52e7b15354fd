package identity

import (
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold is the form in which login names, mail addresses and group names are
// compared: trimmed, case-folded, Unicode-normalized. The directory's own
// spelling is what is stored and shown. Fold(Fold(s)) == Fold(s).
func Fold(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.TrimSpace(strings.ToLower(s))
	}
	// Folding can leave a string unnormalized and normalizing can expose
	// characters that fold, so both are repeated until nothing moves; two
	// rounds are enough for every assigned character.
	for range 4 {
		next := strings.TrimSpace(norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))))
		if next == s {
			break
		}
		s = next
	}
	return s
}
