package plan

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// The names of the guards, as status and plan show them.
const (
	GuardDisables       = "disables"
	GuardCreates        = "creates"
	GuardLoginChanges   = "loginChanges"
	GuardVanished       = "vanished"
	GuardMemberRemovals = "memberRemovals"
	GuardEmptyGroup     = "emptyGroup"
	GuardMissingGroup   = "missingGroup"
	GuardRemovedGroup   = "removedGroup"
	GuardDirectory      = "directoryDisables"
)

// Trip is a guard that holds changes back.
type Trip struct {
	Guard string `json:"guard"`
	Group string `json:"group,omitempty"`
	Count int    `json:"count"`
	Text  string `json:"text"`
}

// Exceeds says whether n changes among base people are more than a guard
// allows: more than count, or more than percent of at least minimum.
func Exceeds(g config.Guard, n, base int) bool {
	return n > g.Count || overPercent(g, n, base)
}

func overPercent(g config.Guard, n, base int) bool {
	return base >= g.Minimum && n*100 > g.Percent*base
}

// guard holds back what is more than the vault's guards allow. A guard holds
// its kind of change whole, never the first so many of it. Whoever is held
// keeps everything: a held disable holds the person's group removals, a held
// group removal the person's disable (lifecycle.md).
func (c *computation) guard() {
	c.dropRejected()
	rules := c.in.Rules.Guards
	byKind := map[Kind][]int{}
	removals := map[identity.ObjectID][]int{}
	for i := range c.changes {
		switch change := &c.changes[i]; {
		case change.Kind == MemberRemove:
			removals[change.GroupID] = append(removals[change.GroupID], i)
		case change.Kind == Update && c.changesLogin(change):
			byKind[Update] = append(byKind[Update], i)
		case change.Kind == Disable && change.After["deleted"] != "":
			byKind["vanish"] = append(byKind["vanish"], i)
		case change.Kind == Disable, change.Kind == Create:
			byKind[change.Kind] = append(byKind[change.Kind], i)
		}
	}
	base := c.in.Managed
	if c.in.ServerHold {
		c.holdForDirectory(byKind[Disable])
	}
	if n := len(byKind[Disable]); Exceeds(rules.Disables, n, base) {
		c.trip(GuardDisables, "", byKind[Disable], limitText(n, "people would be disabled", base, rules.Disables))
	}
	if n := len(byKind[Create]); !c.in.First && n > rules.Creates.Count {
		c.trip(GuardCreates, "", byKind[Create], fmt.Sprintf("%d people would be created, more than %d", n, rules.Creates.Count))
	}
	if n := len(byKind[Update]); Exceeds(rules.LoginChanges, n, base) {
		c.trip(GuardLoginChanges, "", byKind[Update], limitText(n, "login names would change", base, rules.LoginChanges))
	}
	if n := len(byKind["vanish"]); Exceeds(rules.Vanished, n, base) {
		c.trip(GuardVanished, "", byKind["vanish"], limitText(n, "accounts of ours are no longer in the vault", base, rules.Vanished)+
			"; approve: hands deleted them, reject: make them again")
	}
	for i := range c.in.Groups {
		c.guardGroup(&c.in.Groups[i], removals[c.in.Groups[i].ID])
	}
	c.holdPinned()
	c.holdTogether()
}

func limitText(n int, what string, base int, g config.Guard) string {
	return fmt.Sprintf("%d %s of %d, more than %d or %d %%", n, what, base, g.Count, g.Percent)
}

func (c *computation) changesLogin(change *Change) bool {
	return change.After["loginName"] != "" && identity.Fold(change.After["loginName"]) != identity.Fold(change.Before["loginName"])
}

// guardGroup holds the removals from one vault group:
//
//	the directory's group is       | guard
//	gone                           | missingGroup: hold
//	there, without any member      | emptyGroup: hold
//	not configured any more        | always held
//	there, and loses too many      | memberRemovals
func (c *computation) guardGroup(g *Group, removals []int) {
	if len(removals) == 0 {
		return
	}
	guards, n := c.in.Rules.Guards, len(removals)
	people := g.Record.Applied.Clone()
	for _, i := range removals {
		people.Add(c.changes[i].Number) // hands may have put in whom we did not
	}
	size := int(people.GetCardinality()) //nolint:gosec // at most as many as there are people
	switch {
	case g.Removed:
		c.trip(GuardRemovedGroup, g.label(), removals, fmt.Sprintf("%s was taken out of the vault's file: %d people would leave it", g.label(), n))
	case g.State == directory.GroupMissing && guards.MissingGroup:
		c.trip(GuardMissingGroup, g.label(), removals, fmt.Sprintf("%s is gone from the directory: %d people would leave it", g.label(), n))
	case g.Empty && guards.EmptyGroup:
		c.trip(GuardEmptyGroup, g.label(), removals, fmt.Sprintf("%s had members and now has none: %d people would leave it", g.label(), n))
	case overPercent(guards.MemberRemovals, n, size):
		c.trip(GuardMemberRemovals, g.label(), removals, fmt.Sprintf("%d of %d people would leave %s, more than %d %%", n, size, g.label(), guards.MemberRemovals.Percent))
	}
}

// trip holds the changes, but for those that an administrator has released.
func (c *computation) trip(guard, group string, changes []int, text string) {
	held := 0
	for _, i := range changes {
		if c.in.Approved[c.changes[i].Key()] {
			continue
		}
		held++
		if c.changes[i].Held == "" {
			c.changes[i].Held = guard
		}
	}
	if held > 0 {
		c.plan.Trips = append(c.plan.Trips, Trip{Guard: guard, Group: group, Count: held, Text: text})
	}
}

// holdForDirectory holds whoever leaves while the guard over all vaults of the
// directory has tripped. It is released for the directory, not for a vault.
func (c *computation) holdForDirectory(disables []int) {
	held := 0
	for _, i := range disables {
		if !c.in.ServerReleased[c.changes[i].Person] {
			c.changes[i].Held = GuardDirectory
			held++
		}
	}
	if held > 0 {
		c.plan.Trips = append(c.plan.Trips, Trip{
			Guard: GuardDirectory, Count: held,
			Text: "too many people leave the vaults of this directory together; release them with vaultsync approve --directory " + c.in.Rules.Directory,
		})
	}
}

// holdPinned holds what came too late for an approval, whatever the guards
// say, until it is approved itself or is no longer due.
func (c *computation) holdPinned() {
	if len(c.in.Pinned) == 0 {
		return
	}
	type place struct{ guard, group string }
	late := map[place]int{}
	for i := range c.changes {
		change := &c.changes[i]
		if change.Held == "" && c.in.Pinned[change.Key()] && !c.in.Approved[change.Key()] {
			change.Held = c.guardOf(*change)
			late[place{change.Held, change.Group}]++
		}
	}
	for at, n := range late {
		c.plan.Trips = append(c.plan.Trips, Trip{Guard: at.guard, Group: at.group, Count: n, Text: "came after the last approval and wait for their own"})
	}
}

func (c *computation) guardOf(change Change) string {
	switch change.Kind {
	case Create:
		return GuardCreates
	case Update:
		return GuardLoginChanges
	case MemberRemove:
		return GuardMemberRemovals
	case Disable, Enable, GroupCreate, GroupUpdate, MemberAdd:
		if change.After["deleted"] != "" {
			return GuardVanished
		}
		return GuardDisables
	default:
		return GuardDisables
	}
}

// holdTogether lets whoever is held keep everything.
func (c *computation) holdTogether() {
	leaving := map[identity.ObjectID]bool{} // people with a disable in the plan
	holds := false
	for i := range c.changes {
		change := &c.changes[i]
		holds = holds || change.Held != ""
		if change.Kind == Disable {
			leaving[change.Person] = true
		}
	}
	if !holds {
		return
	}
	held := map[identity.ObjectID]string{}
	created := map[identity.ObjectID]string{}
	for i := range c.changes {
		switch change := &c.changes[i]; {
		case change.Held == "":
		case change.Kind == Disable, change.Kind == MemberRemove && leaving[change.Person]:
			held[change.Person] = change.Held
		case change.Kind == Create:
			created[change.Person] = change.Held
		}
	}
	for i := range c.changes {
		change := &c.changes[i]
		if change.Held != "" {
			continue
		}
		switch change.Kind {
		case Disable, MemberRemove:
			change.Held = held[change.Person]
		case MemberAdd:
			change.Held = created[change.Person]
		case GroupCreate, GroupUpdate, Update, Enable, Create:
		}
	}
}

// dropRejected leaves out what an administrator has rejected, for as long as
// the directory says the same of the person. It comes before the guards: what
// was rejected does not count for them.
func (c *computation) dropRejected() {
	if slices.ContainsFunc(c.decisions, func(d *decision) bool { return d.Record != nil && d.Record.Rejected != 0 }) {
		c.changes = slices.DeleteFunc(c.changes, c.rejected)
	}
	c.dropUnfreed()
}

// rejected says that an administrator has rejected a change, and notes it.
func (c *computation) rejected(change Change) bool {
	d := c.byNumber[change.Number]
	if change.Person.IsZero() || d == nil || d.Record == nil || d.Record.Rejected == 0 || d.Record.Rejected != c.fingerprint(d) {
		return false
	}
	switch change.Kind {
	case Disable, MemberRemove, Create, MemberAdd:
	case Update:
		if !c.changesLogin(&change) {
			return false
		}
	case GroupCreate, GroupUpdate, Enable:
		return false
	}
	d.after = nil
	d.remark(Rejected, "an administrator rejected the change; it stays away until the directory changes")
	return true
}

// dropUnfreed takes back what was to take a login name that is not freed
// because the change that frees it was rejected.
func (c *computation) dropUnfreed() {
	for again := true; again; {
		again = false
		frees := map[identity.ObjectID]bool{}
		for i := range c.changes {
			if change := &c.changes[i]; change.Kind == Update && c.changesLogin(change) {
				frees[change.Person] = true
			}
		}
		for _, d := range c.decisions {
			if !d.takesLogin() || d.LoginOwner.IsZero() || d.LoginOwner == d.ID || frees[d.LoginOwner] {
				continue
			}
			created := d.action == create
			c.wait(d, Conflict, fmt.Sprintf("the login name %s is still that of %s: its change was rejected", d.Want.Login(), d.LoginOwner))
			c.changes = slices.DeleteFunc(c.changes, func(change Change) bool {
				return change.Person == d.ID && (change.Kind == Update || created)
			})
			again = true
		}
	}
}

func fingerprintOf(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash does not fail
	return max(1, h.Sum64())
}
