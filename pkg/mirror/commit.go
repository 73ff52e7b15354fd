package mirror

import (
	"context"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// outcome is what a round comes to.
type outcome struct {
	next     *state
	changed  map[identity.ObjectID]bool // groups, those let go included
	touched  *roaring.Bitmap
	existing *roaring.Bitmap // people with a record that must be rewritten
	streams  bool            // links or what they follow differ
	sets     bool            // gone, disabled or profiled differ
}

// commit compares the round with what is stored and makes the difference
// visible.
func (r *round) commit(ctx context.Context) error {
	o, err := r.outcome()
	if err != nil {
		return err
	}
	if err := r.write(ctx, o); err != nil {
		return err
	}
	r.report.Full = r.full
	r.report.Revision = o.next.head.revision
	r.report.Touched = int(o.touched.GetCardinality())
	return nil
}

func (r *round) outcome() (*outcome, error) {
	p, base := r.people, r.base
	o := &outcome{changed: map[identity.ObjectID]bool{}}
	next := &state{
		head: base.head, sel: r.m.sel, unions: map[Root]*union{},
		groups: make(map[identity.ObjectID]*group, len(base.groups)), streams: map[uint32]stream{},
		roots: r.roots, scope: p.scope,
	}
	o.next = next

	// People who are in no closure any more lose their profile; the number
	// stays, so that a vault that has yet to see them leave still knows them.
	left := roaring.AndNot(p.profiled, p.scope)
	p.profiled.And(p.scope)
	p.disabled.And(p.profiled)
	p.staged.And(p.scope)
	p.touched.And(p.scope)
	if p.mode == modeRead && r.full {
		// Who is gone and in no group would be asked for each time; the
		// groups have just been read whole.
		p.gone.And(p.scope)
	}
	if err := p.restage(); err != nil {
		return nil, err
	}
	o.touched = p.touched.Clone()
	o.touched.Or(roaring.And(roaring.Xor(base.gone, p.gone), p.scope))

	r.compareGroups(o)
	o.existing = roaring.Or(p.staged, left)
	o.existing.RemoveRange(uint64(p.fresh.first), 1<<32)

	next.gone, next.disabled, next.profiled = share(base.gone, p.gone), share(base.disabled, p.disabled), share(base.profiled, p.profiled)
	o.sets = next.gone != base.gone || next.disabled != base.disabled || next.profiled != base.profiled
	r.compareStreams(o)

	next.head.pulledAt = r.now
	next.head.mode = p.mode
	if r.full {
		next.head.fullAt = r.now
	}
	if len(o.changed) > 0 || !o.touched.IsEmpty() {
		next.head.revision++
		next.head.next += p.fresh.count
	}
	next.inherit(base, o.changed)
	return o, nil
}

// share keeps the old set when nothing is different.
func share(old, fresh *roaring.Bitmap) *roaring.Bitmap {
	if old.Equals(fresh) {
		return old
	}
	fresh.RunOptimize()
	return fresh
}

// compareGroups finds the groups that changed and the people concerned: who
// came into or left a group, and, where nesting or a state changed, who came
// in or left by that way at any depth.
func (r *round) compareGroups(o *outcome) {
	var reshaped []identity.ObjectID
	compare := func(id identity.ObjectID, was, is *group) {
		before, after := roaring.New(), roaring.New()
		if was != nil {
			before = was.Members
		}
		if is != nil {
			after = is.Members
		}
		o.changed[id] = true
		o.touched.Or(roaring.Xor(before, after))
		if was == nil || is == nil || was.State != is.State || !slices.Equal(was.Children, is.Children) {
			reshaped = append(reshaped, id)
		}
	}
	for _, id := range followed(r.group, r.roots) {
		was, is := r.base.groups[id], r.group(id)
		if was != nil && (was == is || was.equal(is)) {
			o.next.groups[id] = was
			continue
		}
		is.Members.RunOptimize()
		o.next.groups[id] = is
		compare(id, was, is)
	}
	for id, was := range r.base.groups {
		if o.next.groups[id] == nil {
			compare(id, was, nil)
		}
	}
	for _, id := range reshaped {
		o.touched.Or(roaring.Xor(inside(r.base.lookup, id), inside(o.next.lookup, id)))
	}
}

// inside is what a group contributes to those around it.
func inside(groups lookup, id identity.ObjectID) *roaring.Bitmap {
	if g := groups(id); g == nil || g.State == directory.GroupMissing {
		return roaring.New()
	}
	return unite(groups, Root{ID: id, Nested: true}).people
}

// compareStreams lists the links to store. A full read numbers them anew.
func (r *round) compareStreams(o *outcome) {
	number := uint32(usersStream)
	if !r.full {
		for n := range r.base.streams {
			number = max(number, n)
		}
	}
	for _, j := range r.jobs {
		if j.users {
			o.next.streams[usersStream] = stream{link: j.newLink}
			continue
		}
		s := stream{link: j.newLink}
		for _, id := range j.groups {
			if o.next.groups[id] != nil {
				s.groups = append(s.groups, id)
			}
		}
		if len(s.groups) == 0 {
			continue
		}
		n := j.number
		if n == 0 {
			number++
			n = number
		}
		o.next.streams[n] = s
	}
	o.streams = !maps.EqualFunc(r.base.streams, o.next.streams, func(a, b stream) bool {
		return a.link == b.link && slices.Equal(a.groups, b.groups)
	})
}

// write makes an outcome visible. A large one is first laid down in portions
// that nobody sees; what makes it visible is always one transaction.
func (r *round) write(ctx context.Context, o *outcome) error {
	m, base, next := r.m, r.base, o.next
	moved := next.head.revision != base.head.revision
	if !moved && !o.streams && !o.sets && o.existing.IsEmpty() && !r.people.reselect &&
		next.head.mode == base.head.mode && !r.full {
		// Nothing to store. The time alone is kept in memory.
		m.committing.Lock()
		defer m.committing.Unlock()
		m.state.Store(next)
		return nil
	}
	portion := m.opt.portion
	stagedNew := moved && int(r.people.fresh.count) > portion
	stagedOld := int(o.existing.GetCardinality()) > portion
	if stagedNew || stagedOld {
		if err := r.stage(ctx, o, stagedNew, stagedOld); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	next.head.staging = false
	next.head.overlay = stagedOld
	err := m.publish("commit", next, func(tx *bolt.Tx) error {
		r.people.index = index{tx: tx}
		defer func() { r.people.index = index{} }()
		if moved && !stagedNew {
			if err := r.writeNewcomers(tx); err != nil {
				return err
			}
		}
		if !stagedOld {
			if err := r.writePeople(tx, bucketPeople, o.existing.ToArray()); err != nil {
				return err
			}
		}
		return r.writeRest(tx, o, moved)
	})
	if err != nil || !stagedOld {
		return err
	}
	return m.foldOverlay(ctx)
}

// writeRest writes all but the people.
func (r *round) writeRest(tx *bolt.Tx, o *outcome, moved bool) error {
	if err := r.writeGroups(tx, o); err != nil {
		return err
	}
	base, next := r.base, o.next
	sets := []struct {
		key      []byte
		old, new *roaring.Bitmap
	}{{keyGone, base.gone, next.gone}, {keyDisabled, base.disabled, next.disabled}, {keyProfiled, base.profiled, next.profiled}}
	for _, s := range sets {
		if s.old == s.new {
			continue
		}
		if err := putSet(tx, s.key, s.new); err != nil {
			return err
		}
	}
	if r.people.reselect {
		if err := put(tx, bucketMeta, keySelect, encodeSelect(next.sel)); err != nil {
			return err
		}
	}
	if !moved {
		return nil
	}
	o.touched.RunOptimize()
	entry := feedEntry{at: r.now, people: o.touched, groups: slices.SortedFunc(maps.Keys(o.changed), identity.ObjectID.Compare)}
	value, err := entry.encode()
	if err != nil {
		return err
	}
	if err := put(tx, bucketFeed, revisionKey(next.head.revision), value); err != nil {
		return err
	}
	return pruneFeed(tx, 0, r.now)
}

// writeGroups writes the groups that changed and the streams they are read by.
func (r *round) writeGroups(tx *bolt.Tx, o *outcome) error {
	base, next := r.base, o.next
	for _, id := range slices.SortedFunc(maps.Keys(o.changed), identity.ObjectID.Compare) {
		g := next.groups[id]
		if g == nil {
			if err := tx.Bucket(bucketGroups).Delete(id[:]); err != nil {
				return err
			}
			continue
		}
		value, err := g.encode()
		if err != nil {
			return err
		}
		if err := put(tx, bucketGroups, slices.Clone(id[:]), value); err != nil {
			return err
		}
	}
	for n := range base.streams {
		if _, stays := next.streams[n]; !stays {
			if err := tx.Bucket(bucketStreams).Delete(numberKey(n)); err != nil {
				return err
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(next.streams)) {
		s, old := next.streams[n], base.streams[n]
		if old.link == s.link && slices.Equal(old.groups, s.groups) {
			continue
		}
		if err := put(tx, bucketStreams, numberKey(n), s.encode()); err != nil {
			return err
		}
	}
	return nil
}
