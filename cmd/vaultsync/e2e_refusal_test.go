package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/vault/embedded"
)

// A directory that cannot be read changes nothing in the vault: the exit code
// is 5, the message names the cause and what to do, and the next good run does
// what is due.
func TestDirectoryFailuresChangeNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		before func(t *testing.T, s *setting)
		after  func(t *testing.T, s *setting)
		says   []string
	}{
		{
			"the server is gone",
			func(t *testing.T, s *setting) {
				t.Helper()
				s.cfg.files = map[string]string{"vault.yaml": s.cfg.files["vault.yaml"]}
				s.cfg.url = "https://127.0.0.1:1"
				s.cfg.write(t, s.graph.CAPEM())
			},
			func(t *testing.T, s *setting) {
				t.Helper()
				s.cfg.url = s.graph.URL()
				s.cfg.write(t, s.graph.CAPEM())
			},
			[]string{"127.0.0.1:1", "try: "},
		},
		{
			"the secret is wrong",
			func(t *testing.T, s *setting) {
				t.Helper()
				put(t, filepath.Join(s.cfg.dir, "contoso.secret"), "a-wrong-secret-of-contoso")
			},
			func(t *testing.T, s *setting) { t.Helper(); s.cfg.write(t, s.graph.CAPEM()) },
			[]string{"secret", "try: "},
		},
		{
			"the certificate is of an authority that nobody knows",
			func(t *testing.T, s *setting) {
				t.Helper()
				other := smallSetting(t)
				put(t, filepath.Join(s.cfg.dir, "ca.pem"), string(other.graph.CAPEM()))
			},
			func(t *testing.T, s *setting) { t.Helper(); s.cfg.write(t, s.graph.CAPEM()) },
			[]string{"certificate"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := smallSetting(t)
			s.sync(t, exitDone)
			was := s.vaultState(t)
			s.apply(t, "-member Sales: ann@contoso.com\n+member Sales: cyd@contoso.com\nset bob@contoso.com displayName=\"Bob Dahl\"")
			c.before(t, s)
			for _, args := range [][]string{{"sync", "sales"}, {"sync", "sales", "--full"}, {"plan", "sales"}} {
				r := s.wants(t, exitUnreachable, args...)
				for _, text := range c.says {
					if !strings.Contains(r.out+r.err, text) {
						t.Errorf("vaultsync %v does not say %q:\n%s%s", args, text, r.out, r.err)
					}
				}
				if strings.Contains(r.out+r.err, "a-wrong-secret") {
					t.Errorf("the secret is told:\n%s%s", r.out, r.err)
				}
			}
			if now := s.vaultState(t); now != was {
				t.Errorf("the vault changed:\n%s\n%s", was, now)
			}
			status := jsonLines[vaultStatus](t, s.wants(t, exitDone, "status", "--json"))[0]
			if status.State != "failing" || status.Problem == "" || status.LastSuccess == nil {
				t.Errorf("the status is %+v", status)
			}
			s.wants(t, exitUnreachable, "status", "--check")
			c.after(t, s)
			if r := s.sync(t, exitDone); r.Counts.Created != 1 || r.Counts.Disabled != 1 || r.Counts.Updated != 1 {
				t.Errorf("the next good run reports %+v", r.Counts)
			}
		})
	}
}

// A missing permission to read people changes nobody's account.
func TestMissingProfilePermissionWritesNoEmptyFields(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	was := s.vaultState(t)
	s.apply(t, "revoke User.Read.All\nset bob@contoso.com displayName=\"Bob Dahl\"")
	for _, args := range [][]string{{"sync", "sales"}, {"sync", "sales", "--full"}} {
		if r := s.run(t, args...); r.code != exitUnreachable {
			t.Errorf("vaultsync %v ends well:\n%s%s", args, r.out, r.err)
		}
	}
	if now := s.vaultState(t); now != was {
		t.Errorf("the vault changed:\n%s\n%s", was, now)
	}
	s.apply(t, "grant User.Read.All")
	if r := s.sync(t, exitDone, "--full"); r.Counts.Updated != 1 || r.Counts.Made() != 1 {
		t.Errorf("with the permission back the run reports %+v", r.Counts)
	}
}

// A missing permission to read memberships takes nobody out.
func TestMissingMembershipPermissionNamesItAndTakesNobodyOut(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	was := s.vaultState(t)
	s.apply(t, "-member Sales: ann@contoso.com\nrevoke GroupMember.Read.All")
	r := s.run(t, "sync", "sales")
	if r.code != exitUnreachable || !strings.Contains(r.out+r.err, "GroupMember.Read.All") {
		t.Errorf("exit code %d:\n%s%s", r.code, r.out, r.err)
	}
	if now := s.vaultState(t); now != was {
		t.Errorf("the vault changed:\n%s\n%s", was, now)
	}
}

// Every fault of the configuration is exit code 2 and says where it is.
func TestConfigurationFaultsAreNamed(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	was := s.vaultState(t)
	good := s.cfg.files["vault.yaml"]
	for _, c := range []struct {
		name, vault string
		args        []string
		says        []string
	}{
		{"an unknown key", good + "acounts: {}\n", []string{"sync", "sales"}, []string{"sales.yaml", "acounts", "accounts"}},
		{"two faults at once", good + "drift: maybe\nschedule: {every: 1s}\n", []string{"sync", "sales"}, []string{"drift", "every"}},
		{"an expression that does not compile", good + "scope: 'user.department =='\n", []string{"sync", "sales"}, []string{"scope"}},
		{"an unknown vault", good, []string{"sync", "salse"}, []string{"salse", "sales"}},
		{"an unknown flag", good, []string{"sync", "--fulll", "sales"}, []string{"fulll"}},
		{"no vault named", good, []string{"sync"}, []string{"--all"}},
		{"nothing to approve named", good, []string{"approve", "sales", "a", "b"}, []string{"approve"}},
	} {
		s.cfg.files = map[string]string{"vault.yaml": c.vault}
		s.cfg.write(t, s.graph.CAPEM())
		r := s.wants(t, exitUsage, c.args...)
		for _, text := range c.says {
			if !strings.Contains(r.err, text) {
				t.Errorf("%s: stderr does not say %q:\n%s", c.name, text, r.err)
			}
		}
	}
	s.cfg.files = map[string]string{"vault.yaml": good}
	s.cfg.write(t, s.graph.CAPEM())
	if now := s.vaultState(t); now != was {
		t.Errorf("the vault changed:\n%s\n%s", was, now)
	}
	s.config = filepath.Join(s.cfg.dir, "nowhere.yaml")
	if r := s.wants(t, exitUsage, "status"); !strings.Contains(r.err, "nowhere.yaml") {
		t.Errorf("a missing file is not named: %s", r.err)
	}
}

// State that another process holds is exit code 6 and left alone.
func TestLockedState(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	server, err := embedded.Open(filepath.Join(s.cfg.dir, "data", "embedded.db"), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := s.wants(t, exitLocked, "sync", "sales")
	if !strings.Contains(r.out+r.err, "embedded.db") {
		t.Errorf("the message does not name the file:\n%s%s", r.out, r.err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	s.sync(t, exitDone)
}

// Damaged state is exit code 7: never read as "everybody left" or "everybody
// is new", and the vault stays as it is.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"vaults/sales.db", "directories/contoso.db", "embedded.db"} {
		for _, harm := range []string{"empty", "cut", "overwritten"} {
			t.Run(file+" "+harm, func(t *testing.T) {
				t.Parallel()
				s := smallSetting(t)
				s.sync(t, exitDone)
				was := s.vaultState(t)
				path := filepath.Join(s.cfg.dir, "data", filepath.FromSlash(file))
				whole, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				bad := map[string][]byte{
					"empty": {}, "cut": whole[:len(whole)/2],
					"overwritten": append(make([]byte, 3*4096), whole[3*4096:]...),
				}[harm]
				if err := os.WriteFile(path, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				s.apply(t, "-member Sales: ann@contoso.com")
				for _, args := range [][]string{{"sync", "sales"}, {"sync", "sales", "--full"}} {
					r := s.wants(t, exitDamaged, args...)
					if !strings.Contains(r.out+r.err, filepath.Base(path)) {
						t.Errorf("the message does not name the file:\n%s%s", r.out, r.err)
					}
				}
				if left, err := os.ReadFile(path); err != nil || string(left) != string(bad) {
					t.Errorf("the damaged file was touched (%v)", err)
				}
				if err := os.WriteFile(path, whole, 0o600); err != nil {
					t.Fatal(err)
				}
				if now := s.vaultState(t); now != was {
					t.Errorf("the vault changed:\n%s\n%s", was, now)
				}
				if r := s.sync(t, exitDone); r.Counts.Disabled != 1 || r.Counts.Created != 0 {
					t.Errorf("with the file back the run reports %+v", r.Counts)
				}
			})
		}
	}
}

// A vault's state that was made for another store is refused.
func TestStateOfAnotherStore(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.sync(t, exitDone)
	if err := os.Remove(filepath.Join(s.cfg.dir, "data", "embedded.db")); err != nil {
		t.Fatal(err)
	}
	r := s.wants(t, exitUsage, "sync", "sales")
	if !strings.Contains(r.out+r.err, "another user store") {
		t.Errorf("the message does not say why:\n%s%s", r.out, r.err)
	}
	if out := s.wants(t, exitDone, "vault", "users", "sales", "--json").out; out != "" {
		t.Errorf("the new store was written to:\n%s", out)
	}
}

// Lost state is no disaster: the vault is compared with the directory, what is
// ours is found again by its object ids, and nobody is made twice.
func TestLostState(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"vaults/sales.db", "directories/contoso.db"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			s := smallSetting(t)
			s.sync(t, exitDone)
			if err := os.Remove(filepath.Join(s.cfg.dir, "data", filepath.FromSlash(lost))); err != nil {
				t.Fatal(err)
			}
			s.apply(t, "+member Sales: cyd@contoso.com")
			r := s.run(t, "sync", "sales")
			if r.code != exitDone {
				t.Logf("exit code %d: %s%s", r.code, r.out, r.err)
			}
			enabled, disabled := s.found(t)
			if len(disabled) > 0 || len(enabled) != 3 && r.code == exitDone || len(enabled) < 2 {
				t.Errorf("enabled %+v, disabled %+v", enabled, disabled)
			}
		})
	}
}

// A local copy that is made anew while a group cannot be read takes nobody out
// of that group.
func TestLostLocalCopyOfAHiddenGroup(t *testing.T) {
	t.Parallel()
	s := smallSetting(t)
	s.cfg.files = map[string]string{"vault.yaml": "groups:\n  - {id: $(group Sales)}\n"}
	s.cfg.write(t, s.graph.CAPEM())
	s.sync(t, exitDone)
	was := s.vaultState(t)
	if err := os.Remove(filepath.Join(s.cfg.dir, "data", "directories", "contoso.db")); err != nil {
		t.Fatal(err)
	}
	s.apply(t, "hide group Sales\n-member Sales: ann@contoso.com")
	for _, args := range [][]string{nil, {"--full"}, nil} {
		if r := s.sync(t, exitPartial, args...); r.Counts.Made() != 0 || r.Counts.Held != 0 {
			t.Errorf("sync %v reports %+v", args, r.Counts)
		}
	}
	if now := s.vaultState(t); now != was {
		t.Errorf("the vault changed:\n%s\n%s", was, now)
	}
	s.apply(t, "show group Sales")
	if r := s.sync(t, exitDone, "--full"); r.Counts.Disabled != 1 {
		t.Errorf("once it can be read the run reports %+v", r.Counts)
	}
}
