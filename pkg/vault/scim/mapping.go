package scim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// mapping is where the fields of vault.User are in a SCIM user. LoginName is
// userName, ExternalID externalId, Enabled active, Email the work address.
type mapping struct {
	license    *Path
	attributes map[string]Path // by the text that callers use
}

// core are the top-level attributes of RFC 7643's User that may be targets.
const core = " name nickName profileUrl title userType preferredLanguage locale timezone phoneNumbers ims photos addresses entitlements roles x509Certificates emails displayName "

// CheckTarget says what is wrong with an attribute of Options.Attributes or
// LicenseAttribute; its error has a Hint.
func CheckTarget(text string) error {
	if _, err := parseTarget(text); err != nil {
		return err
	}
	return nil
}

// parseTarget reads a path that may be written.
func parseTarget(text string) (Path, *Error) {
	p, err := ParsePath(text)
	switch {
	case err != nil:
		return p, &Error{Text: err.Error(), Fix: "write one like title, name.givenName or urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"}
	case p.Schema == "" && !strings.Contains(strings.ToLower(core), " "+strings.ToLower(p.Attr)+" "):
		return p, &Error{
			Text: fmt.Sprintf("%q is no attribute of a SCIM user that may be written", text),
			Fix:  "an attribute of an extension is written with its URN, like urn:ietf:params:scim:schemas:extension:info:2.0:User:" + p.Attr,
		}
	case p.Schema == "" && strings.EqualFold(p.Attr, "emails") && (p.SelectBy == "" || strings.EqualFold(p.Select, "work") || p.flagged()):
		return p, &Error{
			Text: fmt.Sprintf("%q may be the work address, which is written from the person's mail", text),
			Fix:  `name another, like emails[type eq "home"].value`,
		}
	}
	return p, nil
}

func newMapping(o Options) (mapping, error) {
	m := mapping{attributes: map[string]Path{}}
	var errs []error
	read := func(key, text string) *Path {
		p, err := parseTarget(text)
		if err != nil {
			err.Place = key
			errs = append(errs, err)
			return nil
		}
		return &p
	}
	for _, text := range o.Attributes {
		if p := read("attributes.target", text); p != nil {
			m.attributes[text] = *p
		}
	}
	if o.LicenseAttribute != "" {
		m.license = read("store.licenseAttribute", o.LicenseAttribute)
	}
	return m, errors.Join(errs...)
}

// workMail is the address that is read first and written.
func workMail() Path {
	return Path{Attr: "emails", SelectBy: "type", Select: "work", Sub: "value"}
}

// user reads a SCIM user.
func (m mapping) user(v *service, d document) vault.User {
	u := vault.User{
		ID: d.text("id"), LoginName: d.text("userName"), FullName: fullName(v, d), Email: workMail().get(d),
		Enabled: d.truth("active", true), ExternalID: d.text("externalId"),
	}
	if u.Email == "" {
		u.Email = first(d.list("emails"), "value")
	}
	u.Managed = u.ExternalID != "" // SCIM has no other mark
	if m.license != nil {
		u.License = readLicense(m.license.get(d))
	}
	for name, p := range m.attributes {
		if value := p.get(d); value != "" {
			if u.Attributes == nil {
				u.Attributes = map[string]string{}
			}
			u.Attributes[name] = value
		}
	}
	return u
}

func fullName(v *service, d document) string {
	if name := v.fullName.get(d); name != "" {
		return name
	}
	if name := d.text("displayName"); name != "" {
		return name
	}
	name := d.part("name")
	if text := name.text("formatted"); text != "" {
		return text
	}
	return strings.TrimSpace(name.text("givenName") + " " + name.text("familyName"))
}

// readLicense takes the service's word for a licence as it is; no value is no
// licence.
func readLicense(text string) identity.License {
	for _, l := range []identity.License{identity.LicenseNamed, identity.LicenseConcurrent, identity.LicenseReadOnly} {
		if strings.EqualFold(text, string(l)) {
			return l
		}
	}
	if text == "" {
		return identity.NoLicense
	}
	return identity.License(text)
}

// field is one value to write.
type field struct {
	path  Path
	value any // nil clears
}

// newUser is the user to create. active is always said: a service's default is
// not ours.
func (m mapping) newUser(v *service, u vault.User) document {
	d := document{"schemas": []any{userSchema}, "userName": u.LoginName, "active": true}
	if u.ExternalID != "" {
		d["externalId"] = u.ExternalID
	}
	v.fullName.set(d, orNil(u.FullName))
	if u.Email != "" {
		d["emails"] = []any{map[string]any{"value": u.Email, "type": "work", "primary": true}}
	}
	if m.license != nil && u.License != "" {
		m.license.set(d, string(u.License))
	}
	for _, name := range slices.Sorted(maps.Keys(u.Attributes)) {
		if p, ok := m.attributes[name]; ok {
			p.set(d, v.typed(p, u.Attributes[name]))
		}
	}
	return d
}

// fields are what a patch writes, in a fixed order.
func (m mapping) fields(v *service, p vault.Patch) []field {
	var list []field
	add := func(path Path, text *string) {
		if text != nil {
			list = append(list, field{path, orNil(*text)})
		}
	}
	add(Path{Attr: "userName"}, p.LoginName)
	add(Path{Attr: "externalId"}, p.ExternalID)
	add(v.fullName, p.FullName)
	add(workMail(), p.Email)
	if p.Enabled != nil {
		list = append(list, field{Path{Attr: "active"}, *p.Enabled})
	}
	if p.License != nil && m.license != nil {
		add(*m.license, new(string(*p.License)))
	}
	for _, name := range slices.Sorted(maps.Keys(p.Attributes)) {
		if path, ok := m.attributes[name]; ok {
			list = append(list, field{path, v.typed(path, p.Attributes[name])})
		}
	}
	return list
}

func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// unknownAttribute names an attribute that Options.Attributes does not have.
func (m mapping) unknownAttribute(values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := m.attributes[name]; !ok {
			return invalid("attributes", "the store was not told of the attribute %q", name)
		}
	}
	return nil
}

// checkTexts refuses what JSON cannot carry: it would be changed on the way.
func checkTexts(texts ...string) error {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return invalid("value", "%.60q is not UTF-8", text)
		}
	}
	return nil
}

func invalid(place, format string, args ...any) error {
	return &Error{Place: place, Text: fmt.Sprintf(format, args...), kind: vault.ErrInvalid}
}
