package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/control"
	"github.com/vaultsync/vaultsync/pkg/schedule"
)

func TestStateCheck(t *testing.T) {
	u := newUpkeep(t)
	u.says(exitDone, []string{"state", "check"}, "there is no state yet")
	u.run(exitDone, "sync", "sales")
	t.Run("what was written is sound", func(*testing.T) {
		u.says(exitDone, []string{"state", "check"}, "vault sales", "directory contoso", "embedded store", "sound")
	})
	t.Run("with the daemon running copies are examined, and nothing is left of them", func(t *testing.T) {
		stop := u.daemon()
		defer stop()
		u.run(exitDone, "sync", "sales") // so that everything is open
		u.says(exitDone, []string{"state", "check"}, "vault sales", "directory contoso", "embedded store", "run times")
		if left := u.aside(".check-*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a file that another process has is in use", func(t *testing.T) {
		times, err := schedule.OpenFile(u.state(timesFile))
		if err != nil {
			t.Fatal(err)
		}
		defer times.Close() //nolint:errcheck // a test
		u.says(exitLocked, []string{"state", "check"}, "run times", "in use")
	})
	t.Run("each damaged file is found, and what it ends in is told", func(t *testing.T) {
		for _, name := range []string{"vaults/sales.db", "directories/contoso.db", timesFile, embeddedFile} {
			whole, err := os.ReadFile(u.state(name))
			if err != nil {
				t.Fatal(err)
			}
			u.damage(name)
			code, out, _ := u.try("state", "check", "--json")
			damaged := 0
			for line := range strings.Lines(out) {
				var row struct{ File, Result, Detail string }
				if err := json.Unmarshal([]byte(line), &row); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				if row.Result == "damaged" {
					damaged++
					if row.File != u.state(name) || row.Detail == "" {
						t.Errorf("%s: %s", name, line)
					}
				}
			}
			if code != exitDamaged || damaged != 1 {
				t.Errorf("%s: code %d, %d damaged:\n%s", name, code, damaged, out)
			}
			put(t, u.state(name), string(whole))
		}
		u.run(exitDone, "state", "check")
	})
	t.Run("a guard's file that is no JSON is damaged", func(t *testing.T) {
		put(t, u.state("directories/contoso.guard.json"), `{"held":`)
		u.says(exitDamaged, []string{"state", "check"}, "guard contoso", "damaged")
		u.says(exitDone, []string{"state", "repair"}, "set aside as", "begins anew")
		u.run(exitDone, "state", "check")
	})
	t.Run("an unknown vault is a usage error", func(*testing.T) {
		u.says(exitUsage, []string{"state", "check", "seles"}, "no vault is called")
	})
}

func TestStateRepair(t *testing.T) {
	t.Run("a vault's state is rebuilt: leavers of the gap are found, hands are respected", func(t *testing.T) {
		u := newUpkeep(t)
		u.run(exitDone, "sync", "sales")
		u.run(exitDone, "vault", "user", "add", "sales", "foreign@contoso.com")
		u.run(exitDone, "vault", "group", "join", "sales", "Sales", "foreign@contoso.com")
		u.run(exitDone, "vault", "user", "set", "sales", "ann@contoso.com", "--full-name", "Ann by hand")
		u.run(exitDone, "vault", "user", "disable", "sales", "eve@contoso.com")
		u.damage("vaults/sales.db")
		u.change("-member Sales: bob@contoso.com\nmember Sales: dan@contoso.com")
		u.run(exitDamaged, "sync", "sales")
		u.says(exitDone, []string{"state", "repair"}, "vault sales: damaged", "3 accounts (1 of them disabled) and 1 groups are ours, 1 accounts are not")
		if found := u.aside("vaults/sales.db.damaged-*"); len(found) != 1 {
			t.Errorf("set aside: %v", found)
		}
		u.run(exitDone, "state", "check")
		u.says(exitDone, []string{"plan", "sales"}, "1 created, 1 disabled", "bob@contoso.com   [left")
		u.run(exitDone, "sync", "sales", "--full")
		users := u.users()
		want := "ann:true/true/[Sales] bob:true/false/[] dan:true/true/[Sales] eve:true/false/[Sales] foreign:true/true/[Sales] "
		if got := enabledText(users, "ann", "bob", "dan", "eve", "foreign"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if users["ann@contoso.com"].FullName != "Ann by hand" || users["foreign@contoso.com"].Managed {
			t.Errorf("hands were not respected: %+v", users)
		}
		u.change(`set user ann@contoso.com displayName="Ann New"`)
		u.run(exitDone, "sync", "sales")
		if got := u.users()["ann@contoso.com"].FullName; got != "Ann New" {
			t.Errorf("a later change of the directory is not written: %q", got)
		}
		if out := u.run(exitDone, "sync", "sales", "--full"); !strings.Contains(out, "nothing to do") {
			t.Errorf("a second run found something: %s", out)
		}
	})
	t.Run("accounts of ours are ours although adopt is off", func(t *testing.T) {
		u := newUpkeep(t)
		u.sales("id: "+u.id("group Sales"), "accounts: {adopt: false}\n")
		u.run(exitDone, "sync", "sales")
		u.damage("vaults/sales.db")
		u.run(exitDone, "state", "repair", "sales")
		if out := u.run(exitDone, "sync", "sales"); !strings.Contains(out, "nothing to do") {
			t.Errorf("the next run: %s", out)
		}
	})
	t.Run("guards act on what the rebuilt state finds", func(t *testing.T) {
		u := newUpkeep(t)
		u.sales("id: "+u.id("group Sales"), "guards: {disables: {count: 1}}\n")
		u.run(exitDone, "sync", "sales")
		u.damage("vaults/sales.db")
		u.change("-member Sales: bob@contoso.com, eve@contoso.com")
		u.run(exitDone, "state", "repair")
		u.says(exitHeld, []string{"sync", "sales"}, "held by the guard disables")
	})
	t.Run("the local copy of a directory is set aside and read anew", func(t *testing.T) {
		u := newUpkeep(t)
		u.run(exitDone, "sync", "sales")
		u.damage("directories/contoso.db")
		u.run(exitDamaged, "sync", "sales")
		u.says(exitDone, []string{"state", "repair"}, "directory contoso: damaged", "reads the directory in full")
		u.change("-member Sales: bob@contoso.com")
		u.run(exitDone, "sync", "sales")
		if got := enabledText(u.users(), "ann", "bob"); got != "ann:true/true/[Sales] bob:true/false/[] " {
			t.Error(got)
		}
	})
	t.Run("run times are taken from the vaults' states", func(t *testing.T) {
		u := newUpkeep(t)
		u.run(exitDone, "sync", "sales")
		u.run(exitDone, "pause", "sales")
		u.damage(timesFile)
		u.says(exitDone, []string{"state", "repair"}, "rebuilt from the states of 1 imported vaults")
		times, err := schedule.OpenFile(u.state(timesFile))
		if err != nil {
			t.Fatal(err)
		}
		past, err := times.Load()
		if err = errors.Join(err, times.Close()); err != nil || past["sales"].Imported.IsZero() || past["sales"].Paused {
			t.Errorf("%v: %+v", err, past)
		}
	})
	t.Run("the embedded store cannot be rebuilt and is left alone", func(t *testing.T) {
		u := newUpkeep(t)
		u.run(exitDone, "sync", "sales")
		u.damage(embeddedFile)
		before, err := os.ReadFile(u.state(embeddedFile))
		if err != nil {
			t.Fatal(err)
		}
		u.says(exitDamaged, []string{"state", "repair"}, "cannot be rebuilt", "state restore")
		if after, err := os.ReadFile(u.state(embeddedFile)); err != nil || string(after) != string(before) {
			t.Errorf("it was changed: %v", err)
		}
	})
	t.Run("a vault whose store does not answer keeps its damaged state in place", func(t *testing.T) {
		u := newUpkeep(t)
		u.run(exitDone, "sync", "sales")
		u.damage("vaults/sales.db")
		u.damage(embeddedFile)
		u.says(exitDamaged, []string{"state", "repair"}, "the old one stays where it is")
		if found := u.aside("vaults/sales.db.*"); len(found) > 0 {
			t.Errorf("moved: %v", found)
		}
	})
	t.Run("a sound state is rebuilt only when that is confirmed, also under the daemon", func(t *testing.T) {
		u := newUpkeep(t)
		u.run(exitDone, "sync", "sales")
		defer u.daemon()()
		u.run(exitDone, "sync", "sales")
		u.says(exitDone, []string{"state", "repair"}, "vault sales: sound", "in use by the running daemon")
		u.says(exitUsage, []string{"state", "repair", "--rebuild"}, "goes with one vault")
		u.says(exitUsage, []string{"state", "repair", "sales", "--rebuild"}, "confirmed", "--rebuild --yes")
		u.says(exitDone, []string{"state", "repair", "sales", "--rebuild", "--yes"}, "3 accounts")
		u.run(exitDone, "sync", "sales")
		u.says(exitDone, []string{"state", "check"}, "sound")
	})
}

func TestStateReset(t *testing.T) {
	u := newUpkeep(t)
	u.says(exitDone, []string{"state", "reset", "sales", "--yes"}, "no state to forget")
	u.run(exitDone, "sync", "sales")
	u.says(exitUsage, []string{"state", "reset", "sales"}, "a first import", "nobody is disabled by that run", "state reset sales --yes")
	defer u.daemon()()
	u.run(exitDone, "sync", "sales")
	u.says(exitDone, []string{"state", "reset", "sales", "--yes"}, "forgotten, and set aside as")
	if found := u.aside("vaults/sales.db.reset-*"); len(found) != 1 || exists(u.state("vaults/sales.db")) {
		t.Errorf("set aside: %v", found)
	}
	if out := u.run(exitDone, "sync", "sales"); !strings.Contains(out, "initial run") || strings.Contains(out, "created") {
		t.Errorf("the next run: %s", out)
	}
}

func TestStateRebind(t *testing.T) {
	u := newUpkeep(t)
	u.says(exitUsage, []string{"state", "rebind", "sales", "--yes"}, "no state yet")
	u.run(exitDone, "sync", "sales")
	u.says(exitDone, []string{"state", "rebind", "sales", "--yes"}, "they are the same")
	u.rebindTo(t, "embedded:ELSEWHERE")
	u.run(exitUsage, "sync", "sales")
	u.says(exitUsage, []string{"state", "rebind", "sales"}, "embedded:ELSEWHERE", "the configuration has", "--yes")
	u.run(exitUsage, "sync", "sales")
	u.says(exitDone, []string{"state", "rebind", "sales", "--yes"}, "belongs to that store from now on")
	if out := u.run(exitDone, "sync", "sales"); !strings.Contains(out, "full run") || !strings.Contains(out, "nothing to do") {
		t.Errorf("the next run: %s", out)
	}
}

func TestStateCompact(t *testing.T) {
	u := newUpkeep(t)
	u.run(exitDone, "sync", "sales")
	u.says(exitDone, []string{"state", "compact"}, "vault sales:", "directory contoso:", "embedded store:", "now")
	u.run(exitDone, "state", "check")
	func() {
		defer u.daemon()()
		u.run(exitDone, "sync", "sales")
		u.says(exitDone, []string{"state", "compact", "sales"}, "before")
		u.run(exitDone, "sync", "sales")
	}()
	u.damage("vaults/sales.db")
	u.says(exitDamaged, []string{"state", "compact"}, "not compacted", "directory contoso:")
}

func TestNobodyElseStartsWhileTheStateIsHeld(t *testing.T) {
	u := newUpkeep(t)
	cfg, err := u.load()
	if err != nil {
		t.Fatal(err)
	}
	release, err := holdGround(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holdGround(cfg); !errors.Is(err, control.ErrInUse) && !errors.Is(err, control.ErrNotAnswering) {
		t.Errorf("a second one: %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	release, err = holdGround(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yess\n": false} {
		s := &session{in: strings.NewReader(answer), out: &strings.Builder{}, err: &strings.Builder{}, inTerminal: true}
		if got, err := s.confirm("Sure?", "x --yes"); err != nil || got != want {
			t.Errorf("%q: %v, %v", answer, got, err)
		}
	}
}

func TestSizeText(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1 << 20: "1.0 MiB", 5<<20 + 1<<19: "5.5 MiB"} {
		if got := sizeText(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	u := newUpkeep(t)
	u.run(exitDone, "sync", "sales")
	file := filepath.Join(u.dir, "monday.zip")
	func() {
		defer u.daemon()()
		u.run(exitDone, "sync", "sales")
		u.says(exitDone, []string{"state", "backup", file}, "files")
		u.says(exitUsage, []string{"state", "restore", file, "--yes"}, "the daemon is running", "service stop")
	}()
	if left := append(u.aside(".backup-*"), u.aside("../monday.zip.*")...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v %v", info, err)
	}
	u.says(exitUsage, []string{"state", "backup", file}, "writes over nothing")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("what happened since is gone after a restore, and kept aside", func(t *testing.T) {
		u.change("member Sales: dan@contoso.com")
		u.run(exitDone, "sync", "sales")
		u.says(exitUsage, []string{"state", "restore", file}, "confirmed", "--yes")
		u.says(exitDone, []string{"state", "restore", file, "--yes"}, "are in place", "what was there before is in")
		if _, ok := u.users()["dan@contoso.com"]; ok {
			t.Error("the store is not the backup's")
		}
		if kept := u.aside("replaced-*/vaults/sales.db"); len(kept) != 1 {
			t.Errorf("kept: %v", kept)
		}
		u.run(exitDone, "state", "check")
		u.says(exitDone, []string{"sync", "sales"}, "1 created")
	})
	t.Run("a backup goes into an empty data directory without a question", func(t *testing.T) {
		other := newUpkeep(t)
		other.says(exitDone, []string{"state", "restore", file}, "are in place")
		if len(other.users()) != 3 || len(other.aside("replaced-*")) > 0 {
			t.Errorf("%v", other.users())
		}
	})
	t.Run("a damaged backup changes nothing", func(t *testing.T) {
		before := u.users()
		for at := 100; at < len(whole); at += len(whole) / 40 {
			bad := append([]byte(nil), whole...)
			bad[at] ^= 0x5a
			broken := filepath.Join(t.TempDir(), "broken.zip")
			put(t, broken, string(bad))
			code, out, stderr := u.try("state", "restore", broken, "--yes")
			if code != exitUsage && code != exitDamaged && code != exitDone {
				t.Fatalf("at %d: code %d: %s%s", at, code, out, stderr)
			}
			now := u.users()
			if code != exitDone && fmt.Sprint(now) != fmt.Sprint(before) {
				t.Fatalf("at %d: refused, and yet the state is another", at)
			}
			before = now // a byte of no meaning (a time in a header) may be another
		}
		for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
			cut := filepath.Join(t.TempDir(), "cut.zip")
			put(t, cut, string(whole[:n]))
			u.says(exitUsage, []string{"state", "restore", cut, "--yes"}, "cannot be read")
		}
		if left := u.aside(".restore-*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("state that another process has is not replaced", func(t *testing.T) {
		times, err := schedule.OpenFile(u.state(timesFile))
		if err != nil {
			t.Fatal(err)
		}
		defer times.Close() //nolint:errcheck // a test
		u.says(exitLocked, []string{"state", "restore", file, "--yes"}, "in use")
	})
}
