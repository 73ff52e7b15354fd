package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// upkeepTenant is the tenant of the tests of check, state and secret.
const upkeepTenant = `
user ann@contoso.com "Ann B"
user bob@contoso.com "Bob C"
user eve@contoso.com "Eve D"
user dan@contoso.com "Dan E"
group Sales
group Readers
group Twin description=one
group Twin description=two
group Ruled rule=by-department
group Secret hidden
member Sales: ann@contoso.com, bob@contoso.com, eve@contoso.com
member Readers: ann@contoso.com
member Secret: eve@contoso.com
`

// upkeep is a configuration of one vault on a simulated tenant, and the
// program in this process. State is examined by processes of their own, for
// which the test binary is the program.
type upkeep struct {
	*fleet
	t     *testing.T
	site  *site
	input string // what stdin has
}

// newUpkeep writes the configuration: a vault "sales" of the group Sales.
func newUpkeep(t *testing.T, groups ...string) *upkeep {
	t.Helper()
	t.Setenv(envProgram, "1")
	t.Setenv(envShift, "0s")
	tenant, err := entrasim.ParseTenant(upkeepTenant)
	if err != nil {
		t.Fatal(err)
	}
	s := startSite(t, "contoso", tenant, "patience: 1s\nfreshness: 1ns\n")
	u := &upkeep{t: t, site: s, fleet: &fleet{dir: t.TempDir(), sites: []*site{s}}}
	u.write(t)
	if err := os.Chmod(filepath.Join(u.dir, "contoso.secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if len(groups) == 0 {
		groups = []string{"id: " + u.id("group Sales")}
	}
	u.sales(strings.Join(groups, "}\n  - {"), "")
	return u
}

// sales writes the vault's file.
func (u *upkeep) sales(group, more string) {
	u.t.Helper()
	put(u.t, filepath.Join(u.dir, "vaults.d", "sales.yaml"),
		"vault: sales\ndirectory: contoso\nstore: {type: embedded}\nschedule: {startTimeOfFirstImport: \"+48h\", every: 48h}\ngroups:\n  - {"+group+"}\n"+more)
}

func (u *upkeep) id(ref string) string {
	u.t.Helper()
	id, err := u.site.tenant.IDOf(ref)
	if err != nil {
		u.t.Fatal(err)
	}
	return id.String()
}

func (u *upkeep) change(text string) {
	u.t.Helper()
	if err := u.site.tenant.Apply(text); err != nil {
		u.t.Fatal(err)
	}
}

// try runs one command line.
func (u *upkeep) try(args ...string) (code int, out, stderr string) {
	u.t.Helper()
	var stdout, errs bytes.Buffer
	s := &session{in: strings.NewReader(u.input), out: &stdout, err: &errs}
	code = s.execute(u.t.Context(), append([]string{"-c", u.file()}, args...))
	for _, secret := range []string{entrasim.DemoSecret, "eyJ"} {
		if strings.Contains(stdout.String()+errs.String(), secret) {
			u.t.Errorf("vaultsync %v shows a secret:\n%s%s", args, &stdout, &errs)
		}
	}
	return code, stdout.String(), errs.String()
}

// run runs one command line that must end with a code.
func (u *upkeep) run(want int, args ...string) string {
	u.t.Helper()
	code, out, stderr := u.try(args...)
	if code != want {
		u.t.Fatalf("vaultsync %v: exit code %d, want %d\n%s%s", args, code, want, out, stderr)
	}
	return out + stderr
}

// says is run, and looks for texts in what was printed.
func (u *upkeep) says(want int, args []string, texts ...string) {
	u.t.Helper()
	out := u.run(want, args...)
	for _, text := range texts {
		if !strings.Contains(out, text) {
			u.t.Errorf("vaultsync %v does not say %q:\n%s", args, text, out)
		}
	}
}

// users are the vault's users by login name.
func (u *upkeep) users() map[string]vaultUser {
	u.t.Helper()
	code, out, stderr := u.try("vault", "users", "sales", "--json")
	if code != exitDone {
		u.t.Fatalf("%d %s", code, stderr)
	}
	users := map[string]vaultUser{}
	for line := range strings.Lines(out) {
		var user vaultUser
		if err := json.Unmarshal([]byte(line), &user); err != nil {
			u.t.Fatal(err)
		}
		users[user.LoginName] = user
	}
	return users
}

// daemon runs a daemon until the test, or what is returned, ends it.
func (u *upkeep) daemon() (stop func()) {
	u.t.Helper()
	cfg, err := u.load()
	if err != nil {
		u.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(u.t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- runDaemon(ctx, cfg, u.load, slog.New(slog.DiscardHandler), func(reconcile.Report, error) {}, func(*daemon) { close(ready) })
	}()
	select {
	case <-ready:
	case err := <-ended:
		u.t.Fatalf("the daemon ended: %v", err)
	}
	var once bool
	stop = func() {
		if once {
			return
		}
		once = true
		cancel()
		if err := <-ended; err != nil {
			u.t.Errorf("the daemon ended: %v", err)
		}
	}
	u.t.Cleanup(stop)
	return stop
}

func (u *upkeep) state(name string) string { return filepath.Join(u.dir, "data", name) }

// damage zeroes the pages of a file after the first ones.
func (u *upkeep) damage(name string) {
	u.t.Helper()
	path := u.state(name)
	raw, err := os.ReadFile(path)
	if err != nil {
		u.t.Fatal(err)
	}
	for i := 2 * os.Getpagesize(); i < len(raw); i++ {
		raw[i] ^= 0x5a
	}
	put(u.t, path, string(raw))
}

// aside finds the files that were set aside.
func (u *upkeep) aside(pattern string) []string {
	u.t.Helper()
	found, err := filepath.Glob(u.state(pattern))
	if err != nil {
		u.t.Fatal(err)
	}
	return found
}

func enabledText(users map[string]vaultUser, names ...string) string {
	var b strings.Builder
	for _, name := range names {
		user, ok := users[name+"@contoso.com"]
		fmt.Fprintf(&b, "%s:%v/%v/%v ", name, ok, user.Enabled, user.Groups)
	}
	return b.String()
}
