// Package scimtest is a small SCIM 2.0 service in memory with the faults of
// real ones as switches, for tests and benchmarks of the driver. Without
// switches it does what RFC 7643 and 7644 say. It knows nothing of the driver:
// a service that shared code with its client would share its mistakes.
package scimtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Quirks are the ways in which services differ from the standard. The zero
// value has none. Where a real service is known for one, its name stands there.
type Quirks struct {
	// NoDiscovery: the three documents are 404 (Jackson).
	NoDiscovery bool
	// CaseSensitiveFilters: eq compares letter by letter (SCIMMY).
	CaseSensitiveFilters bool
	// EveryFilterIsMail: whatever a filter names, its value is compared with
	// e-mail address and user name, and one without eq is 500 (Jackson).
	EveryFilterIsMail bool
	// Filters are the attributes that may be filtered by, others are 400
	// invalidFilter (better-auth); nil is any.
	Filters []string
	// IgnoresFilters: every filter finds everybody.
	IgnoresFilters bool
	// HidesMembers: groups show no members, whatever is in them (Jackson).
	HidesMembers bool
	// ListsNoMembers: only a group by itself shows members.
	ListsNoMembers bool
	// MaxPage: a page has so many at most, whatever was asked for.
	MaxPage int
	// TotalOf: totalResults says at most so much (Jackson: 50 of 500).
	TotalOf int
	// IgnoresStart: every page is the first.
	IgnoresStart bool
	// StringBooleans: active is written as "True" and "False".
	StringBooleans bool
	// NoPatch: 501 on PATCH. A PUT without active sets it to true (better-auth).
	NoPatch bool
	// HidesPatch: 404 on PATCH, as a web server says that knows no such way.
	HidesPatch bool
	// Versions: resources have meta.version, and a PUT with another in If-Match
	// is 412. Uncomparable: every PUT with If-Match is 412 (weak versions that
	// are compared strongly).
	Versions     bool
	Uncomparable bool
	// BulkStops: a bulk request ends with its first error, and what follows is
	// left out of the answer, whatever failOnErrors says.
	BulkStops bool
	// Masks: errors come with status 200 and say theirs in the body alone, as
	// gateways do it.
	Masks bool
	// Bulk: the service has /Bulk, with so many operations at most.
	Bulk int
	// SilentWrites: 204 for every PATCH, PUT and DELETE, 201 without a body.
	SilentWrites bool
	// Terse: errors without scimType and status (Jackson).
	Terse bool
	// MaxMembers: more in one request are 400 (better-auth: 100).
	MaxMembers int
	// AcceptsAnyMember: members need not exist (Jackson).
	AcceptsAnyMember bool
	// Swallows: extension attributes are taken and dropped (Jackson).
	Swallows bool
	// RefusesSelections: PATCH paths with a bracket are 400 invalidPath.
	RefusesSelections bool
	// NumericIDs: ids are numbers in JSON.
	NumericIDs bool
	// IgnoresActive: a PATCH of active is 200 and changes nothing.
	IgnoresActive bool
}

// Server is the service. It is an http.Handler; the zero value works, with any
// token.
type Server struct {
	Quirks Quirks
	// Token is the bearer token wanted; "" takes any.
	Token string
	// Latency is how long every answer takes.
	Latency time.Duration
	// Fault, when set, may answer, delay or break a request before it is
	// carried out; it reports whether it has answered.
	Fault func(w http.ResponseWriter, r *http.Request) bool
	// Cut, when set, says whether the connection breaks after the request has
	// been carried out.
	Cut func(r *http.Request) bool

	mu     sync.Mutex
	users  collection
	groups collection
	serial int
	log    []string
}

// collection holds resources in the order of their creation.
type collection struct {
	ids  []string
	byID map[string]map[string]any
	// taken are the resources by what only one may have.
	taken map[string]string
}

// claims are what a resource has for itself: its name and its external id.
func claims(r map[string]any) []string {
	name := r["userName"]
	if name == nil {
		name = r["displayName"] // a group
	}
	list := []string{"name " + strings.ToLower(textOf(name))}
	if id := textOf(r["externalId"]); id != "" {
		list = append(list, "external "+id)
	}
	return list
}

// put stores a resource, or takes it out where next is nil.
func (c *collection) put(id string, next map[string]any) {
	if c.byID == nil {
		c.byID, c.taken = map[string]map[string]any{}, map[string]string{}
	}
	for _, claim := range claims(c.byID[id]) {
		if c.taken[claim] == id {
			delete(c.taken, claim)
		}
	}
	delete(c.byID, id)
	if next == nil {
		return
	}
	c.byID[id] = next
	for _, claim := range claims(next) {
		c.taken[claim] = id
	}
}

// Requests are the requests so far, as "GET /Users".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Forget empties the list of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Users are the users as they are stored, in order.
func (s *Server) Users() []map[string]any { return s.all(&s.users) }

// Groups are the groups likewise, with their members.
func (s *Server) Groups() []map[string]any { return s.all(&s.groups) }

func (s *Server) all(c *collection) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []map[string]any
	for _, id := range c.ids {
		list = append(list, clone(c.byID[id]))
	}
	return list
}

// Delete deletes a user as hands would.
func (s *Server) Delete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(&s.users, id)
}

// Set changes an attribute of a user as hands would.
func (s *Server) Set(id, attribute string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users.byID[id]; u != nil {
		next := clone(u)
		next[attribute] = value
		s.users.put(id, next)
	}
}

// Add adds a user as hands would, and answers with the id.
func (s *Server) Add(user map[string]any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.insert(&s.users, clone(user))
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.log = append(s.log, r.Method+" "+r.URL.Path)
	s.mu.Unlock()
	if s.Latency > 0 {
		timer := time.NewTimer(s.Latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		w.Header().Set("WWW-Authenticate", "Bearer")
		s.write(w, s.fail(http.StatusUnauthorized, "", "the token is not valid"))
		return
	}
	if s.Fault != nil && s.Fault(w, r) {
		return
	}
	var body map[string]any
	if r.Body != nil && (r.Method == http.MethodPost || r.Method == http.MethodPut || r.Method == http.MethodPatch) {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			s.write(w, s.fail(http.StatusBadRequest, "invalidSyntax", err.Error()))
			return
		}
	}
	s.mu.Lock()
	a := s.route(r, body)
	s.mu.Unlock()
	if s.Cut != nil && s.Cut(r) {
		panic(http.ErrAbortHandler) //nolint:forbidigo // how net/http breaks a connection
	}
	s.write(w, a)
}

// reply is a status and a document.
type reply struct {
	status   int
	body     map[string]any
	location string
}

func (s *Server) write(w http.ResponseWriter, a reply) {
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/scim+json")
	if a.status >= 400 && s.Quirks.Masks {
		a.status = http.StatusOK
	}
	w.WriteHeader(a.status)
	_ = json.NewEncoder(w).Encode(a.body)
}

func (s *Server) fail(status int, scimType, detail string) reply {
	body := map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "detail": detail}
	if !s.Quirks.Terse {
		body["status"] = strconv.Itoa(status)
		if scimType != "" {
			body["scimType"] = scimType
		}
	}
	return reply{status: status, body: body}
}

// route carries a request out; s.mu is held.
func (s *Server) route(r *http.Request, body map[string]any) reply {
	parts := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.EscapedPath(), "/v2"), "/"), "/")
	id := ""
	if len(parts) > 1 {
		id = unescape(parts[1])
	}
	switch parts[0] {
	case "ServiceProviderConfig", "Schemas", "ResourceTypes":
		if s.Quirks.NoDiscovery {
			return s.fail(http.StatusNotFound, "", "no such endpoint")
		}
		return reply{status: http.StatusOK, body: s.document(parts[0])}
	case "Bulk":
		if s.Quirks.Bulk == 0 || r.Method != http.MethodPost {
			return s.fail(http.StatusNotFound, "", "no such endpoint")
		}
		return s.bulk(body)
	case "Users":
		return s.versioned(&s.users, "/Users", id, r, body)
	case "Groups":
		return s.versioned(&s.groups, "/Groups", id, r, body)
	}
	return s.fail(http.StatusNotFound, "", "no such endpoint")
}

func (s *Server) bulk(body map[string]any) reply {
	operations, ok := body["Operations"].([]any)
	if !ok || len(operations) > s.Quirks.Bulk {
		return s.fail(http.StatusRequestEntityTooLarge, "", fmt.Sprintf("more than %d operations", s.Quirks.Bulk))
	}
	var answers []any
	for _, v := range operations {
		o, _ := v.(map[string]any)
		path, _ := o["path"].(string)
		method, _ := o["method"].(string)
		data, _ := o["data"].(map[string]any)
		parts := strings.Split(strings.Trim(path, "/"), "/")
		id := ""
		if len(parts) > 1 {
			id = unescape(parts[1])
		}
		var a reply
		switch parts[0] {
		case "Users":
			a = s.resource(&s.users, "/Users", id, method, nil, data)
		case "Groups":
			a = s.resource(&s.groups, "/Groups", id, method, nil, data)
		default:
			a = s.fail(http.StatusNotFound, "", "no such endpoint")
		}
		answer := map[string]any{"method": method, "bulkId": o["bulkId"], "status": strconv.Itoa(a.status)}
		if a.location != "" {
			answer["location"] = a.location
		}
		if a.status >= 300 {
			answer["response"] = a.body
		}
		answers = append(answers, answer)
		if s.Quirks.BulkStops && a.status >= 300 {
			break
		}
	}
	return reply{status: http.StatusOK, body: map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:BulkResponse"}, "Operations": answers}}
}

func (s *Server) document(which string) map[string]any {
	switch which {
	case "ServiceProviderConfig":
		return map[string]any{
			"patch":  map[string]any{"supported": !s.Quirks.NoPatch},
			"bulk":   map[string]any{"supported": s.Quirks.Bulk > 0, "maxOperations": s.Quirks.Bulk, "maxPayloadSize": 1 << 20},
			"filter": map[string]any{"supported": true, "maxResults": max(s.Quirks.MaxPage, 0)},
		}
	case "ResourceTypes":
		return list([]any{
			map[string]any{"id": "User", "name": "User", "endpoint": "/Users", "schema": userURN},
			map[string]any{"id": "Group", "name": "Group", "endpoint": "/Groups", "schema": groupURN},
		}, 2)
	}
	text := func(names ...string) []any {
		var all []any
		for _, n := range names {
			all = append(all, map[string]any{"name": n, "type": "string", "mutability": "readWrite", "returned": "default"})
		}
		return all
	}
	complexOf := func(name string, many bool, subs ...string) any {
		return map[string]any{"name": name, "type": "complex", "multiValued": many, "mutability": "readWrite", "returned": "default", "subAttributes": text(subs...)}
	}
	user := append(text("userName", "externalId", "displayName", "title", "nickName"),
		map[string]any{"name": "active", "type": "boolean", "mutability": "readWrite", "returned": "default"},
		complexOf("name", false, "formatted", "givenName", "familyName"), complexOf("emails", true, "value", "type"), complexOf("phoneNumbers", true, "value", "type"))
	return list([]any{
		map[string]any{"id": userURN, "attributes": user},
		map[string]any{"id": groupURN, "attributes": append(text("displayName", "externalId"), complexOf("members", true, "value"))},
		map[string]any{"id": "urn:ietf:params:scim:schemas:extension:info:2.0:User", "attributes": text("info1", "info2")},
		map[string]any{"id": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "attributes": text("department", "costCenter")},
	}, 4)
}

func list(resources []any, total int) map[string]any {
	if resources == nil {
		resources = []any{}
	}
	return map[string]any{
		"schemas":      []string{"urn:ietf:params:scim:api:messages:2.0:ListResponse"},
		"totalResults": total, "itemsPerPage": len(resources), "startIndex": 1, "Resources": resources,
	}
}
