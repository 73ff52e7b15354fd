package reconcile

import (
	"fmt"
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
	"github.com/vaultsync/vaultsync/pkg/mirror"
	"github.com/vaultsync/vaultsync/pkg/snapshot"
)

// rebase brings a snapshot to the numbers of another mirror: a mirror that was
// rebuilt or restored numbers people anew, and no number may come to mean
// somebody else. Everything moves in one transaction; the run that follows
// looks at everybody. Whoever the new mirror does not know gets a number from
// the far end of the range.
func (v *Vault) rebase(view *mirror.View) error {
	return v.Snapshot.Write(func(tx *snapshot.Tx) error {
		meta, err := tx.Meta()
		if err != nil {
			return err
		}
		fresh := map[uint32]uint32{}
		private := uint32(math.MaxUint32)
		var accounts []snapshot.Account
		for a, err := range tx.Accounts() {
			if err != nil {
				return err
			}
			n, known, err := view.Number(a.Person)
			if err != nil {
				return fmt.Errorf("read the local copy: %w", err)
			}
			if !known {
				n = private
				private--
			}
			fresh[a.Number] = n
			a.Number = n
			accounts = append(accounts, a)
		}
		groups, err := tx.Groups()
		if err != nil {
			return err
		}
		for _, g := range groups {
			g.Applied = translate(g.Applied, fresh)
			if err := tx.PutGroup(g); err != nil {
				return err
			}
		}
		if err := tx.ClearPeople(); err != nil {
			return err
		}
		for _, a := range accounts {
			if err := tx.PutAccount(a); err != nil {
				return err
			}
		}
		// From the first write on: a first import that dies half-way has
		// numbered people by this mirror already.
		meta.Epoch, meta.Cursor, meta.Rules = view.Epoch(), 0, ""
		return tx.PutMeta(meta)
	})
}

func translate(set *roaring.Bitmap, numbers map[uint32]uint32) *roaring.Bitmap {
	fresh := roaring.New()
	for it := set.Iterator(); it.HasNext(); {
		if n, ok := numbers[it.Next()]; ok {
			fresh.Add(n)
		}
	}
	return fresh
}

// forget makes a person whose account vanished a newcomer again: without
// record, and in no group.
func (v *Vault) forget(tx *snapshot.Tx, id identity.ObjectID) error {
	a, ok, err := tx.Account(id)
	if err != nil || !ok {
		return err
	}
	groups, err := tx.Groups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Applied.CheckedRemove(a.Number) {
			if err := tx.PutGroup(g); err != nil {
				return err
			}
		}
	}
	return tx.DeleteAccount(id)
}
