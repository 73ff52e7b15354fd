package scim

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// createUser makes a user. A create whose outcome is not known is never sent
// again: the user is looked for.
func (s *Store) createUser(ctx context.Context, v *service, u vault.User) vault.Result {
	r := request{method: http.MethodPost, path: v.users, body: s.mapping.newUser(v, u)}
	a, err := s.send(ctx, r)
	return s.settleCreate(ctx, r, a, err, func() (string, error) { return s.lookForUser(ctx, u) }, func(d document) {
		s.noteNotKept(s.mapping.fields(v, vault.Patch{FullName: &u.FullName, Email: &u.Email, Attributes: u.Attributes}), d)
	})
}

// settleCreate says what became of a create. look finds what was made by us, ""
// if it is not there.
func (s *Store) settleCreate(ctx context.Context, r request, a answer, err error, look func() (string, error), note func(document)) vault.Result {
	unknown := err
	switch {
	case errors.Is(err, vault.ErrUnknownOutcome):
	case err != nil:
		return vault.Result{Err: err}
	case a.ok():
		d, bad := decode(a.body)
		if id := d.text("id"); bad == nil && id != "" {
			note(d)
			return vault.Result{ID: id}
		}
		if id := idOf(r.path, a.header.Get("Location")); id != "" {
			return vault.Result{ID: id}
		}
		unknown = &Error{Place: r.place(), Text: "the service said yes without saying what it made", Status: a.status, kind: vault.ErrUnknownOutcome, cause: bad}
	case a.status == http.StatusConflict && a.doubt:
		// Perhaps it is our own, made by the try before.
		unknown = answerError(r.place(), a, true)
	default:
		return vault.Result{Err: answerError(r.place(), a, true)}
	}
	if ctx.Err() != nil {
		return vault.Result{Err: unknown}
	}
	if id, err := look(); err == nil && id != "" {
		return vault.Result{ID: id}
	}
	return vault.Result{Err: unknown}
}

// lookForUser finds the user that a create of ours has made: the one with the
// external id that nobody else has.
func (s *Store) lookForUser(ctx context.Context, u vault.User) (string, error) {
	if u.ExternalID == "" {
		return "", nil // it could be anybody's
	}
	found, err := s.Find(ctx, []vault.Query{{ExternalID: u.ExternalID}, {LoginName: u.LoginName}})
	if err != nil {
		return "", err
	}
	for _, list := range found {
		for _, hit := range list {
			if hit.ExternalID == u.ExternalID && identity.Fold(hit.LoginName) == identity.Fold(u.LoginName) {
				return hit.ID, nil
			}
		}
	}
	return "", nil
}

// idOf is the id at the end of a resource's address, "" where the address is
// not one of the endpoint's. Only the id is taken from it: nothing is ever sent
// to where it points.
func idOf(endpoint, location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	parent, escaped, found := cutLast(strings.TrimRight(u.EscapedPath(), "/"))
	if _, name, _ := cutLast(endpoint); !found || !strings.HasSuffix(parent, "/"+name) && parent != name {
		return ""
	}
	id, err := url.PathUnescape(escaped)
	if err != nil {
		return ""
	}
	return id
}

// cutLast cuts a path at its last slash.
func cutLast(path string) (parent, name string, found bool) {
	at := strings.LastIndexByte(path, '/')
	return path[:max(at, 0)], path[at+1:], at >= 0
}

func (s *Store) createGroup(ctx context.Context, v *service, g vault.Group) vault.Result {
	r := request{method: http.MethodPost, path: v.groups, body: newGroup(g)}
	a, err := s.send(ctx, r)
	look := func() (string, error) { return s.lookForGroup(ctx, v, g) }
	return s.settleCreate(ctx, r, a, err, look, func(document) {})
}

func newGroup(g vault.Group) document {
	d := document{"schemas": []any{groupSchema}, "displayName": g.Name}
	if g.ExternalID != "" {
		d["externalId"] = g.ExternalID
	}
	return d
}

// lookForGroup finds the group that a create of ours has made.
func (s *Store) lookForGroup(ctx context.Context, v *service, g vault.Group) (string, error) {
	if g.ExternalID == "" {
		return "", nil
	}
	for d, err := range s.pages(ctx, v.groups, "", nil) {
		if err != nil {
			return "", err
		}
		if d.text("externalId") == g.ExternalID && identity.Fold(d.text("displayName")) == identity.Fold(g.Name) {
			return d.text("id"), nil
		}
	}
	return "", nil
}
