package scim

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

// shown is what is known of whether the service shows a group's members.
type shown struct{ state atomic.Int32 }

const (
	membersShown  = 1
	membersHidden = 2
)

func (h *shown) hidden() bool { return h.state.Load() == membersHidden }
func (h *shown) known() bool  { return h.state.Load() != 0 }

// membersAre keeps what was found out of members.
func (s *Store) membersAre(state int32) {
	before := s.shown.state.Swap(state)
	if found := s.options.MembersFound; found != nil && (before == membersHidden) != (state == membersHidden) {
		found(state == membersHidden)
	}
}

// Groups yields every group with its members, or with MembersUnknown where the
// service never shows them:
//
//	some group shows members                     shown
//	we have added members, and none are shown    hidden
//	the schema says that they never are          hidden
//	all empty, a service with schemas            shown
//	all empty, a service without any document    hidden, until one shows some
func (s *Store) Groups(ctx context.Context) iter.Seq2[vault.Group, error] {
	return func(yield func(vault.Group, error) bool) {
		groups, err := s.groupDocuments(ctx)
		if err != nil {
			yield(vault.Group{}, err)
			return
		}
		v, err := s.discover(ctx)
		if err != nil {
			yield(vault.Group{}, err)
			return
		}
		unknown := s.shown.hidden() || !s.shown.known() && (!v.documented || v.hidesMembers())
		for _, d := range groups {
			g := vault.Group{ID: d.text("id"), Name: d.text("displayName"), ExternalID: d.text("externalId"), MembersUnknown: unknown}
			g.Managed = g.ExternalID != ""
			if !unknown {
				g.Members = memberIDs(d)
			}
			if !yield(g, nil) {
				return
			}
		}
	}
}

// groupDocuments reads all groups. Where the list leaves members out, each
// group is read by itself.
func (s *Store) groupDocuments(ctx context.Context) ([]document, error) {
	v, err := s.discover(ctx)
	if err != nil {
		return nil, err
	}
	var all []document
	listed := false
	for d, err := range s.pages(ctx, v.groups, "", nil) {
		if err != nil {
			return nil, err
		}
		all = append(all, d)
		if d.has("members") {
			listed = true
		}
		if len(memberIDs(d)) > 0 {
			s.membersAre(membersShown)
		}
	}
	if listed || s.shown.hidden() {
		return all, nil
	}
	err = s.each(ctx, len(all), func(ctx context.Context, i int) error {
		d, err := s.get(ctx, v.groups, all[i].text("id"))
		if err != nil || d == nil {
			return err // deleted in between: the listing has it, the next will not
		}
		all[i] = d
		if len(memberIDs(d)) > 0 {
			s.membersAre(membersShown)
		}
		return nil
	})
	return all, err
}

// memberIDs are the users in a group; groups in it are left out.
func memberIDs(d document) []string {
	var ids []string
	seen := map[string]bool{}
	for _, v := range d.list("members") {
		m := asDocument(v)
		id := m.text("value")
		if m == nil {
			id = scalar(v)
		}
		if id == "" || seen[id] || m.text("type") == "Group" {
			continue
		}
		seen[id] = true
		ids = append(ids, id)
	}
	return ids
}

// learnShown looks, once, whether members that were just added are shown.
func (s *Store) learnShown(ctx context.Context, v *service, group string, a answer) {
	if s.shown.known() {
		return
	}
	if d, err := decode(a.body); err == nil && len(memberIDs(d)) > 0 {
		s.membersAre(membersShown)
		return
	}
	d, err := s.get(ctx, v.groups, group)
	switch {
	case err != nil || d == nil: // learned another time
	case len(memberIDs(d)) > 0:
		s.membersAre(membersShown)
	default:
		s.membersAre(membersHidden)
		s.options.Logger.WarnContext(ctx, "the vault's service does not show the members of groups: their drift cannot be seen", "service", s.base.Host)
	}
}

// changeMembers sends one PATCH for a group. refused is an answer that may be
// about one of the members, or about how many there are; err is final.
func (s *Store) changeMembers(ctx context.Context, v *service, group string, operations []map[string]any) (a answer, refused *Error, err error) {
	path, _ := resourcePath(v.groups, group)
	r := request{method: http.MethodPatch, path: path, body: patchBody(operations), repeatable: true}
	a, err = s.send(ctx, r)
	switch {
	case err != nil || a.ok():
		return a, nil, err
	case s.withoutPatch(v, a):
		return a, nil, errNoPatch
	case refusesMembers(a.status):
		return a, answerError(r.place(), a, true), nil
	}
	return a, nil, answerError(r.place(), a, true)
}

func addOperations(members []string) []map[string]any {
	values := make([]map[string]any, 0, len(members))
	for _, id := range members {
		values = append(values, map[string]any{"value": id})
	}
	return []map[string]any{{"op": "add", "path": "members", "value": values}}
}

// removeOperations name each member in the path: a remove with a value beside
// it is not in the standard, and a service that ignores the value empties the
// group.
func removeOperations(members []string) []map[string]any {
	list := make([]map[string]any, 0, len(members))
	for _, id := range members {
		list = append(list, map[string]any{"op": "remove", "path": "members[" + equals("value", id) + "]"})
	}
	return list
}

// chunks cuts a list.
func chunks(list []string, size int) [][]string {
	var all [][]string
	for len(list) > size {
		all = append(all, list[:size])
		list = list[size:]
	}
	if len(list) > 0 {
		all = append(all, list)
	}
	return all
}

// refusesMembers says that an answer may be about one of the members, or about
// how many there are.
func refusesMembers(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// addMembers adds users to a group in chunks. That a user does not exist is
// found out before the first chunk is sent only by services that say so.
func (s *Store) addMembers(ctx context.Context, v *service, group string, members []string) error {
	return s.inChunks(v, members, func(chunk []string) error { return s.addChunk(ctx, v, group, chunk) },
		func(rest []string) error { return s.putMembers(ctx, v, group, rest, nil) })
}

// removeMembers takes users out of a group in chunks.
func (s *Store) removeMembers(ctx context.Context, v *service, group string, members []string) error {
	return s.inChunks(v, members, func(chunk []string) error { return s.removeChunk(ctx, v, group, chunk) },
		func(rest []string) error { return s.putMembers(ctx, v, group, nil, rest) })
}

// errNoPatch says that there is no PATCH after all.
var errNoPatch = errors.New("the service has no PATCH")

// inChunks hands members over in parts, and the rest whole once there is no
// PATCH: a PUT carries every member whatever the number of changes.
func (s *Store) inChunks(v *service, members []string, patch, put func([]string) error) error {
	for len(members) > 0 {
		if !v.patch.Load() {
			return put(members)
		}
		n := min(len(members), s.options.MemberChunk)
		if err := patch(members[:n]); errors.Is(err, errNoPatch) {
			return put(members)
		} else if err != nil {
			return err
		}
		members = members[n:]
	}
	return nil
}

func (s *Store) addChunk(ctx context.Context, v *service, group string, members []string) error {
	a, refused, err := s.changeMembers(ctx, v, group, addOperations(members))
	if err != nil {
		return err
	}
	if refused == nil {
		s.learnShown(ctx, v, group, a)
		return nil
	}
	if err := s.whyRefused(ctx, v, group, members, refused); err != nil {
		return err
	}
	if len(members) == 1 {
		return refused
	}
	// All exist, so there may be too many of them for this service.
	half := len(members) / 2
	if err := s.addChunk(ctx, v, group, members[:half]); err != nil {
		return err
	}
	return s.addChunk(ctx, v, group, members[half:])
}

// whyRefused looks for what an addition was refused for: a group that is gone,
// one of the users that does not exist, no way for PATCH. Without an error all
// of them are there.
func (s *Store) whyRefused(ctx context.Context, v *service, group string, members []string, refused *Error) error {
	if refused.Status == http.StatusNotFound {
		d, err := s.get(ctx, v.groups, group)
		if err != nil {
			return errors.Join(refused, err)
		}
		if d == nil {
			return refused
		}
	}
	missing, err := s.missing(ctx, v, members)
	switch {
	case err != nil:
		return errors.Join(refused, err)
	case missing != "":
		return &Error{Place: refused.Place, Text: "there is no user with the id " + quote(missing), Status: refused.Status, kind: vault.ErrNotFound}
	case refused.Status != http.StatusNotFound:
		return nil
	case s.options.Patch == auto:
		return errNoPatch // everything is there, and yet it is not found
	}
	refused.kind = vault.ErrInvalid
	return refused
}

// missing is one of the users that does not exist, "" if all do.
func (s *Store) missing(ctx context.Context, v *service, ids []string) (string, error) {
	absent := make([]bool, len(ids))
	err := s.each(ctx, len(ids), func(ctx context.Context, i int) error {
		d, err := s.get(ctx, v.users, ids[i])
		absent[i] = err == nil && d == nil
		return err
	})
	if err != nil {
		return "", err
	}
	for i, gone := range absent {
		if gone {
			return ids[i], nil
		}
	}
	return "", nil
}

func (s *Store) removeChunk(ctx context.Context, v *service, group string, members []string) error {
	_, refused, err := s.changeMembers(ctx, v, group, removeOperations(members))
	if err != nil || refused == nil {
		return err
	}
	if len(members) == 1 {
		return s.settleRemoval(ctx, v, group, members[0], refused)
	}
	for _, id := range members {
		if err := s.removeChunk(ctx, v, group, []string{id}); err != nil {
			return err
		}
	}
	return nil
}

// settleRemoval says whether a refused removal had anything to remove.
func (s *Store) settleRemoval(ctx context.Context, v *service, group, member string, refused error) error {
	d, err := s.get(ctx, v.groups, group)
	switch {
	case err != nil:
		return errors.Join(refused, err)
	case d == nil:
		return &Error{Place: "GET " + v.groups, Text: "there is no such group", kind: vault.ErrNotFound}
	}
	there := slices.Contains(memberIDs(d), member)
	switch e, ok := errors.AsType[*Error](refused); {
	case ok && e.Status == http.StatusNotFound && (there || s.shown.hidden()) && s.options.Patch == auto:
		return errNoPatch // the group is there, and yet it is not found
	case there, s.shown.hidden() && (!ok || e.Type != "noTarget"):
		return refused
	}
	return nil
}

// putMembers changes members where the service has no PATCH.
func (s *Store) putMembers(ctx context.Context, v *service, group string, add, remove []string) error {
	if !s.shown.known() && !v.documented || v.hidesMembers() {
		s.membersAre(membersHidden)
	}
	err := s.rewrite(ctx, v, v.groups, group, func(d document) error {
		leave := map[string]bool{}
		for _, id := range remove {
			leave[id] = true
		}
		have := map[string]bool{}
		var members []any
		for _, m := range d.list("members") {
			id := asDocument(m).text("value")
			if !leave[id] {
				members = append(members, m)
			}
			have[id] = true
		}
		for _, id := range add {
			if !have[id] {
				members = append(members, map[string]any{"value": id})
			}
		}
		if members == nil {
			members = []any{}
		}
		d.put("members", members)
		return nil
	}, nil)
	if e, ok := errors.AsType[*Error](err); ok && refusesMembers(e.Status) && !errors.Is(err, vault.ErrNotFound) {
		if missing, failed := s.missing(ctx, v, add); failed == nil && missing != "" {
			return &Error{Place: e.Place, Text: "there is no user with the id " + quote(missing), Status: e.Status, kind: vault.ErrNotFound}
		}
	}
	return err
}
