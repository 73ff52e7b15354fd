package scim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The schemas of RFC 7643 and the messages of RFC 7644.
const (
	userSchema  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"
	patchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"
	bulkSchema  = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
)

// Path is where a value is in a user, as RFC 7644 section 3.10 writes it:
//
//	title
//	name.givenName
//	emails[type eq "work"].value
//	urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department
//
// A selection compares one sub-attribute for equality.
type Path struct {
	Schema string // the extension's URN; "" is the core schema
	Attr   string
	// SelectBy and Select are the selection, empty without one.
	SelectBy string
	Select   string
	Sub      string
}

// ParsePath reads a path.
func ParsePath(text string) (Path, error) {
	fault := func(why string) (Path, error) {
		return Path{}, fmt.Errorf("%q is not a SCIM attribute path: %s", text, why)
	}
	var p Path
	rest, selection, selected := strings.Cut(text, "[")
	if len(rest) >= 4 && strings.EqualFold(rest[:4], "urn:") {
		at := strings.LastIndexByte(rest, ':')
		p.Schema, rest = rest[:at], rest[at+1:]
		if strings.Count(p.Schema, ":") < 2 || strings.ContainsAny(p.Schema, " \t\"") {
			return fault("the URN has no attribute at its end")
		}
		if strings.EqualFold(p.Schema, userSchema) {
			p.Schema = ""
		}
	}
	var sub string
	if selected {
		p.Attr = rest
		var after string
		var closed bool
		selection, after, closed = cutSelection(selection)
		if !closed {
			return fault("the bracket is not closed")
		}
		if p.SelectBy, p.Select, closed = parseSelection(selection); !closed {
			return fault("a selection is written like [type eq \"work\"]")
		}
		var dotted bool
		if sub, dotted = strings.CutPrefix(after, "."); !dotted && after != "" || dotted && sub == "" {
			return fault("after a selection comes a dot and a name, or nothing")
		}
	} else {
		var dotted bool
		if p.Attr, sub, dotted = strings.Cut(rest, "."); dotted && sub == "" {
			return fault("after a dot comes a name")
		}
	}
	p.Sub = sub
	if !attributeName(p.Attr) || p.Sub != "" && !attributeName(p.Sub) {
		return fault("a name has letters, digits, - and _, and begins with a letter")
	}
	return p, nil
}

// cutSelection cuts at the closing bracket, which a quoted text may hold too.
func cutSelection(text string) (inside, after string, closed bool) {
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			return text[:i], text[i+1:], true
		}
	}
	return "", "", false
}

func parseSelection(text string) (by, value string, ok bool) {
	fields := strings.SplitN(strings.TrimSpace(text), " ", 3)
	if len(fields) != 3 || !strings.EqualFold(fields[1], "eq") || !attributeName(fields[0]) {
		return "", "", false
	}
	value = strings.TrimSpace(fields[2])
	if value == "true" || value == "false" {
		return fields[0], value, true
	}
	value, ok = unquote(value)
	return fields[0], value, ok && value != ""
}

func attributeName(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '$'
		later := r >= '0' && r <= '9' || r == '-' || r == '_'
		if !letter && (i == 0 || !later) {
			return false
		}
	}
	return s != ""
}

// String is the path as it is sent.
func (p Path) String() string {
	text := p.attribute()
	if p.SelectBy != "" {
		text += "[" + p.selection() + "]"
	}
	if p.Sub != "" {
		text += "." + p.Sub
	}
	return text
}

// attribute is the path without selection and sub-attribute.
func (p Path) attribute() string {
	if p.Schema != "" {
		return p.Schema + ":" + p.Attr
	}
	return p.Attr
}

func (p Path) selection() string {
	value := p.Select
	if !p.flagged() {
		value = quote(value)
	}
	return p.SelectBy + " eq " + value
}

// flagged says that the selection compares a boolean.
func (p Path) flagged() bool { return p.Select == "true" || p.Select == "false" }

// get is the value at the path, "" when there is none.
func (p Path) get(d document) string {
	home := d
	if p.Schema != "" {
		if home = d.part(p.Schema); home == nil {
			return ""
		}
	}
	if p.SelectBy != "" {
		for _, v := range home.list(p.Attr) {
			if element := asDocument(v); element != nil && strings.EqualFold(element.text(p.SelectBy), p.Select) {
				return element.text(p.sub())
			}
		}
		return ""
	}
	switch v := home.value(p.Attr).(type) {
	case map[string]any:
		return document(v).text(p.sub())
	case []any:
		return first(v, p.sub())
	default:
		return scalar(v)
	}
}

// sub is the sub-attribute that is meant where none is written.
func (p Path) sub() string {
	if p.Sub == "" {
		return "value"
	}
	return p.Sub
}

// first is the primary element of a list, or its first.
func first(list []any, sub string) string {
	for _, v := range list {
		if e := asDocument(v); e != nil && e.truth("primary", false) {
			return e.text(sub)
		}
	}
	if len(list) == 0 {
		return ""
	}
	if e := asDocument(list[0]); e != nil {
		return e.text(sub)
	}
	return scalar(list[0])
}

// set writes the value at the path; nil clears it.
func (p Path) set(d document, value any) {
	home := d
	if p.Schema != "" {
		home = d.part(p.Schema)
		if home == nil {
			if value == nil {
				return
			}
			home = document{}
		}
		if value != nil {
			d.addSchema(p.Schema)
		}
		// Whatever type it had: the answer's map and ours are the same.
		defer func() {
			if len(home) == 0 {
				d.drop(p.Schema)
			} else {
				d.put(p.Schema, map[string]any(home))
			}
		}()
	}
	switch {
	case p.SelectBy != "":
		p.setSelected(home, value)
	case p.Sub != "":
		part := home.part(p.Attr)
		if part == nil {
			part = document{}
		}
		putOrDrop(part, p.Sub, value)
		if len(part) == 0 {
			home.drop(p.Attr)
		} else {
			home.put(p.Attr, map[string]any(part))
		}
	default:
		putOrDrop(home, p.Attr, value)
	}
}

// setSelected writes into the selected element of a list, making it if needed.
func (p Path) setSelected(home document, value any) {
	list := slices.Clone(home.list(p.Attr))
	at := slices.IndexFunc(list, func(v any) bool {
		e := asDocument(v)
		return e != nil && strings.EqualFold(e.text(p.SelectBy), p.Select)
	})
	switch {
	case at < 0 && value == nil:
		return
	case at < 0:
		element := map[string]any{p.SelectBy: any(p.Select), p.sub(): value}
		if p.flagged() {
			element[p.SelectBy] = p.Select == "true"
		}
		list = append(list, element)
	default:
		element := document{}
		maps.Copy(element, asDocument(list[at]))
		putOrDrop(element, p.sub(), value)
		if value == nil && (p.sub() == "value" || len(element) <= 1) {
			list = slices.Delete(list, at, at+1)
		} else {
			list[at] = map[string]any(element)
		}
	}
	if len(list) == 0 {
		home.drop(p.Attr)
		return
	}
	home.put(p.Attr, list)
}

func putOrDrop(d document, name string, value any) {
	if value == nil {
		d.drop(name)
		return
	}
	d.put(name, value)
}

// operation is the PATCH operation that writes the value; nil clears it.
func (p Path) operation(value any) map[string]any {
	if value != nil {
		return map[string]any{"op": "replace", "path": p.String(), "value": value}
	}
	whole := p
	if p.SelectBy != "" && p.sub() == "value" {
		whole.Sub = "" // an element without its value says nothing
	}
	return map[string]any{"op": "remove", "path": whole.String()}
}
