package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestCheck(t *testing.T) {
	roles := func(names ...string) func(u *upkeep) {
		return func(u *upkeep) {
			if err := u.site.tenant.UpdateApp(entrasim.DemoClientID, func(a *entrasim.App) { a.Roles = names }); err != nil {
				u.t.Fatal(err)
			}
		}
	}
	group := func(text string) func(u *upkeep) {
		return func(u *upkeep) { u.sales(text, "") }
	}
	both := func(first, second func(u *upkeep)) func(u *upkeep) {
		return func(u *upkeep) { first(u); second(u) }
	}
	cases := []struct {
		name   string
		change func(u *upkeep)
		code   int
		says   []string
	}{
		{"everything is fine", func(*upkeep) {}, exitDone, []string{"held: reading the people", "Sales, ", ", security", "round trip", "no daemon is running", " 0 warnings, 0 failed"}},
		{
			"a missing permission is named with what it is for", roles(entrasim.PermMembers), exitUnreachable,
			[]string{"permission User.Read.All  ", "missing: it is needed for reading the people", "grant the application permission User.Read.All and give admin consent"},
		},
		{
			"a higher permission stands in and is warned of", roles(entrasim.PermDirectory), exitDone,
			[]string{"not held, Directory.Read.All stands in for it", "grant User.Read.All, then take Directory.Read.All away"},
		},
		{
			"superfluous permissions are named, and those that write", roles(entrasim.PermMembers, entrasim.PermUsers, "Group.ReadWrite.All", "Mail.Read"), exitDone,
			[]string{"permission Group.ReadWrite.All", "held and not needed: it can change the tenant", "take Mail.Read away", "2 warnings"},
		},
		{"no consent at all", roles(), exitUnreachable, []string{"the token carries no application permission", "GroupMember.Read.All and User.Read.All"}},
		{
			"the permission for hidden groups is superfluous without one", roles(entrasim.PermMembers, entrasim.PermUsers, entrasim.PermHidden), exitDone,
			[]string{"Member.Read.Hidden", "no configured group has a hidden membership"},
		},
		{
			"a hidden group without the permission", func(u *upkeep) { group("id: " + u.id("group Secret"))(u) }, exitUnreachable,
			[]string{"permission Member.Read.Hidden", "missing"},
		},
		{
			"a hidden group with the permission is a warning", both(roles(entrasim.PermMembers, entrasim.PermUsers, entrasim.PermHidden), func(u *upkeep) { group("id: " + u.id("group Secret"))(u) }), exitDone,
			[]string{"its membership is hidden", "held: needed for Secret"},
		},
		{"a dynamic group is a warning", func(u *upkeep) { group("id: " + u.id("group Ruled"))(u) }, exitDone, []string{"its members follow a rule"}},
		{"a deleted group", func(u *upkeep) { u.change("delete group Sales") }, exitUsage, []string{"deleted or never there", "correct the id"}},
		{"a name that no group has", group(`name: "Salse"`), exitUsage, []string{`group "Salse"`, "no group of the directory is called so", "vaultsync directory groups contoso"}},
		{"a name that two groups have", group(`name: Twin`), exitUsage, []string{"2 groups are called so", "by its id"}},
		{"a name is resolved", group(`name: Readers`), exitDone, []string{`group "Readers"`, "Readers, "}},
		{
			"a wrong secret", func(u *upkeep) { put(u.t, filepath.Join(u.dir, "contoso.secret"), "not-the-secret") }, exitUnreachable,
			[]string{"AADSTS7000215", "secret's value, not its id"},
		},
		{
			"a missing secret", func(u *upkeep) { _ = os.Remove(filepath.Join(u.dir, "contoso.secret")) }, exitUsage,
			[]string{"no such file", "vaultsync secret set contoso", "not tried: the credential cannot be read"},
		},
		{"an empty secret", func(u *upkeep) { put(u.t, filepath.Join(u.dir, "contoso.secret"), "") }, exitUsage, []string{"is empty"}},
		{"a secret for everybody", func(u *upkeep) {
			if runtime.GOOS == "windows" {
				u.t.Skip("files have no such mode")
			}
			if err := os.Chmod(filepath.Join(u.dir, "contoso.secret"), 0o644); err != nil {
				u.t.Fatal(err)
			}
		}, exitUsage, []string{"every user of this machine may use", "chmod 600"}},
		{"a secret for a group is a warning", func(u *upkeep) {
			if runtime.GOOS == "windows" {
				u.t.Skip("files have no such mode")
			}
			if err := os.Chmod(filepath.Join(u.dir, "contoso.secret"), 0o640); err != nil {
				u.t.Fatal(err)
			}
		}, exitDone, []string{"the group of", "unless the service runs with that group"}},
		{"a directory out of reach", func(u *upkeep) { _ = u.site.graph.Close() }, exitUnreachable, []string{"sign-in", "out of reach"}},
		{"a configuration with two faults names both places", func(u *upkeep) {
			put(u.t, filepath.Join(u.dir, "vaults.d", "sales.yaml"), "vault: sales\ndirectory: contoso\nstore: {type: embed}\ngruops: []\n")
		}, exitUsage, []string{"sales.yaml:3:", "sales.yaml:4:", "embedded", "gruops"}},
		{"a scope that cannot be compiled", func(u *upkeep) { u.sales("id: "+u.id("group Sales"), "scope: 'user.('\n") }, exitUsage, []string{"scope"}},
		{"no vault is a warning", func(u *upkeep) { _ = os.Remove(filepath.Join(u.dir, "vaults.d", "sales.yaml")) }, exitDone, []string{"no vault is configured"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := newUpkeep(t)
			c.change(u)
			u.says(c.code, []string{"check"}, c.says...)
			for _, f := range []string{"directories/contoso.db", "vaults/sales.db", "embedded.db"} {
				if exists(u.state(f)) {
					t.Errorf("the check made %s", f)
				}
			}
		})
	}
}

func TestCheckOfAVaultWithState(t *testing.T) {
	u := newUpkeep(t)
	u.run(exitDone, "sync", "sales")
	t.Run("what is in use is said", func(*testing.T) {
		u.says(exitDone, []string{"check", "sales"}, "last success", "embedded:", "licences named", "used, unlimited")
	})
	t.Run("as JSON each line is an object with all fields", func(t *testing.T) {
		code, out, stderr := u.try("check", "--json")
		n := 0
		for line := range strings.Lines(out) {
			var f finding
			if err := json.Unmarshal([]byte(line), &f); err != nil || f.About == "" || f.Check == "" || f.Result != resultOK || f.Detail == "" {
				t.Errorf("%v: %s", err, line)
			}
			n++
		}
		if code != exitDone || n < 10 || stderr != "" {
			t.Errorf("code %d, %d lines, %s", code, n, stderr)
		}
	})
	t.Run("an unknown vault is a usage error that names those there are", func(*testing.T) {
		u.says(exitUsage, []string{"check", "seles"}, "no vault is called", "sales")
	})
	t.Run("a group that is configured by name stays the one it was", func(*testing.T) {
		u.sales("name: Readers", "")
		u.run(exitHeld, "sync", "sales") // the leavers of Sales are held
		u.change("set group Readers name=Lectors")
		u.says(exitDone, []string{"check"}, "Lectors")
		u.change("set group Lectors name=Readers")
		u.sales("id: "+u.id("group Sales"), "")
		u.run(exitHeld, "sync", "sales") // and those of Readers
	})
	t.Run("through a daemon with the same configuration", func(*testing.T) {
		stop := u.daemon()
		defer stop()
		u.says(exitDone, []string{"check"}, "the running daemon has this configuration", "last success")
		u.sales("id: "+u.id("group Sales"), "drift: report\n")
		u.says(exitDone, []string{"check"}, "another configuration", "vaultsync reload", "not looked at: it is in use", ", security")
		u.sales("id: "+u.id("group Sales"), "")
	})
	t.Run("state of another store is refused, with both ways out", func(t *testing.T) {
		u.rebindTo(t, "embedded:OTHER")
		u.says(exitUsage, []string{"check"}, "the state belongs to the store embedded:OTHER", "state rebind sales", "state reset sales")
	})
	t.Run("damaged state has its own code", func(*testing.T) {
		u.damage("vaults/sales.db")
		u.says(exitDamaged, []string{"check"}, "damaged", "state repair")
	})
}

// rebindTo writes another store into the vault's state.
func (u *upkeep) rebindTo(t *testing.T, store string) {
	t.Helper()
	s, err := snapshot.Open(u.state("vaults/sales.db"), "sales", u.site.tenant.ID().String())
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		meta.Store = store
		return tx.PutMeta(meta)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
}

// fakeDirectory answers as it is told.
type fakeDirectory struct {
	access directory.Access
	err    error
	groups []directory.GroupInfo
	asked  error
}

func (f fakeDirectory) Pull(context.Context, directory.Request, func(directory.Page) error) error {
	return errors.New("not asked for")
}

func (f fakeDirectory) Groups(context.Context, []identity.ObjectID) ([]directory.GroupInfo, error) {
	return f.groups, f.asked
}

func (f fakeDirectory) Search(context.Context, string, bool, int) ([]directory.GroupInfo, error) {
	return f.groups, f.asked
}
func (f fakeDirectory) Check(context.Context) (directory.Access, error) { return f.access, f.err }

func TestCheckOfADirectory(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := directory.Access{TenantID: "t", ClientID: "c", Permissions: []string{"GroupMember.Read.All", "User.Read.All"}, Expires: now.Add(time.Hour)}
	ending := func(in time.Duration) directory.Access {
		a := good
		a.CredentialExpires = now.Add(in)
		return a
	}
	vaults := []config.Vault{{Name: "sales", Directory: "contoso", Groups: []config.Group{{ID: identity.ObjectID{1}}}}}
	present := []directory.GroupInfo{{ID: identity.ObjectID{1}, Name: "Sales", Kind: "security", Members: -1}}
	cases := []struct {
		name   string
		d      fakeDirectory
		code   int
		result string
		says   string
	}{
		{"a certificate that ends in 31 days is fine", fakeDirectory{access: ending(31 * 24 * time.Hour), groups: present}, exitDone, resultOK, "good until"},
		{"one that ends in 30 days is warned of", fakeDirectory{access: ending(30 * 24 * time.Hour), groups: present}, exitDone, resultWarning, "in 30 days"},
		{"one that ends within the hour is warned of", fakeDirectory{access: ending(time.Minute), groups: present}, exitDone, resultWarning, "in 0 days"},
		{"one that has ended fails", fakeDirectory{access: ending(-time.Minute), err: directory.ErrSignIn}, exitUnreachable, resultFailed, "it ended on"},
		{"a sign-in without token and error fails", fakeDirectory{}, exitUnreachable, resultFailed, "gave no token"},
		{"a refused question fails, and the permissions are shown", fakeDirectory{access: good, err: directory.ErrForbidden}, exitUnreachable, resultFailed, directory.ErrForbidden.Error()},
		{"groups that cannot be asked for are no missing groups", fakeDirectory{access: good, asked: directory.ErrUnreachable}, exitUnreachable, resultFailed, directory.ErrUnreachable.Error()},
		{"an unreadable group fails with its reason", fakeDirectory{access: good, groups: []directory.GroupInfo{{State: directory.GroupUnreadable, Why: "it is hidden"}}}, exitUnreachable, resultFailed, "it is hidden"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := &checkup{cfg: &config.Config{}, now: now}
			c.askDirectory(t.Context(), "directory contoso", config.Directory{Name: "contoso"}, tc.d, vaults)
			found := false
			for _, f := range c.findings {
				found = found || f.Result == tc.result && strings.Contains(f.Detail, tc.says)
			}
			if !found || c.code() != tc.code {
				t.Errorf("code %d, want %d; %q as %s is not in %+v", c.code(), tc.code, tc.says, tc.result, c.findings)
			}
		})
	}
}

// fakeStore answers as it is told.
type fakeStore struct {
	vault.Store
	identity, check error
	found           []vault.User
	pools           []vault.Pool
}

func (f fakeStore) Identity(context.Context) (string, error) { return "store:1", f.identity }
func (f fakeStore) Find(context.Context, []vault.Query) ([][]vault.User, error) {
	return [][]vault.User{f.found}, nil
}
func (f fakeStore) Check(context.Context) error                    { return f.check }
func (f fakeStore) Licenses(context.Context) ([]vault.Pool, error) { return f.pools, nil }

func TestCheckOfAStore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		store fakeStore
		code  int
		says  string
	}{
		{"a store that answers", fakeStore{}, exitDone, "store:1"},
		{"a store out of reach", fakeStore{identity: vault.ErrUnreachable}, exitUnreachable, vault.ErrUnreachable.Error()},
		{"a store that answers with somebody for nobody", fakeStore{found: []vault.User{{ID: "1"}}}, exitFailed, "answered with somebody"},
		{"a store whose own check fails", fakeStore{check: vault.ErrUnreachable}, exitUnreachable, vault.ErrUnreachable.Error()},
		{"a pool without a licence left is warned of", fakeStore{pools: []vault.Pool{{Type: "named", Count: 3, Used: 3}}}, exitDone, "none is left"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := &checkup{cfg: &config.Config{}}
			c.tryStore(t.Context(), "vault sales", "scim", tc.store)
			text := ""
			for _, f := range c.findings {
				text += f.Result + " " + f.Detail + "\n"
			}
			if c.code() != tc.code || !strings.Contains(text, tc.says) {
				t.Errorf("code %d, want %d:\n%s", c.code(), tc.code, text)
			}
		})
	}
}
