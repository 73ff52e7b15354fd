package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of one file. They are far above what anybody writes by hand and keep
// a hostile or broken file from taking the daemon's memory.
const (
	maxFileBytes = 8 << 20
	maxDepth     = 32
	maxNodes     = 1_000_000 // with every alias written out
)

// document is one file as YAML, and where each of its keys stands.
type document struct {
	file   string // as reported
	dir    string // paths in the file are relative to it
	to     *findings
	root   value
	places map[string]place
}

// parse reads one file. It reports what keeps the file from being decoded and
// answers false then.
func parse(file, dir string, content []byte, to *findings) (*document, bool) {
	doc := &document{file: file, dir: dir, to: to, places: map[string]place{}}
	content, ok := doc.plainText(content)
	if !ok {
		return doc, false
	}
	var first, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		doc.fault(1, 1, "the file is empty", "write the settings into it, or remove the file")
		return doc, false
	case err != nil:
		doc.syntax(err, content)
		return doc, false
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		doc.fault(second.Line, second.Column, "a second document begins here", "keep one document a file: remove the line ---")
		return doc, false
	case !errors.Is(err, io.EOF):
		doc.syntax(err, content)
		return doc, false
	}
	if len(first.Content) != 1 || isNull(first.Content[0]) {
		doc.fault(1, 1, "the file is empty", "write the settings into it, or remove the file")
		return doc, false
	}
	top := first.Content[0]
	shape := shape{doc: doc, sizes: map[*yaml.Node]int{}}
	if size := shape.check(top, 0); shape.broken {
		return doc, false
	} else if size > maxNodes {
		doc.fault(top.Line, top.Column, "its aliases stand for too many values", "write the values out, or use fewer aliases")
		return doc, false
	}
	doc.root = value{place: place{file: file, line: top.Line, column: top.Column}, node: top, doc: doc}
	return doc, true
}

func (d *document) fault(line, column int, message, fix string) {
	d.to.add(place{file: d.file, line: line, column: column}, message, fix)
}

// plainText checks the bytes before YAML sees them and drops a byte-order
// mark, which editors on Windows write.
func (d *document) plainText(content []byte) ([]byte, bool) {
	if len(content) > maxFileBytes {
		d.fault(1, 1, fmt.Sprintf("the file is larger than %d MiB", maxFileBytes>>20), "check that it is the right file")
		return nil, false
	}
	if bytes.HasPrefix(content, []byte{0xFE, 0xFF}) || bytes.HasPrefix(content, []byte{0xFF, 0xFE}) {
		d.fault(1, 1, "the file is UTF-16", "save it as UTF-8")
		return nil, false
	}
	content = bytes.TrimPrefix(content, []byte("\uFEFF"))
	line, column, indent := 1, 1, true
	for rest := content; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			d.fault(line, column, "the file is not UTF-8 from here on", "save it as UTF-8")
			return nil, false
		case r == '\t' && indent:
			d.fault(line, column, "a tab stands in the indentation", "indent with blanks")
			return nil, false
		case (r < ' ' && r != '\t' && r != '\n' && r != '\r') || r == 0x7F || r == '\uFEFF':
			d.fault(line, column, fmt.Sprintf("the control character %U stands here", r), "remove it")
			return nil, false
		}
		rest = rest[size:]
		column++
		if r != ' ' && r != '\t' {
			indent = false
		}
		if r == '\n' {
			line, column, indent = line+1, 1, true
		}
	}
	return content, true
}

// syntax reports an error of the YAML parser, which names at most a line, and
// none for an alias without an anchor.
func (d *document) syntax(err error, content []byte) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if match := regexp.MustCompile(`^unknown anchor '(.+)' referenced$`).FindStringSubmatch(text); match != nil {
		before, _, _ := strings.Cut(string(content), "*"+match[1])
		line := 1 + strings.Count(before, "\n")
		column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
		d.fault(line, column, "the alias *"+match[1]+" has no anchor", "write the value out, or in quotes when it begins with *")
		return
	}
	line := 1
	if match := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text); match != nil {
		text = strings.TrimPrefix(text, match[0])
		if n, err := strconv.Atoi(match[1]); err == nil && n > 0 {
			line = n
		}
	}
	d.fault(line, 1, "this is not YAML: "+text, "check indentation, colons, quotes and brackets near this line")
}

// at is where a key stands; for one that was left out, where the nearest key
// around it stands.
func (d *document) at(key string) place {
	for path := key; path != ""; {
		if found, ok := d.places[path]; ok {
			found.key = key
			return found
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	found := d.root.place
	found.key = key
	return found
}

// has reports whether a key was written.
func (d *document) has(key string) bool {
	_, ok := d.places[key]
	return ok
}

// shape refuses what the decoder does not want to meet: merge keys, tags,
// cycles and deep nests.
type shape struct {
	doc    *document
	sizes  map[*yaml.Node]int // 0: being measured
	broken bool
}

// check is the number of values in n with every alias written out, saturating
// above maxNodes.
func (s *shape) check(n *yaml.Node, depth int) int {
	if s.broken {
		return 0
	}
	if depth > maxDepth {
		return s.refuse(n, "the values are nested too deeply", "check brackets and indentation")
	}
	if n.Kind == yaml.AliasNode {
		size := s.sizes[n.Alias]
		if size == 0 {
			return s.refuse(n, "the alias *"+n.Value+" stands inside its own anchor", "write the value out")
		}
		return size
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return s.refuse(n, "the tag "+quote(n.Tag)+" is not taken", "remove it")
	}
	s.sizes[n] = 0
	total := 1
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			switch {
			case child.Kind == yaml.ScalarNode && child.Tag == "!!merge":
				return s.refuse(child, "merge keys (<<) are not taken", "write the keys out")
			case child.Kind != yaml.ScalarNode:
				return s.refuse(child, "a key must be a word", "check braces and colons here")
			}
		}
		total = min(total+s.check(child, depth+1), maxNodes+1)
	}
	s.sizes[n] = total
	return total
}

func (s *shape) refuse(n *yaml.Node, message, fix string) int {
	s.broken = true
	s.doc.fault(n.Line, n.Column, message, fix)
	return 0
}
