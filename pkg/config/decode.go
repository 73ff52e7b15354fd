package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is one value of a file with its place: that of its key, or its own
// when it is an item of a list.
type value struct {
	place
	node *yaml.Node
	doc  *document
}

// reader takes a value over into a setting, or reports what is wrong with it.
type reader func(value)

// field is one key that may stand among the keys of an object.
type field struct {
	name   string
	needed bool
	hidden bool // known only to be refused, and never suggested
	// note tells what to do about a missing value: for a needed key what to
	// write, for another what leaving it out means.
	note string
	read reader
}

// need is a key that must be there; fix says what to write.
func need(name, fix string, read reader) field {
	return field{name: name, needed: true, note: fix, read: read}
}

// may is a key that can be left out, which means otherwise.
func may(name, otherwise string, read reader) field {
	return field{name: name, note: otherwise, read: read}
}

// trap is a key under which people write a secret into the file; from names
// the key that takes a file instead.
func trap(name, from string) field {
	return field{name: name, hidden: true, note: "use " + from, read: func(v value) {
		v.fault("a secret stands in the file", "put it into a file of its own that "+from+" names, and replace it at its service: it has been seen")
	}}
}

// keys reads an object of these fields.
func keys(fields ...field) reader {
	return func(v value) { v.object(fields...) }
}

// items reads a list, each item by read.
func items(read reader) reader {
	return func(v value) {
		v.each(func(_ int, item value) { read(item) })
	}
}

func (v value) fault(message, fix string) { v.doc.to.add(v.place, message, fix) }

// object reads the keys of v, each at most once and none but these, and
// reports whether v has keys at all.
func (v value) object(fields ...field) bool {
	if v.node.Kind != yaml.MappingNode {
		v.fault("wants keys and values, not "+describe(v.node), "write one of: "+strings.Join(names(fields), ", "))
		return false
	}
	first := map[string]int{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		child := v.child(key, v.node.Content[i+1])
		if line, twice := first[key.Value]; twice {
			child.fault(fmt.Sprintf("stands twice, first in line %d", line), "keep one of the two")
			continue
		}
		first[key.Value] = key.Line
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if at < 0 {
			child.fault("is not a known key", suggest(key.Value, names(fields)))
			continue
		}
		v.doc.places[child.key] = child.place
		if f := fields[at]; isNull(child.node) {
			child.fault("has no value", f.missing())
		} else {
			f.read(child)
		}
	}
	for _, f := range fields {
		if _, found := first[f.name]; f.needed && !found {
			missing := v.place
			missing.key = join(v.key, f.name)
			v.doc.to.add(missing, "is missing", f.note)
		}
	}
	return true
}

func (f field) missing() string {
	switch {
	case f.needed:
		return f.note
	case f.note == "":
		return "write one, or leave the key out"
	default:
		return "write one, or leave the key out, which means " + f.note
	}
}

// child is the value of a key in v.
func (v value) child(key, node *yaml.Node) value {
	name := key.Value
	if !plainWord(name) {
		name = quote(name) // a line break in it would break the report's line
	}
	return value{
		place: place{file: v.file, line: key.Line, column: key.Column, key: join(v.key, name)},
		node:  follow(node),
		doc:   v.doc,
	}
}

// peek is the text of a key in v, before v is read as a whole.
func (v value) peek(name string) string {
	if v.node.Kind != yaml.MappingNode {
		return ""
	}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		if v.node.Content[i].Value == name {
			return follow(v.node.Content[i+1]).Value
		}
	}
	return ""
}

// each reads the items of a list and reports whether v is one.
func (v value) each(read func(i int, item value)) bool {
	if v.node.Kind != yaml.SequenceNode {
		v.fault("wants a list, not "+describe(v.node), "write the items in [brackets], or each on a line of its own after a dash")
		return false
	}
	for i, node := range v.node.Content {
		item := value{
			place: place{file: v.file, line: node.Line, column: node.Column, key: fmt.Sprintf("%s[%d]", v.key, i)},
			node:  follow(node),
			doc:   v.doc,
		}
		v.doc.places[item.key] = item.place
		if isNull(item.node) {
			item.fault("has no value", "write one, or remove the item")
			continue
		}
		read(i, item)
	}
	return true
}

// follow is the node that an alias stands for; cycles were refused before.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null"
}

// describe says what a value is, without showing it: it may be a secret.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode:
	}
	switch n.Tag {
	case "!!int":
		return "a number"
	case "!!float":
		return "a fraction"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	default:
		return "text"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func names(fields []field) []string {
	var list []string
	for _, f := range fields {
		if !f.hidden {
			list = append(list, f.name)
		}
	}
	return list
}
