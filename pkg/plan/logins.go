package plan

import (
	"fmt"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// resolveLogins sees to it that every login name has one owner: two people who
// map to one name both wait, a name is freed before it is taken, an exchange
// waits, and nobody inherits the account of somebody else.
func (c *computation) resolveLogins() {
	byID := make(map[identity.ObjectID]*decision, len(c.decisions))
	claims := map[string][]*decision{}
	for _, d := range c.decisions {
		byID[d.ID] = d
		if d.Present && d.Want.Login() != "" && (d.takesLogin() || d.action == link || d.Record != nil && d.Record.UserID != "" && d.Record.State != snapshot.Tombstone) {
			login := identity.Fold(d.Want.Login())
			claims[login] = append(claims[login], d)
		}
	}
	for _, claimants := range claims {
		if len(claimants) < 2 {
			continue
		}
		for _, d := range claimants {
			if d.takesLogin() {
				c.wait(d, Conflict, fmt.Sprintf("%d people of the directory map to the login name %s", len(claimants), d.Want.Login()))
			}
		}
	}
	c.resolveAccounts()
	// Whoever stops taking a name may be the one who was to free another.
	for again := true; again; {
		again = false
		for _, d := range c.decisions {
			if d.takesLogin() && c.blocked(d, byID) {
				again = true
			}
		}
	}
}

// resolveAccounts sees to it that no account gets two owners: it may match two
// newcomers, and it may be somebody's already although hands took the object
// id off it.
func (c *computation) resolveAccounts() {
	owned := map[string]identity.ObjectID{}
	for _, d := range c.decisions {
		if d.Record != nil && d.Record.UserID != "" && d.Record.State != snapshot.Tombstone && !d.linkedElsewhere() {
			owned[d.Record.UserID] = d.ID
		}
	}
	matched := map[string][]*decision{}
	for _, d := range c.decisions {
		if !d.matchesWeakly() {
			continue
		}
		key := identity.Fold(d.user.LoginName)
		matched[key] = append(matched[key], d)
		owner := owned[d.user.ID]
		if owner.IsZero() && d.LoginOwner != d.ID && key == identity.Fold(d.Want.Login()) {
			owner = d.LoginOwner
		}
		if !owner.IsZero() && owner != d.ID {
			c.wait(d, Conflict, fmt.Sprintf("the account %s belongs to another person of the directory (%s)", d.user.LoginName, owner))
		}
	}
	for _, all := range matched {
		if len(all) < 2 {
			continue
		}
		for _, d := range all {
			c.wait(d, Conflict, fmt.Sprintf("%d people of the directory match the account %s", len(all), d.user.LoginName))
		}
	}
}

// matchesWeakly says that the person is to get an existing account which does
// not carry the person's object id.
func (d *decision) matchesWeakly() bool {
	return (d.action == link || d.action == create && d.user.LoginName != "") && d.user.ExternalID != d.ID.String() && d.replacesID.IsZero()
}

// takesLogin says whether the decision gives the person a login name that the
// account does not have yet.
func (d *decision) takesLogin() bool {
	if d.action == create {
		return d.user.LoginName == "" // else the login account is there
	}
	if d.action != update || !slices.Contains(d.fields, "loginName") {
		return false
	}
	return identity.Fold(d.user.LoginName) != identity.Fold(d.Want.Login())
}

// blocked decides about a name that another person of this vault has.
func (c *computation) blocked(d *decision, byID map[identity.ObjectID]*decision) bool {
	if d.LoginOwner.IsZero() || d.LoginOwner == d.ID {
		return false
	}
	owner := byID[d.LoginOwner]
	if owner != nil && owner.takesLogin() && identity.Fold(owner.Want.Login()) != identity.Fold(d.Want.Login()) {
		if !c.inCycle(d, byID) {
			return false
		}
		c.wait(d, Conflict, fmt.Sprintf("people exchange login names: %s is still the name of %s", d.Want.Login(), d.LoginOwner))
		return true
	}
	if d.action == create && d.LoginOwnerGone && c.in.Rules.Accounts.Relink {
		c.relink(d, owner)
		return false
	}
	text := fmt.Sprintf("the login name %s is the account of another person (%s)", d.Want.Login(), d.LoginOwner)
	if d.LoginOwnerGone {
		text += ", who has been deleted in the directory; accounts.relink: true lets the account be taken over"
	}
	c.wait(d, Conflict, text)
	return true
}

// inCycle follows the names that are waited for and says whether they lead
// back to d.
func (c *computation) inCycle(d *decision, byID map[identity.ObjectID]*decision) bool {
	for next, steps := byID[d.LoginOwner], 0; next != nil && next.takesLogin() && steps <= len(c.decisions); steps++ {
		if next == d {
			return true
		}
		next = byID[next.LoginOwner]
	}
	return false
}

// relink lets a person who was deleted and created anew in the directory take
// the old account over (accounts.relink).
func (c *computation) relink(d, owner *decision) {
	var user *vault.User
	for i := range d.Found {
		if d.Found[i].ExternalID == d.LoginOwner.String() && d.Found[i].ID != "" {
			user = &d.Found[i]
		}
	}
	if user == nil {
		return
	}
	d.after = c.freshRecord(d, true)
	d.after.UserID = user.ID
	d.replaces, d.replacesID = owner, d.LoginOwner
	for name, want := range d.Want.Fields {
		if fieldOf(*user, name) != want {
			d.fields = append(d.fields, name)
		}
	}
	slices.Sort(d.fields)
	d.user, d.action, d.needsLicense, d.license = *user, link, false, ""
	d.intake = fmt.Sprintf("was deleted and created anew in the directory; takes over the account of %s (accounts.relink)", d.LoginOwner)
	if owner != nil && owner.Record != nil {
		d.enable = !user.Enabled && owner.Record.OwnDisable
		d.after.License = owner.Record.License
		owner.action, owner.after, owner.note, owner.replaced = nothing, nil, nil, true
		owner.fields, owner.enable, owner.license, owner.needsLicense = nil, false, "", false
	} else {
		d.enable = !user.Enabled && c.in.Rules.Accounts.EnableDisabledUsers == "all"
	}
	if c.isProtected(d) && (d.enable || len(d.fields) > 0) {
		d.enable, d.fields = false, nil
		d.remark(Protected, "is protected: would have been updated")
	}
}

// orderUpdates puts the updates that free a login name before those that take
// it; otherwise the order of the ids stays.
func orderUpdates(changes []Change, owners map[identity.ObjectID]identity.ObjectID) {
	depth := func(id identity.ObjectID) int {
		n := 0
		for owner, ok := owners[id]; ok && n <= len(owners); owner, ok = owners[owner] {
			n++
		}
		return n
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return depth(a.Person) - depth(b.Person) })
}
