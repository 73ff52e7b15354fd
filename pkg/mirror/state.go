package mirror

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// state is what the mirror keeps in memory of one committed head: everything
// but the people. It is never changed once published; a refresh publishes a
// new one, which shares what did not change.
type state struct {
	head    head
	sel     []string // the list that stored profiles were written with
	groups  map[identity.ObjectID]*group
	streams map[uint32]stream

	gone, disabled, profiled *roaring.Bitmap

	// Roots and scope of the last refresh, so that a quiet one need not
	// compute the union again.
	roots []Root
	scope *roaring.Bitmap

	mu     sync.Mutex
	unions map[Root]*union // computed when asked for
}

// union is the membership of one root.
type union struct {
	people   *roaring.Bitmap
	complete bool
	why      string
	through  []identity.ObjectID // every group that was looked at
}

func loadState(tx *bolt.Tx) (*state, error) {
	st := &state{groups: map[identity.ObjectID]*group{}, streams: map[uint32]stream{}, unions: map[Root]*union{}}
	var err error
	if st.head, err = getHead(tx); err != nil {
		return nil, err
	}
	value, err := need(tx, bucketMeta, keySelect)
	if err != nil {
		return nil, err
	}
	if st.sel, err = decodeSelect(value); err != nil {
		return nil, err
	}
	err = each(tx, bucketGroups, func(key, value []byte) error {
		g, err := decodeGroup(key, value)
		if err == nil {
			st.groups[g.ID] = g
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = each(tx, bucketStreams, func(key, value []byte) error {
		s, err := decodeStream(key, value)
		if err != nil {
			return err
		}
		if len(key) != 4 {
			return damaged("stream record %x has a wrong key", key)
		}
		st.streams[binary.BigEndian.Uint32(key)] = s
		return nil
	})
	if err != nil {
		return nil, err
	}
	if st.gone, err = getSet(tx, keyGone); err != nil {
		return nil, err
	}
	if st.disabled, err = getSet(tx, keyDisabled); err != nil {
		return nil, err
	}
	st.profiled, err = getSet(tx, keyProfiled)
	return st, err
}

func (st *state) lookup(id identity.ObjectID) *group { return st.groups[id] }

// members is the union for one root, computed once for this state.
func (st *state) members(root Root) *union {
	st.mu.Lock()
	defer st.mu.Unlock()
	u := st.unions[root]
	if u == nil {
		u = unite(st.lookup, root)
		st.unions[root] = u
	}
	return u
}

// inherit takes over the unions in which nothing changed.
func (st *state) inherit(old *state, changed map[identity.ObjectID]bool) {
	old.mu.Lock()
	defer old.mu.Unlock()
	for root, u := range old.unions {
		if !slices.ContainsFunc(u.through, func(id identity.ObjectID) bool { return changed[id] }) {
			st.unions[root] = u
		}
	}
}
