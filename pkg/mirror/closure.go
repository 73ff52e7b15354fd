package mirror

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Root is a configured group.
type Root struct {
	ID     identity.ObjectID
	Nested bool // members of groups inside it count, at any depth
}

// lookup finds a group as the mirror, or a round in progress, knows it.
type lookup func(identity.ObjectID) *group

// unite is the union of the members reachable from a root.
//
//	group on the way        its people   its children  complete
//	present                 count        followed      yes
//	unreadable, not read    last known   last known    no
//	missing, the root       last known   last known    no
//	missing, nested         none         none          yes
//	never seen              none         none          no
//
// A missing nested group counts as an empty one: its people lose at once what
// came by it. The last known people of a group that cannot be read keep it.
func unite(groups lookup, root Root) *union {
	u := &union{complete: true, through: []identity.ObjectID{root.ID}}
	seen := map[identity.ObjectID]bool{root.ID: true}
	var sets []*roaring.Bitmap
	incomplete := func(why string) {
		if u.complete {
			u.complete, u.why = false, why
		}
	}
	for i := 0; i < len(u.through); i++ {
		id := u.through[i]
		g := groups(id)
		if g == nil {
			incomplete("group " + id.String() + " has not been read yet")
			continue
		}
		switch g.State {
		case directory.GroupPresent:
			if !g.read {
				incomplete("group " + label(g) + " has not been read in full")
			}
		case directory.GroupMissing:
			if i > 0 {
				continue
			}
			incomplete("group " + label(g) + " does not exist: " + g.Why)
		default:
			incomplete("group " + label(g) + " cannot be read: " + g.Why)
		}
		sets = append(sets, g.Members)
		if !root.Nested {
			break
		}
		for _, child := range g.Children {
			if !seen[child] {
				seen[child] = true
				u.through = append(u.through, child)
			}
		}
	}
	u.people = together(sets)
	return u
}

// together is the union of sets, which may be shared with it: there is a group
// for most of the vaults, and nothing nested in most groups.
func together(sets []*roaring.Bitmap) *roaring.Bitmap {
	if len(sets) == 1 {
		return sets[0]
	}
	return roaring.FastOr(sets...)
}

func label(g *group) string {
	if g.Name == "" {
		return g.ID.String()
	}
	return g.Name + " (" + g.ID.String() + ")"
}

// followed lists the groups that must have a stream, sorted: the roots and
// what is nested in those that count nested members. A missing nested group is
// followed itself, so that its return is seen, but not what was inside it.
func followed(groups lookup, roots []Root) []identity.ObjectID {
	isRoot := make(map[identity.ObjectID]bool, len(roots))
	seen := make(map[identity.ObjectID]bool, len(roots))
	expanded := make(map[identity.ObjectID]bool, len(roots))
	var all, queue []identity.ObjectID
	for _, r := range roots {
		isRoot[r.ID] = true
		if !seen[r.ID] {
			seen[r.ID] = true
			all = append(all, r.ID)
		}
		if r.Nested && !expanded[r.ID] {
			expanded[r.ID] = true
			queue = append(queue, r.ID)
		}
	}
	for len(queue) > 0 {
		id := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		g := groups(id)
		if g == nil || (g.State == directory.GroupMissing && !isRoot[id]) {
			continue
		}
		for _, child := range g.Children {
			if !seen[child] {
				seen[child] = true
				all = append(all, child)
			}
			if !expanded[child] {
				expanded[child] = true
				queue = append(queue, child)
			}
		}
	}
	slices.SortFunc(all, identity.ObjectID.Compare)
	return all
}

// scopeOf is everybody in some configured closure.
func scopeOf(groups lookup, roots []Root) *roaring.Bitmap {
	// A followed group counts whole, so the union over the followed groups is
	// the union over the closures: missing nested groups alone are left out.
	isRoot := make(map[identity.ObjectID]bool, len(roots))
	for _, r := range roots {
		isRoot[r.ID] = true
	}
	var sets []*roaring.Bitmap
	for _, id := range followed(groups, roots) {
		g := groups(id)
		if g == nil || (g.State == directory.GroupMissing && !isRoot[id]) {
			continue
		}
		sets = append(sets, g.Members)
	}
	return roaring.FastOr(sets...)
}

// chain is the shortest list of groups, root first, by which a person is in a
// root; of equally short ones the first in the order of the ids.
func chain(groups lookup, root Root, n uint32) ([]identity.ObjectID, bool) {
	from := map[identity.ObjectID]identity.ObjectID{root.ID: {}}
	queue := []identity.ObjectID{root.ID}
	for i := 0; i < len(queue); i++ {
		g := groups(queue[i])
		if g == nil || (g.State == directory.GroupMissing && i > 0) {
			continue
		}
		if g.Members.Contains(n) {
			var path []identity.ObjectID
			for id := g.ID; ; id = from[id] {
				path = append(path, id)
				if id == root.ID {
					break
				}
			}
			slices.Reverse(path)
			return path, true
		}
		if !root.Nested {
			break
		}
		for _, child := range g.Children {
			if _, seen := from[child]; !seen {
				from[child] = g.ID
				queue = append(queue, child)
			}
		}
	}
	return nil, false
}
