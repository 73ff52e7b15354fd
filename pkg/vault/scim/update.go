package scim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// updateUser writes fields of a user.
func (s *Store) updateUser(ctx context.Context, v *service, id string, p vault.Patch) error {
	return s.update(ctx, v, v.users, id, s.mapping.fields(v, p))
}

// updateGroup writes name and external id of a group.
func (s *Store) updateGroup(ctx context.Context, v *service, id string, p vault.Patch) error {
	return s.update(ctx, v, v.groups, id, groupFields(p))
}

func groupFields(p vault.Patch) []field {
	var list []field
	if p.Name != nil {
		list = append(list, field{Path{Attr: "displayName"}, *p.Name})
	}
	if p.ExternalID != nil {
		list = append(list, field{Path{Attr: "externalId"}, orNil(*p.ExternalID)})
	}
	return list
}

// update writes fields by PATCH, or by PUT where the service has no PATCH.
func (s *Store) update(ctx context.Context, v *service, endpoint, id string, fields []field) error {
	if len(fields) == 0 {
		return nil
	}
	path, ok := resourcePath(endpoint, id)
	if !ok {
		return &Error{Place: "PATCH " + endpoint, Text: "there is no such resource", kind: vault.ErrNotFound}
	}
	if !v.patch.Load() {
		return s.replace(ctx, v, endpoint, id, fields)
	}
	r := request{method: http.MethodPatch, path: path, body: patchBody(operations(fields)), repeatable: true}
	a, err := s.send(ctx, r)
	switch {
	case err != nil:
		return err
	case a.ok():
		return s.kept(r, fields, id, a)
	case s.withoutPatch(v, a):
		return s.replace(ctx, v, endpoint, id, fields)
	case a.status == http.StatusNotFound:
		return s.updateAbsent(ctx, v, endpoint, id, fields, answerError(r.place(), a, true))
	case a.status == http.StatusBadRequest && slices.ContainsFunc(fields, delicate):
		return s.updateWhole(ctx, endpoint, id, fields, answerError(r.place(), a, true))
	default:
		return answerError(r.place(), a, true)
	}
}

// withoutPatch learns from an answer that the service has no PATCH.
func (s *Store) withoutPatch(v *service, a answer) bool {
	if s.options.Patch != auto || a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotImplemented {
		return false
	}
	v.patch.Store(false)
	return true
}

// updateAbsent settles a 404 to a PATCH. cause is what it says if it is true;
// a service that has no way for PATCH may say so of a resource that is there.
func (s *Store) updateAbsent(ctx context.Context, v *service, endpoint, id string, fields []field, cause error) error {
	d, err := s.get(ctx, endpoint, id)
	switch {
	case err != nil:
		return err
	case d == nil:
		return cause
	case s.options.Patch == on:
		return &Error{
			Place: "PATCH " + endpoint, kind: vault.ErrInvalid, Status: http.StatusNotFound,
			Text: "the service says that there is no such resource, and shows it",
			Fix:  "it may not take PATCH: leave store.patch at auto",
		}
	}
	if err := s.replace(ctx, v, endpoint, id, fields); err != nil {
		return err
	}
	v.patch.Store(false) // what PATCH does not find, PUT does
	return nil
}

func patchBody(operations []map[string]any) map[string]any {
	return map[string]any{"schemas": []string{patchSchema}, "Operations": operations}
}

func operations(fields []field) []map[string]any {
	list := make([]map[string]any, 0, len(fields))
	for _, f := range fields {
		list = append(list, f.path.operation(f.value))
	}
	return list
}

// delicate fields are those whose operation services refuse when what they
// select is not there: an element to write into, a value to clear.
func delicate(f field) bool { return f.path.SelectBy != "" || f.value == nil }

// updateWhole reads the resource and writes its attributes as wholes. cause is
// why that is tried.
func (s *Store) updateWhole(ctx context.Context, endpoint, id string, fields []field, cause error) error {
	d, err := s.existing(ctx, endpoint, id)
	if err != nil {
		return err
	}
	var operations []map[string]any
	var done []string
	for _, f := range fields {
		whole := Path{Schema: f.path.Schema, Attr: f.path.Attr}
		before := whole.holder(d).has(whole.Attr)
		f.path.set(d, f.value)
		after := whole.holder(d)
		name := whole.String()
		if slices.Contains(done, name) {
			// Written already, as it was then: the last state counts.
			operations = slices.DeleteFunc(operations, func(o map[string]any) bool { return o["path"] == name })
		}
		done = append(done, name)
		switch {
		case after.has(whole.Attr):
			operations = append(operations, map[string]any{"op": "replace", "path": name, "value": after.value(whole.Attr)})
		case before:
			operations = append(operations, map[string]any{"op": "remove", "path": name})
		}
	}
	if len(operations) == 0 {
		return nil // nothing was there to clear
	}
	path, _ := resourcePath(endpoint, id)
	r := request{method: http.MethodPatch, path: path, body: patchBody(operations), repeatable: true}
	a, err := s.send(ctx, r)
	switch {
	case err != nil:
		return err
	case a.status == http.StatusBadRequest:
		return cause
	case !a.ok():
		return answerError(r.place(), a, true)
	}
	return s.kept(r, fields, id, a)
}

// holder is the part of a document that holds the path's attribute.
func (p Path) holder(d document) document {
	if p.Schema == "" {
		return d
	}
	return d.part(p.Schema)
}

// replace writes fields by PUT: the resource as it is, with the fields changed.
// active is always said, for services take a PUT without it for true.
func (s *Store) replace(ctx context.Context, v *service, endpoint, id string, fields []field) error {
	return s.rewrite(ctx, v, endpoint, id, func(d document) error {
		for _, f := range fields {
			f.path.set(d, f.value)
		}
		return nil
	}, fields)
}

// rewrite reads a resource, changes it and puts it back. A resource that was
// changed in between is read once more, where the service tells.
func (s *Store) rewrite(ctx context.Context, v *service, endpoint, id string, change func(document) error, fields []field) error {
	// Two callers of ours must not put back what the other has changed.
	defer s.rewriting.lock(endpoint + "/" + id)()
	const tries = 5
	refused := "" // the version that the service has not taken for its own
	for try := 1; ; try++ {
		d, err := s.existing(ctx, endpoint, id)
		switch {
		case err != nil:
			return err
		case endpoint == v.groups && s.shown.hidden():
			return &Error{
				Place: "PUT " + endpoint, kind: vault.ErrInvalid,
				Text: "the service has no PATCH and does not show members: a PUT would empty the group",
				Fix:  "set store.patch: on if the service takes PATCH after all",
			}
		}
		version := d.part("meta").text("version")
		if version != "" && version == refused {
			// Nobody has changed it in between: the service cannot compare what
			// it says itself, as those that give weak versions and want strong ones.
			version = ""
		}
		for _, name := range []string{"meta", "groups", "password"} {
			if endpoint == v.users || name == "meta" {
				d.drop(name)
			}
		}
		if endpoint == v.users {
			d.put("active", d.truth("active", true))
		}
		if err := change(d); err != nil {
			return err
		}
		path, _ := resourcePath(endpoint, id)
		r := request{method: http.MethodPut, path: path, body: d, repeatable: true, version: version}
		a, err := s.send(ctx, r)
		switch {
		case err != nil:
			return err
		case a.status == http.StatusPreconditionFailed && try < tries && version != "":
			refused = version
			continue
		case a.status == http.StatusPreconditionFailed:
			e := answerError(r.place(), a, true)
			e.Fix = "another program keeps changing it: see which, and try again"
			return e
		case a.status == http.StatusNotFound:
			return &Error{
				Place: r.place(), kind: vault.ErrInvalid, Status: a.status,
				Text: "the service shows the resource and does not find it to write it", Fix: "ask the service's maker whether it takes PUT or PATCH; store.patch says which is used",
			}
		case !a.ok():
			return answerError(r.place(), a, true)
		}
		return s.kept(r, fields, id, a)
	}
}

// kept compares what the service shows after a write with what was written. A
// service that does not keep what access hangs on has refused it, whatever its
// status says; elsewhere the log is told once an attribute.
func (s *Store) kept(r request, fields []field, id string, a answer) error {
	d, err := decode(a.body)
	if err != nil || d.text("id") != id {
		return nil //nolint:nilerr // 204, or a service that does not show what it has made
	}
	for _, f := range fields {
		switch f.path.String() {
		case "active":
			if d.has("active") && d.truth("active", true) != f.value {
				return notKept(r, f, fmt.Sprint(d.value("active")))
			}
		case "userName":
			if d.has("userName") && identity.Fold(d.text("userName")) != identity.Fold(scalar(f.value)) {
				return notKept(r, f, d.text("userName"))
			}
		case "externalId":
			if d.has("userName") && d.text("externalId") != scalar(f.value) {
				return notKept(r, f, d.text("externalId"))
			}
		}
	}
	s.noteNotKept(fields, d)
	return nil
}

func notKept(r request, f field, has string) error {
	return &Error{
		Place: r.place(), kind: vault.ErrInvalid,
		Text: fmt.Sprintf("the service said yes, but %s is %q and not %q", f.path, has, fmt.Sprint(f.value)),
		Fix:  "see whether another program or a rule of the service writes this attribute",
	}
}

// noteNotKept tells the log of attributes that the service has swallowed.
func (s *Store) noteNotKept(fields []field, d document) {
	if !d.has("userName") {
		return // not a user as a whole
	}
	for _, f := range fields {
		switch name := f.path.String(); {
		case name == "active", name == "userName", name == "externalId":
		case strings.EqualFold(f.path.get(d), scalar(f.value)):
		case s.warn.first(name):
			s.options.Logger.Warn("the vault's service does not keep an attribute as it was written", "service", s.base.Host, "attribute", name)
		}
	}
}
