package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
)

// setting is a configuration folder with a simulated tenant over HTTPS, for tests
// of the program itself.
type setting struct {
	program
	cfg    configFolder
	tenant *entrasim.Tenant
	graph  *entrasim.Server
}

func newSetting(t *testing.T, tenant *entrasim.Tenant, files map[string]string) *setting {
	t.Helper()
	graph, err := entrasim.Start(entrasim.Options{}, tenant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = graph.Close() })
	s := &setting{tenant: tenant, graph: graph, cfg: configFolder{dir: t.TempDir(), url: graph.URL(), files: files}}
	s.program = program{config: filepath.Join(s.cfg.dir, "vaultsync.yaml")}
	s.cfg.write(t, graph.CAPEM())
	return s
}

// small is a tenant and vault that a run is over with at once.
func smallSetting(t *testing.T) *setting {
	t.Helper()
	tenant, err := entrasim.ParseTenant(`
user ann@contoso.com "Ann B" mail=ann@contoso.com department=Sales
user bob@contoso.com "Bob C"
user cyd@contoso.com "Cyd D"
group Sales
member Sales: ann@contoso.com, bob@contoso.com
`)
	if err != nil {
		t.Fatal(err)
	}
	return newSetting(t, tenant, map[string]string{"vault.yaml": "groups:\n  - {name: Sales}\n"})
}

func (s *setting) apply(t *testing.T, text string) {
	t.Helper()
	if err := s.tenant.Apply(text); err != nil {
		t.Fatal(err)
	}
}

// wants runs a command line that ends with a code.
func (s *setting) wants(t *testing.T, code int, args ...string) result {
	t.Helper()
	r := s.run(t, args...)
	if r.code != code {
		t.Errorf("vaultsync %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	return r
}

// sync is one run of the vault sales and its report.
func (s *setting) sync(t *testing.T, code int, args ...string) reconcile.Report {
	t.Helper()
	r := s.wants(t, code, append([]string{"sync", "sales", "--json"}, args...)...)
	reports := jsonLines[reconcile.Report](t, r)
	if len(reports) != 1 {
		t.Fatalf("sync --json printed %d lines for one vault", len(reports))
	}
	return reports[0]
}

// vaultState is what a vault holds: everything an administrator can see of it.
func (s *setting) vaultState(t *testing.T) string {
	t.Helper()
	return s.wants(t, exitDone, "vault", "users", "sales", "--json").out + s.wants(t, exitDone, "vault", "groups", "sales", "--json").out
}

// account is one person's account as it should be, or is.
type account struct {
	login, name, email string
	groups             string // names, sorted, joined
}

// expected is who should be enabled in the vault and how: plain recursion over
// the tenant, without anything of the program.
func expected(t *testing.T, tenant *entrasim.Tenant, groups []identity.ObjectID) map[string]account {
	t.Helper()
	people := map[identity.ObjectID]entrasim.Person{}
	for _, p := range tenant.People() {
		people[p.ID] = p
	}
	names := map[identity.ObjectID]string{}
	for _, g := range tenant.Circles() {
		names[g.ID] = g.Name
	}
	in := map[identity.ObjectID][]string{}
	for _, g := range groups {
		members, err := tenant.TransitiveUsers(g.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range members {
			if people[id].Attributes[identity.AccountEnabled] == "true" {
				in[id] = append(in[id], names[g])
			}
		}
	}
	want := map[string]account{}
	for id, list := range in {
		slices.Sort(list)
		a := people[id].Attributes
		want[id.String()] = account{a[identity.UserPrincipalName], a[identity.DisplayName], a[identity.Mail], strings.Join(list, ",")}
	}
	return want
}

// found is what the vault holds: enabled accounts, and those disabled. No two
// users may share a login name or an object id.
func (s *setting) found(t *testing.T) (enabled, disabled map[string]account) {
	t.Helper()
	enabled, disabled = map[string]account{}, map[string]account{}
	logins := map[string]bool{}
	for _, u := range jsonLines[vaultUser](t, s.wants(t, exitDone, "vault", "users", "sales", "--json")) {
		slices.Sort(u.Groups)
		a := account{u.LoginName, u.FullName, u.Email, strings.Join(u.Groups, ",")}
		_, twice := enabled[u.ExternalID]
		_, also := disabled[u.ExternalID]
		if twice || also || logins[identity.Fold(u.LoginName)] {
			t.Errorf("there are two accounts for %s (%s)", u.LoginName, u.ExternalID)
		}
		logins[identity.Fold(u.LoginName)] = true
		if u.Enabled {
			enabled[u.ExternalID] = a
		} else {
			disabled[u.ExternalID] = a
		}
	}
	return enabled, disabled
}

// same compares accounts and says the first differences.
func same(t *testing.T, what string, want, got map[string]account) {
	t.Helper()
	shown := 0
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] && shown < 5 {
			shown++
			t.Errorf("%s: %s is %+v, want %+v", what, id, got[id], want[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[id]; !ok && shown < 5 {
			shown++
			t.Errorf("%s: %+v should not be enabled", what, got[id])
		}
	}
	if len(want) != len(got) {
		t.Errorf("%s: %d accounts are enabled, want %d", what, len(got), len(want))
	}
}

// memberships counts who is in which group.
func memberships(accounts map[string]account) map[string]bool {
	all := map[string]bool{}
	for id, a := range accounts {
		for g := range strings.SplitSeq(a.groups, ",") {
			if g != "" {
				all[id+" "+g] = true
			}
		}
	}
	return all
}

func without(a, b map[string]bool) int {
	n := 0
	for k := range a {
		if !b[k] {
			n++
		}
	}
	return n
}

// largeSetting is a tenant of 10,000 people in 40 groups, three levels of nesting,
// all of which a vault follows.
func largeSetting(t *testing.T) (*setting, []identity.ObjectID) {
	t.Helper()
	tenant := entrasim.Generate(entrasim.Spec{People: 10_000, Groups: 40, Nesting: 3, MembershipsPerPerson: 1, Seed: 11})
	groups := tenant.GroupIDs()
	var vault strings.Builder
	vault.WriteString("groups:\n")
	for _, id := range groups {
		fmt.Fprintf(&vault, "  - {id: %s}\n", id)
	}
	vault.WriteString("schedule: {startTimeOfFirstImport: \"+0s\", every: 1h}\n")
	vault.WriteString("guards: {disables: {count: 100000, percent: 100}, loginChanges: {count: 100000, percent: 100}, memberRemovals: {percent: 100}, creates: {count: 100000}, emptyGroup: allow, missingGroup: allow}\n")
	return newSetting(t, tenant, map[string]string{
		"vault.yaml":  vault.String(),
		"server.yaml": "guards: {disables: {count: 100000, percent: 100, minimum: 100}}\n",
	}), groups
}

// fields are the names of a JSON object's fields.
func fieldsOf(t *testing.T, line string) []string {
	t.Helper()
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &object); err != nil {
		t.Fatalf("no JSON object: %v\n%s", err, line)
	}
	return slices.Sorted(maps.Keys(object))
}

// hasFields wants fields in an object; more may be there.
func hasFields(t *testing.T, what, line, names string) {
	t.Helper()
	have := fieldsOf(t, line)
	for name := range strings.FieldsSeq(names) {
		if !slices.Contains(have, name) {
			t.Errorf("%s has no field %q: %s", what, name, line)
		}
	}
}
