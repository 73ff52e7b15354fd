package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/plan"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// lastRun is what is read of the report of the vault's last run
// (reconcile.Report).
type lastRun struct {
	Outcome  string      `json:"outcome"`
	Finished time.Time   `json:"finished"`
	Error    string      `json:"error"`
	Waiting  []plan.Note `json:"waiting"`
}

// readState reads what is remembered of the vault as a whole.
func (a *answer) readState() error {
	var err error
	if a.meta, err = a.Tx.Meta(); err != nil {
		return fmt.Errorf("read the vault's state: %w", err)
	}
	if len(a.meta.LastRun) == 0 {
		return nil
	}
	if err := json.Unmarshal(a.meta.LastRun, &a.last); err != nil {
		return fmt.Errorf("read the report of the last run: %w", err)
	}
	return nil
}

// noted says whether the last run noted something of a kind of the person.
func (a *answer) noted(kind plan.NoteKind) bool {
	for _, n := range a.last.Waiting {
		if n.Person == a.id && n.Kind == kind {
			return true
		}
	}
	return false
}

// readPerson reads what the local copy has of the person, and else what the
// vault's state remembers.
func (a *answer) readPerson() error {
	record, had, err := a.Tx.Account(a.id)
	if err != nil {
		return fmt.Errorf("read the person's account: %w", err)
	}
	p := &a.out.Person
	p.ID = a.id
	if had {
		a.record = &record
		p.Name, p.Login, p.Mail = record.Fields["fullName"].Value, record.Login(), record.Fields["email"].Value
	}
	if a.number, a.known, err = a.View.Number(a.id); err != nil {
		return fmt.Errorf("read the local copy of %s: %w", a.out.Directory, err)
	}
	p.Known = a.known
	if !a.known {
		return nil
	}
	p.Deleted, p.Disabled = a.View.Gone().Contains(a.number), a.View.Disabled().Contains(a.number)
	if a.profile, p.Profile, err = a.View.Person(a.number); err != nil {
		return fmt.Errorf("read the person's profile: %w", err)
	}
	if p.Profile {
		p.Name, p.Mail = a.profile.Value(identity.DisplayName), a.profile.Value(identity.Mail)
		p.Login = cmp.Or(a.profile.Value(a.Rules.Vault.Accounts.LoginName), a.profile.Value(identity.UserPrincipalName))
	}
	return nil
}

// readRoster says who should be in the vault. The scope expression is asked of
// this person alone.
func (a *answer) readRoster() error {
	everyone := roaring.New()
	for i, id := range a.GroupIDs {
		if id.IsZero() {
			continue
		}
		people, _, _, err := a.View.Members(id, a.Rules.Vault.Groups[i].Nested)
		if err != nil {
			return fmt.Errorf("read the members of group %s: %w", id, err)
		}
		everyone.Or(people)
	}
	scope := roster.Scope{Out: roaring.New(), Known: everyone}
	if a.known && a.readScope() {
		scope.Out.Add(a.number)
		everyone.Add(a.number)
	}
	var err error
	if a.roster, err = a.Rules.Compute(a.View, a.GroupIDs, scope); err != nil {
		return fmt.Errorf("say who should be in the vault: %w", err)
	}
	return nil
}

// readScope asks the scope expression and says whether it leaves the person
// out.
func (a *answer) readScope() (out bool) {
	text := strings.TrimSpace(a.Rules.Vault.Scope)
	if text == "" {
		return false
	}
	s := &Scope{Expression: text, Result: ScopeUnknown}
	a.out.Scope = s
	if !a.out.Person.Profile {
		s.Problem = "the local copy has no profile of the person"
		return false
	}
	s.Saw = a.Rules.ScopeInputs(a.profile)
	in, err := a.Rules.InScope(a.profile)
	switch {
	case err != nil:
		s.Problem = err.Error()
	case in:
		s.Result = ScopeIn
	default:
		s.Result = ScopeOut
	}
	return s.Result == ScopeOut
}

// readAccount describes what was last applied for the person.
func (a *answer) readAccount() error {
	if a.entitled && a.out.Person.Profile {
		var licenses []identity.License
		for _, g := range a.roster.Groups {
			if g.Members.Contains(a.number) {
				licenses = append(licenses, g.License)
			}
		}
		if a.want, a.wantErr = a.Rules.Account(a.profile); a.wantErr == nil {
			a.want.License, a.want.Fallback = a.Rules.License(licenses)
		}
	}
	r := a.record
	if r == nil {
		return nil
	}
	account := &Account{
		State: r.State.String(), Since: r.Since, UserID: r.UserID, Login: r.Login(), Adopted: r.Adopted,
		Problem: r.Problem, Tries: r.Tries, Retry: r.Retry, Rejected: r.Rejected != 0, Protected: a.protected(),
	}
	byHand := a.noted(plan.HandDisabled)
	enabled := a.noted(plan.HandEnabled)
	switch {
	case r.State == snapshot.Tombstone:
		// The id: a login name comes from the directory and may hold anything.
		account.Recreate = fmt.Sprintf("vaultsync sync %s --user %s --recreate", a.out.Vault, a.id)
	case enabled || r.UserID == "":
	case r.OwnDisable:
		account.DisabledBy = BySynchronization
	case r.State == snapshot.Left, byHand:
		account.DisabledBy = ByHand
	}
	if grace := a.Rules.Vault.Accounts.OnLeaveAfter; r.State == snapshot.Leaving {
		account.KeepsUntil = r.Since.Add(grace)
	}
	a.out.Account = account
	if a.Store != nil {
		a.out.Store = a.Store.Describe(r.UserID, written(*r))
	}
	a.out.InVault = r.UserID != "" && (r.State == snapshot.Active || r.State == snapshot.Leaving) && account.DisabledBy == ""
	return nil
}

// written names what synchronization wrote of an account, in order. A new
// account gets everything at once, and what marks it as ours.
func written(r snapshot.Account) []string {
	var names []string
	for name, f := range r.Fields {
		if f.Written {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if r.UserID != "" {
		names = append(names, "externalId")
	}
	if r.UserID != "" && (!r.Adopted || r.OwnDisable) {
		names = append(names, "active")
	}
	if r.License != "" {
		names = append(names, "license")
	}
	return names
}

// protected says whether the account is among accounts.protected.
func (a *answer) protected() bool {
	login := identity.Fold(a.record.Login())
	return login != "" && slices.ContainsFunc(a.Rules.Vault.Accounts.Protected, func(p string) bool { return identity.Fold(p) == login })
}

// readHeld lists what guards hold of the person's changes.
func (a *answer) readHeld() error {
	held := a.meta.Held
	if held == nil {
		return nil
	}
	for _, c := range held.Changes {
		if c.Person != a.id {
			continue
		}
		// The server's guard has a digest of its own, which status shows.
		place := a.out.Vault + " " + held.Digest
		if c.Guard == plan.GuardDirectory {
			place = "--directory " + a.out.Directory
		}
		a.out.Held = append(a.out.Held, Held{
			Kind: c.Kind, Group: c.Group, Why: c.Why, Guard: c.Guard, Since: held.Since,
			Released: slices.Contains(a.meta.Approved, c.Key), Approve: "vaultsync approve " + place, Reject: "vaultsync reject " + place,
		})
	}
	return nil
}

// readLicense says how the licence of the person's login account is chosen.
func (a *answer) readLicense() error {
	if !a.entitled && (a.record == nil || a.record.UserID == "") {
		return nil
	}
	l := &License{Order: a.Rules.Vault.Accounts.LicenseOrder}
	for _, g := range a.out.Groups {
		if g.Counts && g.License != "" {
			l.Groups = append(l.Groups, GroupLicense{Group: g.Name, License: g.License})
		}
	}
	if a.entitled && a.wantErr == nil {
		l.Wanted, l.Fallback = a.want.License, a.want.Fallback
	}
	a.out.License = l
	if a.record == nil {
		return nil
	}
	l.Given = a.record.License
	l.Waiting = a.waitsForLicense()
	l.Text = a.licenseText()
	return nil
}

// waitsForLicense says whether there was no licence left. The note of the last
// run says so; after a run that looked at others only, the words of the record
// do (plan, allotting licences).
func (a *answer) waitsForLicense() bool {
	if a.noted(plan.NoLicense) {
		return true
	}
	return strings.HasPrefix(a.record.Problem, "no ") && strings.Contains(a.record.Problem, "licence is left")
}

func (a *answer) licenseText() string {
	r, release := a.record, a.Rules.Vault.Accounts.ReleaseLicenseAfter
	switch {
	case a.out.License.Waiting:
		return "waits: " + cmp.Or(r.Problem, "no licence is left") + "; tried again with every run, in the order of the login names"
	case r.UserID == "", r.State == snapshot.Tombstone:
		return ""
	case r.State == snapshot.Left && r.License == identity.NoLicense && release >= 0:
		return "none: given back after the person left (accounts.releaseLicense)"
	case r.State == snapshot.Left && r.License != "" && release >= 0:
		return fmt.Sprintf("%s, which is given back on %s (accounts.releaseLicense)", r.License, stamp(r.Since.Add(release)))
	case r.License == "" && r.Adopted:
		return "the account was there before: its licence is used as it is"
	case r.License == "":
		return "none was given by synchronization"
	case r.License == identity.NoLicense:
		return "none"
	default:
		return string(r.License) + " was given by synchronization"
	}
}
