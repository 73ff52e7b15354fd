package roster_test

import (
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/roster"
)

// copied is a local copy of a directory with what a test says.
type copied struct {
	groups         map[identity.ObjectID]mirror.Group
	incomplete     map[identity.ObjectID]string
	people         map[uint32]identity.Person
	gone, disabled *roaring.Bitmap
	asked          []uint32
}

func (c *copied) Group(id identity.ObjectID) (mirror.Group, bool, error) {
	g, ok := c.groups[id]
	return g, ok, nil
}

func (c *copied) Members(id identity.ObjectID, _ bool) (*roaring.Bitmap, bool, string, error) {
	why := c.incomplete[id]
	return c.groups[id].Members, why == "", why, nil
}

func (c *copied) Person(n uint32) (identity.Person, bool, error) {
	c.asked = append(c.asked, n)
	p, ok := c.people[n]
	return p, ok, nil
}

func (c *copied) Gone() *roaring.Bitmap     { return c.gone }
func (c *copied) Disabled() *roaring.Bitmap { return c.disabled }
func (c *copied) Profiled() *roaring.Bitmap {
	all := roaring.New()
	for n := range c.people {
		all.Add(n)
	}
	return all
}

var sales, hr = identity.ObjectID{9, 1}, identity.ObjectID{9, 2}

func tenant() *copied {
	c := &copied{
		groups: map[identity.ObjectID]mirror.Group{
			sales: {ID: sales, Name: "Sales", Members: roaring.BitmapOf(1, 2, 3, 4, 5)},
			hr:    {ID: hr, Name: "HR", Members: roaring.BitmapOf(5, 6)},
		},
		incomplete: map[identity.ObjectID]string{}, people: map[uint32]identity.Person{},
		gone: roaring.BitmapOf(2), disabled: roaring.BitmapOf(3),
	}
	for n := range uint32(7) {
		kind := "Member"
		if n == 4 {
			kind = "Guest"
		}
		c.people[n] = person(map[string]string{"userType": kind})
	}
	return c
}

func TestCompute(t *testing.T) {
	t.Parallel()
	set := roaring.BitmapOf
	for _, c := range []struct {
		name                 string
		change               func(*copied, *config.Vault)
		sales, everyone, out *roaring.Bitmap
		state                directory.GroupState
		empty                bool
		pending              *roaring.Bitmap
		known                roster.Scope
		wantAsked            int
	}{
		{"gone, disabled and out of scope are not in the vault", nil, set(1, 5), set(1, 5, 6), set(4), directory.GroupPresent, false, set(), roster.Scope{}, 6},
		{"disabledInDirectory: ignore lets the disabled in", func(_ *copied, v *config.Vault) { v.Accounts.DisabledInDirectory = "ignore" }, set(1, 3, 5), set(1, 3, 5, 6), set(4), directory.GroupPresent, false, set(), roster.Scope{}, 6},
		{"without a scope everybody is in it", func(_ *copied, v *config.Vault) { v.Scope = "" }, set(1, 4, 5), set(1, 4, 5, 6), set(), directory.GroupPresent, false, set(), roster.Scope{}, 0},
		{"a group that is gone has nobody, and says so", func(c *copied, _ *config.Vault) {
			g := c.groups[sales]
			g.State = directory.GroupMissing
			c.groups[sales] = g
		}, set(), set(5, 6), set(), directory.GroupMissing, false, set(), roster.Scope{}, 2},
		{"a group that is read in part has some, and is no empty group", func(c *copied, _ *config.Vault) {
			c.incomplete[sales] = "page 2 failed"
			g := c.groups[sales]
			g.Members = set()
			c.groups[sales] = g
		}, set(), set(5, 6), set(), directory.GroupUnreadable, false, set(), roster.Scope{}, 2},
		{"a group that is not followed yet is unreadable, never empty", func(c *copied, _ *config.Vault) { delete(c.groups, sales) }, set(), set(5, 6), set(), directory.GroupUnreadable, false, set(), roster.Scope{}, 2},
		{"a group without any member is empty", func(c *copied, _ *config.Vault) {
			g := c.groups[sales]
			g.Members = set()
			c.groups[sales] = g
		}, set(), set(5, 6), set(), directory.GroupPresent, true, set(), roster.Scope{}, 2},
		{"a group whose members are all disabled is not empty", func(c *copied, _ *config.Vault) { c.disabled = set(1, 2, 3, 4, 5) }, set(), set(6), set(4), directory.GroupPresent, false, set(), roster.Scope{}, 6},
		{"a member without a profile is pending, neither in nor out of scope", func(c *copied, _ *config.Vault) { delete(c.people, 1) }, set(1, 5), set(1, 5, 6), set(4), directory.GroupPresent, false, set(1), roster.Scope{}, 6},
		{"who was asked before is not asked again", nil, set(5), set(5, 6), set(1, 4), directory.GroupPresent, false, set(), roster.Scope{Out: set(1, 4), Known: set(1, 2, 3, 4, 5)}, 1},
		{"who was out and cannot be read now stays out", func(c *copied, _ *config.Vault) { delete(c.people, 1) }, set(5), set(5, 6), set(1, 4), directory.GroupPresent, false, set(), roster.Scope{Out: set(1), Known: set()}, 6},
		{"a scope that fails for one person decides nothing about that one, and everything about the others", func(c *copied, v *config.Vault) {
			v.Scope = `int(user.employeeId) > 3`
			for n := range c.people {
				c.people[n] = person(map[string]string{"employeeId": "4"})
			}
			c.people[1] = person(map[string]string{"employeeId": "none"})
			c.people[5] = person(map[string]string{"employeeId": "2"})
		}, set(1, 4), set(1, 4, 6), set(5), directory.GroupPresent, false, set(), roster.Scope{}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, m := file(), tenant()
			v.Scope = `user.userType == "Member"`
			v.Groups = []config.Group{{ID: sales}, {ID: hr, VaultGroup: "People", License: identity.LicenseReadOnly}}
			if c.change != nil {
				c.change(m, &v)
			}
			r, err := roster.Compile(v)
			if err != nil {
				t.Fatal(err)
			}
			known := c.known
			if known.Out == nil {
				known = roster.Scope{Out: set(), Known: set()}
			}
			before := m.groups[hr].Members.Clone()
			got, err := r.Compute(m, []identity.ObjectID{sales, hr}, known)
			if err != nil {
				t.Fatal(err)
			}
			g := got.Groups[0]
			if !g.Members.Equals(c.sales) || !got.Everyone.Equals(c.everyone) || !got.OutOfScope.Equals(c.out) || !got.Pending.Equals(c.pending) {
				t.Errorf("members %v everyone %v out %v pending %v", g.Members, got.Everyone, got.OutOfScope, got.Pending)
			}
			if g.State != c.state || g.Empty != c.empty || (g.State != directory.GroupPresent && g.Why == "" && c.state != directory.GroupMissing) {
				t.Errorf("state %v empty %v why %q", g.State, g.Empty, g.Why)
			}
			if len(m.asked) != c.wantAsked {
				t.Errorf("asked of %v, want %d", m.asked, c.wantAsked)
			}
			if got.Groups[1].Name != "People" || got.Groups[1].License != identity.LicenseReadOnly || (g.Name != "Sales" && len(m.groups) == 2) {
				t.Errorf("%+v", got.Groups[1])
			}
			if !m.groups[hr].Members.Equals(before) {
				t.Error("the mirror's own sets were changed")
			}
		})
	}

	t.Run("a name that leads to no group is unreadable and says so", func(t *testing.T) {
		t.Parallel()
		v := file()
		v.Groups = []config.Group{{Name: "Salez"}}
		r, err := roster.Compile(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Compute(tenant(), []identity.ObjectID{{}}, roster.Scope{Out: set(), Known: set()})
		if err != nil || got.Groups[0].State != directory.GroupUnreadable || got.Groups[0].Why == "" || !got.Everyone.IsEmpty() {
			t.Errorf("%+v %v", got.Groups[0], err)
		}
	})
}
