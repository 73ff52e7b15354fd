package reconcile_test

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// A run disables somebody and dies, the person is back, and the run that is to
// enable the account again fails too.
func TestTwoRunsThatBreakOffTakeNobodysAccess(t *testing.T) {
	t.Parallel()
	tenant := entrasim.Generate(entrasim.Spec{People: 1, Groups: 1, MembershipsPerPerson: 1, Seed: 3})
	w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, vaultSpec{name: "sales", groups: []string{"Group 0"}, rest: openGuards})
	t.Cleanup(w.Close)
	w.mustRun(reconcile.Options{})
	m, person := w.stores["sales"], tenant.People()[0].ID.String()

	w.apply("-member Group 0: " + person)
	m.Lose = func(c vault.Change) bool { return c.Patch.Enabled != nil }
	w.mustRun(reconcile.Options{})
	m.Lose = nil
	w.apply("+member Group 0: " + person)
	m.Fail = func(c vault.Change) error {
		if c.Patch.Enabled != nil {
			return vault.ErrUnreachable
		}
		return nil
	}
	if _, _, err := w.run(reconcile.Options{ByHand: true}); err == nil {
		t.Fatal("the store was not out of reach")
	}
	m.Fail = nil
	w.mustRun(reconcile.Options{ByHand: true})
	w.check()
}
