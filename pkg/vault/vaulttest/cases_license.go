package vaulttest

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

var licenseCases = []testCase{
	{"licences are counted as they are handed out and given back", func(t *testing.T, s *suite) {
		s.licensed(t)
		id := s.create(t, s.ann())
		s.used(t, identity.LicenseNamed, 1)
		s.update(t, id, vault.Patch{Enabled: new(false)})
		s.used(t, identity.LicenseNamed, 1) // lifecycle.md: a disabled user keeps it
		s.update(t, id, vault.Patch{License: new(identity.LicenseReadOnly)})
		s.used(t, identity.LicenseNamed, 0)
		s.used(t, identity.LicenseReadOnly, 1)
		s.update(t, id, vault.Patch{License: new(identity.NoLicense)})
		s.used(t, identity.LicenseReadOnly, 0)
		if got := s.one(t, vault.Query{ID: id}).License; got != identity.NoLicense {
			t.Errorf("licence %q", got)
		}
	}},
	{"a user for whom there is no licence is not created at all", func(t *testing.T, s *suite) {
		s.limited(t, 1)
		s.create(t, s.ann())
		s.refused(t, vault.ErrNoLicense, vault.Change{Op: vault.CreateUser, User: s.bob()})
		s.nobody(t, vault.Query{LoginName: s.bob().LoginName})
		s.nobody(t, vault.Query{ExternalID: s.bob().ExternalID})
		s.used(t, identity.LicenseNamed, 1)
		other := s.bob()
		other.License = identity.LicenseReadOnly
		s.create(t, other)
	}},
	{"licences that run out within one call answer those that got none", func(t *testing.T, s *suite) {
		s.limited(t, 3)
		changes := manyUsers(5)
		for i := range changes {
			changes[i].User.License = identity.LicenseNamed
		}
		changes[1].User.License = identity.NoLicense
		results := s.store.Apply(t.Context(), changes)
		for i, want := range []error{nil, nil, nil, nil, vault.ErrNoLicense} {
			checkKind(t, i, results[i], want)
		}
		if users := s.users(t); len(users) != 4 {
			t.Errorf("%d users, want 4", len(users))
		}
	}},
	{"a licence that is not there is not given to an existing user", func(t *testing.T, s *suite) {
		s.limited(t, 1)
		s.create(t, s.ann())
		u := s.bob()
		u.License = identity.LicenseReadOnly
		u.ID, u.Enabled = s.create(t, u), true
		s.refused(t, vault.ErrNoLicense, vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{
			License: new(identity.LicenseNamed), FullName: new("Half Done"),
		}})
		s.same(t, s.one(t, vault.Query{ID: u.ID}), u)
		s.used(t, identity.LicenseReadOnly, 1)
	}},
	{"a licence that was given back is handed out again", func(t *testing.T, s *suite) {
		s.limited(t, 1)
		id := s.create(t, s.ann())
		results := s.store.Apply(t.Context(), []vault.Change{
			{Op: vault.CreateUser, User: s.bob()},
			{Op: vault.UpdateUser, UserID: id, Patch: vault.Patch{License: new(identity.NoLicense)}},
			{Op: vault.CreateUser, User: s.bob()},
		})
		for i, want := range []error{vault.ErrNoLicense, nil, nil} {
			checkKind(t, i, results[i], want)
		}
		s.used(t, identity.LicenseNamed, 1)
	}},
	{"writing the licence that a user has needs no other", func(t *testing.T, s *suite) {
		s.limited(t, 1)
		id := s.create(t, s.ann())
		s.update(t, id, vault.Patch{License: new(identity.LicenseNamed), FullName: new("Ann Again")})
		s.used(t, identity.LicenseNamed, 1)
	}},
	{"a licence of an unknown type is refused", func(t *testing.T, s *suite) {
		s.licensed(t)
		u := s.ann()
		u.License = "gold"
		s.refused(t, vault.ErrInvalid, vault.Change{Op: vault.CreateUser, User: u})
		s.nobody(t, vault.Query{LoginName: u.LoginName})
	}},
	{"an existing login account needs no licence to become a user", func(t *testing.T, s *suite) {
		if s.AddAccount == nil {
			t.Skip("this store has no login accounts apart from users")
		}
		s.limited(t, 1)
		s.AddAccount(t, s.store, vault.User{LoginName: s.bob().LoginName, License: identity.NoLicense})
		s.create(t, s.ann())
		id := s.create(t, s.bob())
		if got := s.one(t, vault.Query{ID: id}).License; got != identity.NoLicense {
			t.Errorf("licence %q", got)
		}
		s.used(t, identity.LicenseNamed, 1)
	}},
}

// licensed skips where there are no licences and fails where there should be.
func (s *suite) licensed(t *testing.T) vault.Licensed {
	t.Helper()
	if s.NoLicenses != "" {
		t.Skip("no licences with this store: " + s.NoLicenses)
	}
	licensed, ok := s.store.(vault.Licensed)
	if !ok {
		t.Fatalf("%T is not vault.Licensed and Options.NoLicenses gives no reason", s.store)
	}
	return licensed
}

// limited makes the case's store one with few named licences.
func (s *suite) limited(t *testing.T, named int) {
	t.Helper()
	s.licensed(t)
	if s.NewLimited == nil {
		t.Skip("the pools of this store cannot be limited")
	}
	s.store = s.NewLimited(t, named)
}

func (s *suite) used(t *testing.T, l identity.License, want int) {
	t.Helper()
	pools, err := s.licensed(t).Licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pools {
		if p.Type == l {
			if p.Used != want {
				t.Errorf("%d licences of type %q in use, want %d", p.Used, l, want)
			}
			return
		}
	}
	t.Errorf("no pool of type %q in %v", l, pools)
}
