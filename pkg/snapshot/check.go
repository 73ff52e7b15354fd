package snapshot

import (
	"errors"
	"fmt"
	"os"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// Check verifies a file that nobody has open: the pages, every checksum, and
// that records agree with each other. It can end the process on a badly
// damaged file, so run it in a child process.
func Check(path string) (err error) {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	if err := boltfile.Check(path); err != nil {
		return err
	}
	db, err := boltfile.Open(path, boltfile.Options{ReadOnly: true}, nil)
	if err != nil {
		return err
	}
	s := &Snapshot{db: db, path: path}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Read(func(tx *Tx) error {
		for _, name := range buckets {
			if tx.tx.Bucket(name) == nil {
				return damaged("there is no bucket %s", name)
			}
		}
		if _, err := tx.Meta(); err != nil {
			return err
		}
		if _, err := tx.shown(); err != nil {
			return err
		}
		return errors.Join(tx.checkPeople(), tx.checkLogins(), tx.checkRest())
	})
}

// checkPeople reads every record, and compares the sets with the records.
func (t *Tx) checkPeople() error {
	want := map[State]*roaring.Bitmap{}
	for _, s := range []State{Waiting, Active, Leaving, Left, Tombstone, Again} {
		want[s] = roaring.New()
	}
	numbers := roaring.New()
	for a, err := range t.Accounts() {
		if err != nil {
			return err
		}
		set, known := want[a.State]
		switch {
		case !known || a.State == Again:
			return damaged("%s is in the unknown state %d", a.Person, a.State)
		case !numbers.CheckedAdd(a.Number):
			return damaged("two people have the number %d, one is %s", a.Number, a.Person)
		}
		set.Add(a.Number)
		if a.Problem != "" || a.Tries > 0 {
			want[Again].Add(a.Number)
		}
	}
	for s, people := range want {
		got, err := t.set(s)
		if err != nil {
			return err
		}
		if !got.Equals(people) {
			return damaged("the set of state %d has %d people, the records say %d", s, got.GetCardinality(), people.GetCardinality())
		}
	}
	_, err := t.OutOfScope()
	return err
}

// checkRest reads the groups and what is noted of changes.
func (t *Tx) checkRest() error {
	if _, err := t.Groups(); err != nil {
		return err
	}
	if _, err := t.batch(); err != nil {
		return err
	}
	c := t.tx.Bucket(bucketIntents).Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		if _, err := objectID(key); err != nil {
			return err
		}
	}
	return nil
}
