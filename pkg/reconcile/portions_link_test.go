package reconcile_test

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// A group that is configured later, and that the vault has already, with people
// of ours in it: they are in it, and are not put into it again, in whatever
// portion they are planned.
func TestAGroupLinkedInAFullRunKeepsItsMembersInEveryPortion(t *testing.T) {
	t.Parallel()
	var counts []int
	for _, portion := range []int{1 << 30, 7} {
		tenant := entrasim.Generate(entrasim.Spec{People: 120, Groups: 3, MembershipsPerPerson: 2, Seed: 3})
		spec := vaultSpec{name: "sales", groups: []string{"Group 0", "Group 1"}, rest: openGuards}
		w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, spec)
		t.Cleanup(w.Close)
		w.mustRun(reconcile.Options{})
		m := w.stores["sales"]
		group := m.Apply(t.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "Group 2"}}})[0]
		var members []string
		for u, err := range m.Users(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			members = append(members, u.ID)
		}
		if err := m.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group.ID, Members: members[:len(members)/2]}})[0].Err; group.Err != nil || err != nil {
			t.Fatal(group.Err, err)
		}
		w.specs[0].groups = append(w.specs[0].groups, "Group 2")
		w.specs[0].rest += "attributes: [{source: displayName, target: info1}]\n"
		w.portion = portion
		w.reopen()
		dry := w.mustRun(reconcile.Options{Full: true, DryRun: true})[0]
		report := w.mustRun(reconcile.Options{Full: true})[0]
		planned := 0
		for _, c := range dry.Plan.Changes {
			if c.Kind == plan.MemberAdd {
				planned++
			}
		}
		if planned != report.Counts.MembersAdded {
			t.Errorf("portions of %d: the run adds %d members, the plan had %d", portion, report.Counts.MembersAdded, planned)
		}
		counts = append(counts, report.Counts.MembersAdded)
		w.mustRest()
	}
	if counts[0] != counts[1] {
		t.Errorf("whole, the run adds %d members, in portions %d", counts[0], counts[1])
	}
}
