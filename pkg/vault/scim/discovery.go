package scim

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
)

// service is what the service says of itself, with the options' overrides.
type service struct {
	// documented says that it answered at least one of the three documents.
	documented bool
	name       string
	// patch and bulk can turn out to be missing although they were announced.
	patch, bulk    atomic.Bool
	filter         bool
	bulkOperations int
	bulkPayload    int
	maxResults     int // 0: not said
	users, groups  string
	// attributes are what the schemas define, by folded path; nil without
	// schemas.
	attributes map[string]definition
	fullName   Path
}

// definition is one attribute of a schema.
type definition struct {
	kind       string
	mutability string
	returned   string
}

const (
	defaultBulkOperations = 100
	defaultBulkPayload    = 1 << 20
)

// discover asks the service about itself, once for as long as the store is
// open. Services without these documents are taken for what most are.
func (s *Store) discover(ctx context.Context) (*service, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.service != nil {
		return s.service, nil
	}
	found, err := s.ask(ctx)
	if err != nil {
		return nil, err
	}
	s.service = found
	return found, nil
}

func (s *Store) ask(ctx context.Context) (*service, error) {
	v := &service{
		filter: true, users: "/Users", groups: "/Groups", fullName: Path{Attr: "displayName"},
		bulkOperations: defaultBulkOperations, bulkPayload: defaultBulkPayload,
	}
	v.patch.Store(true)
	for _, document := range []struct {
		path string
		read func(document)
	}{
		{"/ServiceProviderConfig", v.readConfig},
		{"/ResourceTypes", v.readTypes},
		{"/Schemas", v.readSchemas},
	} {
		a, err := s.send(ctx, request{method: http.MethodGet, path: document.path, single: true})
		if err != nil {
			return nil, err
		}
		switch {
		case a.ok():
			if d, err := decode(a.body); err == nil {
				document.read(d)
				v.documented = true
			}
		case a.status == http.StatusUnauthorized, a.status >= 300 && a.status < 400:
			return nil, answerError("GET "+document.path, a, false)
		}
	}
	if s.options.Patch != auto {
		v.patch.Store(s.options.Patch == on)
	}
	if s.options.Bulk != auto {
		v.bulk.Store(s.options.Bulk == on)
	}
	return v, nil
}

func (v *service) readConfig(d document) {
	v.name = oneLine(d.text("documentationUri"))
	if p := d.part("patch"); p != nil {
		v.patch.Store(p.truth("supported", true))
	}
	if f := d.part("filter"); f != nil {
		v.filter = f.truth("supported", true)
		v.maxResults = number(f, "maxResults", 0)
	}
	if b := d.part("bulk"); b != nil {
		v.bulk.Store(b.truth("supported", false))
		v.bulkOperations = number(b, "maxOperations", defaultBulkOperations)
		v.bulkPayload = number(b, "maxPayloadSize", defaultBulkPayload)
	}
}

// number is a positive number, or the value to take without one.
func number(d document, name string, otherwise int) int {
	if n, ok := d.value(name).(json.Number); ok {
		if i, err := n.Int64(); err == nil && i > 0 && i < 1<<40 {
			return int(i)
		}
	}
	return otherwise
}

// readTypes takes the endpoints. An address of somewhere else is not followed:
// the token goes to the configured service alone.
func (v *service) readTypes(d document) {
	for _, r := range resources(d) {
		endpoint := strings.TrimRight(r.text("endpoint"), "/")
		if !strings.HasPrefix(endpoint, "/") || strings.HasPrefix(endpoint, "//") || strings.ContainsAny(endpoint, "?#\\ %") || strings.Contains(endpoint, "..") {
			continue
		}
		switch {
		case strings.EqualFold(r.text("schema"), userSchema):
			v.users = endpoint
		case strings.EqualFold(r.text("schema"), groupSchema):
			v.groups = endpoint
		}
	}
}

func (v *service) readSchemas(d document) {
	for _, schema := range resources(d) {
		id := schema.text("id")
		prefix := id + ":"
		if strings.EqualFold(id, userSchema) {
			prefix = ""
		}
		v.define(prefix, schema.list("attributes"))
	}
	if v.attributes == nil {
		return
	}
	if _, ok := v.attributes["displayname"]; !ok {
		if _, ok := v.attributes["name.formatted"]; ok {
			v.fullName = Path{Attr: "name", Sub: "formatted"}
		}
	}
}

func (v *service) define(prefix string, attributes []any) {
	for _, a := range attributes {
		d := asDocument(a)
		name := d.text("name")
		if name == "" {
			continue
		}
		if v.attributes == nil {
			v.attributes = map[string]definition{}
		}
		v.attributes[strings.ToLower(prefix+name)] = definition{
			kind: strings.ToLower(d.text("type")), mutability: strings.ToLower(d.text("mutability")), returned: strings.ToLower(d.text("returned")),
		}
		v.define(prefix+name+".", d.list("subAttributes"))
	}
}

// definition looks a path up; known is false where the schemas lack it, and
// where there are no schemas.
func (v *service) definition(p Path) (d definition, known bool) {
	name := strings.ToLower(p.attribute())
	if d, known = v.attributes[name]; !known {
		return d, false
	}
	if d.kind == "complex" || p.Sub != "" {
		if inner, ok := v.attributes[name+"."+strings.ToLower(p.sub())]; ok {
			return inner, true
		}
		return d, p.Sub == ""
	}
	return d, true
}

// typed gives a value the type that the schema wants of it.
func (v *service) typed(p Path, text string) any {
	if text == "" {
		return nil
	}
	switch d, _ := v.definition(p); {
	case d.kind == "boolean" && (text == "true" || text == "false"):
		return text == "true"
	case d.kind == "integer" || d.kind == "decimal":
		if json.Valid([]byte(text)) && strings.Trim(text, "0123456789.-+eE") == "" {
			return json.Number(text)
		}
	}
	return text
}

// hidesMembers says that the schema of groups never returns members.
func (v *service) hidesMembers() bool {
	return v.attributes[strings.ToLower(groupSchema+":members")].returned == "never"
}

// resources are the elements of a list answer, or of a bare document or array
// member where a service answers with one.
func resources(d document) []document {
	list := d.list("Resources")
	if list == nil && d.has("id") {
		return []document{d}
	}
	var all []document
	for _, v := range list {
		if r := asDocument(v); r != nil {
			all = append(all, r)
		}
	}
	return all
}
