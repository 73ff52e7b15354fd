package scimtest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	userURN  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupURN = "urn:ietf:params:scim:schemas:core:2.0:Group"
)

// versioned is resource for a request with If-Match.
func (s *Server) versioned(c *collection, endpoint, id string, r *http.Request, body map[string]any) reply {
	if wanted := r.Header.Get("If-Match"); wanted != "" && (s.Quirks.Uncomparable || s.Quirks.Versions && wanted != s.version(c.byID[id])) {
		return s.fail(http.StatusPreconditionFailed, "", "it has another version")
	}
	return s.resource(c, endpoint, id, r.Method, r.URL.Query(), body)
}

// version is made of what is in the resource.
func (s *Server) version(r map[string]any) string {
	text, _ := json.Marshal(r)
	return fmt.Sprintf(`W/"%x"`, sha256.Sum256(text))
}

// resource carries out one method on a user or group.
func (s *Server) resource(c *collection, endpoint, id, method string, query url.Values, body map[string]any) reply {
	if id == "" {
		switch method {
		case http.MethodGet:
			return s.search(c, query)
		case http.MethodPost:
			return s.create(c, endpoint, body)
		}
		return s.fail(http.StatusMethodNotAllowed, "", "not here")
	}
	old, found := c.byID[id]
	if !found {
		return s.fail(http.StatusNotFound, "", "no such resource")
	}
	switch method {
	case http.MethodGet:
		return reply{status: http.StatusOK, body: s.shown(c, old, false)}
	case http.MethodDelete:
		s.remove(c, id)
		return reply{status: http.StatusNoContent}
	case http.MethodPut:
		next := clone(body)
		next["id"] = id
		if _, said := next["active"]; !said && c == &s.users {
			next["active"] = true
		}
		return s.store(c, old, next)
	case http.MethodPatch:
		if s.Quirks.HidesPatch {
			return s.fail(http.StatusNotFound, "", "no such way")
		}
		if s.Quirks.NoPatch {
			return s.fail(http.StatusNotImplemented, "", "no PATCH")
		}
		next := clone(old)
		operations, _ := body["Operations"].([]any)
		if problem := s.patch(next, operations); problem != nil {
			return *problem
		}
		if s.Quirks.IgnoresActive {
			next["active"] = old["active"]
		}
		return s.store(c, old, next)
	}
	return s.fail(http.StatusMethodNotAllowed, "", "not here")
}

func (s *Server) create(c *collection, endpoint string, body map[string]any) reply {
	next := clone(body)
	if problem := s.refuse(c, "", next); problem != nil {
		return *problem
	}
	id := s.insert(c, next)
	a := reply{status: http.StatusCreated, location: "http://scim.example.com/v2" + endpoint + "/" + url.PathEscape(id)}
	if !s.Quirks.SilentWrites {
		a.body = s.shown(c, c.byID[id], false)
	}
	return a
}

func (s *Server) store(c *collection, old, next map[string]any) reply {
	id, _ := old["id"].(string)
	if problem := s.refuse(c, id, next); problem != nil {
		return *problem
	}
	s.swallow(next)
	c.put(id, next)
	if s.Quirks.SilentWrites {
		return reply{status: http.StatusNoContent}
	}
	return reply{status: http.StatusOK, body: s.shown(c, next, false)}
}

func (s *Server) insert(c *collection, next map[string]any) string {
	s.serial++
	id := "id-" + strconv.Itoa(s.serial)
	if s.Quirks.NumericIDs {
		id = strconv.Itoa(1000 + s.serial)
	}
	next["id"] = id
	s.swallow(next)
	c.put(id, next)
	c.ids = append(c.ids, id)
	return id
}

func (s *Server) swallow(next map[string]any) {
	if !s.Quirks.Swallows {
		return
	}
	for key := range next {
		if strings.HasPrefix(key, "urn:") {
			delete(next, key)
		}
	}
}

func (s *Server) remove(c *collection, id string) {
	c.put(id, nil)
	c.ids = slices.DeleteFunc(c.ids, func(x string) bool { return x == id })
	for _, g := range s.groups.byID {
		members, _ := g["members"].([]any)
		g["members"] = slices.DeleteFunc(members, func(m any) bool { return sub(m, "value") == id })
	}
}

// refuse checks what a resource must be.
func (s *Server) refuse(c *collection, id string, next map[string]any) *reply {
	problem := func(status int, scimType, detail string) *reply {
		a := s.fail(status, scimType, detail)
		return &a
	}
	name := "userName"
	if c == &s.groups {
		name = "displayName"
	}
	text, _ := next[name].(string)
	if text == "" {
		return problem(http.StatusBadRequest, "invalidValue", name+" is required")
	}
	if _, isText := next["active"].(string); isText {
		return problem(http.StatusBadRequest, "invalidValue", "active is a boolean")
	}
	for _, claim := range claims(next) {
		if other, taken := c.taken[claim]; taken && other != id {
			return problem(http.StatusConflict, "uniqueness", name+" or externalId is taken")
		}
	}
	members, _ := next["members"].([]any)
	for _, m := range members {
		if _, ok := s.users.byID[sub(m, "value")]; !ok && !s.Quirks.AcceptsAnyMember {
			return problem(http.StatusBadRequest, "invalidValue", "one or more members are not valid")
		}
	}
	return nil
}

// shown is a resource as the service shows it.
func (s *Server) shown(c *collection, r map[string]any, listed bool) map[string]any {
	out := clone(r)
	if c == &s.groups {
		switch {
		case s.Quirks.HidesMembers:
			out["members"] = []any{}
		case s.Quirks.ListsNoMembers && listed:
			delete(out, "members")
		}
	}
	if s.Quirks.Versions {
		out["meta"] = map[string]any{"version": s.version(r)}
	}
	if s.Quirks.StringBooleans {
		if active, ok := out["active"].(bool); ok {
			out["active"] = map[bool]string{true: "True", false: "False"}[active]
		}
	}
	if s.Quirks.NumericIDs && c == &s.users {
		out["id"] = json.Number(textOf(r["id"]))
	}
	return out
}

func (s *Server) search(c *collection, query url.Values) reply {
	var hits []map[string]any
	filter := query.Get("filter")
	match, problem := s.filter(filter)
	if problem != nil {
		return *problem
	}
	for _, id := range c.ids {
		if match(c.byID[id]) {
			hits = append(hits, c.byID[id])
		}
	}
	total := len(hits)
	if s.Quirks.TotalOf > 0 {
		total = min(total, s.Quirks.TotalOf)
	}
	start, count := 1, len(hits)
	if n, err := strconv.Atoi(query.Get("startIndex")); err == nil && !s.Quirks.IgnoresStart {
		start = max(n, 1)
	}
	if n, err := strconv.Atoi(query.Get("count")); err == nil {
		count = max(n, 0)
	}
	if s.Quirks.MaxPage > 0 {
		count = min(count, s.Quirks.MaxPage)
	}
	from := min(start-1, len(hits))
	var resources []any
	for _, r := range hits[from:min(from+count, len(hits))] {
		resources = append(resources, s.shown(c, r, true))
	}
	return reply{status: http.StatusOK, body: list(resources, total)}
}

// filter reads `attr eq "value"`, the only form that clients of ours send.
func (s *Server) filter(text string) (func(map[string]any) bool, *reply) {
	if text == "" || s.Quirks.IgnoresFilters {
		return func(map[string]any) bool { return true }, nil
	}
	attr, rest, ok := strings.Cut(text, " eq ")
	var value string
	if !ok || json.Unmarshal([]byte(rest), &value) != nil {
		status := http.StatusBadRequest
		if s.Quirks.EveryFilterIsMail {
			status = http.StatusInternalServerError
		}
		a := s.fail(status, "invalidFilter", "the filter cannot be read")
		return nil, &a
	}
	if s.Quirks.Filters != nil && !slices.Contains(s.Quirks.Filters, attr) {
		a := s.fail(http.StatusBadRequest, "invalidFilter", "no filter by "+attr)
		return nil, &a
	}
	same := strings.EqualFold
	if s.Quirks.CaseSensitiveFilters || attr == "externalId" {
		same = func(a, b string) bool { return a == b }
	}
	mail := func(r map[string]any) bool {
		mails, _ := r["emails"].([]any)
		return slices.ContainsFunc(mails, func(m any) bool { return same(sub(m, "value"), value) })
	}
	switch {
	case s.Quirks.EveryFilterIsMail:
		return func(r map[string]any) bool { return mail(r) || same(textOf(r["userName"]), value) }, nil
	case attr == "emails.value":
		return mail, nil
	}
	return func(r map[string]any) bool { return same(textOf(r[attr]), value) }, nil
}

func textOf(v any) string {
	text, _ := v.(string)
	return text
}

func sub(v any, name string) string {
	m, _ := v.(map[string]any)
	return textOf(m[name])
}

func unescape(text string) string {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// clone copies a document to any depth.
func clone(m map[string]any) map[string]any {
	text, err := json.Marshal(m)
	var out map[string]any
	if err != nil || json.Unmarshal(text, &out) != nil || out == nil {
		return map[string]any{}
	}
	return out
}
