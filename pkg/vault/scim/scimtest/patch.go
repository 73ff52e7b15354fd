package scimtest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// patch carries out the operations on a resource, all or none.
func (s *Server) patch(r map[string]any, operations []any) *reply {
	for _, v := range operations {
		o, _ := v.(map[string]any)
		op := strings.ToLower(textOf(o["op"]))
		path := regexp.MustCompile(`^(?:(urn:.*):)?([A-Za-z]\w*)(?:\[(\w+) eq "([^"]*)"\])?(?:\.(\w+))?$`).FindStringSubmatch(textOf(o["path"]))
		if path == nil || path[3] != "" && s.Quirks.RefusesSelections && path[2] != "members" {
			a := s.fail(http.StatusBadRequest, "invalidPath", "the path cannot be read")
			return &a
		}
		home, attr, by, selected, inner := r, path[2], path[3], path[4], path[5]
		if path[1] != "" && path[1] != userURN {
			extension, _ := r[path[1]].(map[string]any)
			if extension == nil {
				extension = map[string]any{}
				r[path[1]] = extension
			}
			home = extension
		}
		value := o["value"]
		if problem := s.tooMany(attr, value, op, operations); problem != nil {
			return problem
		}
		switch {
		case by != "":
			if problem := s.patchSelected(home, op, attr, by, selected, inner, value); problem != nil {
				return problem
			}
		case inner != "":
			part, _ := home[attr].(map[string]any)
			if part == nil {
				part = map[string]any{}
				home[attr] = part
			}
			assign(part, inner, op, value)
		default:
			assign(home, attr, op, value)
		}
	}
	return nil
}

func (s *Server) tooMany(attr string, value any, op string, operations []any) *reply {
	values, _ := value.([]any)
	n := len(values)
	if op == "remove" {
		n = len(operations)
	}
	if attr != "members" || s.Quirks.MaxMembers == 0 || n <= s.Quirks.MaxMembers {
		return nil
	}
	a := s.fail(http.StatusBadRequest, "invalidValue", "one or more members are not valid")
	return &a
}

func assign(m map[string]any, name, op string, value any) {
	switch op {
	case "remove":
		delete(m, name)
	case "add":
		if more, ok := value.([]any); ok {
			have, _ := m[name].([]any)
			there := make(map[string]bool, len(have))
			for _, h := range have {
				there[sub(h, "value")] = true
			}
			for _, v := range more {
				if id := sub(v, "value"); !there[id] {
					there[id] = true
					have = append(have, v)
				}
			}
			m[name] = have
			return
		}
		m[name] = value
	default:
		m[name] = value
	}
}

// patchSelected works on the selected elements of a list; that there are none
// is noTarget (RFC 7644 section 3.5.2.3), but for members to remove.
func (s *Server) patchSelected(home map[string]any, op, attr, by, selected, inner string, value any) *reply {
	elements, _ := home[attr].([]any)
	at := slices.IndexFunc(elements, func(e any) bool { return sub(e, by) == selected })
	switch {
	case at < 0 && attr == "members":
		return nil
	case at < 0:
		a := s.fail(http.StatusBadRequest, "noTarget", "nothing is selected")
		return &a
	case op == "remove" && inner == "":
		home[attr] = slices.Delete(elements, at, at+1)
	default:
		element, _ := elements[at].(map[string]any)
		assign(element, inner, op, value)
	}
	return nil
}
