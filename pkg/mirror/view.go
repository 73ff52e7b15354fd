// Package mirror is the local copy of one directory: people, groups,
// memberships, delta links and the feed of what changed, in one bbolt file. It
// knows neither Graph nor the vaults.
package mirror

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Group is one followed group as the mirror holds it.
type Group struct {
	ID   identity.ObjectID
	Name string // display name; "" until it was read
	// State is GroupPresent only when the membership was read in full.
	// GroupUnreadable covers "not yet read", "read in part" and "hidden
	// without the permission": from such a group no removal may be computed.
	State directory.GroupState
	// Why is the reason of a state other than GroupPresent, in words.
	Why string
	// Members are the numbers of the people that are direct members,
	// soft-deleted ones included.
	Members *roaring.Bitmap
	// Children are the groups nested directly inside, sorted.
	Children []identity.ObjectID
	// Skipped counts members that are neither people nor groups.
	Skipped int
}
