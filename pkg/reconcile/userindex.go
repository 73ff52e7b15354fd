package reconcile

import (
	"cmp"
	"hash/maphash"
	"iter"
	"slices"
)

// userIndex finds the people whose account has an id in the store. It holds
// hashes, 16 bytes a person, because there may be a million of them. Two ids
// are taken for one when 96 bits of two hashes with seeds of their own agree.
type userIndex struct {
	seed, second maphash.Seed
	entries      []indexed
	sorted       bool
}

type indexed struct {
	hash   uint64
	check  uint32
	person uint32
}

func newUserIndex(people int) *userIndex {
	return &userIndex{seed: maphash.MakeSeed(), second: maphash.MakeSeed(), entries: make([]indexed, 0, people)}
}

func (x *userIndex) size() int { return len(x.entries) }

func (x *userIndex) entry(user string, person uint32) indexed {
	return indexed{maphash.String(x.seed, user), uint32(maphash.String(x.second, user)), person} //nolint:gosec // the low half of a hash
}

func (x *userIndex) add(user string, person uint32) {
	x.entries = append(x.entries, x.entry(user, person))
	x.sorted = false
}

// of are the people whose account the user is: one, as a rule.
func (x *userIndex) of(user string) iter.Seq[uint32] {
	if !x.sorted {
		slices.SortFunc(x.entries, func(a, b indexed) int { return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.person, b.person)) })
		x.sorted = true
	}
	wanted := x.entry(user, 0)
	return func(yield func(uint32) bool) {
		at, _ := slices.BinarySearchFunc(x.entries, wanted.hash, func(e indexed, hash uint64) int { return cmp.Compare(e.hash, hash) })
		for ; at < len(x.entries) && x.entries[at].hash == wanted.hash; at++ {
			if x.entries[at].check == wanted.check && !yield(x.entries[at].person) {
				return
			}
		}
	}
}
