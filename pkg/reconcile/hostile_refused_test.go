package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// TestARefusedGroupIsSetAside takes one configured group after the other away
// from the application.
func TestARefusedGroupIsSetAside(t *testing.T) {
	t.Parallel()
	for _, profiles := range []string{"stream", "read"} {
		t.Run("the other groups go on, its people keep what they have, people by "+profiles, func(t *testing.T) {
			t.Parallel()
			tenant, err := entrasim.ParseTenant(company)
			if err != nil {
				t.Fatal(err)
			}
			w := openWorld(t.Context(), t, t.TempDir(), tenant, profiles, nil,
				vaultSpec{"sales", []string{"Sales EU", "Helsinki"}, openGuards}, vaultSpec{"archive", []string{"Archive"}, openGuards})
			defer w.Close()
			w.mustRun(reconcile.Options{})
			w.check()
			archive := look(w, w.stores["archive"])
			w.apply("forbid group Archive\n-member Archive: fay@contoso.com\n+member Helsinki: hal@contoso.com")
			for _, full := range []bool{false, true} {
				reports := w.mustRun(reconcile.Options{Full: full})
				if !slices.ContainsFunc(reports[1].Waiting, func(n plan.Note) bool {
					return n.Group == "Archive" && strings.Contains(n.Text, "GroupMember.Read.All")
				}) {
					t.Errorf("full %v: the group and the permission are not named: %q", full, reports[1].Waiting)
				}
				if now := look(w, w.stores["archive"]); !slices.Equal(now.groups["Archive"], archive.groups["Archive"]) || len(now.users) != len(archive.users) {
					t.Errorf("full %v: the refused group's vault went from %v to %v", full, archive.groups, now.groups)
				}
				if n := len(look(w, w.stores["sales"]).groups["Helsinki"]); n != len(w.truth().in(w.groupID("Helsinki"))) {
					t.Errorf("full %v: Helsinki has %d members", full, n)
				}
			}
			w.apply("forbid group Sales EU\nforbid group Helsinki")
			for _, m := range w.stores {
				m.Forget()
			}
			_, byVault, _ := w.run(reconcile.Options{})
			for name, err := range byVault {
				if !errors.Is(err, directory.ErrForbidden) || len(w.stores[name].Writes()) > 0 {
					t.Errorf("with every group refused vault %s: %v, %d changes", name, err, len(w.stores[name].Writes()))
				}
			}
			w.apply("permit group Archive\npermit group Sales EU\npermit group Helsinki")
			w.mustRun(reconcile.Options{})
			w.check()
			w.mustRest()
		})
	}
}
