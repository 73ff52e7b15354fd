package mirror

import (
	"bytes"
	"encoding/binary"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Position is the epoch and the revision that a View taken now would have.
func (m *Mirror) Position() (epoch string, revision uint64) {
	return m.epoch, m.state.Load().head.revision
}

// Next are up to n people of a set: those whose object ids come first after
// an id, in the order of the ids. last is the id to go on from. Fewer than n
// are the last ones. The zero id begins.
func (v *View) Next(after identity.ObjectID, people *roaring.Bitmap, n int) (next *roaring.Bitmap, last identity.ObjectID, err error) {
	next, last = roaring.New(), after
	err = guarded(v.m.path, func() error {
		bucket := v.tx.Bucket(bucketIDs)
		if bucket == nil {
			return damaged("bucket %s is missing", bucketIDs)
		}
		c := bucket.Cursor()
		for k, sealed := c.Seek(after[:]); k != nil && n > 0; k, sealed = c.Next() {
			value, err := unseal("ids", k, sealed)
			if err != nil {
				return err
			}
			if len(value) != 4 || len(k) != len(last) {
				return damaged("ids record %x has a wrong length", k)
			}
			number := binary.BigEndian.Uint32(value)
			if number >= v.st.head.next || !people.Contains(number) || bytes.Equal(k, after[:]) {
				continue
			}
			next.Add(number)
			copy(last[:], k)
			n--
		}
		return nil
	})
	return next, last, err
}
