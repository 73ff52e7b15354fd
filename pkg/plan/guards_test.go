package plan_test

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

func TestExceeds(t *testing.T) {
	t.Parallel()
	g := config.Guard{Count: 100, Percent: 20, Minimum: 25}
	for _, c := range []struct {
		name    string
		g       config.Guard
		n, base int
		want    bool
	}{
		{"nothing never trips", g, 0, 0, false},
		{"exactly the count passes", g, 100, 10000, false},
		{"one more than the count trips", g, 101, 10000, true},
		{"exactly the percentage passes", g, 5, 25, false},
		{"one more than the percentage trips", g, 6, 25, true},
		{"everybody of a vault below the minimum passes", g, 24, 24, false},
		{"the count counts below the minimum too", config.Guard{Count: 5, Percent: 20, Minimum: 25}, 6, 10, true},
		{"a percentage is not rounded", g, 7, 34, true},
		{"100 percent never trips by percentage", config.Guard{Count: 100, Percent: 100, Minimum: 0}, 50, 50, false},
		{"0 percent lets nobody go", config.Guard{Count: 100, Percent: 0, Minimum: 25}, 1, 1000, true},
		{"a count of 0 lets nobody go", config.Guard{Count: 0, Percent: 100, Minimum: 25}, 1, 10, true},
		{"a minimum of 0 guards the smallest vault", config.Guard{Count: 100, Percent: 20, Minimum: 0}, 1, 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := plan.Exceeds(c.g, c.n, c.base); got != c.want {
				t.Errorf("%d of %d with %+v: %v", c.n, c.base, c.g, got)
			}
		})
	}
}

// office is a vault of n people in Sales and All, all in step.
func office(n int) (*world, []string) {
	all := crowd("p", n)
	return with(each(all, "%s:Sales,All")...), all
}

// withdraw takes people out of every group.
func (w *world) withdraw(names ...string) {
	for _, n := range names {
		clear(w.human(n).in)
	}
}

func TestGuards(t *testing.T) {
	check(t, []requirement{
		{"800 disables over a limit of 500 hold all 800, and everything else goes on", func(t *testing.T) {
			all := crowd("p", 1000)
			w := with(each(all, "%s:Sales")...)
			w.rules.Guards.Disables = config.Guard{Count: 500, Percent: 100, Minimum: 25}
			w.rules.Guards.MemberRemovals.Percent = 100
			w.withdraw(all[:800]...)
			w.add("new:Sales")
			w.human("p900").fields["fullName"] = "Renamed"
			p := w.does(t, slices.Concat(each(all[:800], "disable %s !disables"), each(all[:800], "memberRemove %s Sales !disables"),
				[]string{"update p900 fullName:p900>Renamed", "create new named", "memberAdd new Sales"})...)
			if len(p.Trips) != 1 || p.Trips[0].Count != 800 || !strings.Contains(p.Trips[0].Text, "500") {
				t.Errorf("%+v", p.Trips)
			}
			if u := w.user("p000"); !u.Enabled {
				t.Error("somebody was disabled")
			}
		}},
		{"a held disable holds the person's removals from every group, and their record", func(t *testing.T) {
			w, all := office(30)
			w.rules.Guards.Disables.Count = 1
			w.withdraw(all[:2]...)
			w.does(t, "disable p000 !disables", "disable p001 !disables",
				"memberRemove p000 All !disables", "memberRemove p001 All !disables", "memberRemove p000 Sales !disables", "memberRemove p001 Sales !disables")
			if w.record("p000").State != snapshot.Active {
				t.Errorf("%+v", w.record("p000"))
			}
		}},
		{"a held group removal holds the person's disable, but not the removals of those who stay", func(t *testing.T) {
			w, all := office(12)
			w.add("eve:Other", "fay:Other,Sales")
			w.settle()
			w.leave("Sales", all[1:8]...) // still in All
			w.withdraw("p000")
			w.leave("Other", "fay")
			p := w.plan()
			for i, line := range lines(p) {
				held := strings.Contains(line, "Sales") || strings.Contains(line, "p000")
				if held != (p.Changes[i].Held == plan.GuardMemberRemovals) {
					t.Errorf("%s", line)
				}
			}
		}},
		{"a group that exists and whose members all vanish is held as a whole", func(t *testing.T) {
			w, all := office(400)
			w.rules.Guards.Disables = config.Guard{Count: 1000, Percent: 100}
			w.withdraw(all...)
			p := w.plan()
			for i, c := range p.Changes {
				if c.Held == "" {
					t.Errorf("let pass: %s", lines(p)[i])
				}
			}
			if len(p.Changes) != 1200 || p.Trips[0].Guard != plan.GuardEmptyGroup {
				t.Errorf("%d changes, %+v", len(p.Changes), p.Trips)
			}
			w.apply(p)
			// The guard can be passed: the administrator emptied the group.
			w.approved = keys(p)
			w.apply(w.plan())
			for _, n := range all {
				if w.user(n).Enabled {
					t.Fatalf("%s is enabled after the approval", n)
				}
			}
		}},
		{"an approval releases exactly what was shown, and the limit stays on for the next", func(t *testing.T) {
			w, all := office(100)
			w.rules.Guards.MemberRemovals.Percent = 100
			w.withdraw(all[:25]...)
			p := w.plan()
			shown := keys(p)
			w.apply(p)
			w.withdraw(all[25], all[26])
			w.approved = shown
			p = w.plan()
			w.apply(p)
			if got := len(p.Held()); got != 6 {
				t.Errorf("%d changes held, want the two newcomers' 6", got)
			}
			if w.user(all[0]).Enabled || !w.user(all[25]).Enabled {
				t.Error("released too little, or too much")
			}
			// They are few, and wait all the same for an approval of their own.
			p = w.plan()
			if got := len(p.Held()); got != 6 || p.HeldDigest() == "" {
				t.Errorf("%d held", got)
			}
			if len(p.Trips) == 0 || len(p.Trips) > 3 {
				t.Errorf("%+v", p.Trips)
			}
			w.apply(p)
			w.add("p026:Sales,All") // no longer due
			p = w.plan()
			if got := len(p.Held()); got != 3 {
				t.Errorf("%d held", got)
			}
			w.approved = keys(p)
			w.does(t, "disable p025", "memberRemove p025 All", "memberRemove p025 Sales")
			w.quiet(t)
			if len(w.pinned) > 0 {
				t.Errorf("still pinned: %v", w.pinned)
			}
			w.withdraw(all[30:60]...)
			if p := w.plan(); len(p.Held()) != 90 {
				t.Errorf("the limit is off: %d held", len(p.Held()))
			}
		}},
		{"an approval of what is no longer due releases nothing", func(t *testing.T) {
			w, all := office(30)
			w.withdraw(all[:10]...)
			p := w.plan()
			w.apply(p)
			w.add(each(all[:10], "%s:Sales,All")...)
			w.approved = keys(p)
			if released := w.does(t).Released(keys(p)); released != 0 {
				t.Errorf("%d released", released)
			}
		}},
		{"raising the limit lets them pass, lowering it again holds the next", func(t *testing.T) {
			w, all := office(30)
			w.rules.Guards.MemberRemovals.Percent = 100
			w.withdraw(all[:10]...)
			w.apply(w.plan())
			w.rules.Guards.Disables = config.Guard{Count: 10, Percent: 100}
			p := w.plan()
			if len(p.Held()) != 0 {
				t.Errorf("%d held", len(p.Held()))
			}
			w.apply(p)
			w.rules.Guards.Disables = config.Guard{Count: 5, Percent: 100}
			w.withdraw(all[10:16]...)
			if got := len(w.plan().Held()); got != 18 {
				t.Errorf("%d held", got)
			}
		}},
		{"more creates than the guard allows are held with their groups, but not in the first import", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Guards.Creates.Count = 2
			w.add("a:Sales", "b:Sales", "c:Sales")
			w.does(t, "create a named !creates", "create b named !creates", "create c named !creates",
				"memberAdd a Sales !creates", "memberAdd b Sales !creates", "memberAdd c Sales !creates")
			w.first = true
			if got := len(w.plan().Held()); got != 0 {
				t.Errorf("%d held in the first import", got)
			}
		}},
		{"a wrong mapping renames nobody", func(t *testing.T) {
			w, all := office(30)
			for _, n := range all {
				w.human(n).fields["loginName"] = n + "@fabrikam.com"
			}
			for _, c := range w.plan().Changes {
				if c.Held != plan.GuardLoginChanges {
					t.Errorf("let pass: %+v", c)
				}
			}
		}},
		{"whoever takes a name that is not freed because the guard holds it is held too, and nobody else", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales", "cid:Sales")
			w.rules.Guards.LoginChanges.Count = 0
			w.human("ann").fields["loginName"] = "ann.new@contoso.com"
			w.add("new:Sales", "dan:Sales")
			w.human("new").fields["loginName"] = "ann@contoso.com"
			w.does(t, "update ann loginName:ann>ann.new !loginChanges", "create ann named !loginChanges", "create dan named", "memberAdd ann Sales !loginChanges", "memberAdd dan Sales")
		}},
		{"the server's guard holds every disable with its removals, creates go on", func(t *testing.T) {
			w, all := office(30)
			w.withdraw(all[0])
			w.add("new:Sales")
			w.server = true
			w.wants(t, "disable p000 !directoryDisables", "memberRemove p000 All !directoryDisables", "memberRemove p000 Sales !directoryDisables", "create new named", "memberAdd new Sales")
		}},
		{"memberRemovals counts each group by itself, from its minimum on", func(t *testing.T) {
			w := with(slices.Concat(each(crowd("a", 9), "%s:Small,All"), each(crowd("b", 10), "%s:Large,All"))...)
			w.leave("Small", crowd("a", 8)...)
			w.leave("Large", crowd("b", 5)...)
			if got := len(w.plan().Held()); got != 0 {
				t.Errorf("%d held: half of ten and most of nine pass", got)
			}
			w.leave("Large", "b005")
			if got := len(w.plan().Held()); got != 6 {
				t.Errorf("%d held, want 6 of 10", got)
			}
		}},
		{"a wrong scope that puts 60 % out is held before any write", func(t *testing.T) {
			w, all := office(100)
			for _, n := range all[:60] {
				w.human(n).away = true
			}
			p := w.plan()
			if len(p.Held()) != len(p.Changes) || len(p.Changes) != 180 {
				t.Errorf("%d of %d held", len(p.Held()), len(p.Changes))
			}
		}},
		{"a group replaced by another of the same name keeps its people until the new one is read", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			fresh := w.team("Sales 2")
			fresh.name, fresh.replaces, fresh.state = "Sales", "Sales", directory.GroupUnreadable
			old := w.teams["Sales"]
			delete(w.teams, "Sales")
			w.teams["old"] = old
			fresh.replaces = "old"
			in := w.input()
			in.Groups = slices.DeleteFunc(in.Groups, func(g plan.Group) bool { return g.ID == old.id })
			for i := range in.People {
				in.People[i].Present, in.People[i].Want.Fields = true, maps.Clone(w.human(w.names[i]).fields)
			}
			p := plan.Compute(in)
			if got := lines(p); !slices.Equal(got, []string{"groupUpdate Sales link"}) {
				t.Fatalf("%q", got)
			}
			if !slices.Equal(p.ForgetGroups, []identity.ObjectID{old.id}) {
				t.Errorf("%v", p.ForgetGroups)
			}
		}},
		{"a vault group deleted by hand is made again with its members; with drift: report it is reported", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			clear(w.groups)
			w.rules.Repair = false
			p := w.wants(t)
			if p.Drift != 1 {
				t.Errorf("drift %d", p.Drift)
			}
			w.rules.Repair = true
			p = w.wants(t, "groupCreate Sales", "memberAdd ann Sales", "memberAdd bob Sales")
			if p.Groups[0].VaultID != "" {
				t.Error("the old id is kept: a creation that fails would not be tried again")
			}
			w.apply(p)
			w.quiet(t)
		}},
		{"two directory groups of one name are a conflict, not one vault group", func(t *testing.T) {
			w := newWorld()
			w.add("ann:Sales", "bob:Sales 2")
			w.team("Sales 2").name = "sales"
			w.first = true
			p := w.wants(t, "create ann named", "create bob named")
			says(t, p, "conflict Sales", "conflict sales")
		}},
		{"what hands changed in a synchronized field is repaired, or reported", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.user("ann").FullName, w.user("ann").LoginName = "By hand", "ANN@contoso.com" // the spelling is no drift
			for _, g := range w.groups {
				g.Members = g.Members[:1]
			}
			w.rules.Repair = false
			p := w.wants(t)
			if p.Drift != 2 {
				t.Errorf("drift %d: %q", p.Drift, notes(p))
			}
			w.rules.Repair = true
			w.does(t, "update ANN fullName:By hand>ann", "memberAdd bob Sales")
		}},
		{"a run over one person touches nobody else, and no group's other members", func(t *testing.T) {
			w, all := office(30)
			w.withdraw(all[:10]...)
			w.add("new:Sales")
			w.only = "p000"
			p := w.wants(t, "disable p000", "memberRemove p000 All", "memberRemove p000 Sales")
			w.apply(p)
			w.only = "new"
			w.apply(w.wants(t, "create new named", "memberAdd new Sales"))
			for _, g := range w.links {
				if n := g.Applied.GetCardinality(); n != 29 && n != 30 {
					t.Errorf("%s: %d remembered", g.Name, n)
				}
			}
			w.only = ""
			if !slices.ContainsFunc(lines(w.plan()), func(l string) bool { return strings.HasPrefix(l, "disable p001") }) {
				t.Error("the others are forgotten")
			}
		}},
	})
}

func TestUnknownOutcomes(t *testing.T) {
	check(t, []requirement{
		{"an account made by a run that died is ours whatever adopt says, and is made once", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Adopt = false
			w.add("ann:Sales")
			w.hand(vault.User{LoginName: "ann@contoso.com", FullName: "ann", Email: "ann@contoso.com", ExternalID: w.id("ann").String(), Managed: true, Enabled: true, License: identity.LicenseNamed})
			w.intents["ann"] = true
			p := w.does(t, "memberAdd ann Sales")
			if !slices.Equal(p.Settled, []identity.ObjectID{w.id("ann")}) {
				t.Errorf("settled: %v", p.Settled)
			}
			if r := w.record("ann"); r.Adopted || !r.Fields["fullName"].Written {
				t.Errorf("%+v", r)
			}
		}},
		{"what changed in the directory since a run died that made the account is written", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Adopt = false
			w.add("ann:Sales")
			u := w.hand(vault.User{LoginName: "ann@contoso.com", FullName: "Ann Before", Email: "ann@contoso.com", ExternalID: w.id("ann").String(), Managed: true, Enabled: true, License: identity.LicenseNamed})
			w.intents["ann"] = true
			w.does(t, "update ann fullName:Ann Before>ann", "memberAdd ann Sales")
			if u.FullName != "ann" {
				t.Errorf("%+v", u)
			}
		}},
		{"what a run made that died is remembered although its change is held", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Adopt = false
			w.rules.Guards.LoginChanges.Count = 0
			w.add("ann:Sales")
			w.hand(vault.User{LoginName: "old@contoso.com", FullName: "ann", Email: "ann@contoso.com", ExternalID: w.id("ann").String(), Managed: true, Enabled: true, License: identity.LicenseNamed})
			w.intents["ann"] = true
			w.wants(t, "update old loginName:old>ann !loginChanges", "memberAdd old Sales")
			w.apply(w.plan())
			if r := w.record("ann"); r.State != snapshot.Active || r.UserID == "" {
				t.Errorf("%+v", r)
			}
			w.wants(t, "update old loginName:old>ann !loginChanges")
		}},
		{"what a run did that died is known as ours although the person then waits", func(t *testing.T) {
			w := with("ann:Sales", "eve:Sales")
			w.user("ann").Enabled = false // by a run that died; ann came back since
			w.intents["ann"] = true
			w.human("ann").wantErr = errors.New("no login name")
			w.apply(w.plan())
			w.human("ann").wantErr = nil
			w.does(t, "enable ann")

			w.leave("Sales", "ann")
			w.apply(w.plan())
			w.user("ann").Enabled = true // by another one, when ann was back for a moment
			w.intents["ann"] = true
			w.add("ann:Sales")
			w.human("ann").wantErr = errors.New("no login name")
			w.apply(w.plan())
			w.leave("Sales", "ann")
			w.apply(w.plan())
			if w.user("ann").Enabled {
				t.Error("somebody who left stays enabled")
			}
		}},
		{"an adoption by a run that died stays an adoption", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales")
			u := w.hand(vault.User{LoginName: "ann@contoso.com", FullName: "By hand", ExternalID: w.id("ann").String(), Managed: true, Enabled: true})
			w.records[w.id("ann")] = &snapshot.Account{Person: w.id("ann"), Number: w.number("ann"), State: snapshot.Waiting, Adopted: true}
			w.intents["ann"] = true
			w.does(t, "memberAdd ann Sales")
			if u.FullName != "By hand" || !w.record("ann").Adopted {
				t.Errorf("%+v %+v", u, w.record("ann"))
			}
		}},
		{"what a run that died was to make is remembered while the profile is not shown", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales")
			fields := map[string]snapshot.Field{"loginName": {Value: "ann@contoso.com", Written: true}}
			w.records[w.id("ann")] = &snapshot.Account{Person: w.id("ann"), Number: w.number("ann"), State: snapshot.Waiting, Fields: fields}
			w.intents["ann"] = true
			w.human("ann").pending = true
			w.apply(w.plan())
			if r := w.record("ann"); r.Login() != "ann@contoso.com" {
				t.Errorf("%+v", r)
			}
		}},
		{"an account made by a run that died, of a person who left since, is disabled", func(t *testing.T) {
			w := with("eve:Sales")
			w.human("ann")
			w.hand(vault.User{LoginName: "ann@contoso.com", ExternalID: w.id("ann").String(), Managed: true, Enabled: true})
			w.records[w.id("ann")] = &snapshot.Account{Person: w.id("ann"), Number: w.number("ann"), State: snapshot.Waiting, Fields: map[string]snapshot.Field{"loginName": {Value: "ann@contoso.com"}}}
			w.intents["ann"] = true
			w.does(t, "disable ann")
			if r := w.record("ann"); r.State != snapshot.Left || !r.OwnDisable {
				t.Errorf("%+v", r)
			}
		}},
		{"nobody is forgotten whose account may have been made and was not looked for", func(t *testing.T) {
			w := with("eve:Sales")
			w.human("ann").fields["loginName"] = ""
			w.records[w.id("ann")] = &snapshot.Account{Person: w.id("ann"), Number: w.number("ann"), State: snapshot.Waiting}
			w.intents["ann"] = true
			p := w.wants(t)
			says(t, p, "failed")
			if len(p.Forget) > 0 || len(p.Settled) > 0 {
				t.Errorf("forgets %v, settles %v", p.Forget, p.Settled)
			}
		}},
		{"a disable by a run that died is ours; one by hands is not", func(t *testing.T) {
			for _, ours := range []bool{true, false} {
				w := with("ann:Sales", "bob:Sales")
				w.leave("Sales", "ann")
				w.user("ann").Enabled = false
				w.intents["ann"] = ours
				w.does(t, "memberRemove ann Sales")
				if got := w.record("ann").OwnDisable; got != ours {
					t.Errorf("intent %v: own disable %v", ours, got)
				}
			}
		}},
		{"the intent of a person who is not looked at stays open", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.leave("Sales", "ann")
			w.intents["ann"], w.only = true, "bob"
			if p := w.plan(); len(p.Settled) > 0 {
				t.Errorf("settled: %v", p.Settled)
			}
		}},
		{"an account that was taken over by another person is neither disabled nor taken out of groups", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.user("ann").ExternalID = w.id("new").String()
			w.leave("Sales", "ann")
			p := w.does(t)
			if w.record("ann") != nil {
				t.Errorf("still remembered: %+v, %q", w.record("ann"), lines(p))
			}
		}},
		{"a failed person is left alone until the pause is over, and tried at once when somebody asks", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales")
			w.records[w.id("ann")] = &snapshot.Account{Person: w.id("ann"), Number: w.number("ann"), State: snapshot.Waiting, Problem: "create failed", Tries: 3, Retry: w.now.Add(time.Hour)}
			says(t, w.wants(t), "failed ann")
			w.insist = true
			w.wants(t, "create ann named", "memberAdd ann Sales")
			w.insist = false
			w.now = w.now.Add(time.Hour)
			w.does(t, "create ann named", "memberAdd ann Sales")
			if r := w.record("ann"); r.Tries != 0 || r.Problem != "" {
				t.Errorf("%+v", r)
			}
		}},
		{"somebody whose joining fails goes on counting, and is paused", func(t *testing.T) {
			w := with("ann:Sales", "bob:HR")
			w.add("ann:HR")
			r := w.record("ann")
			r.Tries, r.Problem, r.Retry = 2, "memberAdd failed", w.now
			p := w.wants(t, "memberAdd ann HR")
			for _, rec := range p.Records {
				if rec.Person == w.id("ann") && rec.Tries != 2 {
					t.Errorf("the count is lost: %+v", rec)
				}
			}
			r.Retry = w.now.Add(time.Minute)
			says(t, w.wants(t), "failed ann")
		}},
		{"somebody who is not shown by the directory yet gets nothing and loses nothing", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales", "cid:Sales")
			w.leave("Sales", "cid")
			w.apply(w.plan())
			w.add("new:Sales", "cid:Sales")
			for _, n := range []string{"ann", "new", "cid"} {
				w.human(n).pending = true
			}
			says(t, w.does(t), "unread", "unread cid")
			for _, n := range []string{"new", "cid"} {
				w.human(n).pending = false
			}
			w.does(t, "enable cid", "create new named", "memberAdd cid Sales", "memberAdd new Sales")
		}},
	})
}

func TestDigests(t *testing.T) {
	t.Parallel()

	t.Run("the order of the input moves neither plan nor digests", func(t *testing.T) {
		t.Parallel()
		w, all := office(60)
		w.withdraw(all[:20]...)
		w.add("x:Sales", "y:All", "z:New")
		w.human(all[30]).fields["loginName"] = "moved@contoso.com"
		first, err := json.Marshal(w.plan())
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(20) {
			in := w.input()
			r := rand.New(rand.NewPCG(seed, 1))
			r.Shuffle(len(in.People), func(i, j int) { in.People[i], in.People[j] = in.People[j], in.People[i] })
			r.Shuffle(len(in.Groups), func(i, j int) { in.Groups[i], in.Groups[j] = in.Groups[j], in.Groups[i] })
			p := plan.Compute(in)
			again, err := json.Marshal(p)
			if err != nil || string(again) != string(first) || p.Digest() != w.plan().Digest() || p.HeldDigest() != w.plan().HeldDigest() {
				t.Fatalf("seed %d: another plan: %q, first %q", seed, lines(p), lines(w.plan()))
			}
		}
	})

	t.Run("computing leaves the input as it was", func(t *testing.T) {
		t.Parallel()
		w, all := office(30)
		w.withdraw(all[:20]...)
		in := w.input()
		a, _ := json.Marshal(plan.Compute(in))
		b, _ := json.Marshal(plan.Compute(in))
		if string(a) != string(b) {
			t.Errorf("%s\n%s", a, b)
		}
	})

	t.Run("the digest of held changes moves with them alone, not with others, reasons or the clock", func(t *testing.T) {
		t.Parallel()
		w, all := office(30)
		w.withdraw(all[:10]...)
		before := w.plan()
		w.add("new:Sales")
		w.human(all[20]).fields["fullName"] = "Renamed"
		w.now = w.now.Add(time.Hour)
		after := w.plan()
		if before.HeldDigest() == "" || before.HeldDigest() != after.HeldDigest() {
			t.Errorf("%s, then %s", before.HeldDigest(), after.HeldDigest())
		}
		if before.Digest() == after.Digest() {
			t.Error("the plan's own digest does not tell another plan")
		}
		w.withdraw(all[11])
		if w.plan().HeldDigest() == before.HeldDigest() {
			t.Error("a newcomer did not move it")
		}
	})

	t.Run("reasons are no part of a digest, what is found is", func(t *testing.T) {
		t.Parallel()
		a := plan.Plan{Changes: []plan.Change{{Kind: plan.Disable, Person: objectID(0, 1), Before: plan.Values{"enabled": "true"}, After: plan.Values{"enabled": "false"}, Why: "left"}}}
		b := a
		b.Changes = slices.Clone(a.Changes)
		b.Changes[0].Why, b.Changes[0].Held, b.Changes[0].Login = "deleted", "disables", "ann"
		if a.Digest() != b.Digest() {
			t.Error("a reason moved it")
		}
		b.Changes[0].Before = plan.Values{"enabled": "x"}
		if a.Digest() == b.Digest() {
			t.Error("another state found did not move it")
		}
		if a.HeldDigest() != "" {
			t.Error("nothing is held")
		}
	})

	t.Run("values are read as they were written", func(t *testing.T) {
		t.Parallel()
		in := plan.Values{"enabled": "true", "loginName": "ann@contoso.com", "attributes.info1": "", "attributes.a.b": "x", "member": "false"}
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out plan.Values
		if err := json.Unmarshal(b, &out); err != nil || !maps.Equal(in, out) {
			t.Errorf("%v, %v from %s", out, err, b)
		}
		for _, bad := range []string{`{"a":1}`, `{"a":[]}`, `{"x":{"y":"z"}}`, `{"attributes":{"y":true}}`, `[]`} {
			if err := json.Unmarshal([]byte(bad), &out); err == nil {
				t.Errorf("%s was read", bad)
			}
		}
	})
}
