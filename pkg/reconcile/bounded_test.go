package reconcile_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// bounded is a vault of many people whose runs are planned in portions of few.
type bounded struct {
	*world
	vault *reconcile.Vault
	store *vaulttest.Memory
	most  int // people planned together since reset
}

const boundedPortion = 50

func newBounded(t *testing.T, people int) *bounded {
	t.Helper()
	const groups = 8
	tenant := entrasim.Generate(entrasim.Spec{People: people, Groups: groups, MembershipsPerPerson: 2, Seed: 5})
	spec := vaultSpec{name: "sales", rest: openGuards}
	for i := range groups {
		spec.groups = append(spec.groups, fmt.Sprint("Group ", i))
	}
	w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, spec)
	t.Cleanup(w.Close)
	b := &bounded{world: w, vault: w.vaults[spec.name], store: w.stores[spec.name]}
	b.vault.SetPortion(boundedPortion)
	b.vault.Watch(func(people int) { b.most = max(b.most, people) })
	return b
}

// people is the most people that were planned together in one run.
func (b *bounded) people(t *testing.T, o reconcile.Options) int {
	t.Helper()
	b.most = 0
	if _, err := b.vault.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	return b.most
}

// users are the vault's users by id.
func (b *bounded) users(t *testing.T) (users []vault.User) {
	t.Helper()
	for u, err := range b.store.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	return users
}

// TestMemoryIsBounded counts the people who are in memory together with all
// that a plan needs of them, in a vault of far more.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := newBounded(t, 600)
	if n := b.people(t, reconcile.Options{}); n == 0 || n > boundedPortion {
		t.Errorf("a first import plans %d people together", n)
	}
	if n := b.people(t, reconcile.Options{Full: true}); n != 0 {
		t.Errorf("a full run plans %d people of a vault in which all is as it should be", n)
	}
	name := "By hand"
	var changes []vault.Change
	for _, u := range b.users(t)[:7] {
		changes = append(changes, vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{FullName: &name}})
	}
	for _, r := range b.store.Apply(t.Context(), changes) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if n := b.people(t, reconcile.Options{Full: true}); n != len(changes) {
		t.Errorf("a full run plans %d people where hands have changed %d", n, len(changes))
	}
	for _, u := range b.users(t) {
		if u.FullName == name {
			t.Errorf("%s was not put right", u.LoginName)
		}
	}
	changes = changes[:0]
	users := b.users(t)
	for _, u := range users {
		changes = append(changes, vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: vault.Patch{FullName: &name}})
	}
	b.store.Apply(t.Context(), changes)
	if n := b.people(t, reconcile.Options{Full: true}); n == 0 || n > boundedPortion {
		t.Errorf("a full run plans %d people together where hands have changed everybody", n)
	}
	for i, u := range b.users(t) {
		if u.FullName == name || u.LoginName != users[i].LoginName {
			t.Errorf("%s was not put right: %+v", users[i].LoginName, u)
		}
	}
	b.mustRest()
}

// handsEverywhere changes the name of everybody in the vault, takes people out
// of groups, puts others in, disables, deletes and renames some accounts, and
// lets some people leave the directory, in the order of the directory's ids.
func handsEverywhere(t *testing.T, w *world, m *vaulttest.Memory) {
	t.Helper()
	var users []vault.User
	for u, err := range m.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		users = append(users, u)
	}
	slices.SortFunc(users, func(a, b vault.User) int { return cmp.Compare(a.ExternalID, b.ExternalID) })
	var groups []vault.Group
	for g, err := range m.Groups(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b vault.Group) int { return cmp.Compare(a.ExternalID, b.ExternalID) })
	var changes []vault.Change
	for i, u := range users {
		patch := vault.Patch{FullName: new("By hand")}
		switch i % 20 {
		case 3:
			patch.Enabled = new(false)
		case 4:
			patch.LoginName = new(fmt.Sprint("renamed-", i))
		case 5:
			patch.ExternalID = new("")
		case 6:
			changes = append(changes, vault.Change{Op: vault.AddMembers, GroupID: groups[0].ID, Members: []string{u.ID}})
		case 7, 8, 9:
			for _, g := range groups {
				changes = append(changes, vault.Change{Op: vault.RemoveMembers, GroupID: g.ID, Members: []string{u.ID}})
			}
		}
		changes = append(changes, vault.Change{Op: vault.UpdateUser, UserID: u.ID, Patch: patch})
	}
	for _, r := range m.Apply(t.Context(), changes) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for i, u := range users {
		switch i % 40 {
		case 10:
			if err := m.DeleteUser(u.ID); err != nil {
				t.Fatal(err)
			}
		case 11:
			if err := w.tenant.DeleteUser(u.ExternalID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := m.DeleteGroup(groups[1].ID); err != nil {
		t.Fatal(err)
	}
}

func TestAFullRunInPortionsComesToTheSameAsOneThatIsPlannedWhole(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{"", "drift: report\n"} {
		t.Run(cmp.Or(rest, "drift: repair"), func(t *testing.T) {
			t.Parallel()
			c := importCase{rest: rest, after: handsEverywhere}
			whole, portions := c.imported(t, 1<<30), c.imported(t, 17)
			whole.compare(t, portions)
			if whole.report.Counts.Made() < 10 {
				t.Errorf("%+v: next to nothing was compared", whole.report.Counts)
			}
		})
	}
}
