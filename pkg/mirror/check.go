package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// Check verifies a mirror's file that nobody has open: the pages, every
// checksum, and that records agree with each other. It can end the process on
// a badly damaged file, so run it in a child process.
func Check(path string) (err error) {
	db, err := boltfile.Open(path, boltfile.Options{ReadOnly: true}, nil)
	if err != nil {
		return ofMirror(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return guarded(path, func() error { return db.View(checkAll) })
}

func checkAll(tx *bolt.Tx) error {
	var pages error
	for fault := range tx.Check() {
		pages = errors.Join(pages, damaged("pages: %v", fault))
	}
	if pages != nil {
		return pages
	}
	if err := checkMeta(tx); err != nil {
		return err
	}
	st, err := loadState(tx)
	if err != nil {
		return err
	}
	if err := checkPeople(tx, st); err != nil {
		return err
	}
	return errors.Join(checkIndex(tx, st.head), checkGroups(st), checkFeed(tx, st.head))
}

// checkMeta looks at the records that nothing below reads.
func checkMeta(tx *bolt.Tx) error {
	if err := each(tx, bucketMeta, func(_, _ []byte) error { return nil }); err != nil {
		return err
	}
	for _, key := range [][]byte{keySchema, keyTenant, keyEpoch} {
		if _, err := need(tx, bucketMeta, key); err != nil {
			return err
		}
	}
	return nil
}

// checkPeople looks at the record of every number.
func checkPeople(tx *bolt.Tx, st *state) error {
	profiled, people := roaring.New(), index{tx: tx}
	for n := range st.head.next {
		p, _, err := people.person(st.head, n)
		if err != nil {
			return err
		}
		if len(p.profile) == 0 {
			continue
		}
		profiled.Add(n)
		if _, err := decodeProfile(st.sel, p.profile); err != nil {
			return fmt.Errorf("person %d: %w", n, err)
		}
		indexed, known, err := people.number(st.head.next, p.id)
		if err != nil {
			return err
		}
		if !known || indexed != n {
			return damaged("person %d is not what the index has for %s", n, p.id)
		}
	}
	if !profiled.Equals(st.profiled) {
		return damaged("the set of people with a profile differs from the profiles")
	}
	return each(tx, bucketPeople, func(key, _ []byte) error {
		if len(key) != 4 || (binary.BigEndian.Uint32(key) >= st.head.next && !st.head.staging) {
			return damaged("person record %x should not be there", key)
		}
		return nil
	})
}

// checkIndex looks at the way from ids to numbers.
func checkIndex(tx *bolt.Tx, h head) error {
	count, people := uint32(0), index{tx: tx}
	err := each(tx, bucketIDs, func(key, value []byte) error {
		if len(key) != 16 || len(value) != 4 {
			return damaged("ids record %x has a wrong length", key)
		}
		n := binary.BigEndian.Uint32(value)
		if n >= h.next {
			if h.staging {
				return nil
			}
			return damaged("ids record %x has a number that was never given", key)
		}
		count++
		p, _, err := people.person(h, n)
		if err == nil && string(p.id[:]) != string(key) {
			err = damaged("ids record %x has the number of %s", key, p.id)
		}
		return err
	})
	if err == nil && count != h.next {
		err = damaged("%d people have numbers, %d are indexed", h.next, count)
	}
	return err
}

// checkGroups looks at sets and streams.
func checkGroups(st *state) error {
	known := func(what string, set *roaring.Bitmap) error {
		if !set.IsEmpty() && set.Maximum() >= st.head.next {
			return damaged("%s names number %d, which was never given", what, set.Maximum())
		}
		return nil
	}
	for id, g := range st.groups {
		if err := known("group "+id.String(), g.Members); err != nil {
			return err
		}
	}
	for n, s := range st.streams {
		for _, id := range s.groups {
			if st.groups[id] == nil {
				return damaged("stream %d follows group %s, which has no record", n, id)
			}
		}
	}
	return errors.Join(known("gone", st.gone), known("disabled", st.disabled), known("profiled", st.profiled))
}

// checkFeed looks for a gap in the revisions.
func checkFeed(tx *bolt.Tx, h head) error {
	value, err := need(tx, bucketMeta, keyFloor)
	if err != nil {
		return err
	}
	if len(value) != 8 {
		return damaged("the feed's floor cannot be read")
	}
	want := binary.BigEndian.Uint64(value)
	err = each(tx, bucketFeed, func(key, value []byte) error {
		want++
		if string(key) != string(revisionKey(want)) {
			return damaged("feed record %x stands where revision %d should", key, want)
		}
		_, err := decodeFeed(key, value)
		return err
	})
	if err == nil && want != h.revision {
		err = damaged("the feed ends at revision %d instead of %d", want, h.revision)
	}
	return err
}
