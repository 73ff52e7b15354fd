package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

func (f *fleet) statuses(t *testing.T, args ...string) map[string]vaultStatus {
	t.Helper()
	out := f.ask(t, append([]string{"status", "--json"}, args...)...).wait(t, exitDone).out.String()
	all := map[string]vaultStatus{}
	for line := range lines(out) {
		var st vaultStatus
		if err := json.Unmarshal([]byte(line), &st); err != nil {
			t.Fatal(err)
		}
		all[st.Vault] = st
	}
	return all
}

func (f *fleet) vaultFile(name string) string { return filepath.Join(f.dir, "vaults.d", name+".yaml") }

func TestReload(t *testing.T) {
	t.Run("takes nothing over from a configuration with a fault", func(t *testing.T) {
		f, _ := fleetOf(t, 30, 2, later)
		f.start(t)
		good, err := os.ReadFile(f.vaultFile("vb"))
		if err != nil {
			t.Fatal(err)
		}
		for fault, text := range map[string]string{
			"unknown key":            string(good) + "\nnonsense: 1\n",
			"expression":             string(good) + "\nscope: 'user.userType =='\n",
			"schedule that is never": strings.Replace(string(good), "every: 12h", `cron: "0 0 31 2 *"`, 1),
			"group that is no id":    strings.Replace(string(good), "id: ", "id: x", 1),
			"directory that is not":  strings.Replace(string(good), "contoso", "fabrikam", 1),
			"vault of the same name": strings.Replace(string(good), "vault: vb", "vault: va", 1),
			"no YAML":                "vault: [",
		} {
			put(t, f.vaultFile("vb"), text)
			put(t, f.vaultFile("vc"), strings.Replace(string(good), "vault: vb", "vault: vc", 1))
			r := f.ask(t, "reload").wait(t, exitUsage)
			if !strings.Contains(r.err.String(), "vb") && !strings.Contains(r.err.String(), "va") {
				t.Errorf("%s: the message names no vault: %s", fault, r.err.String())
			}
			put(t, f.vaultFile("vb"), string(good))
			if err := os.Remove(f.vaultFile("vc")); err != nil {
				t.Fatal(err)
			}
			if all := f.statuses(t); len(all) != 2 {
				t.Errorf("%s: %d vaults afterwards", fault, len(all))
			}
		}
		f.ask(t, "sync", "--all").wait(t, exitDone)
	})
	t.Run("brings new vaults and changed ones", func(t *testing.T) {
		f, s := fleetOf(t, 30, 2, later)
		f.start(t)
		f.ask(t, "sync", "--all").wait(t, exitDone)
		f.vault(t, "vz", "contoso", later, groupIDs(t, s.tenant, 2)...)
		if r := f.ask(t, "sync", "vz").wait(t, exitUsage); !strings.Contains(r.err.String(), "reload") {
			t.Errorf("before the reload the message names no way out: %s", r.err.String())
		}
		f.ask(t, "reload").wait(t, exitDone)
		if r := f.ask(t, "sync", "vz", "--json").wait(t, exitDone).report(t); r.Counts.Created != 30 {
			t.Errorf("the new vault: %+v", r)
		}
		f.ask(t, "sync", "va").wait(t, exitDone)
	})
	t.Run("shows a vault whose file is gone as removed, and keeps its state for its return", func(t *testing.T) {
		f, _ := fleetOf(t, 30, 2, later)
		f.start(t)
		f.ask(t, "sync", "--all").wait(t, exitDone)
		text, err := os.ReadFile(f.vaultFile("vb"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(f.vaultFile("vb")); err != nil {
			t.Fatal(err)
		}
		f.ask(t, "reload").wait(t, exitDone)
		all := f.statuses(t)
		if st := all["vb"]; st.State != "removed" || st.LastRun == nil || st.NextRun != nil || st.Problem == "" {
			t.Errorf("the removed vault: %+v", st)
		}
		if all["va"].State != "waiting" || len(all) != 2 {
			t.Errorf("the others: %+v", all)
		}
		if st := f.statuses(t, "vb"); st["vb"].State != "removed" {
			t.Errorf("asked for by its name: %+v", st)
		}
		f.ask(t, "status", "--check").wait(t, exitDone)
		f.ask(t, "sync", "vb").wait(t, exitUsage)

		put(t, f.vaultFile("vb"), string(text))
		f.ask(t, "reload").wait(t, exitDone)
		r := f.ask(t, "sync", "vb", "--json").wait(t, exitDone).report(t)
		if r.Mode != "delta" || r.Counts.Made() != 0 {
			t.Errorf("back again: %+v", r)
		}
	})
	t.Run("a vault that was never imported leaves nothing to show", func(t *testing.T) {
		f, _ := fleetOf(t, 30, 2, later)
		f.start(t)
		f.statuses(t) // opens all state
		if err := os.Remove(f.vaultFile("vb")); err != nil {
			t.Fatal(err)
		}
		f.ask(t, "reload").wait(t, exitDone)
		if all := f.statuses(t); len(all) != 1 {
			t.Errorf("%+v", all)
		}
	})
	t.Run("a directory at another address is asked there", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, later)
		f.start(t)
		f.ask(t, "sync", "va").wait(t, exitDone)
		moved, err := entrasim.Start(entrasim.Options{}, s.tenant)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = moved.Close() })
		if err := s.graph.Close(); err != nil {
			t.Fatal(err)
		}
		s.graph = moved
		f.write(t)
		f.ask(t, "reload").wait(t, exitDone)
		if r := f.ask(t, "sync", "va", "--json").wait(t, exitDone).report(t); r.Counts.Made() != 0 {
			t.Errorf("the same tenant elsewhere: %+v", r)
		}
	})
	t.Run("a directory that became another tenant is refused for its vaults", func(t *testing.T) {
		f, s := fleetOf(t, 30, 1, later)
		f.start(t)
		f.ask(t, "sync", "va").wait(t, exitDone)
		text, err := os.ReadFile(f.file())
		if err != nil {
			t.Fatal(err)
		}
		put(t, f.file(), strings.Replace(string(text), s.tenant.ID().String(), "8a4b0d3e-0000-4000-8000-00000000000f", 1))
		f.ask(t, "reload").wait(t, exitDone)
		f.ask(t, "sync", "va").wait(t, exitUsage)
	})
}

// TestAReloadSendsAwayWhoWaitsForADirectory has a directory that does not
// answer: what an administrator changes then may be its cure.
func TestAReloadSendsAwayWhoWaitsForADirectory(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		tenant := entrasim.Generate(entrasim.Spec{People: 40, Groups: 2, MembershipsPerPerson: 1, Seed: 1})
		s := newSite(t, "contoso", tenant, "patience: 30m")
		f := &fleet{dir: dir, sites: []*site{s}}
		f.write(t)
		f.vault(t, "va", "contoso", "{every: 1h}", groupIDs(t, tenant, 2)...)
		d := f.open(t)
		defer f.run(t, d)()
		if _, err := s.graph.Inject(entrasim.Fault{Kind: entrasim.FaultHang}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // the first import waits for the directory by now
		synctest.Wait()
		asked := time.Now()
		if err := d.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(asked); took != yieldAfter {
			t.Errorf("the reload took %s, of a daemon that waited for a directory; want %s", took, yieldAfter)
		}
		if runs := f.take(); len(runs) != 0 {
			t.Errorf("a run that was sent away counts as one: %+v", runs)
		}
		s.graph.ClearFaults()
		d.mu.Lock()
		f.unplug(t, d.app)
		d.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if runs := f.take(); len(runs) != 1 || runs[0].Outcome != reconcile.OK || runs[0].Mode != "initial" {
			t.Errorf("the run that was sent away, five minutes later: %+v", runs)
		}
	})
}
