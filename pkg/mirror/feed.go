package mirror

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// maxFeedAge is how long the feed is kept for vaults that do not keep up.
const maxFeedAge = 7 * 24 * time.Hour

// Forget lets go of the feed up to a revision, the one that the slowest vault
// has applied, and of what is older than seven days in any case. A vault that
// is behind that is evaluated in full. Nothing is written when there is nothing
// to let go.
func (m *Mirror) Forget(upTo uint64) error {
	now := m.opt.Now()
	return guarded(m.path, func() error {
		due := false
		err := m.db.View(func(tx *bolt.Tx) error {
			key, sealed := tx.Bucket(bucketFeed).Cursor().First()
			if key == nil {
				return nil
			}
			var err error
			due, err = forgettable(key, sealed, upTo, now)
			return err
		})
		if err != nil || !due {
			return err
		}
		err = m.step("prune the feed", func(tx *bolt.Tx) error {
			return pruneFeed(tx, upTo, now)
		})
		if err != nil {
			return fmt.Errorf("mirror %s: forget: %w", m.path, err)
		}
		return nil
	})
}

// pruneFeed deletes the oldest entries.
func pruneFeed(tx *bolt.Tx, upTo uint64, now time.Time) error {
	b := tx.Bucket(bucketFeed)
	var keys [][]byte
	c := b.Cursor()
	for key, sealed := c.First(); key != nil; key, sealed = c.Next() {
		due, err := forgettable(key, sealed, upTo, now)
		if err != nil {
			return err
		}
		if !due {
			break
		}
		keys = append(keys, slices.Clone(key))
	}
	if len(keys) == 0 {
		return nil
	}
	for _, key := range keys {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return put(tx, bucketMeta, keyFloor, slices.Clone(keys[len(keys)-1]))
}

func forgettable(key, sealed []byte, upTo uint64, now time.Time) (bool, error) {
	if len(key) != 8 {
		return false, damaged("feed record %x has a wrong key", key)
	}
	value, err := unseal("feed", key, sealed)
	if err != nil {
		return false, err
	}
	r := reader{b: value}
	made := r.time()
	return binary.BigEndian.Uint64(key) <= upTo || now.Sub(made) > maxFeedAge, nil
}
