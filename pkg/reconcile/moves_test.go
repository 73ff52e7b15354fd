package reconcile_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// movingStore calls tick before each user that it lists and each call that
// changes something.
type movingStore struct {
	*dyingStore
	tick func()
}

func (s *movingStore) Apply(ctx context.Context, changes []vault.Change) []vault.Result {
	s.tick()
	return s.Memory.Apply(ctx, changes)
}

// TestAFullRunWhileTheDirectoryMoves lets the directory change, and be read by
// somebody else, at any moment of a full run in portions: the next run, which
// looks only at what has changed since the first began, ends where the
// directory is.
func TestAFullRunWhileTheDirectoryMoves(t *testing.T) {
	setChecks(t, "12", "200")
	rapid.Check(t, func(rt *rapid.T) {
		tenant := entrasim.Generate(entrasim.Spec{People: 8, Groups: 3, Nesting: 1, MembershipsPerPerson: 2, Seed: 7})
		spec := vaultSpec{name: "sales", groups: []string{"Group 0", "Group 1", "Group 2"}, rest: openGuards}
		w := openWorld(t.Context(), rt, t.TempDir(), tenant, rapid.SampledFrom([]string{"stream", "read"}).Draw(rt, "profiles"), nil, spec)
		defer w.Close()
		w.mustRun(reconcile.Options{})

		moves := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 5).Draw(rt, "moves at")
		people, ticks := w.tenant.People(), 0
		store := &movingStore{dyingStore: &dyingStore{Memory: w.stores["sales"]}}
		store.tick = func() {
			if ticks++; !slices.Contains(moves, ticks-1) {
				return
			}
			p := rapid.SampledFrom(people).Draw(rt, "person").ID.String()
			g := "Group " + fmt.Sprint(rapid.IntRange(0, 2).Draw(rt, "group"))
			text := rapid.SampledFrom([]string{
				"set " + p + " name=Moved" + fmt.Sprint(ticks), "set " + p + " upn=moved" + fmt.Sprint(ticks) + "@contoso.com",
				"+member " + g + ": " + p, "-member " + g + ": " + p, "set " + p + " enabled=false", "delete user " + p,
			}).Draw(rt, "move")
			_ = w.tenant.Apply(text) // of somebody who is gone it is refused
			if _, err := w.directory.Pull(t.Context(), reconcile.Pull{}); err != nil {
				rt.Fatalf("pull: %v", err)
			}
		}
		store.during = func(int) { store.tick() }
		w.portion = rapid.IntRange(1, 3).Draw(rt, "portion")
		if rapid.Bool().Draw(rt, "new rules") {
			w.specs[0].rest += "attributes: [{source: displayName, target: info1}]\n"
		}
		w.seam = func(string, *vaulttest.Memory) vault.Store { return store }
		w.reopen()
		w.mustRun(reconcile.Options{Full: true})
		store.during, store.tick = nil, func() {}
		w.mustRun(reconcile.Options{})
		w.check()
		w.mustRest()
	})
}
