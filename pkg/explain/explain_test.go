package explain

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/provlog"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

var update = flag.Bool("update", false, "write the golden texts anew")

// Every case has a golden text in testdata, named like the case.
func TestExplain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		standing Standing
		query    string
		arrange  func(*setup)
	}{
		{"a member at some depth is in the vault and the path is named", In, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.applied(1, "Sales", 1)
			s.log = s.journal("sales", 1, 12)
		}},
		{"several groups give licences and the order decides", In, "ann@contoso.com", func(s *setup) {
			s.group(4, "Archive Readers", nil, 1, 2)
			s.vault.Accounts.LicenseFallback = true
			s.account(1, snapshot.Active, nil)
		}},
		{"somebody in no group is told which group would help", Out, "cy@contoso.com", nil},
		{"somebody in no group of a vault with one group is told that group", Out, "cy@contoso.com", func(s *setup) {
			s.vault.Groups, s.ids = s.vault.Groups[:1], s.ids[:1]
		}},
		{"a member of a nested group does not count where nested is false", Out, "ann@contoso.com", func(s *setup) {
			s.vault.Groups[0].Nested = false
		}},
		{"a newcomer comes with the next run", Joining, "ann@contoso.com", nil},
		{"a newcomer before the first import waits for it", Joining, "ann@contoso.com", func(s *setup) { s.meta = snapshot.Meta{} }},
		{"a newcomer whom a guard holds is shown with the commands", JoinHeld, "ann@contoso.com", func(s *setup) {
			s.hold(plan.GuardCreates, snapshot.HeldChange{Key: "k", Kind: "create", Person: person(1), Why: "member of Sales"}, snapshot.HeldChange{Key: "other", Kind: "create", Person: person(9)})
		}},
		{"a newcomer who was approved comes with the next run", Joining, "ann@contoso.com", func(s *setup) {
			s.hold(plan.GuardCreates, snapshot.HeldChange{Key: "k", Kind: "create", Person: person(1), Why: "member of Sales"})
			s.meta.Approved = []string{"k"}
		}},
		{"a newcomer who was rejected stays away", Refused, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Waiting, func(a *snapshot.Account) { a.UserID, a.License, a.Rejected = "", "", 7 })
		}},
		{"somebody in conflict waits with the reason", Waiting, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Waiting, func(a *snapshot.Account) {
				a.UserID, a.License, a.Problem = "", "", "2 accounts of the vault match the person: [ann ann@contoso.com]"
			})
		}},
		{"a conflict that no run has met yet is foreseen", Waiting, person(1).String(), func(s *setup) {
			s.account(2, snapshot.Active, func(a *snapshot.Account) { a.Fields["loginName"] = snapshot.Field{Value: "ANN@contoso.com"} })
		}},
		{"somebody without a licence waits for one", Waiting, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Waiting, func(a *snapshot.Account) {
				a.UserID, a.License, a.Problem = "", "", "no named licence is left (200 in all)"
			})
			s.note(1, plan.NoLicense, "no named licence is left (200 in all)")
		}},
		{"a failure is shown with its next try", Waiting, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Waiting, func(a *snapshot.Account) {
				a.UserID, a.License, a.Problem, a.Tries, a.Retry = "", "", "create failed: the store says no", 3, now.Add(10*time.Minute)
			})
			s.intent = append(s.intent, person(1))
		}},
		{"a member without a login name waits", Waiting, "Ann B", func(s *setup) {
			delete(s.view.people[1].Attributes, identity.UserPrincipalName)
		}},
		{"a member without a profile waits for it", Waiting, person(4).String(), func(s *setup) {
			s.group(3, "Helsinki", nil, 1, 4, 8)
			s.vault.Scope = `user.userType == "Member"`
		}},
		{"somebody deleted by hand is told how to come back", DeletedByHand, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Tombstone, nil)
		}},
		{"a user disabled by hand stays so", Disabled, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.note(1, plan.HandDisabled, "was disabled in the vault by hand and stays so (accounts.enableDisabledUsers: own)")
		}},
		{"a user disabled by synchronization stays so when nobody is enabled", Disabled, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.EnableDisabledUsers = "never"
			s.account(1, snapshot.Active, func(a *snapshot.Account) { a.OwnDisable = true })
		}},
		{"somebody who returns is enabled again", Returning, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Left, func(a *snapshot.Account) { a.OwnDisable = true })
		}},
		{"somebody who returns to a user that hands disabled stays out", Disabled, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Left, nil)
		}},
		{"somebody who returns and fails waits", Waiting, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Left, func(a *snapshot.Account) {
				a.OwnDisable, a.Problem, a.License = true, "no licence is left: tried [named concurrent]", identity.NoLicense
			})
		}},
		{"an adopted account keeps its licence", In, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, func(a *snapshot.Account) { a.Adopted, a.License = true, "" })
		}},
		{"an update that waits is named although the person is in", In, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, func(a *snapshot.Account) {
				a.Problem, a.Tries, a.Rejected = "update failed: the store says no", 1, 5
				a.Fields["loginName"] = snapshot.Field{Value: "old@contoso.com"}
			})
		}},
		{"a leaver loses access with the next run", Leaving, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.applied(1, "Sales", 1)
			s.leaves(1)
		}},
		{"a leaver whose disable failed still has access", Leaving, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, func(a *snapshot.Account) { a.Problem, a.Tries = "disable failed: the store says no", 1 })
			s.leaves(1)
		}},
		{"a leaver whom a guard holds is shown with the commands", LeaveHeld, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.leaves(1)
			s.hold(plan.GuardDisables, snapshot.HeldChange{Key: "d", Kind: "disable", Person: person(1), Why: "left the last synchronized group"},
				snapshot.HeldChange{Key: "m", Kind: "memberRemove", Person: person(1), Group: "Sales", Why: "left the last synchronized group"})
		}},
		{"a leaver whom the server's guard holds is approved for the directory", LeaveHeld, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.leaves(1)
			s.hold(plan.GuardDirectory, snapshot.HeldChange{Key: "d", Kind: "disable", Person: person(1), Why: "left the last synchronized group"})
		}},
		{"a leaver whom an administrator rejected is kept", Kept, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, func(a *snapshot.Account) { a.Rejected = 7 })
			s.leaves(1)
		}},
		{"a protected leaver is kept", Kept, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.Protected = []string{"ANN@contoso.com"}
			s.account(1, snapshot.Active, nil)
			s.leaves(1)
		}},
		{"a leaver in the grace period is told until when", Grace, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.OnLeaveAfter = 60 * 24 * time.Hour
			s.account(1, snapshot.Leaving, nil)
			s.leaves(1)
		}},
		{"a leaver before the grace period is told how long it is", Grace, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.OnLeaveAfter = 48 * time.Hour
			s.account(1, snapshot.Active, nil)
			s.leaves(1)
		}},
		{"a leaver whose grace period is over loses access", Leaving, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.OnLeaveAfter = time.Hour
			s.account(1, snapshot.Leaving, nil)
			s.leaves(1)
		}},
		{"somebody back within the grace period is in", In, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.OnLeaveAfter = time.Hour
			s.account(1, snapshot.Leaving, nil)
		}},
		{"somebody who left is disabled and not deleted", Left, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.ReleaseLicenseAfter = 90 * 24 * time.Hour
			s.account(1, snapshot.Left, func(a *snapshot.Account) { a.OwnDisable = true })
			s.leaves(1)
			s.view.profiled.Remove(1)
			delete(s.view.people, 1)
		}},
		{"somebody who left and gave the licence back", Left, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.ReleaseLicenseAfter = 0
			s.account(1, snapshot.Left, func(a *snapshot.Account) { a.OwnDisable, a.License = true, identity.NoLicense })
			s.leaves(1)
		}},
		{"somebody who left and was enabled by hand stays enabled", Left, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Left, func(a *snapshot.Account) { a.OwnDisable = true })
			s.leaves(1)
			s.note(1, plan.HandEnabled, "has left, and was enabled again in the vault by hand: stays enabled")
		}},
		{"somebody deleted in the directory leaves although a member", Leaving, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.view.gone.Add(1)
		}},
		{"somebody disabled in the directory leaves", Leaving, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.view.disabled.Add(1)
		}},
		{"somebody disabled in the directory stays when that is ignored", In, "ann@contoso.com", func(s *setup) {
			s.vault.Accounts.DisabledInDirectory = "ignore"
			s.account(1, snapshot.Active, nil)
			s.view.disabled.Add(1)
		}},
		{"somebody out of scope is shown what the scope saw", Out, "ann@contoso.com", func(s *setup) {
			s.vault.Scope = `user.userType == "Guest" && user.accountEnabled`
		}},
		{"somebody out of scope and in no group needs both", Out, "cy@contoso.com", func(s *setup) { s.vault.Scope = `user.userType == "Guest"` }},
		{"somebody in scope is shown so", Joining, "ann@contoso.com", func(s *setup) { s.vault.Scope = `user.userType == "Member"` }},
		{"a group that cannot be read leaves the answer open", Out, "cy@contoso.com", func(s *setup) {
			s.state(4, directory.GroupUnreadable, "hidden membership, and the permission Member.Read.Hidden is missing")
		}},
		{"a group that cannot be read keeps what was applied", In, "cy@contoso.com", func(s *setup) {
			s.state(4, directory.GroupUnreadable, "the directory answered 403")
			s.account(3, snapshot.Active, nil)
			s.applied(4, "Archive Readers", 3)
		}},
		{"a group that is gone is named", LeaveHeld, "bob@contoso.com", func(s *setup) {
			s.state(4, directory.GroupMissing, "the directory answered 404")
			s.account(2, snapshot.Active, nil)
			s.applied(4, "Archive Readers", 2)
			s.hold(plan.GuardMissingGroup, snapshot.HeldChange{Key: "m", Kind: "memberRemove", Person: person(2), Group: "Archive Readers", Why: "the group is gone"})
		}},
		{"an empty group and one not read yet and one that leads nowhere are named", Out, "cy@contoso.com", func(s *setup) {
			s.group(1, "Sales", nil)
			delete(s.view.groups, group(4))
			s.vault.Groups = append(s.vault.Groups, s.vault.Groups[0])
			s.vault.Groups[2].ID, s.vault.Groups[2].Name = identity.ObjectID{}, "Slaes"
			s.ids = append(s.ids, identity.ObjectID{})
		}},
		{"a group taken out of the file still has its people until approved", LeaveHeld, "cy@contoso.com", func(s *setup) {
			s.account(3, snapshot.Active, nil)
			s.applied(7, "Old Sales", 3)
		}},
		{"a leaver of a group that became empty is going to be held", LeaveHeld, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.applied(1, "Sales", 1)
			s.group(3, "Helsinki", nil)
		}},
		{"a leaver of a group that became empty leaves where that is allowed", Leaving, "ann@contoso.com", func(s *setup) {
			s.vault.Guards.EmptyGroup, s.vault.Guards.MissingGroup = false, false
			s.account(1, snapshot.Active, nil)
			s.applied(1, "Sales", 1)
			s.group(3, "Helsinki", nil)
			s.state(4, directory.GroupMissing, "the directory answered 404")
		}},
		{"a leaver whose leaving was approved loses access with the next run", Leaving, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.leaves(1)
			s.hold(plan.GuardDisables, snapshot.HeldChange{Key: "d", Kind: "disable", Person: person(1), Why: "left the last synchronized group"})
			s.meta.Approved = []string{"d"}
		}},
		{"somebody deleted by hand who has left too", DeletedByHand, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Tombstone, nil)
			s.leaves(1)
		}},
		{"a scope that fails for the person is an obstacle", Waiting, "ann@contoso.com", func(s *setup) {
			s.vault.Scope = `int(user.employeeId) > 5`
		}},
		{"what the last run said beside is told", In, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.note(1, plan.Drifted, `fullName was changed by hand in the vault from "Ann B" to "Annie"`)
		}},
		{"a vault without groups has nobody", Out, "ann@contoso.com", func(s *setup) { s.vault.Groups, s.ids = nil, nil }},
		{"a failed run, changed rules, another epoch and an old copy are said", In, "ann@contoso.com", func(s *setup) {
			s.account(1, snapshot.Active, nil)
			s.applied(1, "Sales", 1)
			s.meta.Epoch, s.meta.Rules, s.view.pulledAt = "epoch-0", "other", past
			s.report = map[string]any{"outcome": "failed", "finished": past, "error": "read the directory contoso: the directory refused the sign-in"}
		}},
		{"nobody knows a stranger", Unknown, "eve@contoso.com", func(s *setup) {
			s.state(4, directory.GroupUnreadable, "the directory answered 403")
		}},
		{"nobody knows a strange object id", Unknown, person(99).String(), func(s *setup) { s.view.pulledAt = time.Time{} }},
		{"nobody knows a stranger in a vault without groups", Unknown, "eve", func(s *setup) { s.vault.Groups, s.ids = nil, nil }},
		{"an account whose person the local copy has forgotten is found by its name", Left, "zoe@contoso.com", func(s *setup) {
			s.account(9, snapshot.Left, func(a *snapshot.Account) {
				a.OwnDisable = true
				a.Fields = map[string]snapshot.Field{"loginName": {Value: "zoe@contoso.com"}, "fullName": {Value: "Zoe"}}
			})
		}},
		{"names that a terminal would obey do no harm", Joining, "evil@contoso.com", func(s *setup) {
			s.person(1, "Ann\x1b[2J\nB\u202e", "evil@contoso.com")
			s.group(1, "Sa\x1b]0;x\x07les", []int{2})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			if c.arrange != nil {
				c.arrange(s)
			}
			e, err := s.ask(c.query)
			if err != nil {
				t.Fatal(err)
			}
			if e.Standing != c.standing {
				t.Errorf("standing %s, want %s", e.Standing, c.standing)
			}
			golden(t, e.Text())
		})
	}
}

func golden(t *testing.T, got string) {
	t.Helper()
	name := t.Name()
	if _, after, sub := strings.Cut(name, "/"); sub {
		name = after
	}
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(string(want), "\r\n", "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// journal is a log with so many entries about a person, and as many about
// another.
func (s *setup) journal(vault string, n, entries int) Log {
	s.t.Helper()
	l, err := provlog.Open(s.t.TempDir(), provlog.Options{Now: func() time.Time { return now }})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := l.Close(); err != nil {
			s.t.Error(err)
		}
	})
	for i := range entries {
		for _, id := range []identity.ObjectID{person(n), person(77)} {
			err := l.Append([]provlog.Entry{{
				Time: past.Add(time.Duration(i) * time.Hour), Vault: vault, Run: "r", Person: id, Login: "ann@contoso.com", Kind: "memberAdd", Group: "Sales",
				Why: "member of Sales", Outcome: "done",
			}})
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
	return l
}

func TestNumbersOfAnotherEpochMeanNothing(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.state(4, directory.GroupUnreadable, "403")
	s.account(3, snapshot.Active, nil)
	s.groups = append(s.groups, snapshot.Group{ID: group(4), VaultID: "g", Name: "Archive Readers", Applied: roaring.BitmapOf(3)})
	s.meta.Epoch = "epoch-0"
	e, err := s.ask("cy@contoso.com")
	if err != nil || e.Entitled || e.Groups[1].Applied {
		t.Errorf("%+v, %v", e, err)
	}
}
