package reconcile_test

import (
	"fmt"
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
	b.mustRest()
}
