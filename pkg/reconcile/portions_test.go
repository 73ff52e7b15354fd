package reconcile_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/entrasim"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/reconcile"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
	"github.com/vaultsync/vaultsync/pkg/vault/vaulttest"
)

// imported is what a first import comes to, without what no two imports have
// in common: times, and the numbers that mirror and store give.
type imported struct {
	report   reconcile.Report
	vault    held
	accounts map[string]snapshot.Account
	groups   map[string][]string // who is remembered to be in which group
	kept     map[string]int
	meta     snapshot.Meta
	log      []provlog.Entry
}

// importCase is a tenant and a vault before its first import.
type importCase struct {
	name string
	rest string // of the vault's file
	// before prepares the store.
	before func(t *testing.T, w *world, m *vaulttest.Memory)
	// interrupt ends the first attempt at the change with this number.
	interrupt int
	// after changes directory and vault when the import is over, for a full run
	// that is then what is compared.
	after func(t *testing.T, w *world, m *vaulttest.Memory)
}

func importCases() []importCase {
	return []importCase{
		{name: "everybody is new"},
		{name: "people who share a login name all wait", rest: "accounts: {loginName: displayName}\n"},
		{name: "some lack what login names are made of", rest: "accounts: {loginName: onPremisesSamAccountName}\n"},
		{name: "accounts and groups that were there are taken over", rest: "accounts: {adopt: true}\n", before: handMade},
		{name: "accounts that were there are in the way", rest: "accounts: {adopt: false}\n", before: handMade},
		{name: "mail addresses find accounts too", rest: "accounts: {adopt: true, match: [externalId, loginName, mail]}\n", before: handMade},
		{name: "the scope leaves many out", rest: "scope: 'user.displayName < \"M\"'\n"},
	}
}

// handMade puts accounts of every tenth person, and a group with some of them,
// into the vault.
func handMade(t *testing.T, w *world, m *vaulttest.Memory) {
	t.Helper()
	people := w.tenant.People()
	slices.SortFunc(people, func(a, b entrasim.Person) int { return a.ID.Compare(b.ID) })
	var members []string
	for i, p := range people {
		if i%10 != 0 {
			continue
		}
		user := vault.User{LoginName: p.Attributes["userPrincipalName"], FullName: "By Hand", Email: p.Attributes["mail"]}
		if i%30 == 0 {
			user.LoginName = fmt.Sprint("other-", i)
		}
		result := m.Apply(t.Context(), []vault.Change{{Op: vault.CreateUser, User: user}})[0]
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		members = append(members, result.ID)
	}
	group := m.Apply(t.Context(), []vault.Change{{Op: vault.CreateGroup, Group: vault.Group{Name: "Group 0"}}})[0]
	if group.Err != nil {
		t.Fatal(group.Err)
	}
	if err := m.Apply(t.Context(), []vault.Change{{Op: vault.AddMembers, GroupID: group.ID, Members: members}})[0].Err; err != nil {
		t.Fatal(err)
	}
}

func TestAnImportInPortionsComesToTheSameAsOneThatIsPlannedWhole(t *testing.T) {
	t.Parallel()
	for _, c := range importCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			whole, portions := c.imported(t, 1<<30), c.imported(t, 17)
			whole.compare(t, portions)
			if whole.report.Counts.Made() == 0 {
				t.Error("nothing was imported: nothing was compared")
			}
		})
	}
}

func TestAnImportInPortionsThatBrokeOffIsCompleted(t *testing.T) {
	t.Parallel()
	whole := importCase{}.imported(t, 1<<30)
	for _, at := range []int{1, 30, 100, 170, 300} {
		t.Run(fmt.Sprint("at change ", at), func(t *testing.T) {
			t.Parallel()
			completed := importCase{interrupt: at}.imported(t, 17)
			// What the two attempts did together is in state and vault; the
			// second one reports its own part.
			completed.report, completed.log = whole.report, whole.log
			whole.compare(t, completed)
		})
	}
}

// imported makes the first import of a vault, a portion at a time.
func (c importCase) imported(t *testing.T, portion int) imported {
	t.Helper()
	const groups = 6
	tenant := entrasim.Generate(entrasim.Spec{People: 240, Groups: groups, Nesting: 1, MembershipsPerPerson: 2, Seed: 11})
	spec := vaultSpec{name: "sales", rest: c.rest + openGuards}
	for i := range groups {
		spec.groups = append(spec.groups, fmt.Sprint("Group ", i))
	}
	w := openWorld(t.Context(), t, t.TempDir(), tenant, "stream", nil, spec)
	t.Cleanup(w.Close)
	v, m := w.vaults[spec.name], w.stores[spec.name]
	v.SetPortion(portion)
	if c.before != nil {
		c.before(t, w, m)
	}
	if c.interrupt > 0 {
		m.Fail = vaulttest.FailAt(c.interrupt, vault.ErrUnreachable)
		if _, err := v.Run(t.Context(), reconcile.Options{}); err == nil {
			t.Fatal("the run was not interrupted")
		}
		m.Fail = nil
	}
	report, err := v.Run(t.Context(), reconcile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Mode != "initial" {
		t.Errorf("the run is %q", report.Mode)
	}
	if c.after != nil {
		c.after(t, w, m)
		w.logged = nil
		if report, err = v.Run(t.Context(), reconcile.Options{Full: true}); err != nil {
			t.Fatal(err)
		}
	}
	got := imported{report: report, vault: look(t, m), log: w.logged}
	got.read(t, v.Snapshot)
	w.mustRest()
	return got
}

// read reads what the vault's state says.
func (i *imported) read(t *testing.T, s *snapshot.Snapshot) {
	t.Helper()
	i.accounts, i.groups, i.kept = map[string]snapshot.Account{}, map[string][]string{}, map[string]int{}
	err := s.Read(func(tx *snapshot.Tx) error {
		names := map[uint32]string{}
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			names[a.Number] = a.Person.String()
			made := a.UserID != ""
			a.Number, a.UserID, a.Since, a.Retry = 0, fmt.Sprint(made), time.Time{}, time.Time{}
			i.accounts[a.Person.String()] = a
		}
		groups, err := tx.Groups()
		for _, g := range groups {
			members := []string{}
			for it := g.Applied.Iterator(); it.HasNext(); {
				members = append(members, names[it.Next()])
			}
			slices.Sort(members)
			i.groups[g.Name], i.kept[g.Name] = members, len(g.Kept)
		}
		if n := len(tx.Intents()); n > 0 {
			t.Errorf("%d intents are open", n)
		}
		if err == nil {
			i.meta, err = tx.Meta()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	i.meta.Epoch, i.meta.Store, i.meta.LastRun, i.meta.LastFull, i.meta.LastSuccess = "", "", nil, time.Time{}, time.Time{}
	for k := range i.log {
		i.log[k].Time, i.log[k].Run = time.Time{}, ""
	}
	slices.SortStableFunc(i.log, func(a, b provlog.Entry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Group, b.Group), a.Person.Compare(b.Person))
	})
	for key, u := range i.vault.users {
		u.ID = ""
		i.vault.users[key] = u
	}
	r := &i.report
	r.Run, r.Started, r.Finished, r.Requests, r.Plan = "", time.Time{}, time.Time{}, reconcile.Requests{}, nil
}

// text is the beginning of a value's JSON.
func text(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:min(len(b), 2000)])
}

func (i *imported) compare(t *testing.T, other imported) {
	t.Helper()
	same := func(what string, a, b any) {
		t.Helper()
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: the whole plan comes to\n%s\nand portions to\n%s", what, text(t, a), text(t, b))
		}
	}
	same("report", i.report, other.report)
	same("meta", i.meta, other.meta)
	same("remembered members", i.groups, other.groups)
	same("members kept", i.kept, other.kept)
	same("vault's groups", i.vault.groups, other.vault.groups)
	for _, id := range slices.Sorted(maps.Keys(i.accounts)) {
		same("record of "+id, i.accounts[id], other.accounts[id])
	}
	same("number of records", len(i.accounts), len(other.accounts))
	for _, id := range slices.Sorted(maps.Keys(i.vault.users)) {
		same("user "+id, i.vault.users[id], other.vault.users[id])
	}
	same("number of users", len(i.vault.users), len(other.vault.users))
	for k := range min(len(i.log), len(other.log)) {
		same("entry of the log", i.log[k], other.log[k])
	}
	same("entries of the log", len(i.log), len(other.log))
}
