package reconcile

import (
	"context"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// Rebuilt counts what Rebuild found in the vault.
type Rebuilt struct {
	People   int // accounts of ours
	Disabled int // of those, disabled now
	Groups   int // user groups of ours
	Foreign  int // accounts that are not ours
}

// Rebuild fills an empty snapshot with what the vault itself says of accounts
// and groups that synchronization made or took over: those that are marked as
// managed and carry an object id. The run that follows looks at everybody, so
// that people who left while the state was lost are found, guards acting as
// ever.
//
// What the vault does not know is decided for the careful side:
//
//	lost                                   | taken as
//	which fields synchronization wrote     | none: written when the directory's value changes
//	who disabled an account                | hands: it stays disabled until hands enable it
//	memberships from before the first run  | synchronization's: removed when the directory
//	of people who are ours                 | does not have them, guard memberRemovals acting
//	accounts deleted by hand, rejections   | forgotten: newcomers
func Rebuild(ctx context.Context, store vault.Store, state *snapshot.Snapshot, now time.Time) (Rebuilt, error) {
	var done Rebuilt
	id, err := store.Identity(ctx)
	if err != nil {
		return done, fmt.Errorf("ask the vault's user store who it is: %w", err)
	}
	accounts := map[string]snapshot.Account{} // by user id
	known := map[identity.ObjectID]string{}
	for user, err := range store.Users(ctx) {
		if err != nil {
			return done, fmt.Errorf("read the vault's users: %w", err)
		}
		person, err := identity.ParseObjectID(user.ExternalID)
		if err != nil || !user.Managed {
			done.Foreign++
			continue
		}
		if other, twice := known[person]; twice {
			return done, fmt.Errorf("two users of the vault, %s and %s, carry the object id %s: take it from the one that is not this person's", other, user.LoginName, person)
		}
		known[person] = user.LoginName
		if !user.Enabled {
			done.Disabled++
		}
		// An adopted record without fields: each is noted, not written, when
		// the directory's value is first seen.
		accounts[user.ID] = snapshot.Account{
			Person: person, Number: uint32(len(accounts)), State: snapshot.Active, UserID: user.ID, Adopted: true, Since: now, //nolint:gosec // fewer than there are people
		}
	}
	groups, err := rebuildGroups(ctx, store, accounts)
	if err != nil {
		return done, err
	}
	done.People, done.Groups = len(accounts), len(groups)
	err = state.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		// No mirror has this epoch: the next run numbers everybody anew.
		meta.Store, meta.Imported, meta.Epoch, meta.Cursor, meta.Rules = id, true, "rebuilt", 0, ""
		for _, a := range accounts {
			if err := tx.PutAccount(a); err != nil {
				return err
			}
		}
		for _, g := range groups {
			if err := tx.PutGroup(g); err != nil {
				return err
			}
		}
		return tx.PutMeta(meta)
	})
	return done, err
}

func rebuildGroups(ctx context.Context, store vault.Store, accounts map[string]snapshot.Account) ([]snapshot.Group, error) {
	var groups []snapshot.Group
	for group, err := range store.Groups(ctx) {
		if err != nil {
			return nil, fmt.Errorf("read the vault's groups: %w", err)
		}
		id, err := identity.ParseObjectID(group.ExternalID)
		if err != nil || !group.Managed {
			continue
		}
		g := snapshot.Group{ID: id, VaultID: group.ID, Name: group.Name, Applied: roaring.New(), Configured: true}
		for _, member := range group.Members {
			if a, ours := accounts[member]; ours {
				g.Applied.Add(a.Number)
			} else {
				g.Kept = append(g.Kept, member)
			}
		}
		g.Had = !g.Applied.IsEmpty()
		groups = append(groups, g)
	}
	return groups, nil
}
