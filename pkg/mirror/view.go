// Package mirror is the local copy of one directory: people, groups,
// memberships, delta links and the feed of what changed, in one bbolt file. It
// knows neither Graph nor the vaults.
package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

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

// View is one consistent state of the mirror, unmoved by refreshes. It holds a
// read transaction: Close it soon, and do not refresh the mirror from the
// goroutine that holds one. A View is for one goroutine at a time.
//
// Bitmaps that its methods return stay good after Close; they are shared, so
// clone one before changing it.
type View struct {
	m     *Mirror
	tx    *bolt.Tx
	st    *state
	index index

	// last is the person that was read last, whose number is lastNumber: id,
	// record and profile are asked for one after the other.
	last       person
	lastNumber uint32
	lastKnown  bool
}

// View is the last good state.
func (m *Mirror) View() (*View, error) {
	var v *View
	err := guarded(m.path, func() error {
		tx, st, err := m.begin()
		if err == nil {
			v = &View{m: m, tx: tx, st: st, index: index{tx: tx}}
		}
		return err
	})
	return v, err
}

// Close ends the view.
func (v *View) Close() error {
	v.last, v.lastKnown = person{}, false // part of the file
	if err := v.tx.Rollback(); err != nil && !errors.Is(err, berrors.ErrTxClosed) {
		return fmt.Errorf("mirror %s: end a view: %w", v.m.path, err)
	}
	return nil
}

// Epoch names this very file: numbers and revisions of another epoch mean
// nothing here.
func (v *View) Epoch() string { return v.m.epoch }

// Revision counts the changes of people and groups.
func (v *View) Revision() uint64 { return v.st.head.revision }

// PulledAt is when the directory was last read with success.
func (v *View) PulledAt() time.Time { return v.st.head.pulledAt }

// Group is a followed group; false when the mirror does not follow it (yet).
func (v *View) Group(id identity.ObjectID) (Group, bool, error) {
	g := v.st.groups[id]
	if g == nil {
		return Group{}, false, nil
	}
	return g.Group, true, nil
}

// Number is the number of a person that was ever a member of a followed group.
func (v *View) Number(id identity.ObjectID) (n uint32, known bool, err error) {
	err = guarded(v.m.path, func() error {
		n, known, err = v.index.number(v.st.head.next, id)
		return err
	})
	return n, known, err
}

// ID is the object id behind a number.
func (v *View) ID(n uint32) (identity.ObjectID, bool, error) {
	p, known, err := v.person(n)
	return p.id, known, err
}

// Person is a profile as it was last read. False means that none was read: it
// is not readable yet, or was let go when the person left the last closure.
func (v *View) Person(n uint32) (identity.Person, bool, error) {
	p, known, err := v.person(n)
	if err != nil || !known || len(p.profile) == 0 {
		return identity.Person{}, false, err
	}
	attributes, err := decodeProfile(v.st.sel, p.profile)
	if err != nil {
		return identity.Person{}, false, at(v.m.path, err)
	}
	return identity.Person{ID: p.id, Attributes: attributes}, true, nil
}

func (v *View) person(n uint32) (p person, known bool, err error) {
	if v.lastKnown && v.lastNumber == n {
		return v.last, true, nil
	}
	err = guarded(v.m.path, func() error {
		p, known, err = v.index.person(v.st.head, n)
		return err
	})
	v.last, v.lastNumber, v.lastKnown = p, n, known && err == nil
	return p, known, err
}

// Gone are the people that the directory reported as soft-deleted or deleted,
// also when their memberships are still there.
func (v *View) Gone() *roaring.Bitmap { return v.st.gone }

// Disabled are the people in scope whose accountEnabled is false.
func (v *View) Disabled() *roaring.Bitmap { return v.st.disabled }

// Profiled are the people with a profile.
func (v *View) Profiled() *roaring.Bitmap { return v.st.profiled }

// Touched are the people whose profile, memberships at any depth or state
// changed after a revision. False means that this cannot be said: the feed
// does not reach back that far, or the revision is ahead of this mirror. Then
// everybody is to be looked at.
func (v *View) Touched(since uint64) (*roaring.Bitmap, bool, error) {
	people := roaring.New()
	reaches, err := v.feed(since, func(f feedEntry) { people.Or(f.people) })
	if err != nil || !reaches {
		return nil, false, err
	}
	return people, true, nil
}

// Changed are the groups whose name, state, direct members or children changed
// after a revision, those included that are no longer followed. The second
// result is as for Touched.
func (v *View) Changed(since uint64) (map[identity.ObjectID]bool, bool, error) {
	groups := map[identity.ObjectID]bool{}
	reaches, err := v.feed(since, func(f feedEntry) {
		for _, id := range f.groups {
			groups[id] = true
		}
	})
	if err != nil || !reaches {
		return nil, false, err
	}
	return groups, true, nil
}

// feed calls f for each entry after a revision.
func (v *View) feed(since uint64, f func(feedEntry)) (reaches bool, err error) {
	if since > v.st.head.revision {
		return false, nil
	}
	err = guarded(v.m.path, func() error {
		floor, err := need(v.tx, bucketMeta, keyFloor)
		if err != nil {
			return err
		}
		if len(floor) != 8 {
			return damaged("the feed's floor cannot be read")
		}
		if since < binary.BigEndian.Uint64(floor) {
			return nil
		}
		reaches = true
		for n := since + 1; n <= v.st.head.revision; n++ {
			key := revisionKey(n)
			value, err := need(v.tx, bucketFeed, key)
			if err != nil {
				return err
			}
			entry, err := decodeFeed(key, value)
			if err != nil {
				return err
			}
			f(entry)
		}
		return nil
	})
	return reaches, err
}

// Members are the people of a root: its direct members, and with nested those
// of the groups inside it at any depth. When complete is false, why says for
// which reason the result may lack people: then no removal may be computed
// from it. See unite for what counts.
func (v *View) Members(root identity.ObjectID, nested bool) (people *roaring.Bitmap, complete bool, why string, err error) {
	u := v.st.members(Root{ID: root, Nested: nested})
	return u.people, u.complete, u.why, nil
}

// Path is a shortest chain of nested groups, from the root to the group that
// has the person as a direct member.
func (v *View) Path(root identity.ObjectID, person uint32) ([]identity.ObjectID, bool) {
	return chain(v.st.lookup, Root{ID: root, Nested: true}, person)
}
