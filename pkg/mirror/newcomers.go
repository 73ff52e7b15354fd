package mirror

import (
	"hash/maphash"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

const chunk = 4096

// newcomers are the people met for the first time in a round: object id to
// number and back. It is a hash table over a list that grows by chunks, about
// 25 bytes a person, because a first read may bring a million of them.
type newcomers struct {
	first uint32 // the number of the first newcomer
	count uint32
	ids   []*[chunk]identity.ObjectID
	slots []uint32 // position+1 in ids; 0 is free; a power of two long
	seed  maphash.Seed
}

func newNewcomers(first uint32) *newcomers {
	return &newcomers{first: first, seed: maphash.MakeSeed()}
}

func (t *newcomers) at(i uint32) *identity.ObjectID { return &t.ids[i/chunk][i%chunk] }

// slot is where id is, or where it would go.
func (t *newcomers) slot(id identity.ObjectID) int {
	mask := len(t.slots) - 1
	i := int(maphash.Bytes(t.seed, id[:])) & mask
	for t.slots[i] != 0 && *t.at(t.slots[i] - 1) != id {
		i = (i + 1) & mask
	}
	return i
}

// find is the number of a newcomer.
func (t *newcomers) find(id identity.ObjectID) (uint32, bool) {
	if t.count == 0 {
		return 0, false
	}
	at := t.slots[t.slot(id)]
	if at == 0 {
		return 0, false
	}
	return t.first + at - 1, true
}

// add numbers an id that find does not know.
func (t *newcomers) add(id identity.ObjectID) uint32 {
	if int(t.count)*4 >= len(t.slots)*3 {
		t.grow()
	}
	if t.count%chunk == 0 {
		t.ids = append(t.ids, new([chunk]identity.ObjectID))
	}
	*t.at(t.count) = id
	slot := t.slot(id)
	t.count++
	t.slots[slot] = t.count
	return t.first + t.count - 1
}

func (t *newcomers) grow() {
	t.slots = make([]uint32, max(1024, len(t.slots)*2))
	for i := range t.count {
		t.slots[t.slot(*t.at(i))] = i + 1
	}
}

// id is the object id behind the number of a newcomer.
func (t *newcomers) id(n uint32) (identity.ObjectID, bool) {
	if n < t.first || n-t.first >= t.count {
		return identity.ObjectID{}, false
	}
	return *t.at(n - t.first), true
}

// byID lists the numbers in the order of the ids, which is the order in which
// the index is written.
func (t *newcomers) byID() []uint32 {
	order := make([]uint32, t.count)
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return t.at(a).Compare(*t.at(b)) })
	for i := range order {
		order[i] += t.first
	}
	return order
}
