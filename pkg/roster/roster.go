package roster

import (
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
)

// Mirror is what a roster needs of the local copy of the directory.
type Mirror interface {
	Group(id identity.ObjectID) (mirror.Group, bool, error)
	Members(root identity.ObjectID, nested bool) (people *roaring.Bitmap, complete bool, why string, err error)
	Person(n uint32) (identity.Person, bool, error)
	Gone() *roaring.Bitmap
	Disabled() *roaring.Bitmap
	Profiled() *roaring.Bitmap
}

// Group is one configured group and who should be in it.
type Group struct {
	Config config.Group
	ID     identity.ObjectID
	// Name is the vault group's: the configured one, else the directory's.
	Name string
	// State is GroupMissing when the directory says that the group is gone,
	// GroupUnreadable when its members are not, or not fully, known.
	State directory.GroupState
	Why   string
	// Members are the numbers of the people who should be in the vault group;
	// the set may be the mirror's, and is not to be changed.
	// Of an unreadable group they are a part, from which nothing may be
	// concluded about the others.
	Members *roaring.Bitmap
	// Empty says that the directory's group, read in full, has no members at
	// all, before scope and state of people are looked at.
	Empty bool
	// License is what the group gives to a new login account.
	License identity.License
}

// Roster is who should have a vault user, and in which groups.
type Roster struct {
	Groups []Group
	// Everyone are the people in any group.
	Everyone *roaring.Bitmap
	// Pending are members whose profile could not be read yet: nothing is
	// made for them and nothing of theirs is changed.
	Pending *roaring.Bitmap
	// Away are people who are not let in although they may be members: gone
	// from the directory, disabled there, or out of scope.
	Away *roaring.Bitmap
	// OutOfScope are those whom the scope expression leaves out.
	OutOfScope *roaring.Bitmap
	// Unscoped are people of whom the scope expression cannot be asked, and
	// why: they fail, alone, and keep what they have.
	Unscoped map[uint32]error
}

// Scope is what is known of the scope expression from earlier runs: who was
// left out, and who must be asked again.
type Scope struct {
	Out *roaring.Bitmap
	// Known are the people that were asked before and need not be again.
	Known *roaring.Bitmap
}

// Compute says who should be in the vault. ids are the object ids of the
// configured groups, in their order.
//
//	member of a group | gone | disabled, leave | out of scope | → in the vault
//	no                |  -   |        -        |      -       |   no
//	yes               | yes  |        -        |      -       |   no
//	yes               | no   |       yes       |      -       |   no
//	yes               | no   |       no        |     yes      |   no
//	yes               | no   |       no        |     no       |   yes
func (r *Rules) Compute(m Mirror, ids []identity.ObjectID, known Scope) (Roster, error) {
	roster := Roster{Everyone: roaring.New(), Unscoped: map[uint32]error{}}
	for i, configured := range r.Vault.Groups {
		g, err := r.group(m, configured, ids[i])
		if err != nil {
			return Roster{}, err
		}
		roster.Groups = append(roster.Groups, g)
		roster.Everyone.Or(g.Members)
	}
	out, err := r.outOfScope(m, roster.Everyone, known, roster.Unscoped)
	if err != nil {
		return Roster{}, err
	}
	roster.OutOfScope = out
	roster.Away = roaring.Or(m.Gone(), out)
	if r.Vault.Accounts.DisabledInDirectory != "ignore" {
		roster.Away.Or(m.Disabled())
	}
	for i := range roster.Groups {
		// A new set only where it differs: the mirror's are shared.
		if g := &roster.Groups[i]; g.Members.Intersects(roster.Away) {
			g.Members = roaring.AndNot(g.Members, roster.Away)
		}
	}
	roster.Everyone.AndNot(roster.Away)
	roster.Pending = roaring.AndNot(roster.Everyone, m.Profiled())
	return roster, nil
}

func (r *Rules) group(m Mirror, configured config.Group, id identity.ObjectID) (Group, error) {
	g := Group{Config: configured, ID: id, Name: configured.VaultGroup, Members: roaring.New(), License: r.GroupLicense(configured)}
	if id.IsZero() {
		g.State, g.Why = directory.GroupUnreadable, fmt.Sprintf("no group of the directory is named %q", configured.Name)
		return g, nil
	}
	stored, ok, err := m.Group(id)
	switch {
	case err != nil:
		return Group{}, fmt.Errorf("group %s: %w", id, err)
	case !ok:
		g.State, g.Why = directory.GroupUnreadable, "the group has not been read yet"
		return g, nil
	}
	if g.Name == "" {
		g.Name = stored.Name
	}
	if stored.State == directory.GroupMissing {
		g.State, g.Why = stored.State, stored.Why
		return g, nil
	}
	people, complete, why, err := m.Members(id, configured.Nested)
	if err != nil {
		return Group{}, fmt.Errorf("group %s: %w", id, err)
	}
	g.Members = people
	g.Empty = complete && people.IsEmpty()
	if !complete {
		g.State, g.Why = directory.GroupUnreadable, why
	}
	return g, nil
}

// outOfScope asks the scope expression of everybody it was not asked of, or
// whose answer may have changed.
func (r *Rules) outOfScope(m Mirror, members *roaring.Bitmap, known Scope, unscoped map[uint32]error) (*roaring.Bitmap, error) {
	if r.scope == nil {
		return roaring.New(), nil
	}
	out := roaring.And(known.Out, known.Known)
	ask := roaring.AndNot(members, known.Known)
	for it := ask.Iterator(); it.HasNext(); {
		n := it.Next()
		person, ok, err := m.Person(n)
		if err != nil {
			return nil, err
		}
		if !ok {
			if known.Out.Contains(n) {
				out.Add(n) // whoever was left out stays so until read again
			}
			continue // not readable yet: Pending
		}
		in, err := r.InScope(person)
		if err != nil {
			unscoped[n] = fmt.Errorf("scope: %w", err)
			continue
		}
		if !in {
			out.Add(n)
		}
	}
	return out, nil
}
