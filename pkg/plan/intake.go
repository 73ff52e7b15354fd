package plan

import (
	"fmt"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// intake decides how somebody without a vault user gets one:
//
//	the vault has                                  | →
//	the person's own account (external id)         | link (adopt, or an open intent)
//	several accounts that match                    | conflict
//	an account of another person                   | conflict; relink when that one is deleted
//	an account of nobody                           | link (adopt), else conflict
//	a login account that is not in this vault      | create the vault user on it (adopt)
//	nothing                                        | create
func (c *computation) intake(d *decision) {
	switch {
	case d.Pending:
		c.wait(d, Unread, "the directory does not show the person's profile yet; tried again with the next run")
		return
	case d.WantErr != nil:
		c.wait(d, Failed, d.WantErr.Error())
		return
	case !d.Looked, c.postponed(d):
		return
	}
	adopt := c.in.Rules.Accounts.Adopt
	own, free, taken := d.matches()
	switch {
	case len(own) > 1:
		c.wait(d, Conflict, fmt.Sprintf("%d accounts of the vault carry the person's object id: %s", len(own), names(own)))
	case len(own) == 1:
		c.intakeOwn(d, own[0])
	case len(free)+len(taken) > 1:
		c.wait(d, Conflict, fmt.Sprintf("%d accounts of the vault match the person: %s", len(free)+len(taken), names(append(free, taken...))))
	case len(taken) == 1:
		c.intakeTaken(d, taken[0])
	case len(free) == 1 && !c.mayMatch(d, free[0]):
		c.wait(d, Conflict, fmt.Sprintf("the login name %s is taken, and accounts.match does not say that login names recognize people", free[0].LoginName))
	case len(free) == 1 && !adopt:
		c.wait(d, Conflict, fmt.Sprintf("the account %s exists and is not ours (accounts.adopt: false)", free[0].LoginName))
	case len(free) == 1:
		c.adoptAccount(d, free[0])
	default:
		c.makeAccount(d)
	}
}

// mayMatch says whether the configuration lets an account that belongs to
// nobody be recognized by what it has in common with the person
// (accounts.match). Its login name stands in the way in any case.
func (c *computation) mayMatch(d *decision, u vault.User) bool {
	match := c.in.Rules.Accounts.Match
	if len(match) == 0 {
		match = []string{"externalId", "loginName"}
	}
	sameLogin := identity.Fold(u.LoginName) == identity.Fold(d.Want.Login())
	sameMail := u.Email != "" && identity.Fold(u.Email) == identity.Fold(d.Want.Fields["email"])
	return sameLogin && slices.Contains(match, "loginName") || sameMail && slices.Contains(match, "mail")
}

// matches sorts what was found: the person's own by external id, those of
// nobody, and those of somebody else.
func (d *decision) matches() (own, free, taken []vault.User) {
	for _, u := range d.Found {
		switch u.ExternalID {
		case d.ID.String():
			own = append(own, u)
		case "":
			free = append(free, u)
		default:
			taken = append(taken, u)
		}
	}
	return own, free, taken
}

func (c *computation) intakeOwn(d *decision, u vault.User) {
	switch {
	case d.Intent && u.ID != "":
		c.intakeMade(d, u)
	case u.ID == "":
		c.onLoginAccount(d, u)
	case !c.in.Rules.Accounts.Adopt:
		c.wait(d, Conflict, fmt.Sprintf("the account %s exists and is not ours (accounts.adopt: false)", u.LoginName))
	default:
		c.adoptAccount(d, u)
	}
}

// intakeMade takes over the account that an earlier run made and did not live
// to hear of. It has what the directory said then: what has changed since is
// written, and of a login account that was there before only that.
func (c *computation) intakeMade(d *decision, u vault.User) {
	intended := d.Record
	adopted := intended != nil && intended.Adopted
	made := c.freshRecord(d, !adopted)
	made.UserID, made.License = u.ID, d.Want.License
	for name := range made.Fields {
		made.Fields[name] = snapshot.Field{Value: fieldOf(u, name), Written: true}
	}
	if adopted {
		made.License, made.Fields = "", intended.Clone().Fields
	}
	d.Record, d.user, d.after, d.moved = made, u, new(made.Clone()), true
	c.enableAdopted(d, intended != nil && intended.OwnDisable)
	c.compareFields(d)
	if c.spare(d) {
		d.after = new(made.Clone())
	}
	if d.enable || len(d.fields) > 0 {
		// Remembered before it is written to: should that be held or fail,
		// nothing else would know of the account.
		made.OwnDisable = d.enable
		c.plan.Records = append(c.plan.Records, made.Clone())
	}
}

// intakeTaken meets an account that belongs to another person. If that person
// is known here, resolveLogins decides once it is known what becomes of them.
func (c *computation) intakeTaken(d *decision, u vault.User) {
	if !d.LoginOwner.IsZero() && d.LoginOwner != d.ID && u.ExternalID == d.LoginOwner.String() {
		c.makeAccount(d)
		return
	}
	c.wait(d, Conflict, fmt.Sprintf("the account %s belongs to another person of the directory (%s)", u.LoginName, u.ExternalID))
}

// adoptAccount links an account that the vault had before: its licence, its
// enabled state and its fields stay as they are.
func (c *computation) adoptAccount(d *decision, u vault.User) {
	if u.ID == "" {
		c.onLoginAccount(d, u)
		return
	}
	d.user = u
	d.after = c.freshRecord(d, false)
	d.after.UserID = u.ID
	d.intake = "the account was there before and matches by " + matchedBy(d, u)
	if u.ExternalID != d.ID.String() || !u.Managed {
		d.action = link
	}
	c.enableAdopted(d, false)
}

// enableAdopted leaves an account that was disabled when it was taken over as
// it is, unless the rules or an interrupted run say otherwise.
func (c *computation) enableAdopted(d *decision, own bool) {
	policy := c.in.Rules.Accounts.EnableDisabledUsers
	switch {
	case d.user.Enabled:
	case c.isProtected(d):
		d.remark(Protected, "is protected: would have been enabled")
	case policy == "all" || policy == "own" && own:
		d.enable = true
	default:
		d.remark(HandDisabled, "the account was disabled before it was taken over, and stays so (accounts.enableDisabledUsers: "+policy+")")
	}
}

// onLoginAccount makes a vault user on a login account that the server has
// already: it is used as it is and costs no licence.
func (c *computation) onLoginAccount(d *decision, u vault.User) {
	c.makeAccount(d)
	d.needsLicense = false
	d.user = u
	d.after.Adopted, d.after.License = true, ""
	for name, f := range d.after.Fields {
		f.Written = false
		d.after.Fields[name] = f
	}
	d.intake = "the login account was there before"
}

func (c *computation) makeAccount(d *decision) {
	d.action = create
	d.needsLicense = true
	d.license = d.Want.License
	d.after = c.freshRecord(d, true)
	d.after.License = d.Want.License
}

func (c *computation) freshRecord(d *decision, written bool) *snapshot.Account {
	fields := make(map[string]snapshot.Field, len(d.Want.Fields))
	for name, value := range d.Want.Fields {
		fields[name] = snapshot.Field{Value: value, Written: written}
	}
	return &snapshot.Account{
		Person: d.ID, Number: d.Number, State: snapshot.Active, Adopted: !written, Fields: fields, Since: c.in.Now,
	}
}

// wait leaves somebody without an account, with the reason; everybody else
// goes on.
func (c *computation) wait(d *decision, kind NoteKind, text string) {
	d.remark(kind, text)
	d.action, d.fields, d.enable, d.license, d.needsLicense = nothing, nil, false, "", false
	exists := d.Record != nil && d.Record.State != snapshot.Waiting && d.Record.State != snapshot.Tombstone
	if exists || d.Record != nil && d.Intent && !d.Looked {
		// An account that exists keeps what it has, and is looked at again
		// with every run. One that a run that died may have made is found by
		// what it was to have.
		after := d.Record.Clone()
		after.Number, after.Problem = d.Number, text
		d.after = &after
		return
	}
	fields := make(map[string]snapshot.Field, len(d.Want.Fields))
	for name, value := range d.Want.Fields {
		fields[name] = snapshot.Field{Value: value}
	}
	after := snapshot.Account{Person: d.ID, Number: d.Number, State: snapshot.Waiting, Fields: fields, Since: c.in.Now, Problem: text}
	if rec := d.Record; rec != nil && rec.State == snapshot.Waiting {
		after.Since, after.Rejected = rec.Since, rec.Rejected
	}
	d.after = &after
}

// matchedBy says in words how an account was recognized.
func matchedBy(d *decision, u vault.User) string {
	switch {
	case u.ExternalID == d.ID.String():
		return "external id"
	case identity.Fold(u.LoginName) == identity.Fold(d.Want.Login()):
		return "login name"
	default:
		return "mail address"
	}
}

func names(users []vault.User) string {
	list := make([]string, 0, len(users))
	for _, u := range users {
		list = append(list, u.LoginName)
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}
