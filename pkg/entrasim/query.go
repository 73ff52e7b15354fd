package entrasim

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// query holds the OData parameters of a request, names in lower case and
// without the dollar sign: both spellings are accepted, in any case [DOC].
type query map[string]string

// parseQuery reads the parameters. unnamed is set when one has an empty name,
// which a shell that expands $filter causes [ISSUE docs#20602].
func parseQuery(raw string) (q query, unnamed bool) {
	q = query{}
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, errName := url.QueryUnescape(name)
		value, errValue := url.QueryUnescape(value)
		if errName != nil || errValue != nil {
			continue
		}
		name = strings.ToLower(strings.TrimPrefix(name, "$"))
		if name == "" {
			unnamed = true
			continue
		}
		q[name] = value
	}
	return q, unnamed
}

func (q query) has(name string) bool { _, ok := q[name]; return ok }

// list is a parameter of several names.
func (q query) list(name string) []string {
	var names []string
	for part := range strings.SplitSeq(q[name], ",") {
		if part = strings.TrimSpace(part); part != "" {
			names = append(names, part)
		}
	}
	return names
}

// idFilter reads "id eq '…' or id eq '…'", the only filter of a delta query
// [DOC]. ok is false for anything else.
func idFilter(filter string) (ids []ID, ok bool) {
	filter = strings.TrimSpace(filter)
	for strings.HasPrefix(filter, "(") && strings.HasSuffix(filter, ")") {
		filter = strings.TrimSpace(filter[1 : len(filter)-1])
	}
	words := strings.Fields(filter)
	for i := 0; i < len(words); i += 4 {
		if len(words) < i+3 || !strings.EqualFold(strings.TrimLeft(words[i], "("), "id") || !strings.EqualFold(words[i+1], "eq") {
			return nil, false
		}
		id, err := identity.ParseObjectID(strings.Trim(words[i+2], "'()"))
		if err != nil {
			return nil, false
		}
		ids = append(ids, id)
		if len(words) > i+3 && (!strings.EqualFold(words[i+3], "or") || len(words) == i+4) {
			return nil, false
		}
	}
	return ids, len(ids) > 0
}

// condition is a simple filter of a list call.
type condition struct {
	property string // lower case, "id" included
	prefix   bool   // startswith; otherwise eq
	value    string
}

// condition patterns; compiled for each use, which only list calls pay.
const (
	eqPattern     = `(?i)^\s*([A-Za-z]+)\s+eq\s+'((?:[^']|'')*)'\s*$`
	prefixPattern = `(?i)^\s*startswith\(\s*([A-Za-z]+)\s*,\s*'((?:[^']|'')*)'\s*\)\s*$`
)

// parseCondition reads one comparison; a quote inside is doubled.
func parseCondition(filter string) (condition, bool) {
	for i, pattern := range []string{eqPattern, prefixPattern} {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(filter); m != nil {
			return condition{
				property: strings.ToLower(m[1]),
				prefix:   i == 1,
				value:    strings.ReplaceAll(m[2], "''", "'"),
			}, true
		}
	}
	return condition{}, false
}

// parseSearch reads $search="displayName:text".
func parseSearch(search string) (term string, ok bool) {
	search = strings.TrimSpace(search)
	if len(search) < 2 || search[0] != '"' || search[len(search)-1] != '"' {
		return "", false
	}
	property, term, ok := strings.Cut(strings.ReplaceAll(search[1:len(search)-1], `\"`, `"`), ":")
	if !ok || !strings.EqualFold(property, "displayName") {
		return "", false
	}
	return identity.Fold(term), true
}

// matchesSearch compares as the service does: some word of the name begins
// with the term.
func matchesSearch(name, term string) bool {
	name = identity.Fold(name)
	if strings.HasPrefix(name, term) {
		return true
	}
	for i := range len(name) {
		switch name[i] {
		case ' ', '-', '_', '.', ',', '(', '/', '&':
			if strings.HasPrefix(name[i+1:], term) {
				return true
			}
		}
	}
	return false
}
