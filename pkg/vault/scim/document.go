package scim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// document is a SCIM resource or a part of one, as JSON holds it. Attribute
// names are compared without regard to case (RFC 7643 section 2.1).
type document map[string]any

// decode reads an answer. Numbers keep their spelling: an id may be one.
func decode(body []byte) (document, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var d document
	if err := decoder.Decode(&d); err != nil {
		return nil, fmt.Errorf("the answer is not JSON as SCIM has it: %w", err)
	}
	if d == nil {
		return nil, fmt.Errorf("the answer is empty")
	}
	return d, nil
}

// key is the name under which d holds an attribute.
func (d document) key(name string) (string, bool) {
	if _, ok := d[name]; ok {
		return name, true
	}
	for key := range d {
		if strings.EqualFold(key, name) {
			return key, true
		}
	}
	return name, false
}

func (d document) value(name string) any {
	key, _ := d.key(name)
	return d[key]
}

func (d document) has(name string) bool {
	_, found := d.key(name)
	return found
}

func (d document) put(name string, value any) {
	key, _ := d.key(name)
	d[key] = value
}

func (d document) drop(name string) {
	key, _ := d.key(name)
	delete(d, key)
}

// text is a simple value as text; "" when there is none.
func (d document) text(name string) string { return scalar(d.value(name)) }

// part is a complex value; nil when there is none.
func (d document) part(name string) document { return asDocument(d.value(name)) }

// list is a multi-valued attribute; a single value is a list of one.
func (d document) list(name string) []any {
	switch v := d.value(name).(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func asDocument(v any) document {
	switch v := v.(type) {
	case map[string]any:
		return v
	case document:
		return v
	}
	return nil
}

// scalar is a simple value as text.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	}
	return ""
}

// truth reads a boolean, also one that is written as a string; otherwise is the
// value where there is none.
func (d document) truth(name string, otherwise bool) bool {
	switch v := d.value(name).(type) {
	case bool:
		return v
	case json.Number:
		return v.String() != "0"
	case string:
		if b, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(v))); err == nil {
			return b
		}
	}
	return otherwise
}

// addSchema names an extension in the document's schemas.
func (d document) addSchema(urn string) {
	schemas := d.list("schemas")
	if slices.ContainsFunc(schemas, func(v any) bool { return strings.EqualFold(scalar(v), urn) }) {
		return
	}
	d.put("schemas", append(slices.Clone(schemas), urn))
}
