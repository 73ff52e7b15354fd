package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// collect turns the decisions into changes.
func (c *computation) collect() {
	// There are many memberships and they all say the same: values are never
	// changed, and so shared.
	out, in := Values{"member": "false"}, Values{"member": "true"}
	c.changes = slices.Grow(c.changes, len(c.decisions)+len(c.members))
	for _, d := range c.decisions {
		c.collectPerson(d)
	}
	for _, m := range c.members {
		kind, before, after := MemberRemove, in, out
		if m.add {
			kind, before, after = MemberAdd, out, in
		}
		change := c.change(m.person, kind, before, after, m.why)
		change.Group, change.GroupID, change.VaultGroup, change.Compared = m.group.label(), m.group.ID, m.record, m.compared
		c.changes = append(c.changes, change)
	}
}

func (c *computation) collectPerson(d *decision) {
	switch d.action {
	case nothing:
	case create:
		after := Values{"externalId": d.ID.String(), "enabled": "true"}
		for name, value := range d.Want.Fields {
			if value != "" {
				after[name] = value
			}
		}
		if d.user.LoginName != "" {
			after["loginName"] = d.user.LoginName // the login account there is, as it is spelled
		}
		if d.needsLicense && d.license != "" {
			after["license"] = string(d.license)
		}
		c.changes = append(c.changes, c.change(d, Create, Values{}, after, joinWhy(d.Why, d.intake)))
		return
	case disable:
		c.changes = append(c.changes, c.change(d, Disable, Values{"enabled": "true"}, Values{"enabled": "false"}, d.Why))
	case vanish:
		gone := c.change(d, Disable, Values{"deleted": ""}, Values{"deleted": "by hand"}, "the account is no longer in the vault")
		gone.Compared = true
		c.changes = append(c.changes, gone)
	case link, update:
	}
	before, after := Values{}, Values{}
	if d.action == link {
		before["externalId"], after["externalId"] = d.user.ExternalID, d.ID.String()
	}
	for _, name := range d.fields {
		before[name], after[name] = fieldOf(d.user, name), d.Want.Fields[name]
	}
	if d.license != "" {
		before["license"], after["license"] = string(d.user.License), string(d.license)
	}
	if len(after) > 0 {
		why := d.intake
		switch {
		case d.action == link:
			why = joinWhy(d.Why, d.intake)
		case why == "":
			why = "changed in the directory"
		}
		change := c.beforeEnable(d, c.change(d, Update, before, after, why))
		change.Replaces, change.Compared = d.replacesID, d.compared
		c.changes = append(c.changes, change)
	}
	if d.enable {
		c.changes = append(c.changes, c.change(d, Enable, Values{"enabled": "false"}, Values{"enabled": "true"}, d.Why))
	}
}

func (c *computation) change(d *decision, kind Kind, before, after Values, why string) Change {
	login := d.user.LoginName
	if login == "" {
		login = d.login()
	}
	user := d.user.ID
	if user == "" && d.Record != nil && d.Record.State != snapshot.Tombstone {
		user = d.Record.UserID
	}
	return Change{
		Kind: kind, Person: d.ID, Number: d.Number, Login: login, Before: before, After: after, Why: why,
		UserID: user, Record: d.after,
	}
}

// beforeEnable keeps what an update remembers from claiming that the vault user
// has been enabled: that is the outcome of the change after it.
func (c *computation) beforeEnable(d *decision, change Change) Change {
	if !d.enable {
		return change
	}
	record := change.Record.Clone()
	record.OwnDisable = true
	if d.Record != nil && d.Record.UserID == record.UserID {
		record.State, record.Since, record.OwnDisable = d.Record.State, d.Record.Since, d.Record.OwnDisable
	}
	change.Record = &record
	return change
}

func joinWhy(why, more string) string {
	switch {
	case why == "":
		return more
	case more == "":
		return why
	default:
		return why + "; " + more
	}
}

// finish sorts everything and writes down what is to be remembered.
func (c *computation) finish() {
	owners := map[identity.ObjectID]identity.ObjectID{}
	for _, d := range c.decisions {
		if d.action == update && d.takesLogin() && !d.LoginOwner.IsZero() && d.LoginOwner != d.ID {
			owners[d.ID] = d.LoginOwner
		}
	}
	c.dropHeldNames(owners)
	c.sortChanges()
	first := slices.IndexFunc(c.changes, func(ch Change) bool { return ch.Kind == Update })
	if first >= 0 {
		end := first
		for end < len(c.changes) && c.changes[end].Kind == Update {
			end++
		}
		orderUpdates(c.changes[first:end], owners)
	}
	c.remember()
	c.sortNotes()
}

// sortChanges puts the changes in the order in which they are made. A change is
// large, so their places are sorted, and each is moved once.
func (c *computation) sortChanges() {
	if len(c.changes) < 2 {
		return
	}
	rank := make(map[Kind]int, len(kindOrder))
	for i, kind := range kindOrder {
		rank[kind] = i
	}
	type place struct{ rank, at int }
	places := make([]place, len(c.changes))
	for i := range c.changes {
		places[i] = place{rank[c.changes[i].Kind], i}
	}
	slices.SortFunc(places, func(x, y place) int {
		a, b := &c.changes[x.at], &c.changes[y.at]
		switch {
		case x.rank != y.rank:
			return x.rank - y.rank
		case a.Group != b.Group:
			return cmp.Compare(a.Group, b.Group)
		}
		return cmp.Or(a.GroupID.Compare(b.GroupID), a.Person.Compare(b.Person), x.at-y.at)
	})
	for i := range places {
		if places[i].at == i {
			continue
		}
		// Whose place is taken goes to where the one that takes it was.
		first, to := c.changes[i], i
		for from := places[to].at; from != i; from = places[to].at {
			c.changes[to], places[to].at = c.changes[from], to
			to = from
		}
		c.changes[to], places[to].at = first, to
	}
}

// dropHeldNames takes back a change that was to take a login name which is not
// freed after all because a guard holds the change that frees it.
func (c *computation) dropHeldNames(owners map[identity.ObjectID]identity.ObjectID) {
	for _, d := range c.decisions {
		if d.action == create && !d.LoginOwner.IsZero() && d.LoginOwner != d.ID {
			owners[d.ID] = d.LoginOwner
		}
	}
	for again := true; again; {
		again = false
		heldNames := map[identity.ObjectID]bool{}
		for i := range c.changes {
			if change := &c.changes[i]; change.Held != "" && change.Kind == Update && c.changesLogin(change) {
				heldNames[change.Person] = true
			}
		}
		for i := range c.changes {
			change := &c.changes[i]
			owner, waits := owners[change.Person]
			takes := change.Kind == Create || change.Kind == Update && c.changesLogin(change)
			if change.Held == "" && waits && takes && heldNames[owner] {
				change.Held, again = GuardLoginChanges, true
			}
		}
	}
	c.holdTogether()
}

// remember sorts out what to store apart from the changes: whoever has an open
// change is remembered with its outcome.
func (c *computation) remember() {
	kept := c.changes[:0]
	var groups decision // for changes that are about nobody
	for i := range c.changes {
		change := &c.changes[i]
		d := &groups
		if !change.Person.IsZero() {
			d = c.byNumber[change.Number]
		}
		if change.After["deleted"] != "" && change.Held == "" {
			c.plan.Records = append(c.plan.Records, *change.Record)
			c.plan.concluded = append(c.plan.concluded, change.Key())
			c.plan.Notes = append(c.plan.Notes, Note{Kind: HandDeleted, Person: change.Person, Login: change.Login, Text: "was deleted in the vault by hand and is not created again"})
			d.open = true
			continue
		}
		d.changed = true
		d.joins = d.joins || change.Kind == MemberAdd && change.Held == ""
		d.open = d.open || change.Kind != MemberAdd && change.Kind != MemberRemove
		if change.Held != "" && (c.in.Approved != nil || c.in.Pinned[change.Key()]) {
			c.plan.Pinned = append(c.plan.Pinned, change.Key())
		}
		if len(kept) < i {
			c.changes[len(kept)] = *change
		}
		kept = c.changes[:len(kept)+1]
	}
	c.plan.Changes = kept
	c.plan.Unchanged = c.in.Total
	for _, d := range c.decisions {
		if d.Present && (d.changed || d.note != nil && d.note.Kind.Fault()) {
			c.plan.Unchanged--
		}
		if d.after == nil && d.moved {
			d.after = new(d.Record.Clone())
		}
		if !d.open {
			c.rememberPerson(d)
		}
		if d.note != nil {
			c.plan.Notes = append(c.plan.Notes, *d.note)
		}
	}
	slices.Sort(c.plan.Pinned)
}

// rememberPerson stores what a person without an open change becomes, if it is
// anything new.
func (c *computation) rememberPerson(d *decision) {
	if d.after == nil || !d.moved && sameRecord(d.Record, d.after) {
		return
	}
	if rec := d.Record; rec != nil && d.joins && d.after.Tries == 0 && d.after.Problem == "" {
		// Whoever failed to join a group goes on counting until it works.
		d.after.Problem, d.after.Tries, d.after.Retry = rec.Problem, rec.Tries, rec.Retry
	}
	c.plan.Records = append(c.plan.Records, *d.after)
}

func sameRecord(a, b *snapshot.Account) bool {
	if a == nil {
		return false
	}
	return a.Number == b.Number && a.State == b.State && a.UserID == b.UserID && a.Adopted == b.Adopted &&
		a.OwnDisable == b.OwnDisable && maps.Equal(a.Fields, b.Fields) && a.License == b.License &&
		a.Problem == b.Problem && a.Tries == b.Tries && a.Rejected == b.Rejected
}

func (c *computation) sortNotes() {
	slices.SortStableFunc(c.plan.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Login, b.Login), a.Person.Compare(b.Person), cmp.Compare(a.Group, b.Group))
	})
	slices.SortFunc(c.plan.Trips, func(a, b Trip) int {
		return cmp.Or(cmp.Compare(a.Guard, b.Guard), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Text, b.Text))
	})
	slices.SortStableFunc(c.plan.Records, func(a, b snapshot.Account) int { return a.Person.Compare(b.Person) })
	slices.SortFunc(c.plan.Groups, func(a, b snapshot.Group) int { return a.ID.Compare(b.ID) })
	slices.SortFunc(c.plan.ForgetGroups, identity.ObjectID.Compare)
	slices.SortFunc(c.plan.Settled, identity.ObjectID.Compare)
	slices.SortFunc(c.plan.Forget, identity.ObjectID.Compare)
	c.plan.Forget = slices.Compact(c.plan.Forget)
}
