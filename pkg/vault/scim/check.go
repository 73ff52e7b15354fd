package scim

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Report is what a service says and shows of itself. Check fills it as far as
// it comes.
type Report struct {
	URL string `json:"url"`
	// SignIn says how: "bearer token" or "OAuth2 client credentials".
	SignIn string `json:"signIn"`
	// Reachable means that it answered at all, Authenticated that it took the
	// token.
	Reachable     bool `json:"reachable"`
	Authenticated bool `json:"authenticated"`
	// Documented says that it answers ServiceProviderConfig, ResourceTypes or
	// Schemas; Schemas that it lists its attributes.
	Documented bool `json:"documented"`
	Schemas    bool `json:"schemas"`
	// Patch and Bulk are what will be used, overrides included.
	Patch          bool `json:"patch"`
	Bulk           bool `json:"bulk"`
	BulkOperations int  `json:"bulkOperations"`
	// PageAsked is how many resources are asked for at once, PageGiven how many
	// came; less than both Users and PageAsked means a lower limit.
	PageAsked int `json:"pageAsked"`
	PageGiven int `json:"pageGiven"`
	// Users is how many users the service says it has; -1 when it does not say.
	Users int `json:"users"`
	// LoginFilter is what is known of the filter by userName: "believed",
	// "not believed: users are listed instead", "untested: ...".
	LoginFilter string `json:"loginFilter"`
	// Attributes are the configured targets, the licence among them.
	Attributes []AttributeReport `json:"attributes"`
	// Remarks are sentences for the operator: what is odd, and what it means.
	Remarks []string `json:"remarks"`
}

// AttributeReport is what the service's schemas say of one target.
type AttributeReport struct {
	Target string `json:"target"`
	// State is "known", "unknown", "readOnly" or "unverified" (no schemas).
	State string `json:"state"`
}

// Check asks the service about itself, anew, and reads one page of users. The
// error is what stands in the way of a run; the report holds what was found
// until then. Nothing is written.
func (s *Store) Check(ctx context.Context) (Report, error) {
	r := Report{URL: s.base.String(), SignIn: "bearer token", PageAsked: s.options.PageSize, Users: -1}
	if s.options.OAuth != nil {
		r.SignIn = "OAuth2 client credentials"
	}
	v, err := s.ask(ctx)
	if err != nil {
		r.Reachable = status(err) != 0
		return r, err
	}
	s.mu.Lock()
	s.service = v
	s.mu.Unlock()
	r.Reachable = true
	r.Documented, r.Schemas = v.documented, v.attributes != nil
	r.Patch, r.Bulk, r.BulkOperations = v.patch.Load(), v.bulk.Load(), v.bulkOperations
	first, err := s.page(ctx, v.users, "", 1)
	if err != nil {
		r.Authenticated = status(err) != http.StatusUnauthorized && status(err) != http.StatusForbidden && status(err) != 0
		return r, err
	}
	r.Authenticated = true
	r.PageGiven, r.Users = len(first.resources), first.total
	if _, err := s.page(ctx, v.groups, "", 1); err != nil {
		return r, err
	}
	if err := s.checkFilter(ctx, v, first, &r); err != nil {
		return r, err
	}
	s.checkAttributes(v, &r)
	s.remark(v, &r)
	return r, nil
}

// checkFilter tests the filter by login name on somebody who is there.
func (s *Store) checkFilter(ctx context.Context, v *service, first page, r *Report) error {
	known := make([]vault.User, 0, len(first.resources))
	for _, d := range first.resources {
		known = append(known, s.mapping.user(v, d))
	}
	verdict, err := s.test(ctx, v, byLoginName, known)
	switch {
	case err != nil:
		return err
	case verdict == believed:
		r.LoginFilter = "believed"
	case verdict == doubted:
		r.LoginFilter = "not believed: users are listed instead"
		r.Remarks = append(r.Remarks, "The filter by userName does not find a user in another case of letters: people are looked for by reading the list of users, which takes more requests.")
	default:
		r.LoginFilter = "untested: there is no user to test it on"
	}
	return nil
}

func (s *Store) checkAttributes(v *service, r *Report) {
	targets := maps.Clone(s.mapping.attributes)
	if s.mapping.license != nil {
		targets[s.options.LicenseAttribute] = *s.mapping.license
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		state := "known"
		switch d, known := v.definition(targets[name]); {
		case v.attributes == nil:
			state = "unverified"
		case !known:
			state = "unknown"
			r.Remarks = append(r.Remarks, fmt.Sprintf("The service's schemas do not have %s: it may refuse or drop it.", name))
		case d.mutability == "readonly":
			state = "readOnly"
			r.Remarks = append(r.Remarks, fmt.Sprintf("The service does not let %s be written.", name))
		}
		r.Attributes = append(r.Attributes, AttributeReport{name, state})
	}
}

func (s *Store) remark(v *service, r *Report) {
	if !r.Documented {
		r.Remarks = append(r.Remarks, "The service does not describe itself (ServiceProviderConfig, ResourceTypes, Schemas): PATCH without bulk is assumed; store.patch and store.bulk say otherwise.")
	}
	if r.PageGiven > 0 && r.PageGiven < r.PageAsked && r.Users > r.PageGiven {
		r.Remarks = append(r.Remarks, fmt.Sprintf("The service gives pages of %d at most, store.pageSize asks for %d: nothing is lost by it.", r.PageGiven, r.PageAsked))
	}
	if !r.Patch {
		r.Remarks = append(r.Remarks, "There is no PATCH: each change reads the resource first and writes it back whole.")
	}
	if s.shown.hidden() || v.hidesMembers() {
		r.Remarks = append(r.Remarks, "The members of groups are not shown: they are written, but drift in them cannot be seen.")
	}
}
