package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// runIn runs the vaults in a bubble until the function that it gives is called.
func (f *fleet) runIn(t *testing.T) (stop func()) {
	t.Helper()
	return f.run(t, f.open(t))
}

func (f *fleet) run(t *testing.T, d *daemon) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := d.runner.Run(ctx); err != nil {
			t.Errorf("the runner ended: %v", err)
		}
	})
	return func() {
		cancel()
		wait.Wait()
		if err := f.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func TestAQuietTickCostsWhatTheStreamsCost(t *testing.T) {
	for _, c := range []struct {
		vaults, groups, perVault int
		requests                 int // ⌈(streams + 1) / 20⌉
	}{
		{1, 20, 20, 1},
		{20, 20, 2, 1},
		{200, 20, 2, 1},  // more vaults on the same groups cost nothing more
		{200, 200, 1, 1}, // 4 streams of groups and the one of users
		{50, 1000, 20, 2},
	} {
		t.Run(fmt.Sprintf("%d vaults on %d groups: %d", c.vaults, c.groups, c.requests), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				tenant := entrasim.Generate(entrasim.Spec{People: 200, Groups: c.groups, MembershipsPerPerson: 5, Seed: 1})
				s := newSite(t, "contoso", tenant, "profiles: stream")
				f := &fleet{dir: dir, sites: []*site{s}, server: "concurrency: 4"}
				f.write(t)
				ids := groupIDs(t, tenant, c.groups)
				for v := range c.vaults {
					var mine []string
					for g := range c.perVault {
						mine = append(mine, ids[(v*c.perVault+g)%len(ids)])
					}
					// All vaults are due in the same minute, the dearest tick there is.
					f.vault(t, fmt.Sprintf("v%03d", v), "contoso", `{cron: "*/15 * * * *", timeZone: UTC}`, mine...)
				}
				stop := f.runIn(t)
				defer stop()
				time.Sleep(15*time.Minute - time.Second) // the bubble's clock begins at midnight
				synctest.Wait()
				if n := s.requests(); n != 0 {
					t.Fatalf("%d requests before the first tick", n)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				first := f.take()
				if len(first) != c.vaults {
					t.Fatalf("%d of %d vaults were imported", len(first), c.vaults)
				}
				for _, r := range first {
					if r.Outcome != reconcile.OK || r.Counts.Created == 0 {
						t.Fatalf("%s: first import: %+v", r.Vault, r)
					}
				}
				s.requests()
				for tick := range 2 {
					time.Sleep(15 * time.Minute)
					synctest.Wait()
					if n := s.requests(); n != c.requests {
						t.Errorf("tick %d: %d requests, want %d", tick, n, c.requests)
					}
					runs := f.take()
					if len(runs) != c.vaults {
						t.Errorf("tick %d: %d of %d vaults ran", tick, len(runs), c.vaults)
					}
					counted := 0
					for _, r := range runs {
						counted += r.Requests.Directory
						if r.Outcome != reconcile.OK || r.Requests.Store != 0 || r.Counts.Made() != 0 {
							t.Fatalf("%s: a quiet run: %+v", r.Vault, r)
						}
					}
					if counted != c.requests {
						t.Errorf("tick %d: the reports count %d requests, the directory %d", tick, counted, c.requests)
					}
				}
			})
		})
	}
}

func TestVaultsSpreadOverAnIntervalShareFreshPulls(t *testing.T) {
	asked := map[int]int{}
	for _, vaults := range []int{20, 60} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			tenant := entrasim.Generate(entrasim.Spec{People: 200, Groups: 10, MembershipsPerPerson: 2, Seed: 1})
			s := newSite(t, "contoso", tenant, "profiles: stream\nfreshness: 1m")
			f := &fleet{dir: dir, sites: []*site{s}}
			f.write(t)
			ids := groupIDs(t, tenant, 10)
			for v := range vaults {
				f.vault(t, fmt.Sprintf("v%03d", v), "contoso", "{every: 15m}", ids[v%10])
			}
			defer f.runIn(t)()
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			s.requests()
			f.take()
			time.Sleep(time.Hour)
			synctest.Wait()
			asked[vaults] = s.requests()
			if runs := len(f.take()); runs != 4*vaults {
				t.Errorf("%d runs of %d vaults in an hour", runs, vaults)
			}
		})
	}
	// One pull a minute is enough for all, at one request each.
	if asked[60] > 60 || asked[20] > 60 {
		t.Errorf("requests in an hour, by vaults: %v", asked)
	}
}
