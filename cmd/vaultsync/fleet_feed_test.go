package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

func TestTheChangeFeedIsKeptBackToTheSlowestVault(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tenant := entrasim.Generate(entrasim.Spec{People: 100, Groups: 3, MembershipsPerPerson: 1, Seed: 1})
		s := newSite(t, "contoso", tenant, "profiles: stream")
		f := &fleet{dir: dir, sites: []*site{s}}
		f.write(t)
		ids := groupIDs(t, tenant, 3)
		for v := range 3 {
			f.vault(t, fmt.Sprintf("v%d", v), "contoso", `{cron: "0 * * * *", timeZone: UTC}`, ids[v])
		}
		d := f.open(t)
		defer f.run(t, d)()
		tick := func() []reconcile.Report {
			time.Sleep(time.Hour)
			synctest.Wait()
			return f.take()
		}
		// reaches says whether the feed still goes back to a revision.
		reaches := func(since uint64) bool {
			t.Helper()
			view, err := d.app.directories["contoso"].Mirror.View()
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			_, ok, err := view.Touched(since)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		change := func(n int) {
			t.Helper()
			name := fmt.Sprintf("Newcomer %d", n)
			upn := fmt.Sprintf("newcomer%d@contoso.com", n)
			if _, err := tenant.AddUser(entrasim.UserSpec{UPN: upn, DisplayName: name}); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if err := tenant.AddMember(id, upn); err != nil {
					t.Fatal(err)
				}
			}
		}
		revision := func() uint64 {
			view, err := d.app.directories["contoso"].Mirror.View()
			if err != nil {
				t.Fatal(err)
			}
			defer view.Close()
			return view.Revision()
		}
		tick()
		time.Sleep(time.Minute)
		first := revision()
		change(1)
		if runs := tick(); len(runs) != 3 {
			t.Fatalf("%d runs", len(runs))
		}
		if revision() == first || reaches(first) {
			t.Fatal("what all vaults have applied is kept")
		}

		// One vault pauses: the feed waits for it.
		if err := d.runner.Pause("v2"); err != nil {
			t.Fatal(err)
		}
		paused := revision()
		for n := range 3 {
			change(10 + n)
			tick()
		}
		if !reaches(paused) {
			t.Fatal("the feed does not reach back to the slowest vault")
		}
		if err := d.runner.Resume("v2"); err != nil {
			t.Fatal(err)
		}
		tick()
		if reaches(paused) {
			t.Fatal("the feed is kept although the slowest vault has caught up")
		}

		// For longer than seven days it waits for nobody.
		if err := d.runner.Pause("v2"); err != nil {
			t.Fatal(err)
		}
		paused = revision()
		change(20)
		tick()
		time.Sleep(8 * 24 * time.Hour)
		change(21)
		tick()
		if reaches(paused) {
			t.Fatal("the feed is older than seven days")
		}
		f.take()
		if err := d.runner.Resume("v2"); err != nil {
			t.Fatal(err)
		}
		created := 0
		for _, r := range tick() {
			if r.Vault == "v2" {
				created += r.Counts.Created
			}
		}
		if created != 2 {
			t.Fatalf("the vault that was left behind got %d of 2 people", created)
		}
	})
}
