package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// conclude says in one or two sentences where the person stands:
//
//	record           | should be in the vault            | should not
//	none, waiting    | joining, joinHeld, refused, waiting | out
//	active           | in, disabled                      | leaving, leaveHeld, kept, grace
//	leaving (grace)  | in                                | grace, leaving, leaveHeld, kept
//	left             | returning, disabled               | left
//	deleted by hand  | deletedByHand                     | deletedByHand
func (a *answer) conclude() {
	var state snapshot.State
	if a.record != nil {
		state = a.record.State
	}
	switch {
	case state == snapshot.Tombstone:
		also := ""
		if !a.entitled {
			also = fmt.Sprintf(" The directory gives no access either: %s.", a.whyOut())
		}
		a.say(DeletedByHand, "%s is not in %s: the account was deleted in the vault by hand%s and is not made again until somebody asks (%s).%s",
			a.who(), a.vault(), on(a.record.Since), a.out.Account.Recreate, also)
	case (state == 0 || state == snapshot.Waiting) && a.entitled:
		a.concludeJoiner()
	case state == 0 || state == snapshot.Waiting:
		a.say(Out, "%s is not in %s: %s.%s", a.who(), a.vault(), a.whyOut(), a.wayIn())
	case state == snapshot.Left && a.entitled:
		a.concludeReturner()
	case state == snapshot.Left:
		a.concludeLeft()
	case a.entitled:
		a.concludeUser()
	default:
		a.concludeLeaver()
	}
}

func (a *answer) concludeJoiner() {
	who := a.member()
	held, guard := a.heldKind(plan.Create)
	switch {
	case held && a.out.Held[0].Released:
		a.say(Joining, "%s is not in %s yet: the new account is approved and comes with the next run.", who, a.vault())
	case held:
		a.say(JoinHeld, "%s is not in %s yet: the guard %s holds the new account until it is approved.", who, a.vault(), guard)
	case a.record != nil && a.record.Rejected != 0:
		a.say(Refused, "%s is not in %s: an administrator rejected the new account, and it stays away until the person's memberships or state change in the directory.", who, a.vault())
	case a.obstacle() != "":
		a.say(Waiting, "%s is not in %s yet: %s.", who, a.vault(), a.obstacle())
	case !a.meta.Imported:
		a.say(Joining, "%s is not in %s yet: the vault has not been imported yet, and its first import makes the account.", who, a.vault())
	default:
		a.say(Joining, "%s is not in %s yet: the next run makes the account.", who, a.vault())
	}
}

// obstacle is what keeps somebody waiting: what the last run said, or what the
// next one is going to say.
func (a *answer) obstacle() string {
	switch {
	case a.record != nil && a.record.Problem != "":
		return a.record.Problem
	case !a.out.Person.Profile:
		return "the directory does not show the person's profile yet; it is asked again with every run"
	case a.wantErr != nil:
		return a.wantErr.Error()
	case a.out.Scope != nil && a.out.Scope.Problem != "":
		return "the scope expression fails for this person: " + a.out.Scope.Problem
	}
	switch owner, taken, err := a.Tx.LoginOwner(a.want.Login()); {
	case err != nil:
		return "who has the login name cannot be read: " + err.Error()
	case taken && owner != a.id:
		return fmt.Sprintf("the login name %s is the account of another person (%s)", a.want.Login(), owner)
	}
	return ""
}

func (a *answer) concludeReturner() {
	policy := a.Rules.Vault.Accounts.EnableDisabledUsers
	switch {
	case policy == "never", policy == "own" && !a.record.OwnDisable:
		a.say(Disabled, "%s should be in %s, but the vault user stays disabled: it was disabled by %s (accounts.enableDisabledUsers: %s).",
			a.member(), a.vault(), a.hands(), policy)
	case a.record.Problem != "":
		a.say(Waiting, "%s should be in %s again, but something waits: %s.", a.member(), a.vault(), a.record.Problem)
	default:
		a.say(Returning, "%s had left %s%s and is back in its groups: the next run enables the vault user again.", a.member(), a.vault(), on(a.record.Since))
	}
}

func (a *answer) concludeLeft() {
	if a.noted(plan.HandEnabled) {
		a.say(Left, "%s left %s%s (%s), but the vault user was enabled again by hand and stays so.", a.who(), a.vault(), on(a.record.Since), a.whyOut())
		return
	}
	a.say(Left, "%s is no longer in %s: %s. The vault user is disabled, not deleted; left%s.%s", a.who(), a.vault(), a.whyOut(), on(a.record.Since), a.wayIn())
}

func (a *answer) concludeUser() {
	policy := a.Rules.Vault.Accounts.EnableDisabledUsers
	switch a.out.Account.DisabledBy {
	case ByHand:
		a.say(Disabled, "%s is a user of %s, but the vault user was disabled by hand and stays so (accounts.enableDisabledUsers: %s).", a.member(), a.vault(), policy)
	case BySynchronization:
		a.say(Disabled, "%s is a user of %s, but the vault user was disabled by synchronization and stays so (accounts.enableDisabledUsers: %s).", a.member(), a.vault(), policy)
	default:
		a.say(In, "%s is in %s as %s.", a.who(), a.vault(), a.whyIn())
	}
}

// concludeLeaver is somebody who has access and should not have it.
func (a *answer) concludeLeaver() {
	held, guard := a.heldKind(plan.Disable)
	grace, now := a.Rules.Vault.Accounts.OnLeaveAfter, a.Now
	until := a.out.Account.KeepsUntil
	rejected := a.noted(plan.Rejected)
	switch {
	case a.out.Account.Protected:
		a.say(Kept, "%s is still in %s and stays there, because the login name is protected (accounts.protected); otherwise the vault user would be disabled: %s.", a.who(), a.vault(), a.whyOut())
	case held && !a.out.Held[0].Released:
		a.say(LeaveHeld, "%s is still in %s: the guard %s holds the leaving (%s).", a.who(), a.vault(), guard, a.whyOut())
	case rejected || a.record.Rejected != 0 && !held:
		a.say(Kept, "%s is still in %s, because an administrator rejected the leaving; it stays away until the person's memberships or state change in the directory (%s).", a.who(), a.vault(), a.whyOut())
	case a.record.State == snapshot.Leaving && now.Before(until):
		a.say(Grace, "%s has left, and keeps access to %s until %s (accounts.onLeave.after): %s.", a.who(), a.vault(), stamp(until), a.whyOut())
	case a.record.State == snapshot.Active && grace > 0:
		a.say(Grace, "%s is still in %s, and keeps access for %s from the next run on (accounts.onLeave.after): %s.", a.who(), a.vault(), span(grace), a.whyOut())
	case a.record.Problem != "":
		a.say(Leaving, "%s is still in %s, although %s: %s.", a.who(), a.vault(), a.whyOut(), a.record.Problem)
	case !held && a.foreseen() != "":
		a.say(LeaveHeld, "%s is still in %s, although %s: the guard %s is going to hold the leaving until it is approved.", a.who(), a.vault(), a.whyOut(), a.foreseen())
	default:
		a.say(Leaving, "%s is still in %s; the next run disables the vault user: %s.", a.who(), a.vault(), a.whyOut())
	}
}

// concludeUnknown is somebody of whom nothing is known.
func (a *answer) concludeUnknown() {
	a.out.Person.ID = a.id
	called := "nobody called " + a.Query
	if !a.id.IsZero() {
		called = "nobody with the object id " + a.id.String()
	}
	a.say(Unknown, "The local copy of the directory %s knows %s within the groups of the configured vaults, and %s never had such an account.", a.out.Directory, called, a.vault())
	var names []string
	for _, g := range a.out.Groups {
		if g.State != GroupRemoved {
			names = append(names, g.Name)
		}
	}
	a.remark("Check the spelling: login name, mail address and display name must be whole; upper and lower case do not matter. An object id always works.")
	if len(names) > 0 {
		a.remark("Check in the directory that the person is a member of %s: whoever is in no configured group is not read.", oneOf(names))
	} else {
		a.remark("The vault's file names no group, so that nobody is in the vault.")
	}
	a.addUnread("")
	if a.out.ReadAt.IsZero() {
		a.addCopy()
	}
	if !a.out.ReadAt.IsZero() {
		a.remark("The local copy is of %s; somebody who was added since is seen after the next run: vaultsync sync %s", stamp(a.out.ReadAt), a.out.Vault)
	}
}

func (a *answer) say(standing Standing, format string, args ...any) {
	a.out.Standing, a.out.Summary = standing, fmt.Sprintf(format, args...)
}

func (a *answer) vault() string { return "the vault " + a.out.Vault }

func (a *answer) who() string {
	return cmp.Or(a.out.Person.Name, a.out.Person.Login, a.id.String())
}

func (a *answer) hands() string {
	if a.record.OwnDisable {
		return BySynchronization
	}
	return ByHand
}

// heldKind says whether a guard holds a change of the kind, or one that is held
// together with it.
func (a *answer) heldKind(kind plan.Kind) (held bool, guard string) {
	for _, h := range a.out.Held {
		if h.Kind == string(kind) {
			return true, h.Guard
		}
	}
	// Of somebody who leaves, group removals alone may be named.
	if kind == plan.Disable && len(a.out.Held) > 0 {
		return true, a.out.Held[0].Guard
	}
	return false, ""
}

// member is the person with the groups that count.
func (a *answer) member() string { return a.who() + ", " + a.whyIn() + "," }

// whyIn is the groups that count: a member of Sales (through Sales EU).
func (a *answer) whyIn() string {
	var names []string
	for _, g := range a.out.Groups {
		if g.Counts {
			names = append(names, g.title())
		}
	}
	return "a member of " + strings.Join(names, ", ")
}

// whyOut is everything that keeps the person out.
func (a *answer) whyOut() string {
	var reasons []string
	p := a.out.Person
	if p.Deleted {
		reasons = append(reasons, "deleted in the directory")
	}
	if p.Disabled && a.Rules.Vault.Accounts.DisabledInDirectory != "ignore" {
		reasons = append(reasons, "disabled in the directory (accounts.disabledInDirectory: leave)")
	}
	if a.out.Scope != nil && a.out.Scope.Result == ScopeOut {
		reasons = append(reasons, "out of scope ("+a.out.Scope.Expression+")")
	}
	member, gone := false, ""
	for _, g := range a.out.Groups {
		member = member || g.Member && g.State != GroupMissing
		if g.State == GroupMissing && (g.Member || g.Applied) {
			gone = g.Name
		}
	}
	switch {
	case member:
	case len(a.roster.Groups) == 0:
		reasons = append(reasons, "the vault's file names no group")
	case gone != "":
		reasons = append(reasons, "the group "+gone+" is gone from the directory, and no other group has the person")
	case a.unread():
		reasons = append(reasons, "in none of its groups as far as they could be read")
	default:
		reasons = append(reasons, "in none of its groups")
	}
	return strings.Join(reasons, "; ")
}

// wayIn says what would bring the person in: a sentence, after a space.
func (a *answer) wayIn() string {
	p := a.out.Person
	var open []string
	member := false
	for _, g := range a.out.Groups {
		switch g.State {
		case GroupRead, GroupEmpty:
			member = member || g.Member
			open = append(open, g.Name)
		case GroupUnreadable:
			member = member || g.Member
		}
	}
	switch {
	case p.Deleted:
		return " Restoring the person in the directory would change that."
	case p.Disabled && a.Rules.Vault.Accounts.DisabledInDirectory != "ignore":
		return " Enabling the account in the directory would change that."
	case a.out.Scope != nil && a.out.Scope.Result == ScopeOut && member:
		return ""
	case a.out.Scope != nil && a.out.Scope.Result == ScopeOut:
		return " A group alone would not bring the person in: the scope leaves the person out."
	case len(open) == 0:
		return ""
	}
	if a.out.Scope != nil && a.out.Scope.Result == ScopeUnknown {
		return fmt.Sprintf(" Adding the person to %s would do it, if the scope lets the person in.", oneOf(open))
	}
	return fmt.Sprintf(" Adding the person to %s would bring the person in.", oneOf(open))
}

func oneOf(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return "one of " + strings.Join(names, ", ")
}

// unread says whether there is a group of which too little is known.
func (a *answer) unread() bool {
	return slices.ContainsFunc(a.out.Groups, Group.unread)
}

// foreseen is the guard that is going to hold the person's leaving, "" when
// that cannot be told: guards that count others are for the run to ask.
func (a *answer) foreseen() string {
	guards := a.Rules.Vault.Guards
	for _, g := range a.out.Groups {
		switch {
		case !g.Applied:
		case g.State == GroupRemoved:
			return plan.GuardRemovedGroup
		case g.State == GroupMissing && guards.MissingGroup:
			return plan.GuardMissingGroup
		case g.State == GroupEmpty && guards.EmptyGroup:
			return plan.GuardEmptyGroup
		}
	}
	return ""
}

// span is a duration as the configuration writes it.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// stamp is a time as it is shown.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// on is " on DATE", or nothing when the time is not known.
func on(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " on " + t.UTC().Format(time.DateOnly)
}

// sameLogin compares login names.
func sameLogin(x, y string) bool { return identity.Fold(x) == identity.Fold(y) }
