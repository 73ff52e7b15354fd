package explain

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/roster"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// readGroups describes each group, and says by them whether the person should
// be in the vault.
func (a *answer) readGroups() error {
	stored, err := a.Tx.Groups()
	if err != nil {
		return fmt.Errorf("read the vault's groups: %w", err)
	}
	records := make(map[identity.ObjectID]*snapshot.Group, len(stored))
	for i := range stored {
		records[stored[i].ID] = &stored[i]
	}
	a.out.Groups = make([]Group, 0, len(a.roster.Groups))
	for _, rg := range a.roster.Groups {
		g, err := a.group(rg, records[rg.ID])
		if err != nil {
			return err
		}
		a.entitled = a.entitled || g.Counts
		a.out.Groups = append(a.out.Groups, g)
	}
	a.out.Entitled = a.entitled
	for i := range stored {
		if g := &stored[i]; !a.configured(g) && a.applied(g) {
			a.out.Groups = append(a.out.Groups, Group{
				ID: g.ID, Name: cmp.Or(g.Name, g.ID.String()), VaultGroup: g.Name, Applied: true, State: GroupRemoved,
				Why:     "taken out of the vault's file",
				Meaning: "the people in it leave the vault's group once that is approved (vaultsync approve " + a.out.Vault + ")",
			})
		}
	}
	return nil
}

// configured says whether the vault's file still names a group, or another one
// that takes over its vault group.
func (a *answer) configured(g *snapshot.Group) bool {
	for _, rg := range a.roster.Groups {
		if rg.ID == g.ID || g.VaultID != "" && identity.Fold(rg.Name) == identity.Fold(g.Name) {
			return true
		}
	}
	return false
}

// applied says whether synchronization has put the person into a vault group.
// The numbers of another epoch mean nothing.
func (a *answer) applied(g *snapshot.Group) bool {
	return g != nil && a.known && a.meta.Epoch == a.View.Epoch() && g.Applied.Contains(a.number)
}

func (a *answer) group(rg roster.Group, record *snapshot.Group) (Group, error) {
	g := Group{ID: rg.ID, VaultGroup: rg.Name, State: GroupRead, License: rg.License, Applied: a.applied(record)}
	if rg.ID.IsZero() {
		g.Name, g.State, g.Why = rg.Config.Name, GroupUnresolved, rg.Why
		g.Meaning = "nobody joins or leaves by it; write its object id, or its name as the directory spells it"
		return g, nil
	}
	stored, read, err := a.View.Group(rg.ID)
	if err != nil {
		return Group{}, fmt.Errorf("read group %s: %w", rg.ID, err)
	}
	g.Name = cmp.Or(stored.Name, rg.Config.Name, rg.Config.VaultGroup, rg.ID.String())
	hint, err := a.membership(&g, rg)
	if err != nil {
		return Group{}, err
	}
	g.Counts = a.known && rg.Members.Contains(a.number)
	switch {
	case !read:
		g.State, g.Why = GroupNotRead, rg.Why
		g.Meaning = "nobody joins or leaves by it until it has been read"
	case rg.State == directory.GroupMissing:
		g.State, g.Why = GroupMissing, rg.Why
		g.Meaning = "its people leave the vault's group"
		if a.Rules.Vault.Guards.MissingGroup {
			g.Meaning += " once that is approved (guards.missingGroup: hold)"
		}
	case rg.State == directory.GroupUnreadable:
		g.State, g.Why = GroupUnreadable, rg.Why
		g.Meaning = "nobody loses anything because of it until it can be read; whoever is known to be a member keeps it, others may be members all the same"
	case rg.Empty:
		g.State = GroupEmpty
		if record == nil || record.Applied.IsEmpty() {
			break // and never was
		}
		g.Meaning = "whoever was in it leaves the vault's group"
		if a.Rules.Vault.Guards.EmptyGroup {
			g.Meaning += " once that is approved (guards.emptyGroup: hold)"
		}
	}
	if hint != "" {
		g.Meaning = strings.TrimPrefix(g.Meaning+"; "+hint, "; ")
	}
	// What was applied by a group that was not read in full stays.
	if rg.State == directory.GroupUnreadable && g.Applied && !a.roster.Away.Contains(a.number) {
		g.Counts = true
	}
	return g, nil
}

// membership fills in whether and by which path the person is a member. The
// hint is about a path that does not count.
func (a *answer) membership(g *Group, rg roster.Group) (hint string, err error) {
	if !a.known {
		return "", nil
	}
	people, _, _, err := a.View.Members(rg.ID, rg.Config.Nested)
	if err != nil {
		return "", fmt.Errorf("read the members of group %s: %w", rg.ID, err)
	}
	g.Member = people.Contains(a.number)
	path, reached := a.View.Path(rg.ID, a.number)
	if !reached {
		return "", nil
	}
	for _, id := range path {
		stored, _, err := a.View.Group(id)
		if err != nil {
			return "", fmt.Errorf("read group %s: %w", id, err)
		}
		g.Path = append(g.Path, cmp.Or(stored.Name, id.String()))
	}
	if !g.Member {
		hint = fmt.Sprintf("the person is in it through %s alone, which does not count (nested: false)", strings.Join(g.Path[1:], pathSign))
	}
	return hint, nil
}

// unread says whether too little is known of the group to say who is in it.
func (g Group) unread() bool {
	return g.State == GroupUnreadable || g.State == GroupNotRead || g.State == GroupUnresolved
}

// pathSign stands between the groups of a path.
const pathSign = " › "

// title is a group with the path into it: Sales (through Sales EU).
func (g Group) title() string {
	switch {
	case g.Counts && !g.Member:
		return g.Name + " (as last applied; not read in full)"
	case len(g.Path) > 1:
		return g.Name + " (through " + strings.Join(g.Path[1:], pathSign) + ")"
	default:
		return g.Name
	}
}
