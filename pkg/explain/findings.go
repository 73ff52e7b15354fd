package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// remark adds one finding, unless it has been said.
func (a *answer) remark(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(a.out.Findings, text) {
		a.out.Findings = append(a.out.Findings, text)
	}
}

// addFindings says what else is worth knowing.
func (a *answer) addFindings() {
	a.addAccount()
	a.addNotes()
	a.addUnread("whether the person is a member of it is not known")
	if !a.known {
		a.remark("The local copy of the directory does not know the person: in no configured group since it was made.")
	} else if !a.out.Person.Profile && !a.entitled {
		a.remark("The local copy has let the person's profile go: the person is in no configured group.")
	}
	if a.out.Scope != nil && a.out.Scope.Problem != "" && a.out.Person.Profile {
		a.remark("The scope expression fails for this person, and so do the vault's runs: %s", a.out.Scope.Problem)
	}
	a.addVault()
	a.addCopy()
}

// addAccount is about what is remembered of the person.
func (a *answer) addAccount() {
	r := a.record
	if r == nil {
		return
	}
	if r.Problem != "" && !strings.Contains(a.out.Summary, r.Problem) {
		a.remark("Something waits: %s", r.Problem)
	}
	switch {
	case r.Tries > 0 && r.Retry.After(a.Now):
		a.remark("Failures in a row: %d. It is tried again after %s; vaultsync sync %s --user %s tries at once.", r.Tries, stamp(r.Retry), a.out.Vault, a.id)
	case r.Tries > 0:
		a.remark("Failures in a row: %d. It is tried again with the next run.", r.Tries)
	}
	if r.Rejected != 0 && a.out.Standing != Refused && a.out.Standing != Kept {
		a.remark("An administrator rejected changes of this person; those stay away until the person's memberships or state change in the directory.")
	}
	if a.out.Account.Protected && a.out.Standing != Kept {
		a.remark("The login name %s is protected (accounts.protected): never disabled, updated or removed from groups.", r.Login())
	}
	if r.State == snapshot.Leaving && a.entitled {
		a.remark("The person had left and came back within the grace period; the next run forgets it.")
	}
	if slices.Contains(a.Tx.Intents(), a.id) {
		a.remark("The outcome of the last change is not known, because the process stopped meanwhile; the next run looks before it writes.")
	}
	if a.out.Person.Profile && a.entitled && a.wantErr == nil && r.UserID != "" && !sameLogin(a.want.Login(), r.Login()) {
		a.remark("The directory's login name is %s now, the account's is %s: an update is due.", a.want.Login(), r.Login())
	}
	if a.wantErr != nil && !strings.Contains(a.out.Summary, a.wantErr.Error()) {
		a.remark("The account cannot be brought up to date: %s.", a.wantErr)
	}
}

// addNotes is what the last run noted of the person beside what has been said.
func (a *answer) addNotes() {
	for _, n := range a.last.Waiting {
		if n.Person != a.id {
			continue
		}
		switch n.Kind {
		case plan.Drifted:
			a.remark("Drift: %s.", n.Text)
		case plan.HandDisabled:
			a.remark("The last run found: the vault user %s.", n.Text)
		case plan.Conflict, plan.Failed, plan.NoLicense, plan.Unread:
			if (a.record == nil || a.record.Problem == "") && !strings.Contains(a.out.Summary, n.Text) {
				a.remark("The last run said: %s.", n.Text)
			}
		case plan.Protected, plan.HandDeleted, plan.HandEnabled, plan.Rejected, plan.Grace:
			// The standing says so.
		case plan.Missing:
			// Of groups, never of people.
		}
	}
}

// addUnread names the groups of which too little is known.
func (a *answer) addUnread(also string) {
	for _, g := range a.out.Groups {
		if !g.unread() || g.Member {
			continue
		}
		text := fmt.Sprintf("Too little is known of the group %s: %s", g.Name, g.Why)
		if also != "" {
			text += "; " + also
		}
		a.remark("%s.", text)
	}
}

// addVault is about the vault as a whole.
func (a *answer) addVault() {
	if a.last.Outcome == "failed" {
		a.remark("The vault's last run failed (%s): %s", stamp(a.last.Finished), a.last.Error)
	}
	if a.meta.Imported && a.meta.Epoch != a.View.Epoch() {
		a.remark("The local copy of the directory was made anew since the vault's last run; what was applied to groups is shown after the next run.")
	}
	if a.meta.Imported && a.meta.Rules != a.Rules.Vault.Digest() {
		a.remark("The vault's file was changed since its last run: this answer goes by the new rules, the vault by the old ones.")
	}
}

// addCopy says how old the local copy is when that matters.
func (a *answer) addCopy() {
	switch {
	case a.out.ReadAt.IsZero():
		a.remark("The directory %s has never been read with success: nothing is known of it yet (vaultsync check %s).", a.out.Directory, a.out.Vault)
	case a.Now.Sub(a.out.ReadAt) > a.staleAfter():
		a.remark("The local copy is of %s: what has changed in the directory since is not in this answer.", stamp(a.out.ReadAt))
	}
}

// staleAfter is from which age on the local copy's age is worth a word: when
// at least one run should have refreshed it.
func (a *answer) staleAfter() time.Duration { return max(time.Hour, 2*a.Rules.Vault.Schedule.Every) }
