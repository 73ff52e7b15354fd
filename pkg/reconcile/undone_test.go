package reconcile_test

import (
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// TestWhatADyingRunDidIsFoundOut lets a run die right after a change was made
// and before that was written down, and the directory take its reason back
// before the next run.
func TestWhatADyingRunDidIsFoundOut(t *testing.T) {
	t.Parallel()
	const out, in = "-member Sales: ann@contoso.com", "+member Sales: ann@contoso.com"
	for _, c := range []struct {
		name               string
		before, dies, then string
		full               bool
	}{
		{"who was disabled and is in again is enabled", "", out, in, false},
		{"who was disabled and is in again is enabled by a full run", "", out, in, true},
		{"who was enabled and has left again is disabled", out, in, out, false},
		{"who was enabled and has left again is disabled by a full run", out, in, out, true},
		{"who was put into a group and is out of it again is taken out", "", "+member Archive: ann@contoso.com", "-member Archive: ann@contoso.com", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tenant, err := entrasim.ParseTenant("user ann@contoso.com Ann\nuser bob@contoso.com Bob\ngroup Sales\ngroup Archive\nmember Sales: ann@contoso.com, bob@contoso.com\nmember Archive: bob@contoso.com\n")
			if err != nil {
				t.Fatal(err)
			}
			w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, vaultSpec{"sales", []string{"Sales", "Archive"}, openGuards})
			defer w.Close()
			store := &dyingStore{Memory: w.stores["sales"], created: map[string]int{}, disabled: map[string]bool{}, observe: func(vault.Change, string) {}}
			w.seam = func(string, *vaulttest.Memory) vault.Store { return store }
			w.reopen()
			w.mustRun(reconcile.Options{})
			if c.before != "" {
				w.apply(c.before)
				w.mustRun(reconcile.Options{})
			}
			w.apply(c.dies)
			store.seen, store.dieAt, store.dieAfter = 0, 1, true
			func() {
				defer func() {
					if recover() == nil {
						t.Error("the run did not die")
					}
				}()
				_, _, _ = w.run(reconcile.Options{})
			}()
			store.dieAt = 0
			w.reopen()
			w.apply(c.then)
			w.mustRun(reconcile.Options{Full: c.full})
			w.check()
			w.mustRest()
		})
	}
}
