package vaulttest

import (
	"errors"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Options say what the suite needs to know of a store. An exception is given
// with its reason, which the skipped case shows.
type Options struct {
	// Except names cases that the server behind the store cannot meet, with
	// the reason. A name that is no case fails the suite.
	Except map[string]string
	// HiddenMembers is the reason why Groups cannot show members; "" if it can.
	HiddenMembers string
	// NoManaged is the reason why Managed follows from ExternalID instead of
	// being kept by itself; "" if it is kept.
	NoManaged string
	// LowersMail is the reason why mail addresses come back in another case; ""
	// if they come back as they were given.
	LowersMail string
	// NoLicenses is the reason why the store hands out none; "" if it does.
	NoLicenses string
	// NewLimited makes a store with that many licences of type named and any
	// number of the others; nil skips the cases of empty pools.
	NewLimited func(t *testing.T, named int) vault.Store
	// Reopen closes a store and opens it again; nil skips those cases.
	Reopen func(t *testing.T, s vault.Store) vault.Store
	// AddAccount makes a login account on the server that is not a user of the
	// vault; nil skips those cases.
	AddAccount func(t *testing.T, s vault.Store, u vault.User)
	// DeleteUser deletes a user as hands would; nil skips those cases.
	DeleteUser func(t *testing.T, s vault.Store, id string)
	// Attributes are two attribute names that the store keeps; empty means
	// info1 and info2.
	Attributes [2]string
	// Many is the number of users of the large cases; 0 means 1000.
	Many int
}

// suite is what a case works on: a new, empty store each.
type suite struct {
	Options
	store vault.Store
}

type testCase struct {
	name string
	run  func(t *testing.T, s *suite)
}

// Run runs every case on a new store. newStore answers with an empty store
// that is cleared away by t's Cleanup.
func Run(t *testing.T, newStore func(t *testing.T) vault.Store, o Options) {
	t.Helper()
	if o.Attributes == [2]string{} {
		o.Attributes = [2]string{"info1", "info2"}
	}
	if o.Many == 0 {
		o.Many = 1000
	}
	cases := slices.Concat(userCases, findCases, groupCases, licenseCases, valueCases, applyCases)
	for name := range o.Except {
		if !slices.ContainsFunc(cases, func(c testCase) bool { return c.name == name }) {
			t.Errorf("Options.Except: there is no case %q", name)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if reason, excepted := o.Except[c.name]; excepted {
				t.Skip("not with this store: " + reason)
			}
			c.run(t, &suite{Options: o, store: newStore(t)})
		})
	}
}

// apply makes changes that all have to succeed.
func (s *suite) apply(t *testing.T, changes ...vault.Change) []vault.Result {
	t.Helper()
	results := s.store.Apply(t.Context(), changes)
	if len(results) != len(changes) {
		t.Fatalf("%d results for %d changes", len(results), len(changes))
	}
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("change %d of %d: %v", i+1, len(changes), r.Err)
		}
	}
	return results
}

// refused makes one change that has to fail with an error of the kind.
func (s *suite) refused(t *testing.T, kind error, c vault.Change) {
	t.Helper()
	results := s.store.Apply(t.Context(), []vault.Change{c})
	if len(results) != 1 || !errors.Is(results[0].Err, kind) {
		t.Fatalf("got %+v, want an error that is %q", results, kind)
	}
	if results[0].ID != "" {
		t.Errorf("a change that failed answers with id %q", results[0].ID)
	}
}

// create makes a user that has to succeed, and answers with its id.
func (s *suite) create(t *testing.T, u vault.User) string {
	t.Helper()
	id := s.apply(t, vault.Change{Op: vault.CreateUser, User: u})[0].ID
	if id == "" {
		t.Fatal("a created user has no id")
	}
	return id
}

func (s *suite) createGroup(t *testing.T, g vault.Group) string {
	t.Helper()
	id := s.apply(t, vault.Change{Op: vault.CreateGroup, Group: g})[0].ID
	if id == "" {
		t.Fatal("a created group has no id")
	}
	return id
}

func (s *suite) update(t *testing.T, id string, p vault.Patch) {
	t.Helper()
	s.apply(t, vault.Change{Op: vault.UpdateUser, UserID: id, Patch: p})
}

func (s *suite) find(t *testing.T, q vault.Query) []vault.User {
	t.Helper()
	found, err := s.store.Find(t.Context(), []vault.Query{q})
	if err != nil {
		t.Fatalf("find %+v: %v", q, err)
	}
	if len(found) != 1 {
		t.Fatalf("find %+v: %d answers to one query", q, len(found))
	}
	return found[0]
}

// one finds the one user that has to match.
func (s *suite) one(t *testing.T, q vault.Query) vault.User {
	t.Helper()
	found := s.find(t, q)
	if len(found) != 1 {
		t.Fatalf("find %+v: %d users, want 1", q, len(found))
	}
	return found[0]
}

func (s *suite) nobody(t *testing.T, q vault.Query) {
	t.Helper()
	if found := s.find(t, q); len(found) != 0 {
		t.Errorf("find %+v: got %+v, want nobody", q, found)
	}
}

// users lists all users by id, each of which may come once.
func (s *suite) users(t *testing.T) map[string]vault.User {
	t.Helper()
	all := map[string]vault.User{}
	for u, err := range s.store.Users(t.Context()) {
		if err != nil {
			t.Fatalf("list users: %v", err)
		}
		if _, twice := all[u.ID]; twice || u.ID == "" {
			t.Fatalf("user %q is listed twice or is not a user", u.ID)
		}
		all[u.ID] = u
	}
	return all
}

func (s *suite) groups(t *testing.T) map[string]vault.Group {
	t.Helper()
	all := map[string]vault.Group{}
	for g, err := range s.store.Groups(t.Context()) {
		if err != nil {
			t.Fatalf("list groups: %v", err)
		}
		if _, twice := all[g.ID]; twice || g.ID == "" {
			t.Fatalf("group %q is listed twice or has no id", g.ID)
		}
		all[g.ID] = g
	}
	return all
}

// members checks who is in a group, where the store shows it.
func (s *suite) members(t *testing.T, group string, want ...string) {
	t.Helper()
	g, found := s.groups(t)[group]
	if !found {
		t.Fatalf("group %q is not listed", group)
	}
	if s.HiddenMembers != "" {
		if !g.MembersUnknown {
			t.Errorf("members are hidden (%s) but MembersUnknown is not set", s.HiddenMembers)
		}
		return
	}
	got := slices.Sorted(slices.Values(g.Members))
	want = slices.Sorted(slices.Values(want))
	if g.MembersUnknown || !slices.Equal(got, want) {
		t.Errorf("members %q (unknown: %v), want %q", got, g.MembersUnknown, want)
	}
}

// same compares what a store gave back with what it was given.
func (s *suite) same(t *testing.T, got, want vault.User) {
	t.Helper()
	if s.NoLicenses != "" {
		got.License, want.License = "", ""
	}
	if s.NoManaged != "" {
		want.Managed = want.ExternalID != ""
	}
	if s.LowersMail != "" {
		got.Email, want.Email = identity.Fold(got.Email), identity.Fold(want.Email)
	}
	gotText, wantText := describe(got), describe(want)
	if gotText != wantText {
		t.Errorf("got  %s\nwant %s", gotText, wantText)
	}
}

// ann is a user with every field set.
func (s *suite) ann() vault.User {
	return vault.User{
		LoginName: "Ann@contoso.com", FullName: "Ann Example", Email: "Ann.Example@contoso.com",
		License: identity.LicenseNamed, ExternalID: "11111111-0000-4000-8000-000000000001", Managed: true,
		Attributes: map[string]string{s.Attributes[0]: "Sales", s.Attributes[1]: "Helsinki"},
	}
}

// bob is another, sharing nothing with ann.
func (s *suite) bob() vault.User {
	return vault.User{
		LoginName: "bob@contoso.com", FullName: "Bob Example", Email: "bob@contoso.com",
		License: identity.LicenseNamed, ExternalID: "11111111-0000-4000-8000-000000000002", Managed: true,
	}
}
