package reconcile_test

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestWhoeverHasJoinedAfterFailuresIsNotSaidToWait(t *testing.T) {
	t.Parallel()
	tenant := entrasim.Generate(entrasim.Spec{People: 3, Groups: 1, MembershipsPerPerson: 1, Seed: 3})
	w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, vaultSpec{name: "sales", groups: []string{"Group 0"}, rest: openGuards})
	t.Cleanup(w.Close)
	m := w.stores["sales"]
	m.Fail = func(c vault.Change) error {
		if c.Op == vault.AddMembers {
			return vault.ErrInvalid
		}
		return nil
	}
	for range 4 { // the pauses grow
		if report := w.mustRun(reconcile.Options{ByHand: true})[0]; report.Outcome != reconcile.Partial {
			t.Fatalf("the run is %s", report.Outcome)
		}
	}
	m.Fail = nil
	if report := w.mustRun(reconcile.Options{ByHand: true})[0]; report.Outcome != reconcile.OK || report.Counts.MembersAdded != 3 {
		t.Errorf("the run that joins them is %s: %+v", report.Outcome, report)
	}
	if report := w.mustRun(reconcile.Options{})[0]; report.Outcome != reconcile.OK {
		t.Errorf("the run after it is %s: %+v", report.Outcome, report.Waiting)
	}
	w.check()
}
