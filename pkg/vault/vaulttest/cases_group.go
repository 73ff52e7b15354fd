package vaulttest

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

var groupCases = []testCase{
	{"a created group has its fields and no members", func(t *testing.T, s *suite) {
		id := s.createGroup(t, vault.Group{Name: "Sales", ExternalID: "g1", Managed: true, Members: []string{"1"}})
		g := s.groups(t)[id]
		if g.Name != "Sales" || g.ExternalID != "g1" || !g.Managed {
			t.Errorf("got %+v", g)
		}
		s.members(t, id)
	}},
	{"a group's name in any case and its external id are its own", func(t *testing.T, s *suite) {
		s.createGroup(t, vault.Group{Name: "Sales", ExternalID: "g1"})
		s.refused(t, vault.ErrExists, vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: "SALES", ExternalID: "g2"}})
		s.refused(t, vault.ErrExists, vault.Change{Op: vault.CreateGroup, Group: vault.Group{Name: "Other", ExternalID: "g1"}})
		if groups := s.groups(t); len(groups) != 1 {
			t.Errorf("got %v", groups)
		}
	}},
	{"a group without a name is refused", func(t *testing.T, s *suite) {
		s.refused(t, vault.ErrInvalid, vault.Change{Op: vault.CreateGroup, Group: vault.Group{ExternalID: "g1"}})
	}},
	{"a renamed group keeps its members and frees its name", func(t *testing.T, s *suite) {
		user := s.create(t, s.ann())
		id := s.createGroup(t, vault.Group{Name: "Sales", ExternalID: "g1"})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: id, Members: []string{user}},
			vault.Change{Op: vault.UpdateGroup, GroupID: id, Patch: vault.Patch{Name: new("Sellers")}})
		if g := s.groups(t)[id]; g.Name != "Sellers" || g.ExternalID != "g1" {
			t.Errorf("got %+v", g)
		}
		s.members(t, id, user)
		s.createGroup(t, vault.Group{Name: "sales"})
	}},
	{"a group is linked by its external id", func(t *testing.T, s *suite) {
		id := s.createGroup(t, vault.Group{Name: "Sales"})
		s.apply(t, vault.Change{Op: vault.UpdateGroup, GroupID: id, Patch: vault.Patch{ExternalID: new("g1")}})
		if g := s.groups(t)[id]; g.Name != "Sales" || g.ExternalID != "g1" {
			t.Errorf("got %+v", g)
		}
	}},
	{"a group renamed to a taken name is refused and stays as it was", func(t *testing.T, s *suite) {
		s.createGroup(t, vault.Group{Name: "Legal"})
		id := s.createGroup(t, vault.Group{Name: "Sales"})
		s.refused(t, vault.ErrExists, vault.Change{
			Op: vault.UpdateGroup, GroupID: id, Patch: vault.Patch{Name: new("LEGAL"), ExternalID: new("half done")},
		})
		if g := s.groups(t)[id]; g.Name != "Sales" || g.ExternalID != "" {
			t.Errorf("got %+v", g)
		}
		s.apply(t, vault.Change{Op: vault.UpdateGroup, GroupID: id, Patch: vault.Patch{Name: new("SALES")}})
	}},
	{"members are added and removed, twice being no fault", func(t *testing.T, s *suite) {
		ann, bob := s.create(t, s.ann()), s.create(t, s.bob())
		id, other := s.createGroup(t, vault.Group{Name: "Sales"}), s.createGroup(t, vault.Group{Name: "Legal"})
		add := func(members ...string) vault.Change {
			return vault.Change{Op: vault.AddMembers, GroupID: id, Members: members}
		}
		remove := func(members ...string) vault.Change {
			return vault.Change{Op: vault.RemoveMembers, GroupID: id, Members: members}
		}
		s.apply(t, add(ann), vault.Change{Op: vault.AddMembers, GroupID: other, Members: []string{bob}})
		s.apply(t, add(ann, bob, ann), add(), remove())
		s.members(t, id, ann, bob)
		s.apply(t, remove(ann), remove(ann))
		s.members(t, id, bob)
		s.apply(t, remove(ann, bob, bob))
		s.members(t, id)
		s.members(t, other, bob)
	}},
	{"removing members that never existed is no fault", func(t *testing.T, s *suite) {
		ann := s.create(t, s.ann())
		id := s.createGroup(t, vault.Group{Name: "Sales"})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: id, Members: []string{ann}},
			vault.Change{Op: vault.RemoveMembers, GroupID: id, Members: []string{"999999", "no such id"}})
		s.members(t, id, ann)
	}},
	{"members are added all or, with an unknown one among them, none", func(t *testing.T, s *suite) {
		ann := s.create(t, s.ann())
		id := s.createGroup(t, vault.Group{Name: "Sales"})
		s.refused(t, vault.ErrNotFound, vault.Change{Op: vault.AddMembers, GroupID: id, Members: []string{ann, "999999"}})
		s.members(t, id)
	}},
	{"changes of an unknown group answer that it is not found", func(t *testing.T, s *suite) {
		ann := s.create(t, s.ann())
		for _, id := range []string{"999999", "", "no such id"} {
			for _, c := range []vault.Change{
				{Op: vault.UpdateGroup, Patch: vault.Patch{Name: new("X")}},
				{Op: vault.AddMembers, Members: []string{ann}},
				{Op: vault.RemoveMembers, Members: []string{ann}},
			} {
				c.GroupID = id
				s.refused(t, vault.ErrNotFound, c)
			}
		}
	}},
	{"a disabled user is a member like others", func(t *testing.T, s *suite) {
		ann := s.create(t, s.ann())
		id := s.createGroup(t, vault.Group{Name: "Sales"})
		s.update(t, ann, vault.Patch{Enabled: new(false)})
		s.apply(t, vault.Change{Op: vault.AddMembers, GroupID: id, Members: []string{ann}})
		s.members(t, id, ann)
	}},
}
