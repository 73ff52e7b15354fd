package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

func (c *computation) decidePeople() {
	people := slices.Clone(c.in.People) // the input stays as it was
	decisions := make([]decision, len(people))
	c.decisions = make([]*decision, 0, len(people))
	for i := range people {
		d := &decisions[i]
		d.Person = &people[i]
		c.decisions = append(c.decisions, d)
		c.byNumber[d.Number] = d
		c.endRejection(d)
		c.decide(d)
		if d.Intent && d.Looked {
			c.plan.Settled = append(c.plan.Settled, d.ID)
		}
	}
}

// endRejection ends a rejection for good as soon as the directory says
// something else of the person: also when it says the old thing again later.
func (c *computation) endRejection(d *decision) {
	if d.Record == nil || d.Record.Rejected == 0 || d.Record.Rejected == c.fingerprint(d) {
		return
	}
	d.Record, d.moved = new(d.Record.Clone()), true // the input stays as it was
	d.Record.Rejected = 0
}

// decide is the life cycle of one person (lifecycle.md):
//
//	record           | should be in the vault | should not
//	none, waiting    | intake: create or link | forget, unless one may have been made
//	active           | keep                   | leave: grace, then disable
//	leaving (grace)  | keep, no trace         | leave: grace, then disable
//	left             | keep: come back        | release the licence when due
//	deleted by hand  | nothing, until asked   | nothing
func (c *computation) decide(d *decision) {
	rec := d.Record
	switch {
	case rec == nil, rec.State == snapshot.Waiting, rec.State == snapshot.Tombstone && d.Recreate:
		if d.Present {
			c.intake(d)
		} else {
			c.abandon(d)
		}
	case rec.State == snapshot.Tombstone:
		if d.Present {
			d.remark(HandDeleted, "was deleted in the vault by hand and is not created again; vaultsync sync "+c.in.Rules.Name+" --user "+d.login()+" --recreate makes the account again")
		}
	case d.Present:
		c.keep(d)
	default:
		c.leave(d)
	}
}

// abandon ends the waiting of somebody who should not be in the vault any
// more. When a run died while it made the account, that account is looked for
// first, and leaves like any other.
func (c *computation) abandon(d *decision) {
	rec := d.Record
	if d.Intent && !d.Looked {
		d.remark(Failed, "whether the account was made before the person left is not known; it is looked for")
		return
	}
	if d.Intent {
		own, _, _ := d.matches()
		own = slices.DeleteFunc(own, func(u vault.User) bool { return u.ID == "" })
		if len(own) == 1 {
			made := c.freshRecord(d, true)
			if rec != nil {
				*made = rec.Clone()
				made.State, made.Problem, made.Tries = snapshot.Active, "", 0
			}
			made.UserID = own[0].ID
			d.Record, d.Found = made, own
			c.leave(d)
			if d.action == disable {
				// Remembered before it is disabled: should that be held or
				// fail, nothing else would know of the account.
				c.plan.Records = append(c.plan.Records, made.Clone())
			}
			return
		}
	}
	if rec != nil && rec.State == snapshot.Waiting {
		c.plan.Forget = append(c.plan.Forget, d.ID)
	}
}

// NeedsLook says whether the store must be asked about a person before a plan
// can be made, and by what: the account behind the record (byID), or whatever
// matches the person.
func NeedsLook(p *Person, rules config.Vault, now time.Time) (look, byID bool) {
	rec := p.Record
	switch {
	case rec == nil, rec.State == snapshot.Waiting, rec.State == snapshot.Tombstone && p.Recreate:
		if !p.Present {
			// An account that an interrupted run may have made is asked for as
			// soon as the caller knows by which login name.
			return p.Intent && p.Want.Login() != "", false
		}
		return !p.Pending && p.WantErr == nil, false
	case rec.State == snapshot.Tombstone:
		return false, true
	case p.Intent:
		return true, true
	case p.Present:
		back := rec.State == snapshot.Left || rec.OwnDisable || rec.Tries > 0 || owesLicense(rec)
		return back || (!p.Pending && p.WantErr == nil && fieldsDiffer(rec, p.Want)), true
	case rec.State == snapshot.Left:
		return releaseDue(rec, rules, now), true
	default:
		return graceOver(rec, rules, now), true
	}
}

func fieldsDiffer(rec *snapshot.Account, want roster.Account) bool {
	if len(rec.Fields) != len(want.Fields) {
		return true
	}
	for name, value := range want.Fields {
		if seen, ok := rec.Fields[name]; !ok || seen.Value != value {
			return true
		}
	}
	return false
}

// graceOver says whether a leaver's account is to be disabled now.
func graceOver(rec *snapshot.Account, rules config.Vault, now time.Time) bool {
	since := now
	if rec.State == snapshot.Leaving {
		since = rec.Since
	}
	return !now.Before(since.Add(rules.Accounts.OnLeaveAfter))
}

func releaseDue(rec *snapshot.Account, rules config.Vault, now time.Time) bool {
	after := rules.Accounts.ReleaseLicenseAfter
	return after >= 0 && rec.License != identity.NoLicense && !now.Before(rec.Since.Add(after))
}

// owesLicense says that somebody who came back did not get the licence again
// that had been taken: there was none.
func owesLicense(rec *snapshot.Account) bool {
	return rec.License == identity.NoLicense && (rec.State == snapshot.Left || rec.Problem != "")
}

// postponed says whether a person whose last attempt failed is still to be
// left alone; the note says until when.
func (c *computation) postponed(d *decision) bool {
	rec := d.Record
	if rec == nil || rec.Tries == 0 || c.in.Insist || d.Intent || !c.in.Now.Before(rec.Retry) {
		return false
	}
	d.paused = true
	d.remark(Failed, fmt.Sprintf("%s; tried again after %s", rec.Problem, rec.Retry.Format(time.RFC3339)))
	return true
}

// keep brings the account of somebody who should be in the vault up to date.
func (c *computation) keep(d *decision) {
	if c.postponed(d) {
		return
	}
	gone := d.Looked && len(d.Found) == 0
	if d.Looked && !gone {
		d.user = d.Found[0]
		c.learn(d)
	}
	rec := d.Record
	after := rec.Clone()
	after.Number, after.State = d.Number, snapshot.Active
	if rec.State != snapshot.Active {
		after.Since = c.in.Now
	}
	after.Problem, after.Tries, after.Retry = "", 0, time.Time{}
	d.after = &after
	switch {
	case gone:
		c.vanished(d)
		return
	case d.linkedElsewhere():
		c.wait(d, Conflict, fmt.Sprintf("the account %s is linked to another person of the directory (%s) by now", d.user.LoginName, d.user.ExternalID))
		return
	case d.WantErr != nil:
		c.wait(d, Failed, d.WantErr.Error())
		return
	case d.Pending && rec.State == snapshot.Left:
		// What is not known of somebody gives no access back.
		c.wait(d, Unread, "the directory does not show the person's profile yet; tried again with the next run")
		return
	case !d.Looked:
		return
	}
	c.comeBack(d)
	if !d.Pending {
		c.compareFields(d)
	}
	if c.spare(d) {
		d.after = nil
	}
}

// learn remembers what a run did to the account that did not live to hear so,
// before anything else is decided or written: the intent ends with this plan,
// and nothing else would know whose disable it was, or whose enable.
func (c *computation) learn(d *decision) {
	known := d.Record.Clone()
	switch {
	case !d.Intent || d.linkedElsewhere():
		return
	case !d.user.Enabled && !known.OwnDisable:
		known.OwnDisable = true
	case d.user.Enabled && known.State == snapshot.Left:
		known.State, known.Since, known.OwnDisable = snapshot.Active, c.in.Now, false
	default:
		return
	}
	known.Number = d.Number
	c.plan.Records = append(c.plan.Records, known)
	d.Record = &known
}

// spare keeps the account of a protected login name from being written to, and
// says whether it was about to be.
func (c *computation) spare(d *decision) bool {
	if !c.isProtected(d) || len(d.fields) == 0 && !d.enable && d.license == "" {
		return false
	}
	d.remark(Protected, "is protected: would have been updated")
	d.action, d.fields, d.enable, d.license = nothing, nil, false, ""
	return true
}

// comeBack decides whether a disabled vault user is enabled again:
//
//	disabled by     | own    | all    | never
//	synchronization | enable | enable | stays
//	hands           | stays  | enable | stays
func (c *computation) comeBack(d *decision) {
	rec := d.Record
	if owesLicense(rec) && d.user.License == identity.NoLicense &&
		d.Want.License != identity.NoLicense && d.Want.License != "" && !d.Pending {
		d.license, d.needsLicense = d.Want.License, true
		d.intake = "is back, and gets a licence again"
	}
	if d.user.Enabled {
		d.after.OwnDisable = false
		return
	}
	policy := c.in.Rules.Accounts.EnableDisabledUsers
	if policy == "all" || policy == "own" && rec.OwnDisable {
		d.enable = true
		d.after.OwnDisable = false
		return
	}
	if !rec.OwnDisable {
		d.remark(HandDisabled, "was disabled in the vault by hand and stays so (accounts.enableDisabledUsers: "+policy+")")
	} else {
		d.remark(HandDisabled, "stays disabled (accounts.enableDisabledUsers: "+policy+")")
	}
}

// compareFields finds the fields to write:
//
//	directory's value | in the vault   | →
//	changed           | differs        | write
//	changed           | the same       | remember
//	unchanged         | differs, ours  | drift: repair or report (full run, or back)
//	unchanged         | differs, never written (adopted) | as it is
func (c *computation) compareFields(d *decision) {
	fields := make(map[string]snapshot.Field, len(d.Want.Fields))
	for _, name := range slices.Sorted(maps.Keys(d.Want.Fields)) {
		want := d.Want.Fields[name]
		seen, known := d.Record.Fields[name]
		actual := fieldOf(d.user, name)
		switch {
		case !known && d.Record.Adopted:
			fields[name] = snapshot.Field{Value: want}
		case !known || seen.Value != want:
			fields[name] = snapshot.Field{Value: want, Written: true}
			if actual != want {
				d.fields = append(d.fields, name)
			}
		case (c.in.Full || d.Record.State == snapshot.Left) && seen.Written && !sameField(name, actual, want):
			fields[name] = seen
			if c.in.Rules.Repair {
				d.fields = append(d.fields, name)
				d.intake, d.compared = "changed by hand in the vault", true
			} else {
				c.plan.Drift++
				d.remark(Drifted, fmt.Sprintf("%s was changed by hand in the vault from %q to %q", name, want, actual))
			}
		default:
			fields[name] = seen
		}
	}
	d.after.Fields = fields
	if len(d.fields) > 0 {
		slices.Sort(d.fields)
		d.action = update
	}
}

// sameField compares a field as read back. Stores spell login names and mail
// addresses in their own way.
func sameField(name, actual, want string) bool {
	if name == "loginName" || name == "email" {
		return identity.Fold(actual) == identity.Fold(want)
	}
	return actual == want
}

func fieldOf(u vault.User, name string) string {
	switch name {
	case "loginName":
		return u.LoginName
	case "fullName":
		return u.FullName
	case "email":
		return u.Email
	default:
		return u.Attributes[name[len(attributePrefix):]]
	}
}

// leave takes the access of somebody who should not be in the vault.
func (c *computation) leave(d *decision) {
	rec := d.Record
	// With an open intent it was a run that enabled it and did not live to
	// write so down: the person leaves anew.
	if rec.State == snapshot.Left && !d.Intent {
		c.stayAway(d)
		return
	}
	if c.isProtected(d) {
		d.remark(Protected, "is protected: would have been disabled ("+d.Why+")")
		return
	}
	after := rec.Clone()
	after.Number = d.Number
	if !graceOver(rec, c.in.Rules, c.in.Now) {
		if rec.State != snapshot.Leaving {
			after.State, after.Since = snapshot.Leaving, c.in.Now
			d.after = &after
		}
		until := after.Since.Add(c.in.Rules.Accounts.OnLeaveAfter)
		d.remark(Grace, fmt.Sprintf("%s; keeps access until %s (accounts.onLeave.after)", d.Why, until.Format(time.RFC3339)))
		return
	}
	if c.postponed(d) || !d.Looked {
		return
	}
	if len(d.Found) == 0 {
		c.vanished(d)
		return
	}
	d.user = d.Found[0]
	if d.linkedElsewhere() {
		c.plan.Forget = append(c.plan.Forget, d.ID) // the account lives on as another person's
		return
	}
	after.State, after.Since = snapshot.Left, c.in.Now
	after.Problem, after.Tries, after.Retry = "", 0, time.Time{}
	d.after = &after
	switch {
	case d.user.Enabled:
		d.action, after.OwnDisable = disable, true
		if rec.State == snapshot.Left {
			// In use until it is disabled again, should that be held or fail.
			used := rec.Clone()
			used.State, used.Since, used.OwnDisable = snapshot.Active, c.in.Now, false
			c.plan.Records = append(c.plan.Records, used)
		}
	case d.Intent:
		after.OwnDisable = true // an earlier run disabled it and did not live to hear so
	}
}

// stayAway looks after the account of somebody who left earlier.
func (c *computation) stayAway(d *decision) {
	if !d.Looked || len(d.Found) == 0 || c.isProtected(d) {
		return
	}
	d.user = d.Found[0]
	if d.linkedElsewhere() {
		c.plan.Forget = append(c.plan.Forget, d.ID)
		return
	}
	if d.user.Enabled {
		// Whoever disables it next is not synchronization.
		after := d.Record.Clone()
		after.OwnDisable = false
		d.after = &after
		d.remark(HandEnabled, "has left, and was enabled again in the vault by hand: stays enabled")
		return
	}
	if !releaseDue(d.Record, c.in.Rules, c.in.Now) || d.user.SharedElsewhere {
		return
	}
	after := d.Record.Clone()
	after.License = identity.NoLicense
	d.after = &after
	if d.user.License != identity.NoLicense && d.user.License != "" {
		d.action, d.license = update, identity.NoLicense
		d.intake = fmt.Sprintf("left on %s; the licence is given back (accounts.releaseLicense)", d.Record.Since.Format(time.DateOnly))
	}
}

// linkedElsewhere says that the account behind the record carries the object
// id of another person: it was taken over, and is that person's.
func (d *decision) linkedElsewhere() bool {
	return d.user.ExternalID != "" && d.user.ExternalID != d.ID.String()
}

// vanished is an account of ours that the vault no longer has: hands deleted
// it, unless there are too many of them (guard vanished).
func (c *computation) vanished(d *decision) {
	after := d.Record.Clone()
	after.Number, after.State, after.Since = d.Number, snapshot.Tombstone, c.in.Now
	after.OwnDisable, after.Problem, after.Tries, after.Retry = false, "", 0, time.Time{}
	d.after, d.action = &after, vanish
}

func (c *computation) isProtected(d *decision) bool {
	names := []string{d.user.LoginName}
	if d.Record != nil {
		names = append(names, d.Record.Login())
	}
	if len(d.Found) > 0 {
		names = append(names, d.Found[0].LoginName)
	}
	for _, p := range c.in.Rules.Accounts.Protected {
		for _, name := range names {
			if name != "" && identity.Fold(p) == identity.Fold(name) {
				return true
			}
		}
	}
	return false
}

func (d *decision) login() string {
	if login := d.Want.Login(); login != "" {
		return login
	}
	if d.Record != nil {
		return d.Record.Login()
	}
	return ""
}

func (d *decision) remark(kind NoteKind, text string) {
	if d.note != nil && d.note.Kind.Fault() && !kind.Fault() {
		return // what keeps somebody waiting is said first
	}
	d.note = &Note{Kind: kind, Person: d.ID, Login: d.login(), Text: text}
}
