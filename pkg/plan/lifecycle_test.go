package plan_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

type requirement struct {
	name string
	run  func(t *testing.T)
}

func check(t *testing.T, all []requirement) {
	t.Helper()
	t.Parallel()
	for _, r := range all {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			r.run(t)
		})
	}
}

// TestLifeCycle has the rows of the first table: what the plugin method is
// documented to do.
func TestLifeCycle(t *testing.T) {
	check(t, []requirement{
		{"a person who joins a synchronized group becomes a vault user with the group's licence", func(t *testing.T) {
			w := with("ann:Sales")
			w.add("bob:Sales")
			w.does(t, "create bob named", "memberAdd bob Sales")
			if got := w.members("Sales"); got != "ann bob" {
				t.Errorf("members: %s", got)
			}
		}},
		{"a login account that exists is used as it is: its licence and hand-made settings stay", func(t *testing.T) {
			w := with("ann:Sales")
			w.logins = []vault.User{{LoginName: "BOB@contoso.com", FullName: "Robert", License: identity.LicenseConcurrent}}
			w.add("bob:Sales")
			w.does(t, "create BOB", "memberAdd BOB Sales")
			u := w.user("bob")
			if u.License != identity.LicenseConcurrent || u.FullName != "Robert" || u.LoginName != "BOB@contoso.com" {
				t.Errorf("%+v", u)
			}
			w.human("bob").fields["fullName"] = "Bob"
			w.does(t, "update BOB fullName:Robert>Bob")
		}},
		{"leaving one group and being still in another leaves that vault group and stays enabled", func(t *testing.T) {
			w := with("ann:Sales,HR")
			w.add("bob:HR")
			w.settle()
			w.leave("HR", "ann")
			w.does(t, "memberRemove ann HR")
			if !w.user("ann").Enabled {
				t.Error("disabled")
			}
		}},
		{"leaving the last group disables the vault user, never deletes it, and keeps the licence", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.leave("Sales", "ann")
			w.does(t, "disable ann", "memberRemove ann Sales")
			if u := w.user("ann"); u == nil || u.Enabled || u.License != identity.LicenseNamed {
				t.Errorf("%+v", u)
			}
			if r := w.record("ann"); r.State != snapshot.Left || !r.OwnDisable {
				t.Errorf("%+v", r)
			}
		}},
		{"a user disabled by hand stays disabled (own)", func(t *testing.T) {
			w := with("ann:Sales")
			w.user("ann").Enabled = false
			says(t, w.does(t), "disabledByHand ann")
		}},
		{"a user disabled by hand is enabled again (all)", func(t *testing.T) {
			w := with("ann:Sales")
			w.rules.Accounts.EnableDisabledUsers = "all"
			w.user("ann").Enabled = false
			w.does(t, "enable ann")
		}},
		{"a user deleted by hand is not created again, until that is asked for", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.delete("ann")
			says(t, w.does(t), "deletedByHand ann")
			p := w.does(t)
			says(t, p, "deletedByHand ann")
			if !strings.Contains(p.Notes[0].Text, "--recreate") {
				t.Errorf("the note does not say how: %s", p.Notes[0].Text)
			}
			w.recreate = "ann"
			p = w.wants(t, "create ann named", "memberAdd ann Sales")
			w.apply(p)
			w.recreate = ""
			w.quiet(t)
			if w.members("Sales") != "ann bob" {
				t.Errorf("members: %s", w.members("Sales"))
			}
		}},
	})
}

// TestEnableDisabledUsers has every combination of policy and of who disabled.
func TestEnableDisabledUsers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy, by string
		want       bool
	}{
		{"own", "us", true},
		{"own", "hands", false},
		{"all", "us", true},
		{"all", "hands", true},
		{"never", "us", false},
		{"never", "hands", false},
		// Hands enabled whom we had disabled, and disabled them again.
		{"own", "us, then hands", false},
		{"all", "us, then hands", true},
		{"never", "us, then hands", false},
	} {
		t.Run(c.policy+" with a leaver disabled by "+c.by+" who returns", func(t *testing.T) {
			t.Parallel()
			w := with("ann:Sales", "bob:Sales")
			w.rules.Accounts.EnableDisabledUsers = c.policy
			if c.by == "hands" {
				w.user("ann").Enabled = false
			}
			w.leave("Sales", "ann")
			w.apply(w.plan())
			if c.by == "us, then hands" {
				w.user("ann").Enabled = true
				says(t, w.does(t), "enabledByHand ann")
				w.user("ann").Enabled = false
				w.quiet(t)
			}
			w.add("ann:Sales")
			want := []string{"memberAdd ann Sales"}
			if c.want {
				want = []string{"enable ann", "memberAdd ann Sales"}
			}
			p := w.does(t, want...)
			if u := w.user("ann"); u.Enabled != c.want {
				t.Errorf("enabled: %v", u.Enabled)
			}
			if !c.want {
				says(t, p, "disabledByHand ann")
			}
			if w.record("ann").State != snapshot.Active {
				t.Errorf("%+v", w.record("ann"))
			}
		})
	}
}

// TestSilentRules has the rows of the second table, in its order.
func TestSilentRules(t *testing.T) {
	check(t, []requirement{
		{"a person with a new name, login name and mail is one update of the same account", func(t *testing.T) {
			w := with("ann:Sales")
			id := w.user("ann").ID
			f := w.human("ann").fields
			f["loginName"], f["fullName"], f["email"] = "ann.b@contoso.com", "Ann B", "ann.b@contoso.com"
			w.does(t, "update ann email:ann>ann.b fullName:ann>Ann B loginName:ann>ann.b")
			if w.user("ann").ID != id || len(w.users) != 1 {
				t.Errorf("%v", w.users)
			}
		}},
		{"a login name passed from a leaver to somebody new gives nobody the leaver's account", func(t *testing.T) {
			w := with("ann:Sales", "eve:Sales")
			w.leave("Sales", "ann")
			w.add("bob:Sales", "cid:Sales")
			w.human("bob").fields["loginName"] = "ANN@contoso.com"
			p := w.does(t, "disable ann", "memberRemove ann Sales", "create cid named", "memberAdd cid Sales")
			says(t, p, "conflict ANN")
			if u := w.user("ann"); u.ExternalID != w.id("ann").String() || u.Enabled {
				t.Errorf("%+v", u)
			}
		}},
		{"a person deleted and created anew waits as a conflict by default", func(t *testing.T) {
			w := with("ann:Sales", "eve:Sales")
			w.human("ann").gone = true
			w.add("ann2:Sales")
			w.human("ann2").fields["loginName"] = "ann@contoso.com"
			p := w.does(t, "disable ann", "memberRemove ann Sales")
			says(t, p, "conflict ann")
			if !strings.Contains(p.Notes[0].Text, "accounts.relink") {
				t.Error(p.Notes[0].Text)
			}
		}},
		{"a person deleted and created anew takes the account over with relink, groups included", func(t *testing.T) {
			w := with("ann:Sales,HR", "eve:Sales,HR")
			w.rules.Accounts.Relink = true
			w.human("ann").gone = true
			w.add("ann2:Sales")
			w.human("ann2").fields["loginName"], w.human("ann2").fields["fullName"] = "ann@contoso.com", "Ann Two"
			p := w.wants(t, "memberRemove ann HR", "update ann email:ann>ann2 link fullName:ann>Ann Two")
			if p.Changes[1].Replaces != w.id("ann") || len(p.Forget) > 0 {
				t.Error("the former owner is to be forgotten with the change, not before")
			}
			w.apply(p)
			w.quiet(t)
			if w.record("ann") != nil || w.members("Sales") != "ann eve" || w.members("HR") != "eve" || !w.user("ann2").Enabled {
				t.Errorf("%+v; Sales %s; HR %s", w.record("ann"), w.members("Sales"), w.members("HR"))
			}
		}},
		{"an account that is taken over while its licence is due to be given back keeps it", func(t *testing.T) {
			w := with("ann:Sales", "eve:Sales")
			w.human("ann").gone = true
			w.does(t, "disable ann", "memberRemove ann Sales")
			w.rules.Accounts.Relink, w.rules.Accounts.ReleaseLicenseAfter = true, 0
			w.add("ann2:Sales")
			w.human("ann2").fields = w.human("ann").fields
			w.does(t, "update ann link", "enable ann", "memberAdd ann Sales")
		}},
		{"relink enables again what synchronization had disabled, and not what hands had", func(t *testing.T) {
			for _, byHand := range []bool{false, true} {
				w := with("ann:Sales", "eve:Sales")
				w.rules.Accounts.Relink = true
				w.user("ann").Enabled = !byHand
				w.human("ann").gone = true
				w.apply(w.plan())
				w.add("ann2:Sales")
				w.human("ann2").fields = w.human("ann").fields
				w.apply(w.plan())
				w.quiet(t)
				if w.user("ann2").Enabled == byHand {
					t.Errorf("disabled by hand %v: enabled %v", byHand, w.user("ann2").Enabled)
				}
			}
		}},
		{"whoever comes back has the directory's fields again, and drift is told where it is not repaired", func(t *testing.T) {
			for _, repair := range []bool{true, false} {
				w := with("ann:Sales", "eve:Sales")
				w.rules.Repair, w.partial = repair, true
				w.leave("Sales", "ann")
				w.apply(w.plan())
				w.user("ann").FullName = "By Hand"
				w.add("ann:Sales")
				p := w.plan()
				w.apply(p)
				if repaired := w.user("ann").FullName == "ann"; repaired != repair || p.Drift != map[bool]int{true: 0, false: 1}[repair] {
					t.Errorf("repair %v: %q, drift %d", repair, w.user("ann").FullName, p.Drift)
				}
				if !w.user("ann").Enabled {
					t.Error("is not enabled again")
				}
			}
		}},
		{"two newcomers who map to one login name both wait, everybody else goes on", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales", "bob:Sales", "cid:Sales")
			w.human("bob").fields["loginName"] = "Ann@Contoso.com"
			says(t, w.does(t, "create cid named", "memberAdd cid Sales"), "conflict Ann@Contoso.com", "conflict ann")
		}},
		{"a newcomer with the login name of somebody who has an account waits alone", func(t *testing.T) {
			w := with("ann:Sales")
			w.add("bob:Sales")
			w.human("bob").fields["loginName"] = "ann@contoso.com"
			says(t, w.does(t), "conflict ann")
		}},
		{"two newcomers who match one account of nobody both wait: it is not linked twice", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Match = []string{"externalId", "loginName", "mail"}
			w.hand(vault.User{LoginName: "shared@contoso.com", Email: "team@contoso.com", Enabled: true})
			w.add("ann:Sales", "bob:Sales")
			w.human("ann").fields["email"], w.human("bob").fields["email"] = "team@contoso.com", "Team@contoso.com"
			says(t, w.does(t), "conflict ann", "conflict bob")
		}},
		{"two newcomers with one login name, of whom one owns the account by its external id: that one gets it", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales", "bob:Sales")
			w.hand(vault.User{LoginName: "ann@contoso.com", ExternalID: w.id("ann").String(), Managed: true, Enabled: true})
			w.human("bob").fields["loginName"] = "ann@contoso.com"
			says(t, w.does(t, "memberAdd ann Sales"), "conflict ann")
			if w.user("ann") == nil || w.user("bob") != nil {
				t.Errorf("ann %v bob %v", w.user("ann"), w.user("bob"))
			}
		}},
		{"an account that is somebody's stays so when hands took the object id off it", func(t *testing.T) {
			w := with("ann:Sales")
			w.rules.Accounts.Match = []string{"externalId", "loginName", "mail"}
			w.user("ann").ExternalID = ""
			w.add("bob:Sales")
			w.human("bob").fields["email"] = "ann@contoso.com"
			says(t, w.wants(t), "conflict bob")
		}},
		{"two accounts that match one person make that person wait", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Match = []string{"externalId", "loginName", "mail"}
			w.hand(vault.User{LoginName: "ann@contoso.com", Enabled: true})
			w.hand(vault.User{LoginName: "ann.old@contoso.com", Email: "ann@contoso.com", Enabled: true})
			w.add("ann:Sales")
			says(t, w.does(t), "conflict ann")
		}},
		{"login names are compared without case and normalized, and the directory's spelling is kept", func(t *testing.T) {
			w := with("eve:Sales")
			w.hand(vault.User{LoginName: "STRASSE@contoso.com", Enabled: true})
			w.add("ann:Sales")
			w.human("ann").fields["loginName"] = "straße@contoso.com"
			w.does(t, "update STRASSE link", "memberAdd STRASSE Sales")
			w.add("bob:Sales")
			w.human("bob").fields["loginName"] = "Bob@Contoso.com"
			w.does(t, "create Bob@Contoso.com named", "memberAdd Bob@Contoso.com Sales")
		}},
		{"a login name that changes its case alone is an update that no guard counts and nobody blocks", func(t *testing.T) {
			w := with("ann:Sales")
			w.rules.Guards.LoginChanges.Count = 0
			w.human("ann").fields["loginName"] = "Ann@contoso.com"
			w.does(t, "update ann loginName:ann>Ann")
		}},
		{"an account the vault had before is linked and put into its groups, nothing else", func(t *testing.T) {
			w := with("eve:Sales")
			u := w.hand(vault.User{LoginName: "ANN@contoso.com", FullName: "By hand", License: identity.LicenseReadOnly, Enabled: true})
			w.add("ann:Sales")
			w.does(t, "update ANN link", "memberAdd ANN Sales")
			if u.FullName != "By hand" || u.License != identity.LicenseReadOnly || u.LoginName != "ANN@contoso.com" {
				t.Errorf("%+v", u)
			}
			// What was never written is no drift, until the directory changes.
			w.human("ann").fields["fullName"] = "Ann B"
			w.does(t, "update ANN fullName:By hand>Ann B")
			u.FullName = "By hand again"
			w.does(t, "update ANN fullName:By hand again>Ann B")
		}},
		{"an account the vault had before is a conflict without adopt", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Adopt = false
			w.hand(vault.User{LoginName: "ann@contoso.com", Enabled: true})
			w.add("ann:Sales")
			says(t, w.does(t), "conflict ann")
		}},
		{"a disabled account that is adopted stays disabled, visibly", func(t *testing.T) {
			w := with("eve:Sales")
			w.hand(vault.User{LoginName: "ann@contoso.com"})
			w.add("ann:Sales")
			says(t, w.does(t, "update ann link", "memberAdd ann Sales"), "disabledByHand ann")
		}},
		{"a disabled account that is adopted is enabled with all", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.EnableDisabledUsers = "all"
			w.hand(vault.User{LoginName: "ann@contoso.com"})
			w.add("ann:Sales")
			w.does(t, "update ann link", "enable ann", "memberAdd ann Sales")
		}},
		{"members that a vault group had before its first synchronization stay, also when adopted later", func(t *testing.T) {
			w := newWorld()
			hand := w.hand(vault.User{LoginName: "hand", Enabled: true})
			late := w.hand(vault.User{LoginName: "late@contoso.com", Enabled: true})
			w.handGroup("sales", hand, late)
			w.add("ann:Sales")
			w.does(t, "groupUpdate sales link", "create ann named", "memberAdd ann Sales")
			w.add("late:Sales")
			w.does(t, "update late link", "memberAdd late Sales")
			w.leave("Sales", "late")
			w.does(t, "disable late")
			if got := w.members("sales"); got != "ann hand late" {
				t.Errorf("members: %s", got)
			}
		}},
		{"what hands add later to a synchronized group: strangers stay, ours are drift", func(t *testing.T) {
			w := with("ann:Sales", "bob:HR")
			stranger := w.hand(vault.User{LoginName: "stranger", Enabled: true})
			for _, g := range w.groups {
				if g.Name == "Sales" {
					g.Members = append(g.Members, stranger.ID, w.user("bob").ID)
				}
			}
			w.does(t, "memberRemove bob Sales")
			if got := w.members("Sales"); got != "ann stranger" {
				t.Errorf("members: %s", got)
			}
		}},
		{"an account that is not ours is never updated, disabled or re-grouped", func(t *testing.T) {
			w := with("ann:Sales")
			w.hand(vault.User{LoginName: "stranger@contoso.com", Enabled: true})
			w.human("stranger").away = true
			w.does(t)
		}},
		{"a protected login is created and joined like others, never disabled, updated or removed", func(t *testing.T) {
			w := with("eve:Sales,HR")
			w.rules.Accounts.Protected = []string{"ADMIN@contoso.com"}
			w.add("admin:Sales,HR")
			w.does(t, "create admin named", "memberAdd admin HR", "memberAdd admin Sales")
			w.human("admin").fields["fullName"] = "Chief"
			says(t, w.wants(t), "protected admin")
			w.human("admin").fields["loginName"] = "chief@contoso.com"
			says(t, w.wants(t), "protected chief")
			w.human("admin").fields["loginName"] = "admin@contoso.com"
			w.leave("HR", "admin")
			says(t, w.wants(t), "protected admin")
			w.leave("Sales", "admin")
			says(t, w.wants(t), "protected admin")
			w.user("admin").Enabled = false
			w.add("admin:Sales")
			w.rules.Accounts.EnableDisabledUsers = "all"
			says(t, w.wants(t), "protected admin")
			if got := w.members("HR"); got != "admin eve" {
				t.Errorf("members: %s", got)
			}
		}},
		{"a protected account that is adopted is linked and not enabled", func(t *testing.T) {
			w := with("eve:Sales")
			w.rules.Accounts.Protected, w.rules.Accounts.EnableDisabledUsers = []string{"admin@contoso.com"}, "all"
			w.hand(vault.User{LoginName: "admin@contoso.com"})
			w.add("admin:Sales")
			says(t, w.does(t, "update admin link", "memberAdd admin Sales"), "protected admin")
		}},
		{"disabled, deleted or out of scope in the directory is like leaving, and back with all groups", func(t *testing.T) {
			w := with("ann:Sales,HR", "eve:Sales,HR")
			w.human("ann").away = true
			w.does(t, "disable ann", "memberRemove ann HR", "memberRemove ann Sales")
			w.human("ann").away = false
			w.does(t, "enable ann", "memberAdd ann HR", "memberAdd ann Sales")
		}},
		{"an attribute cleared in the directory is cleared in the vault", func(t *testing.T) {
			w := newWorld()
			w.add("ann:Sales")
			w.human("ann").fields["attributes.info1"] = "Sales"
			w.settle()
			w.human("ann").fields["attributes.info1"], w.human("ann").fields["email"] = "", ""
			w.does(t, "update ann attributes.info1:Sales> email:ann>")
		}},
		{"a renamed group is renamed in the vault, membership untouched", func(t *testing.T) {
			w := with("ann:Sales")
			w.team("Sales").name = "Sold"
			w.does(t, "groupUpdate Sales name:Sales>Sold")
			if w.members("Sold") != "ann" {
				t.Error(w.members("Sold"))
			}
		}},
		{"a group that is renamed while it cannot be read is renamed when it can", func(t *testing.T) {
			w := with("ann:Sales")
			w.team("Sales").name, w.team("Sales").state = "Sold", directory.GroupUnreadable
			w.does(t)
			w.team("Sales").state = directory.GroupPresent
			w.does(t, "groupUpdate Sales name:Sales>Sold")
		}},
		{"a configured group that is gone: its removals are computed and held", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales,HR")
			w.team("Sales").state = directory.GroupMissing
			p := w.does(t, "disable ann !missingGroup", "memberRemove ann Sales !missingGroup", "memberRemove bob Sales !missingGroup")
			if len(p.Trips) != 1 || p.Trips[0].Guard != "missingGroup" || p.Trips[0].Count != 2 {
				t.Errorf("%+v", p.Trips)
			}
		}},
		{"missingGroup: allow makes its people leavers like others", func(t *testing.T) {
			w := with("ann:Sales")
			w.rules.Guards.MissingGroup = false
			w.team("Sales").state = directory.GroupMissing
			w.does(t, "disable ann", "memberRemove ann Sales")
		}},
		{"of a group that cannot be read nobody leaves, and nothing is to be approved", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.leave("Sales", "ann", "bob")
			w.team("Sales").state = directory.GroupUnreadable
			says(t, w.does(t), "unread Sales")
			w.add("cid:Sales") // read in part: whoever is seen joins
			w.does(t, "create cid named", "memberAdd cid Sales")
		}},
		{"a group that had members and reads as empty is held", func(t *testing.T) {
			w := with("ann:Sales", "bob:HR")
			w.leave("Sales", "ann")
			w.does(t, "disable ann !emptyGroup", "memberRemove ann Sales !emptyGroup")
		}},
		{"emptyGroup: allow lets the last member leave", func(t *testing.T) {
			w := with("ann:Sales")
			w.rules.Guards.EmptyGroup = false
			w.leave("Sales", "ann")
			w.does(t, "disable ann", "memberRemove ann Sales")
		}},
		{"two people who exchange login names both wait", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.human("ann").fields["loginName"], w.human("bob").fields["loginName"] = "bob@contoso.com", "ann@contoso.com"
			says(t, w.does(t), "conflict ann", "conflict bob")
		}},
		{"three people who pass login names round all wait", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales", "cid:Sales", "dan:Sales")
			w.human("ann").fields["loginName"], w.human("bob").fields["loginName"], w.human("cid").fields["loginName"] = "bob@contoso.com", "cid@contoso.com", "ann@contoso.com"
			w.human("dan").fields["loginName"] = "dan.new@contoso.com"
			says(t, w.does(t, "update dan loginName:dan>dan.new"), "conflict ann", "conflict bob", "conflict cid")
		}},
		{"a login name is freed before it is taken, through a chain and by a newcomer", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales", "cid:Sales")
			w.human("ann").fields["loginName"], w.human("bob").fields["loginName"], w.human("cid").fields["loginName"] = "bob@contoso.com", "cid@contoso.com", "cid.new@contoso.com"
			w.add("new:Sales")
			w.human("new").fields["loginName"] = "ann@contoso.com"
			w.does(t, "update cid loginName:cid>cid.new", "update bob loginName:bob>cid", "update ann loginName:ann>bob", "create ann named", "memberAdd ann Sales")
		}},
		{"whoever waits for a name of somebody in an exchange waits too", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales", "cid:Sales")
			w.human("ann").fields["loginName"], w.human("bob").fields["loginName"] = "bob@contoso.com", "ann@contoso.com"
			w.human("cid").fields["loginName"] = "ann@contoso.com"
			w.does(t)
		}},
		{"a configured group taken out of the file: its leavers are held until approved", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales,HR")
			w.team("Sales").removed = true
			p := w.wants(t, "disable ann !removedGroup", "memberRemove ann Sales !removedGroup", "memberRemove bob Sales !removedGroup")
			w.apply(p)
			w.approved = keys(p)
			w.does(t, "disable ann", "memberRemove ann Sales", "memberRemove bob Sales")
			if len(w.links) != 1 {
				t.Errorf("the group is still remembered: %v", w.links)
			}
		}},
		{"a group taken out of the file whose vault group hands deleted is forgotten", func(t *testing.T) {
			w := with("bob:Sales,HR")
			w.team("Sales").removed = true
			for id, g := range w.groups {
				if g.Name == "Sales" {
					delete(w.groups, id)
				}
			}
			w.does(t)
			if len(w.links) != 1 {
				t.Errorf("%v", w.links)
			}
		}},
		{"many of our accounts vanish together: nothing is concluded", func(t *testing.T) {
			all := crowd("p", 40)
			w := with(each(all, "%s:Sales")...)
			for _, n := range all[:9] {
				w.delete(n)
			}
			p := w.does(t, each(all[:9], "vanish %s !vanished")...)
			if len(p.Records) > 0 || w.record(all[0]).State != snapshot.Active {
				t.Error("something was concluded")
			}
			// approve: hands deleted them
			w.approved = keys(w.plan())
			w.does(t)
			if w.record(all[0]).State != snapshot.Tombstone {
				t.Errorf("%+v", w.record(all[0]))
			}
		}},
		{"rejecting vanished accounts makes them again", func(t *testing.T) {
			all := crowd("p", 40)
			w := with(each(all, "%s:Sales")...)
			for _, n := range all[:9] {
				w.delete(n)
			}
			r := plan.Reject(w.input(), keys(w.plan()))
			if len(r.Forget) != 9 || len(r.Records) != 0 {
				t.Errorf("%+v", r)
			}
		}},
		{"a leaver enabled again by hand stays enabled, shown; after a return and another leaving, disabled like anyone", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.leave("Sales", "ann")
			w.apply(w.plan())
			w.user("ann").Enabled = true
			says(t, w.does(t), "enabledByHand ann")
			w.add("ann:Sales")
			w.does(t, "memberAdd ann Sales")
			w.leave("Sales", "ann")
			w.does(t, "disable ann", "memberRemove ann Sales")
		}},
		{"the account of somebody who left is not updated while away, and up to date on return", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.leave("Sales", "ann")
			w.apply(w.plan())
			w.human("ann").fields["fullName"] = "Ann B"
			w.does(t)
			w.add("ann:Sales")
			w.does(t, "update ann fullName:ann>Ann B", "enable ann", "memberAdd ann Sales")
		}},
		{"a person without mail is imported with none", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales")
			w.human("ann").fields["email"] = ""
			p := w.does(t, "create ann named", "memberAdd ann Sales")
			if _, said := p.Changes[0].After["email"]; said {
				t.Error("an e-mail was given")
			}
		}},
		{"a person without a login name fails, alone, and is shown with every run", func(t *testing.T) {
			w := with("ann:Sales,HR", "eve:HR")
			w.add("bob:Sales", "cid:Sales")
			w.human("bob").wantErr, w.human("ann").wantErr = errors.New("no login name"), errors.New("no login name")
			w.leave("HR", "ann")
			says(t, w.does(t, "memberRemove ann HR", "create cid named", "memberAdd cid Sales"), "failed ann", "failed bob")
			w.partial = true // nobody's account is looked at
			says(t, w.does(t), "failed ann", "failed bob")
			if w.record("ann").Problem == "" {
				t.Error("the problem is forgotten")
			}
			w.human("ann").wantErr = nil
			w.does(t)
			if w.record("ann").Problem != "" {
				t.Errorf("the problem stays: %+v", w.record("ann"))
			}
		}},
		{"rejected changes stay away until the directory says something else", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales,HR")
			w.team("Sales").removed = true
			r := plan.Reject(w.input(), keys(w.plan()))
			for _, rec := range r.Records {
				w.records[rec.Person] = &rec
			}
			says(t, w.does(t), "rejected ann", "rejected bob")
			w.team("HR").name = "A name that sorts first"
			says(t, w.wants(t, "groupUpdate HR name:HR>A name that sorts first"), "rejected ann", "rejected bob")
			w.leave("HR", "bob")
			p := w.plan()
			if len(notes(p)) != 1 || !strings.Contains(strings.Join(lines(p), "\n"), "memberRemove bob Sales !removedGroup") {
				t.Errorf("%q %q", lines(p), notes(p))
			}
		}},
		{"whoever waits for a name whose freeing was rejected waits too", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.rules.Guards.LoginChanges.Count = 0
			w.human("ann").fields["loginName"] = "ann.new@contoso.com"
			r := plan.Reject(w.input(), keys(w.plan()))
			for _, rec := range r.Records {
				w.records[rec.Person] = &rec
			}
			w.rules.Guards.LoginChanges.Count = 10
			w.add("new:Sales")
			w.human("new").fields["loginName"] = "ann@contoso.com"
			w.human("bob").fields["fullName"] = "Bob"
			says(t, w.wants(t, "update bob fullName:bob>Bob"), "conflict ann", "rejected ann.new")
		}},
		{"the grace period starts when the leaving is first seen, and a return within it leaves no trace", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.rules.Accounts.OnLeaveAfter = 72 * time.Hour
			w.leave("Sales", "ann")
			says(t, w.does(t), "grace ann")
			w.now = w.now.Add(71 * time.Hour)
			says(t, w.does(t), "grace ann")
			w.add("ann:Sales")
			w.does(t)
			if w.record("ann").State != snapshot.Active {
				t.Errorf("%+v", w.record("ann"))
			}
			w.leave("Sales", "ann")
			w.does(t)
			w.now = w.now.Add(71 * time.Hour)
			w.does(t)
			w.now = w.now.Add(time.Hour)
			w.does(t, "disable ann", "memberRemove ann Sales")
		}},
		{"a grace period set to nothing disables those who are in it", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.rules.Accounts.OnLeaveAfter = 72 * time.Hour
			w.leave("Sales", "ann")
			w.does(t)
			w.rules.Accounts.OnLeaveAfter = 0
			w.does(t, "disable ann", "memberRemove ann Sales")
		}},
		{"licences run out: people in the order of their names get what there is, the rest wait and are tried again", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("dan:Sales", "cid:Sales", "ann:Sales", "Bob:Sales")
			w.pools = []vault.Pool{{Type: identity.LicenseNamed, Count: 3, Used: 1}}
			p := w.wants(t, "create ann named", "create Bob named", "memberAdd ann Sales", "memberAdd Bob Sales")
			says(t, p, "license cid", "license dan")
		}},
		{"a licence of another type stands in with licenseFallback, in the stated order", func(t *testing.T) {
			w := with("eve:Sales")
			w.add("ann:Sales", "bob:Sales", "cid:Sales", "dan:Sales")
			for _, n := range []string{"ann", "bob", "cid", "dan"} {
				w.human(n).fallback = []identity.License{identity.LicenseConcurrent, identity.LicenseReadOnly}
			}
			w.pools = []vault.Pool{{Type: identity.LicenseNamed, Count: 2, Used: 1}, {Type: identity.LicenseConcurrent, Count: 0}, {Type: identity.LicenseReadOnly, Count: 2, Used: 0}}
			p := w.wants(t, "create ann named", "create bob readOnly", "create cid readOnly",
				"memberAdd ann Sales", "memberAdd bob Sales", "memberAdd cid Sales")
			says(t, p, "license dan")
		}},
		{"a leaver's licence is given back when due, and had again on return", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.rules.Accounts.ReleaseLicenseAfter = 30 * 24 * time.Hour
			w.leave("Sales", "ann")
			w.does(t, "disable ann", "memberRemove ann Sales")
			w.now = w.now.Add(29 * 24 * time.Hour)
			w.does(t)
			w.now = w.now.Add(24 * time.Hour)
			w.does(t, "update ann license:named>none")
			w.add("ann:Sales")
			w.does(t, "update ann license:none>named", "enable ann", "memberAdd ann Sales")
		}},
		{"whoever comes back while licences lack gets one when there is one again", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.rules.Accounts.ReleaseLicenseAfter = 0
			w.leave("Sales", "ann")
			w.apply(w.plan())
			w.quiet2(t, "update ann license:named>none")
			w.add("ann:Sales")
			w.pools = []vault.Pool{{Type: identity.LicenseNamed, Count: 1, Used: 1}}
			says(t, w.does(t, "enable ann", "memberAdd ann Sales"), "license ann")
			w.partial = true
			says(t, w.does(t), "license ann")
			w.pools[0].Used = 0
			w.does(t, "update ann license:none>named")
		}},
		{"a licence that serves another vault too is not given back", func(t *testing.T) {
			w := with("ann:Sales", "bob:Sales")
			w.rules.Accounts.ReleaseLicenseAfter = 0
			w.leave("Sales", "ann")
			w.user("ann").SharedElsewhere = true
			w.does(t, "disable ann", "memberRemove ann Sales")
		}},
		{"the same event twice is no second change", func(t *testing.T) {
			w := with("ann:Sales")
			w.human("ann").fields["fullName"] = "Ann B"
			w.apply(w.plan())
			for range 3 {
				w.does(t)
			}
		}},
	})
}

// quiet2 makes one more plan that is expected to do something.
func (w *world) quiet2(t *testing.T, want ...string) {
	t.Helper()
	w.apply(w.wants(t, want...))
}

func keys(p *plan.Plan) map[string]bool {
	all := map[string]bool{}
	for _, c := range p.Held() {
		all[c.Key()] = true
	}
	return all
}
