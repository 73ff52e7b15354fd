package plan

import (
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/config"
	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// Settled says that a plan has nothing to do about somebody's account, nothing
// to tell and nothing to remember: whoever is settled and not among Moved can
// be left out of Input.People, and the plan is the same. Most people of most
// runs are; leaving them out is what keeps memory small.
//
//	record | should be in the vault                       | should not
//	active | the directory's fields as remembered, no     | -
//	       | trouble; full: account as it should be       |
//	left   | -                                            | full: disabled, no licence due
//	others | -                                            | -
//
// Whose login name somebody wants who is not settled must not be left out
// (Person.LoginOwner), settled or not.
func Settled(p *Person, rules config.Vault, full bool, now time.Time) bool {
	rec := p.Record
	if rec == nil || p.Intent || p.Recreate || rec.Number != p.Number || rec.Problem != "" || rec.Tries != 0 || rec.Rejected != 0 {
		return false
	}
	if full && (!p.Looked || len(p.Found) != 1 || p.Found[0].ID != rec.UserID || p.Found[0].ExternalID != p.ID.String()) {
		return false
	}
	switch {
	case p.Present:
		if rec.State != snapshot.Active || rec.OwnDisable || p.Pending || p.WantErr != nil || fieldsDiffer(rec, p.Want) {
			return false
		}
		return !full || p.Found[0].Enabled && !drifted(p)
	case full && rec.State == snapshot.Left:
		return !p.Found[0].Enabled && !releaseDue(rec, rules, now)
	default:
		return false
	}
}

// drifted says that hands changed a field that synchronization has written.
func drifted(p *Person) bool {
	for name, seen := range p.Record.Fields {
		if seen.Written && !sameField(name, fieldOf(p.Found[0], name), seen.Value) {
			return true
		}
	}
	return false
}

// Moved are the people who are not in the vault groups in which they should
// be, or are not known to be: by the snapshot and, in a full run, by the vault.
func Moved(groups []Group, full bool) *roaring.Bitmap {
	moved := roaring.New()
	for i := range groups {
		g := &groups[i]
		if g.Record == nil {
			moved.Or(g.Want)
			continue
		}
		moved.Or(roaring.Xor(g.Want, g.Record.Applied))
		switch {
		case !full || g.fresh():
		case g.Actual == nil:
			moved.Or(g.Want) // hands deleted the group
		case g.Members != nil:
			moved.Or(roaring.Xor(g.Record.Applied, g.Members))
		}
	}
	return moved
}

// Alone says that whatever a plan does about somebody in a full run concerns
// nobody else and is counted by no guard: fields other than the login name are
// written, and groups are joined. Whoever is alone and not among Losing may be
// planned after all others, and apart from them.
func Alone(p *Person) bool {
	rec := p.Record
	if rec == nil || !p.Present || p.Pending || p.WantErr != nil || p.Intent || p.Recreate || !p.Looked || len(p.Found) != 1 {
		return false
	}
	if rec.State != snapshot.Active || rec.OwnDisable || rec.Number != p.Number || rec.Problem != "" || rec.Tries != 0 || rec.Rejected != 0 {
		return false
	}
	user, login := p.Found[0], identity.Fold(p.Want.Login())
	return user.ID == rec.UserID && user.ExternalID == p.ID.String() && user.Enabled &&
		identity.Fold(user.LoginName) == login && identity.Fold(rec.Login()) == login
}

// Losing are the people who are to be taken out of a vault group.
func Losing(groups []Group) *roaring.Bitmap {
	losing := roaring.New()
	for i := range groups {
		g := &groups[i]
		if g.Record == nil {
			continue
		}
		losing.Or(roaring.AndNot(g.Record.Applied, g.Want))
		if g.Members != nil {
			losing.Or(roaring.AndNot(g.Members, roaring.Or(g.Want, g.Record.Applied)))
		}
	}
	return losing
}
