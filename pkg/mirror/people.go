package mirror

import (
	"bytes"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// people is what a round has learnt of people. Profiles lie in the round file,
// only their places are in memory.
type people struct {
	m        *Mirror
	base     *state
	reselect bool // the select list is not the one of the stored profiles
	mode     profileMode
	index    index // its transaction is set within during

	fresh *newcomers
	scope *roaring.Bitmap // in some configured closure, as far as it is known
	asked *roaring.Bitmap // asked for by id in this round
	early *roaring.Bitmap // answered before they were known to be in scope
	seen  *roaring.Bitmap // named by the stream of all users, read from its start

	gone, disabled, profiled *roaring.Bitmap // as they will be

	file    *roundFile
	places  offsets
	staged  *roaring.Bitmap // a profile lies in the round file
	touched *roaring.Bitmap // of these, whose attributes are others than before
}

func newPeople(m *Mirror, base *state, scope *roaring.Bitmap) *people {
	p := &people{
		m: m, base: base, scope: scope,
		reselect: !slices.Equal(base.sel, m.sel),
		mode:     base.head.mode,
		fresh:    newNewcomers(base.head.next),
		file:     newRoundFile(roundPath(m.path)),
	}
	p.clear()
	return p
}

// clear forgets what was learnt, but not the numbers given.
func (p *people) clear() {
	p.asked, p.seen, p.staged, p.touched = roaring.New(), roaring.New(), roaring.New(), roaring.New()
	p.early = roaring.New()
	p.gone, p.disabled, p.profiled = p.base.gone.Clone(), p.base.disabled.Clone(), p.base.profiled.Clone()
	p.places = offsets{}
}

// reset is clear for a stream that broke off: what it delivered does not count.
func (p *people) reset() error {
	p.clear()
	if err := p.file.remove(); err != nil {
		return err
	}
	p.file = newRoundFile(roundPath(p.m.path))
	return nil
}

// during runs f with a read transaction. It is held for one page at most: a
// pull takes minutes, and pages of the file are not used again while somebody
// reads.
func (p *people) during(f func() error) error {
	return guarded(p.m.path, func() error {
		return p.m.db.View(func(tx *bolt.Tx) error {
			p.index = index{tx: tx}
			defer func() { p.index = index{} }()
			return f()
		})
	})
}

// number is the number of a person met before.
func (p *people) number(id identity.ObjectID) (uint32, bool, error) {
	if n, known := p.fresh.find(id); known {
		return n, true, nil
	}
	if p.base.head.next == 0 {
		return 0, false, nil
	}
	return p.index.number(p.base.head.next, id)
}

// meet is number, giving one to a person seen for the first time.
func (p *people) meet(id identity.ObjectID) (uint32, error) {
	n, known, err := p.number(id)
	if err != nil || known {
		return n, err
	}
	return p.fresh.add(id), nil
}

// idsOf lists the ids of a set.
func (p *people) idsOf(set *roaring.Bitmap) ([]identity.ObjectID, error) {
	if set.IsEmpty() {
		return nil, nil
	}
	ids := make([]identity.ObjectID, 0, set.GetCardinality())
	err := p.during(func() error {
		for it := set.Iterator(); it.HasNext(); {
			record, err := p.record(it.Next())
			if err != nil {
				return err
			}
			ids = append(ids, record.id)
		}
		return nil
	})
	return ids, err
}

// record is a person as he was before the round.
func (p *people) record(n uint32) (person, error) {
	if id, fresh := p.fresh.id(n); fresh {
		return person{id: id}, nil
	}
	record, known, err := p.index.person(p.base.head, n)
	if err == nil && !known {
		err = damaged("person %d is a member and has no record", n)
	}
	return record, err
}

// missing are the people who need a profile and have none.
func (p *people) missing() *roaring.Bitmap {
	return roaring.AndNot(roaring.AndNot(p.scope, p.profiled), p.gone)
}

// mark notes who is named by the stream of everybody.
func (p *people) mark(changes []directory.PersonChange) {
	for i := range changes {
		// A failed look-up comes again, and is reported, in apply.
		if n, known, err := p.number(changes[i].ID); err == nil && known {
			p.seen.Add(n)
		}
	}
}

// apply takes in what a page says of people. whole: the attributes are the
// whole profile, not only what changed. People outside every closure are read
// past; they are asked for should they become members.
func (p *people) apply(changes []directory.PersonChange, whole bool) error {
	for i := range changes {
		if err := p.change(&changes[i], whole); err != nil {
			return err
		}
	}
	return nil
}

func (p *people) change(c *directory.PersonChange, whole bool) error {
	n, known, err := p.number(c.ID)
	if err != nil || !known {
		return err
	}
	inScope := p.scope.Contains(n)
	if c.Removal != directory.Present {
		// Also of one who has just left the last closure: his memberships
		// may have been taken away because of this, and may come back
		// without a word when he is restored.
		if inScope || p.profiled.Contains(n) {
			p.gone.Add(n)
		}
		return nil
	}
	p.gone.Remove(n)
	if !inScope {
		p.early.Add(n)
		return nil
	}
	attributes := c.Attributes
	if !whole {
		old, found, err := p.attributes(n)
		if err != nil || !found {
			// Without what was before, a change is no profile: he is
			// asked for at the end of the round.
			return err
		}
		attributes = mergeProfile(old, attributes)
	}
	return p.stage(n, attributes)
}

// attributes is the profile as it stands in this round.
func (p *people) attributes(n uint32) (map[string]string, bool, error) {
	if p.staged.Contains(n) {
		profile, err := p.file.read(p.places.get(n))
		if err != nil {
			return nil, false, err
		}
		attributes, err := decodeProfile(p.m.sel, profile)
		return attributes, err == nil, err
	}
	record, err := p.record(n)
	if err != nil || len(record.profile) == 0 || !p.profiled.Contains(n) {
		return nil, false, err
	}
	attributes, err := decodeProfile(p.base.sel, record.profile)
	return attributes, err == nil, err
}

// stage keeps a profile for the commit, unless it is the one already stored.
func (p *people) stage(n uint32, attributes map[string]string) error {
	profile := encodeProfile(p.m.sel, attributes)
	record, err := p.record(n)
	if err != nil {
		return err
	}
	same, err := p.same(record.profile, profile)
	if err != nil {
		return err
	}
	p.profiled.Add(n)
	if attributes[identity.AccountEnabled] == "false" && slices.Contains(p.m.sel, identity.AccountEnabled) {
		p.disabled.Add(n)
	} else {
		p.disabled.Remove(n)
	}
	if same {
		p.touched.Remove(n)
	} else {
		p.touched.Add(n)
	}
	if same && !p.reselect {
		p.staged.Remove(n)
		return nil
	}
	place, err := p.file.append(profile)
	if err != nil {
		return err
	}
	p.places.set(n, place)
	p.staged.Add(n)
	return nil
}

// same compares a stored profile with a new one by what they say.
func (p *people) same(stored, profile []byte) (bool, error) {
	if len(stored) == 0 || !p.reselect {
		return bytes.Equal(stored, profile), nil
	}
	old, err := decodeProfile(p.base.sel, stored)
	if err != nil {
		return false, err
	}
	fresh, err := decodeProfile(p.m.sel, profile)
	if err != nil {
		return false, err
	}
	return maps.Equal(old, fresh), nil
}

// restage writes the profiles that the round did not bring in the new select
// list, after it changed. What was not read of them is absent.
func (p *people) restage() error {
	if !p.reselect {
		return nil
	}
	return p.during(func() error {
		rest := roaring.AndNot(p.profiled, p.staged)
		for it := rest.Iterator(); it.HasNext(); {
			n := it.Next()
			attributes, _, err := p.attributes(n)
			if err != nil {
				return err
			}
			if err := p.stage(n, attributes); err != nil {
				return err
			}
		}
		return nil
	})
}

// final is a person's record as it will be.
func (p *people) final(n uint32) (person, error) {
	record, err := p.record(n)
	if err != nil {
		return person{}, err
	}
	switch {
	case !p.profiled.Contains(n):
		record.profile = nil
	case p.staged.Contains(n):
		record.profile, err = p.file.read(p.places.get(n))
	}
	return record, err
}
