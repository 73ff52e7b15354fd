package vaulttest

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

var userCases = []testCase{
	{"a new store has an identity, no users and no groups", func(t *testing.T, s *suite) {
		first, err := s.store.Identity(t.Context())
		if err != nil || first == "" {
			t.Fatalf("identity %q, %v", first, err)
		}
		if second, err := s.store.Identity(t.Context()); err != nil || second != first {
			t.Errorf("identity %q at first, then %q, %v", first, second, err)
		}
		if users, groups := s.users(t), s.groups(t); len(users)+len(groups) != 0 {
			t.Errorf("users %v, groups %v", users, groups)
		}
	}},
	{"what was written and the identity are there after a restart", func(t *testing.T, s *suite) {
		if s.Reopen == nil {
			t.Skip("this store cannot be opened again")
		}
		id := s.create(t, s.ann())
		group := s.createGroup(t, vault.Group{Name: "Sales", Managed: true, ExternalID: "g1"})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: group, Members: []string{id}})
		before, err := s.store.Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		user := s.users(t)[id]
		s.store = s.Reopen(t, s.store)
		if after, err := s.store.Identity(t.Context()); err != nil || after != before {
			t.Errorf("identity %q, after the restart %q, %v", before, after, err)
		}
		s.same(t, s.users(t)[id], user)
		s.members(t, group, id)
	}},
	{"a created user is enabled and has every field as it was given", func(t *testing.T, s *suite) {
		want := s.ann()
		want.ID = s.create(t, want)
		want.Enabled = true
		s.same(t, s.users(t)[want.ID], want)
		s.same(t, s.one(t, vault.Query{ID: want.ID}), want)
	}},
	{"Enabled of a user to create is ignored", func(t *testing.T, s *suite) {
		u := s.ann()
		u.Enabled = true
		id := s.create(t, u)
		other := s.bob()
		other.Enabled = false
		second := s.create(t, other)
		if users := s.users(t); !users[id].Enabled || !users[second].Enabled || len(users) != 2 {
			t.Errorf("got %v", users)
		}
	}},
	{"a user of this vault alone is not shared elsewhere, whatever the caller says", func(t *testing.T, s *suite) {
		u := s.ann()
		u.SharedElsewhere = true
		id := s.create(t, u)
		if s.one(t, vault.Query{ID: id}).SharedElsewhere || s.users(t)[id].SharedElsewhere {
			t.Error("shared elsewhere")
		}
	}},
	{"a user created twice is refused the second time", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		s.refused(t, vault.ErrExists, vault.Change{Op: vault.CreateUser, User: s.ann()})
		again := s.ann()
		again.LoginName, again.ExternalID = "ANN@CONTOSO.COM", ""
		s.refused(t, vault.ErrExists, vault.Change{Op: vault.CreateUser, User: again})
		if users := s.users(t); len(users) != 1 || users[id].LoginName != "Ann@contoso.com" {
			t.Errorf("got %v", users)
		}
	}},
	{"an external id that another has is refused to a new user", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		u := s.bob()
		u.ExternalID = s.ann().ExternalID
		s.refused(t, vault.ErrExists, vault.Change{Op: vault.CreateUser, User: u})
		s.nobody(t, vault.Query{LoginName: u.LoginName})
	}},
	{"a rename keeps the user and frees the old name", func(t *testing.T, s *suite) {
		want := s.ann()
		want.ID = s.create(t, want)
		want.Enabled = true
		want.LoginName = "ann.other@contoso.com"
		s.update(t, want.ID, vault.Patch{LoginName: &want.LoginName})
		s.same(t, s.one(t, vault.Query{LoginName: "ANN.OTHER@contoso.com"}), want)
		s.nobody(t, vault.Query{LoginName: "Ann@contoso.com"})
		u := s.bob()
		u.LoginName = "ann@contoso.com"
		if id := s.create(t, u); id == want.ID {
			t.Errorf("two users have id %q", id)
		}
	}},
	{"a rename to another spelling of the same name is kept as spelled", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		s.update(t, id, vault.Patch{LoginName: new("ANN@Contoso.com")})
		if got := s.one(t, vault.Query{ID: id}).LoginName; got != "ANN@Contoso.com" {
			t.Errorf("got %q", got)
		}
	}},
	{"a rename to a name that is taken is refused and changes nothing", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		s.create(t, s.bob())
		before := s.one(t, vault.Query{ID: id})
		s.refused(t, vault.ErrExists, vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{
			LoginName: new("BOB@contoso.com"), FullName: new("Half Done"), Enabled: new(false),
		}})
		s.same(t, s.one(t, vault.Query{ID: id}), before)
	}},
	{"an update writes the fields that it names and no other", func(t *testing.T, s *suite) {
		want := s.ann()
		want.ID = s.create(t, want)
		want.Enabled = true
		want.FullName, want.Email = "Ann Married", "ann.married@contoso.com"
		s.update(t, want.ID, vault.Patch{FullName: &want.FullName, Email: &want.Email})
		s.same(t, s.one(t, vault.Query{ID: want.ID}), want)
		want.ExternalID, want.Managed = "22222222-0000-4000-8000-000000000002", false
		s.update(t, want.ID, vault.Patch{ExternalID: &want.ExternalID, Managed: &want.Managed})
		s.same(t, s.one(t, vault.Query{ExternalID: want.ExternalID}), want)
		s.nobody(t, vault.Query{ExternalID: s.ann().ExternalID})
	}},
	{"an external id that another has is refused to an existing user", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		id := s.create(t, s.bob())
		s.refused(t, vault.ErrExists, vault.Change{
			Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{ExternalID: new(s.ann().ExternalID), FullName: new("Half Done")},
		})
		want := s.bob()
		want.ID, want.Enabled = id, true
		s.same(t, s.one(t, vault.Query{ID: id}), want)
	}},
	{"a user is disabled and enabled and nothing else changes", func(t *testing.T, s *suite) {
		want := s.ann()
		want.ID = s.create(t, want)
		group := s.createGroup(t, vault.Group{Name: "Sales"})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: group, Members: []string{want.ID}})
		for _, enabled := range []bool{false, false, true, true} {
			s.update(t, want.ID, vault.Patch{Enabled: &enabled})
			want.Enabled = enabled
			s.same(t, s.one(t, vault.Query{ID: want.ID}), want)
		}
		s.members(t, group, want.ID)
	}},
	{"an update of nothing succeeds and changes nothing", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		before := s.one(t, vault.Query{ID: id})
		s.update(t, id, vault.Patch{})
		s.update(t, id, vault.Patch{LoginName: &before.LoginName, Email: &before.Email, Attributes: before.Attributes})
		s.same(t, s.one(t, vault.Query{ID: id}), before)
	}},
	{"attributes are written one by one and an empty value clears", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		first, second := s.Attributes[0], s.Attributes[1]
		for _, step := range []struct{ write, want map[string]string }{
			{map[string]string{first: "Legal"}, map[string]string{first: "Legal", second: "Helsinki"}},
			{map[string]string{second: ""}, map[string]string{first: "Legal"}},
			{map[string]string{second: ""}, map[string]string{first: "Legal"}},
			{map[string]string{first: "", second: "Turku"}, map[string]string{second: "Turku"}},
			{map[string]string{second: ""}, nil},
		} {
			s.update(t, id, vault.Patch{Attributes: step.write})
			got := s.one(t, vault.Query{ID: id})
			want := got
			want.Attributes = step.want
			s.same(t, got, want)
		}
	}},
	{"full name and mail are cleared by empty values", func(t *testing.T, s *suite) {
		id := s.create(t, s.ann())
		s.update(t, id, vault.Patch{FullName: new(""), Email: new("")})
		if u := s.one(t, vault.Query{ID: id}); u.FullName != "" || u.Email != "" {
			t.Errorf("got %+v", u)
		}
		s.nobody(t, vault.Query{Email: s.ann().Email})
	}},
	{"an existing login account is used as it is", func(t *testing.T, s *suite) {
		if s.AddAccount == nil {
			t.Skip("this store has no login accounts apart from users")
		}
		s.AddAccount(t, s.store, vault.User{
			LoginName: "ANN@contoso.com", FullName: "By Hand", Email: "hand@contoso.com", License: identity.LicenseReadOnly,
		})
		if users := s.users(t); len(users) != 0 {
			t.Fatalf("a login account is listed as a user: %v", users)
		}
		for _, q := range []vault.Query{{LoginName: "ann@contoso.com"}, {Email: "HAND@contoso.com"}} {
			if u := s.one(t, q); u.ID != "" || u.FullName != "By Hand" {
				t.Errorf("find %+v: got %+v", q, u)
			}
		}
		id := s.create(t, s.ann())
		s.same(t, s.one(t, vault.Query{ExternalID: s.ann().ExternalID}), vault.User{
			ID: id, LoginName: "ANN@contoso.com", FullName: "By Hand", Email: "hand@contoso.com", License: identity.LicenseReadOnly,
			Enabled: true, ExternalID: s.ann().ExternalID, Managed: true,
		})
	}},
	{"a user deleted by hand is gone and its id is not used again", func(t *testing.T, s *suite) {
		if s.DeleteUser == nil {
			t.Skip("this suite cannot delete in this store")
		}
		id, other := s.create(t, s.ann()), s.create(t, s.bob())
		group := s.createGroup(t, vault.Group{Name: "Sales"})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: group, Members: []string{id, other}})
		s.DeleteUser(t, s.store, id)
		s.nobody(t, vault.Query{ID: id})
		s.members(t, group, other)
		s.refused(t, vault.ErrNotFound, vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{Enabled: new(true)}})
		s.refused(t, vault.ErrNotFound, vault.Change{Op: vault.AddMembers, GroupID: group, Members: []string{id}})
		s.apply(t, vault.Change{Op: vault.RemoveMembers, GroupID: group, Members: []string{id}})
		if again := s.create(t, s.ann()); again == id {
			t.Errorf("id %q is used again", id)
		}
		s.members(t, group, other)
	}},
	{"an update of an unknown user answers that it is not found", func(t *testing.T, s *suite) {
		s.create(t, s.ann())
		for _, id := range []string{"999999", "0", "", "no such id", "-1", "../1", `1" or 1 eq 1`} {
			s.refused(t, vault.ErrNotFound, vault.Change{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{FullName: new("X")}})
		}
	}},
}
