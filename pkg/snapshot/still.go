package snapshot

import (
	"bytes"

	"go.etcd.io/bbolt"
)

// Written grows with every write of the file: as long as it stays, so does all
// that the file says.
func (s *Snapshot) Written() (n int, err error) {
	err = s.guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			n = tx.ID()
			return nil
		})
	})
	return n, err
}

// HasGroup says whether a group's record is stored as it is.
func (t *Tx) HasGroup(g Group) (bool, error) {
	b, err := encodeGroup(g)
	return err == nil && bytes.Equal(t.tx.Bucket(bucketGroups).Get(g.ID[:]), b), err
}
