package scim

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// said is the last answer of the service.
type said struct {
	at     time.Time
	place  string
	status int
	detail string
}

// keepSaid remembers an answer for those who ask what the service said.
func (s *Store) keepSaid(r request, a answer) {
	last := &said{at: time.Now(), place: r.place(), status: a.status}
	if !a.ok() {
		last.detail, _ = a.detail()
	}
	s.last.Store(last)
}

// Describe says in SCIM's words what is known of an account with an id, "" for
// none. written are the fields that synchronization wrote, as snapshot names
// them (loginName, attributes.TARGET). It asks nobody: what is said of the
// service is what this program has found out of it so far.
func (s *Store) Describe(id string, written []string) []string {
	s.mu.Lock()
	v := s.service
	s.mu.Unlock()
	users := "/Users"
	if v != nil {
		users = v.users
	}
	var lines []string
	if path, ok := resourcePath(users, id); ok {
		lines = append(lines, "the resource is "+s.base.String()+path)
	} else {
		lines = append(lines, "there is no resource of this person that is ours in "+s.base.String()+users)
	}
	var attributes []string
	for _, name := range written {
		if text := s.attributeOf(v, name); text != "" {
			attributes = append(attributes, text)
		}
	}
	if len(attributes) > 0 {
		lines = append(lines, "attributes that were written: "+strings.Join(attributes, ", "))
	}
	if last := s.last.Load(); last != nil {
		text := fmt.Sprintf("the service last said %d %s to %s at %s", last.status, http.StatusText(last.status), last.place, last.at.Format("2006-01-02 15:04:05"))
		if last.detail != "" {
			text += " (" + last.detail + ")"
		}
		lines = append(lines, text)
	}
	return append(lines, s.quirks(v)...)
}

// attributeOf is where a field is written, "" for one that is not known.
func (s *Store) attributeOf(v *service, name string) string {
	switch name {
	case "loginName":
		return "userName"
	case "fullName":
		if v == nil {
			return "displayName"
		}
		return v.fullName.String()
	case "email":
		return workMail().String()
	case "externalId", "active":
		return name
	case "license":
		return s.options.LicenseAttribute
	}
	if target, ok := strings.CutPrefix(name, "attributes."); ok {
		if p, known := s.mapping.attributes[target]; known {
			return p.String()
		}
	}
	return ""
}

// quirks are the ways in which the service is treated otherwise than the
// standard has it.
func (s *Store) quirks(v *service) []string {
	if v == nil {
		return []string{"what the service does differently is not known here: it has not been asked since this program began (vaultsync check asks it)"}
	}
	var lines []string
	if !v.documented {
		lines = append(lines, "it does not describe itself: PATCH without bulk was assumed")
	}
	if !v.patch.Load() {
		lines = append(lines, "it has no PATCH: a change reads the resource and puts it back whole")
	}
	if v.bulk.Load() {
		lines = append(lines, fmt.Sprintf("it takes bulk requests of up to %d operations", v.bulkOperations))
	}
	for f := range filterables {
		switch s.trust.of(f) {
		case doubted:
			lines = append(lines, "its filter by "+f.attribute()+" is not believed: users are listed instead")
		case untested, believed:
		}
	}
	if s.shown.hidden() || v.hidesMembers() {
		lines = append(lines, "it does not show the members of groups: they are written, and changes made by hand are not seen")
	}
	if len(lines) == 0 {
		lines = append(lines, "it has been found to do nothing differently from the standard")
	}
	return lines
}
