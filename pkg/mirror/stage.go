package mirror

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A large round is laid down in portions before it is made visible:
//
//   - new people go straight to their place, in the order of their numbers
//     and, for the index, of their ids: nobody looks at numbers from head.next
//     on, and appending in order is what keeps memory and file small;
//   - changed people go to the overlay bucket, which is read before the people
//     bucket once head says so; after the commit it is folded into the people
//     in portions, which changes nothing that can be seen.
//
// Until the commit head.staging says that there may be leftovers. This needs
// neither a second file nor a pinned reader, works where open files cannot be
// removed, and costs what changed, not what there is.

// stage lays down the large parts of an outcome.
func (r *round) stage(ctx context.Context, o *outcome, newcomers, existing bool) error {
	m := r.m
	if err := m.mark(func(h *head) { h.staging = true }, nil); err != nil {
		return err
	}
	if newcomers {
		fresh := r.people.fresh
		numbers := make([]uint32, 0, m.opt.portion)
		for at := uint32(0); at < fresh.count; at += uint32(len(numbers)) {
			numbers = numbers[:0]
			for n := at; n < fresh.count && len(numbers) < m.opt.portion; n++ {
				numbers = append(numbers, fresh.first+n)
			}
			if err := r.portion(ctx, "stage new people", func(tx *bolt.Tx) error {
				return r.writePeople(tx, bucketPeople, numbers)
			}); err != nil {
				return err
			}
		}
		for numbers := range slices.Chunk(fresh.byID(), m.opt.portion) {
			if err := r.portion(ctx, "stage the index", func(tx *bolt.Tx) error {
				return r.writeIndex(tx, numbers)
			}); err != nil {
				return err
			}
		}
	}
	if !existing {
		return nil
	}
	numbers := make([]uint32, m.opt.portion)
	for it := o.existing.ManyIterator(); ; {
		n := it.NextMany(numbers)
		if n == 0 {
			return nil
		}
		if err := r.portion(ctx, "stage changed people", func(tx *bolt.Tx) error {
			if _, err := tx.CreateBucketIfNotExists(bucketOverlay); err != nil {
				return err
			}
			return r.writePeople(tx, bucketOverlay, numbers[:n])
		}); err != nil {
			return err
		}
	}
}

func (r *round) portion(ctx context.Context, name string, f func(*bolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.m.step(name, func(tx *bolt.Tx) error {
		r.people.index = index{tx: tx}
		defer func() { r.people.index = index{} }()
		return f(tx)
	})
}

// writePeople writes the final records of people, in ascending order.
func (r *round) writePeople(tx *bolt.Tx, bucket []byte, numbers []uint32) error {
	if len(numbers) == 0 {
		return nil
	}
	// New people, and all of an overlay, are written behind each other.
	if numbers[0] >= r.base.head.next || bytes.Equal(bucket, bucketOverlay) {
		tx.Bucket(bucket).FillPercent = appendFill
	}
	for _, n := range numbers {
		record, err := r.people.final(n)
		if err != nil {
			return err
		}
		if err := put(tx, bucket, numberKey(n), record.encode()); err != nil {
			return err
		}
	}
	return nil
}

// appendFill is how full pages are left that are written in order; people's
// records that grow later split theirs.
const appendFill = 0.95

func (r *round) writeIndex(tx *bolt.Tx, numbers []uint32) error {
	if r.base.head.next == 0 {
		tx.Bucket(bucketIDs).FillPercent = appendFill
	}
	for _, n := range numbers {
		id, _ := r.people.fresh.id(n)
		if err := put(tx, bucketIDs, slices.Clone(id[:]), numberKey(n)); err != nil {
			return err
		}
	}
	return nil
}

// writeNewcomers writes a small number of new people.
func (r *round) writeNewcomers(tx *bolt.Tx) error {
	order := r.people.fresh.byID()
	if err := r.writeIndex(tx, order); err != nil {
		return err
	}
	slices.Sort(order)
	return r.writePeople(tx, bucketPeople, order)
}

// mark changes the head alone, after f.
func (m *Mirror) mark(change func(*head), f func(*bolt.Tx) error) error {
	old := m.state.Load()
	next := &state{
		head: old.head, sel: old.sel, groups: old.groups, streams: old.streams,
		gone: old.gone, disabled: old.disabled, profiled: old.profiled,
		roots: old.roots, scope: old.scope, unions: map[Root]*union{},
	}
	next.inherit(old, nil)
	change(&next.head)
	return m.publish("mark", next, func(tx *bolt.Tx) error {
		if f == nil {
			return nil
		}
		return f(tx)
	})
}

// dropStaged removes what an unfinished large round left.
func (m *Mirror) dropStaged() error {
	h := m.state.Load().head
	if !h.staging {
		return nil
	}
	for _, bucket := range [][]byte{bucketPeople, bucketIDs} {
		if err := m.dropUnseen(bucket, h.next); err != nil {
			return err
		}
	}
	return m.mark(func(h *head) { h.staging = false }, func(tx *bolt.Tx) error {
		if h.overlay {
			return nil
		}
		if err := tx.DeleteBucket(bucketOverlay); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
			return err
		}
		return nil
	})
}

// dropUnseen deletes the records of numbers from next on, in portions.
func (m *Mirror) dropUnseen(bucket []byte, next uint32) error {
	var from []byte
	for {
		var keys [][]byte
		err := m.db.View(func(tx *bolt.Tx) error {
			var err error
			keys, err = unseenKeys(tx, bucket, from, next, m.opt.portion)
			return err
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = m.step("drop unseen people", func(tx *bolt.Tx) error {
			for _, k := range keys {
				if err := tx.Bucket(bucket).Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		from = keys[len(keys)-1]
	}
}

// unseenKeys are at most portion keys, not before from, of records of numbers
// from next on.
func unseenKeys(tx *bolt.Tx, bucket, from []byte, next uint32, portion int) ([][]byte, error) {
	people := string(bucket) == string(bucketPeople)
	c := tx.Bucket(bucket).Cursor()
	k, v := c.Seek(from)
	if from == nil && people {
		k, v = c.Seek(numberKey(next))
	}
	var keys [][]byte
	for ; k != nil && len(keys) < portion; k, v = c.Next() {
		unseen := people
		if !unseen {
			value, err := unseal("ids", k, v)
			if err != nil {
				return nil, err
			}
			unseen = len(value) == 4 && binary.BigEndian.Uint32(value) >= next
		}
		if unseen {
			keys = append(keys, slices.Clone(k))
		}
	}
	return keys, nil
}

// foldOverlay moves the overlay into the people. Readers see the same before,
// during and after.
func (m *Mirror) foldOverlay(ctx context.Context) error {
	if !m.state.Load().head.overlay {
		return nil
	}
	var from []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		moved := 0
		err := m.step("fold changed people", func(tx *bolt.Tx) error {
			source, target := tx.Bucket(bucketOverlay), tx.Bucket(bucketPeople)
			if source == nil {
				return damaged("bucket %s is missing", bucketOverlay)
			}
			c := source.Cursor()
			k, v := c.Seek(from)
			for ; k != nil && moved < m.opt.portion; k, v = c.Next() {
				if err := target.Put(slices.Clone(k), slices.Clone(v)); err != nil {
					return err
				}
				moved++
			}
			from = slices.Clone(k)
			return nil
		})
		if err != nil {
			return err
		}
		if from == nil {
			break
		}
	}
	return m.mark(func(h *head) { h.overlay = false }, func(tx *bolt.Tx) error {
		return tx.DeleteBucket(bucketOverlay)
	})
}
