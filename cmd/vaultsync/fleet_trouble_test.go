package main

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// TestOneDirectorysTroubleIsNotTheOthers has five directories, of which one
// hangs and one throttles, and fewer places than vaults in trouble.
func TestOneDirectorysTroubleIsNotTheOthers(t *testing.T) {
	const perDirectory = 6
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{dir: dir, server: "concurrency: 2"}
		for i := range 5 {
			tenant := entrasim.Generate(entrasim.Spec{People: 40, Groups: perDirectory, MembershipsPerPerson: 1, Seed: uint64(i)})
			f.sites = append(f.sites, newSite(t, fmt.Sprintf("d%d", i), tenant, "patience: 2m"))
			for v, id := range groupIDs(t, tenant, perDirectory) {
				f.vault(t, fmt.Sprintf("d%d-v%d", i, v), fmt.Sprintf("d%d", i), `{cron: "*/5 * * * *", timeZone: UTC}`, id)
			}
		}
		f.write(t)
		hangs, throttles := f.sites[1].graph, f.sites[3].graph
		inject := func(server *entrasim.Server, fault entrasim.Fault) {
			if _, err := server.Inject(fault); err != nil {
				t.Fatal(err)
			}
		}
		inject(hangs, entrasim.Fault{Kind: entrasim.FaultHang})
		inject(throttles, entrasim.Fault{Kind: entrasim.FaultThrottle, RetryAfter: "30"})
		defer f.runIn(t)()
		time.Sleep(4 * time.Minute)
		for tick := range 4 {
			time.Sleep(time.Minute + time.Second) // a second after the tick
			synctest.Wait()
			ran := map[string]int{}
			for _, r := range f.take() {
				if at := r.Vault[:2]; r.Outcome == reconcile.Failed && (at == "d1" || at == "d3") {
					continue // did not get past its directory
				}
				ran[r.Vault[:2]]++
				if r.Outcome != reconcile.OK || r.Started.Second() != 0 {
					t.Errorf("tick %d: %s ran %s at %s", tick, r.Vault, r.Outcome, r.Started)
				}
			}
			for _, name := range []string{"d0", "d2", "d4"} {
				if ran[name] != perDirectory {
					t.Errorf("tick %d: %d of %d vaults of %s ran on time", tick, ran[name], perDirectory, name)
				}
			}
			if ran["d1"] != 0 || ran["d3"] != 0 {
				t.Errorf("tick %d: vaults ran without their directory: %v", tick, ran)
			}
			time.Sleep(4*time.Minute - time.Second)
		}
		hangs.ClearFaults()
		throttles.ClearFaults()
		time.Sleep(time.Hour) // the longest pause after failures
		synctest.Wait()
		imported := map[string]bool{}
		for _, r := range f.take() {
			if r.Mode == "initial" && r.Outcome == reconcile.OK {
				imported[r.Vault] = true
			}
		}
		if len(imported) != 2*perDirectory {
			t.Errorf("%d of %d vaults came back when the trouble was over", len(imported), 2*perDirectory)
		}
	})
}

func TestARestartBringsNoStorm(t *testing.T) {
	const vaults = 40
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tenant := entrasim.Generate(entrasim.Spec{People: 100, Groups: 4, MembershipsPerPerson: 1, Seed: 1})
		s := newSite(t, "contoso", tenant, "")
		f := &fleet{dir: dir, sites: []*site{s}}
		f.write(t)
		for v := range vaults {
			f.vault(t, fmt.Sprintf("v%02d", v), "contoso", "{every: 15m}", groupIDs(t, tenant, 4)[v%4])
		}
		stop := f.runIn(t)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		stop()
		f.take()
		time.Sleep(6 * time.Hour) // the machine was off: all are overdue
		began := time.Now()
		defer f.runIn(t)()
		s.requests()
		ran := 0
		for minute := range 10 {
			time.Sleep(time.Minute)
			synctest.Wait()
			runs := f.take()
			ran += len(runs)
			// Ten seconds for each of those that are overdue.
			if len(runs) > 12 {
				t.Errorf("%d of %d vaults ran in minute %d", len(runs), vaults, minute)
			}
			for _, r := range runs {
				if r.Mode == "initial" || r.Counts.Made() != 0 {
					t.Errorf("%s %s after the restart: %+v", r.Vault, r.Started.Sub(began), r)
				}
			}
			if n := s.requests(); n > 1 {
				t.Errorf("%d requests in minute %d", n, minute)
			}
		}
		if ran != vaults {
			t.Errorf("%d of %d vaults made up for what they had missed", ran, vaults)
		}
	})
}
