package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// membership is one person to put into, or take out of, one group.
type membership struct {
	group  *Group
	record *snapshot.Group
	person *decision
	add    bool
	why    string
	// compared says that hands changed the membership.
	compared bool
}

// planGroups decides about the vault's groups and who is in them.
func (c *computation) planGroups() {
	for _, d := range c.decisions {
		if d.replaces != nil || d.Record != nil && d.Record.State == snapshot.Tombstone {
			c.moved = append(c.moved, d)
		}
	}
	for i := range c.in.Groups {
		g := &c.in.Groups[i]
		if g.Why != "" && g.State != directory.GroupPresent && !g.Removed {
			kind := Unread
			if g.State == directory.GroupMissing {
				kind = Missing
			}
			c.plan.Notes = append(c.plan.Notes, Note{Kind: kind, Group: g.label(), Text: g.Why})
		}
		if g.State == directory.GroupPresent && g.Name == "" && g.fresh() && !g.Removed {
			c.plan.Notes = append(c.plan.Notes, Note{Kind: Unread, Group: g.label(), Text: "the directory has not said the group's name yet; name a vaultGroup, or wait for the next run"})
		}
		record := c.planGroup(g)
		if record == nil {
			continue
		}
		c.planMembers(g, record)
		if g.Removed && record.Applied.IsEmpty() {
			c.plan.ForgetGroups = append(c.plan.ForgetGroups, g.ID) // nobody is left to withdraw
			continue
		}
		stored := *record
		if _, after := g.linkPatch(); g.fresh() && len(after) > 0 {
			stored.VaultID = "" // linked once the vault group says so too
		}
		c.plan.Groups = append(c.plan.Groups, stored)
	}
}

// fresh says that the vault group has not been linked or made yet.
func (g *Group) fresh() bool { return g.Record == nil || g.Record.VaultID == "" }

func (g *Group) label() string {
	if g.Name != "" {
		return g.Name
	}
	return g.ID.String()
}

// planGroup decides about the group itself and gives the record that holds
// before its members are changed; nil when there is nothing to work with.
//
//	record | vault has         | →
//	none   | a group so linked | take its link over
//	none   | one of that name  | link it: it is joined, its members stay
//	none   | nothing           | create
//	there  | another name      | rename, when the wanted name changed
//	there  | nothing (full)    | hands deleted it: create again
func (c *computation) planGroup(g *Group) *snapshot.Group {
	readable := g.State == directory.GroupPresent
	if g.fresh() {
		if g.Removed && g.Record != nil {
			c.plan.ForgetGroups = append(c.plan.ForgetGroups, g.ID)
		}
		if !readable || g.Name == "" || g.Removed {
			return nil
		}
		if other := c.sameName(g); other != nil {
			c.plan.Notes = append(c.plan.Notes, Note{Kind: Conflict, Group: g.label(), Text: fmt.Sprintf(
				"the vault group %s would be that of two groups of the directory, %s and %s: name another vaultGroup for one of the two", g.Name, g.ID, other.ID)})
			return nil
		}
		if g.Actual == nil {
			return c.createGroup(g)
		}
		return c.linkGroup(g)
	}
	record := *g.Record
	record.Applied = record.Applied.Clone()
	record.Configured = !g.Removed
	if g.Removed {
		if c.in.Full && g.Actual == nil {
			c.plan.ForgetGroups = append(c.plan.ForgetGroups, g.ID)
			return nil
		}
		return &record
	}
	record.Had = record.Had || readable && !g.Empty
	if !g.Replaces.IsZero() {
		c.plan.ForgetGroups = append(c.plan.ForgetGroups, g.Replaces)
	}
	if c.in.Full && g.Actual == nil {
		if !c.in.Rules.Repair {
			c.plan.Drift++
			c.plan.Notes = append(c.plan.Notes, Note{Kind: Drifted, Group: g.label(), Text: "the vault group was deleted by hand"})
			return &record
		}
		// Without the old id: should the creation fail, the group is made
		// again by the next run, whatever that looks at.
		record.VaultID, record.Applied, record.Kept = "", roaring.New(), nil
		return c.createGroupAs(g, &record, "the vault group was deleted by hand")
	}
	if !g.Replaces.IsZero() {
		c.replaceGroup(g, &record)
	}
	if readable && g.Name != "" && g.Name != record.Name {
		c.renameGroup(g, &record)
	}
	return &record
}

// sameName is another configured group with the same vault group, if there is
// one: neither can be linked then, but one that is linked already stays.
func (c *computation) sameName(g *Group) *Group {
	for i := range c.in.Groups {
		if o := &c.in.Groups[i]; o.ID != g.ID && !o.Removed && o.Name != "" && identity.Fold(o.Name) == identity.Fold(g.Name) {
			return o
		}
	}
	return nil
}

func (c *computation) createGroup(g *Group) *snapshot.Group {
	record := &snapshot.Group{ID: g.ID, Name: g.Name, Applied: roaring.New(), Configured: true, Had: !g.Empty}
	return c.createGroupAs(g, record, "the group is synchronized and the vault has none of that name")
}

func (c *computation) createGroupAs(g *Group, record *snapshot.Group, why string) *snapshot.Group {
	if g.Name != "" {
		record.Name = g.Name
	}
	c.changes = append(c.changes, Change{
		Kind: GroupCreate, Group: record.Name, GroupID: g.ID, Before: Values{},
		After: Values{"name": record.Name, "externalId": g.ID.String()}, Why: why, VaultGroup: record,
	})
	return record
}

func (c *computation) linkGroup(g *Group) *snapshot.Group {
	actual := g.Actual
	record := &snapshot.Group{
		ID: g.ID, VaultID: actual.ID, Name: actual.Name, Applied: roaring.New(), Configured: true,
		Had: !g.Empty, Kept: slices.Sorted(slices.Values(actual.Members)),
	}
	if identity.Fold(actual.Name) == identity.Fold(g.Name) {
		record.Name = g.Name // its spelling in the vault is kept
	}
	if before, after := g.linkPatch(); len(after) > 0 {
		c.changes = append(c.changes, Change{
			Kind: GroupUpdate, Group: actual.Name, GroupID: g.ID, Before: before, After: after,
			Why: "the vault has a group of that name: it is joined, its members stay", VaultGroup: record,
		})
	}
	return record
}

// linkPatch is what linking writes to the vault group that there is.
func (g *Group) linkPatch() (before, after Values) {
	before, after = Values{}, Values{}
	if g.Actual == nil {
		return before, after
	}
	if g.Actual.ExternalID != g.ID.String() || !g.Actual.Managed {
		before["externalId"], after["externalId"] = g.Actual.ExternalID, g.ID.String()
	}
	if identity.Fold(g.Actual.Name) != identity.Fold(g.Name) {
		before["name"], after["name"] = g.Actual.Name, g.Name
	}
	return before, after
}

// replaceGroup hands a vault group whose directory group was exchanged in the
// configuration for another over to that one: its members stay until the new
// group has been read, and then leave as from any group.
func (c *computation) replaceGroup(g *Group, record *snapshot.Group) {
	c.changes = append(c.changes, Change{
		Kind: GroupUpdate, Group: record.Name, GroupID: g.ID,
		Before: Values{"externalId": g.Replaces.String()}, After: Values{"externalId": g.ID.String()},
		Why: "the configuration names another directory group for this vault group", VaultGroup: record,
	})
}

func (c *computation) renameGroup(g *Group, record *snapshot.Group) {
	before := record.Name
	after := *record
	after.Name = g.Name
	c.changes = append(c.changes, Change{
		Kind: GroupUpdate, Group: before, GroupID: g.ID, Before: Values{"name": before}, After: Values{"name": g.Name},
		Why: "renamed in the directory", VaultGroup: &after,
	})
}

// planMembers finds who joins and who leaves the vault group. Of a group that
// was not read in full nobody leaves: Want holds whoever was in it.
func (c *computation) planMembers(g *Group, record *snapshot.Group) {
	for _, d := range c.moved {
		switch {
		case d.Record != nil && d.Record.State == snapshot.Tombstone:
			record.Applied.Remove(d.Number) // went with the account
		case d.replaces != nil && record.Applied.CheckedRemove(d.replaces.Number):
			record.Applied.Add(d.Number) // came with the account
		}
	}
	join := roaring.AndNot(g.Want, record.Applied)
	leave := roaring.AndNot(record.Applied, g.Want)
	drift := map[uint32]string{}
	if c.in.Full && g.Actual != nil && !g.fresh() && g.Members != nil {
		c.driftedMembers(g, record, join, leave, drift)
	}
	for it := join.Iterator(); it.HasNext(); {
		n := it.Next()
		d := c.byNumber[n]
		if d == nil || !d.hasAccount() || d.paused {
			continue
		}
		if (g.fresh() || g.Linked || c.in.First) && d.user.ID != "" && slices.Contains(record.Kept, d.user.ID) {
			record.Applied.Add(n) // there already, and stays for good
			continue
		}
		why := drift[n]
		if why == "" {
			why = "member of " + g.label()
		}
		c.members = append(c.members, membership{group: g, record: record, person: d, add: true, why: why, compared: drift[n] != ""})
	}
	for it := leave.Iterator(); it.HasNext(); {
		n := it.Next()
		d := c.byNumber[n]
		if d == nil {
			continue
		}
		c.leaveGroup(g, record, d, drift[n])
	}
}

func (c *computation) leaveGroup(g *Group, record *snapshot.Group, d *decision, why string) {
	switch rec := d.Record; {
	case d.replaces != nil && !c.isProtected(d) && !slices.Contains(record.Kept, d.user.ID):
		// Came with the account that is taken over.
		c.members = append(c.members, membership{group: g, record: record, person: d, why: d.leaveReason(g)})
	case rec == nil, rec.UserID == "", rec.State == snapshot.Tombstone, d.linkedElsewhere():
		record.Applied.Remove(d.Number) // nobody there to take out
	case d.action == vanish:
		// Gone with the account, should the guard let that be concluded.
	case slices.Contains(record.Kept, rec.UserID):
		record.Applied.Remove(d.Number) // was in it before its first synchronization
	case c.isProtected(d):
		d.remark(Protected, "is protected: would have been taken out of "+g.label())
	case !d.Present && (rec.State == snapshot.Leaving || rec.State == snapshot.Active) && d.inGrace(c):
	default:
		drifted := why != ""
		if !drifted {
			why = d.leaveReason(g)
		}
		c.members = append(c.members, membership{group: g, record: record, person: d, why: why, compared: drifted})
	}
}

// inGrace says whether the person's leaving is not yet carried out.
func (d *decision) inGrace(c *computation) bool { return !graceOver(d.Record, c.in.Rules, c.in.Now) }

func (d *decision) leaveReason(g *Group) string {
	if !d.Present && d.Why != "" {
		return d.Why
	}
	return "no longer a member of " + g.label()
}

// hasAccount says whether the person has, or gets with this plan, a vault user
// that can be put into groups.
func (d *decision) hasAccount() bool {
	switch d.action {
	case create, link:
		return true
	case vanish:
		return false
	case nothing, update, disable:
	}
	if d.after != nil && d.after.UserID != "" && d.after.State == snapshot.Active {
		return d.Present
	}
	if d.after != nil && d.after.State == snapshot.Left {
		return false // does not come back yet
	}
	rec := d.Record
	return d.Present && rec != nil && rec.UserID != "" && (rec.State == snapshot.Active || rec.State == snapshot.Leaving || rec.State == snapshot.Left)
}

// driftedMembers finds what hands changed in the group: people of ours taken
// out of it, or put into it. Members that are not ours are nobody's business.
func (c *computation) driftedMembers(g *Group, record *snapshot.Group, join, leave *roaring.Bitmap, why map[uint32]string) {
	taken := roaring.AndNot(roaring.And(record.Applied, g.Want), g.Members)
	put := roaring.AndNot(roaring.AndNot(g.Members, record.Applied), g.Want)
	for it := roaring.Or(taken, put).Iterator(); it.HasNext(); {
		d := c.byNumber[it.Next()]
		if d == nil {
			continue
		}
		rec := d.Record
		if rec == nil || rec.UserID == "" || rec.State == snapshot.Tombstone || d.replaced || d.linkedElsewhere() {
			continue
		}
		actual := put.Contains(d.Number)
		text := ""
		switch {
		case !actual && d.hasAccount():
			text = "taken out of " + g.label() + " by hand in the vault"
		case actual && !slices.Contains(record.Kept, rec.UserID):
			text = "put into " + g.label() + " by hand in the vault"
		default:
			continue
		}
		if !c.in.Rules.Repair {
			c.plan.Drift++
			c.plan.Notes = append(c.plan.Notes, Note{Kind: Drifted, Person: d.ID, Login: d.login(), Group: g.label(), Text: text})
			continue
		}
		why[d.Number] = text
		if actual {
			leave.Add(d.Number)
		} else {
			join.Add(d.Number)
		}
	}
}

// fingerprint names what the directory says of a person in this vault: whether
// they should be in it, under which login name and in which groups. Rejected
// changes stay away until it moves.
func (c *computation) fingerprint(d *decision) uint64 {
	text := fmt.Sprintf("%t %t %s", d.Present, d.Pending, d.Want.Login())
	var groups []string
	for i := range c.in.Groups {
		if c.in.Groups[i].Want.Contains(d.Number) {
			groups = append(groups, c.in.Groups[i].ID.String())
		}
	}
	slices.Sort(groups) // their names, which order them, are nobody's membership
	return fingerprintOf(text + " " + strings.Join(groups, " "))
}
