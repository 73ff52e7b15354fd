package entra

import (
	"slices"
	"strings"
)

// selection is the attributes of people to read: a tree of property names with
// the source path at each leaf.
type selection struct {
	path     string // of a leaf
	children map[string]*selection
}

func newSelection(paths []string) *selection {
	root := &selection{}
	for _, path := range paths {
		if path == "" || path == "id" {
			continue // the id is always there
		}
		node := root
		for name := range strings.SplitSeq(path, ".") {
			child := node.children[name]
			if child == nil {
				child = &selection{}
				if node.children == nil {
					node.children = map[string]*selection{}
				}
				node.children[name] = child
			}
			node = child
		}
		node.path = path
	}
	return root
}

// properties are the names for $select: the id and each top-level property,
// for a nested property its parent. Sorted.
func (s *selection) properties() []string {
	names := []string{"id"}
	for name := range s.children {
		names = append(names, name)
	}
	slices.Sort(names[1:])
	return names
}

// leaves calls f with the path of each leaf of the subtree.
func (s *selection) leaves(f func(path string)) {
	if s.path != "" {
		f(s.path)
	}
	for _, child := range s.children {
		child.leaves(f)
	}
}

// profile collects one person's attributes. With cleared set, a property that
// is null is noted as "" (it was cleared); otherwise it is left out, as the
// empty string is.
type profile struct {
	values  map[string]string
	cleared bool
}

func (p *profile) set(path, value string) {
	if value == "" && !p.cleared {
		return
	}
	if p.values == nil {
		p.values = make(map[string]string, 8)
	}
	p.values[path] = value
}

// read reads the value of one property into the profile.
func (p *profile) read(d *decoder, node *selection) error {
	if len(node.children) == 0 {
		text, _, err := d.scalar()
		if err != nil {
			return err
		}
		p.set(node.path, text)
		return nil
	}
	if d.peek() != '{' {
		// null clears the whole of it; anything else has no such parts.
		text, _, err := d.scalar()
		if err != nil {
			return err
		}
		node.leaves(func(path string) {
			if path == node.path {
				p.set(path, text)
			} else {
				p.set(path, "")
			}
		})
		return nil
	}
	_, err := d.object("a property", func(name string) error {
		child := node.children[name]
		if child == nil {
			return d.skip()
		}
		return p.read(d, child)
	})
	return err
}
