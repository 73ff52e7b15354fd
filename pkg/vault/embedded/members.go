package embedded

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Members of a group are kept by blocks of user ids: a record says who of
// blockUsers users is in the group. A record for each membership would be most
// of the file, and most of the time of a first import.
const (
	blockBits  = 12
	blockUsers = 1 << blockBits
)

// block is one bit for each of its users.
type block [blockUsers / 64]uint64

func (b *block) add(id uint64)    { b[id%blockUsers/64] |= 1 << (id % 64) }
func (b *block) remove(id uint64) { b[id%blockUsers/64] &^= 1 << (id % 64) }

// ids appends the users of the block that begins with the id first.
func (b *block) ids(ids []uint64, first uint64) []uint64 {
	for i, word := range b {
		for ; word != 0; word &= word - 1 {
			ids = append(ids, first+uint64(64*i+bits.TrailingZeros64(word))) //nolint:gosec // less than blockUsers
		}
	}
	return ids
}

// size is how many users are in the block.
func (b *block) size() (n int) {
	for _, word := range b {
		n += bits.OnesCount64(word)
	}
	return n
}

// maxListed is how many users are written as a list of two bytes each: more
// take less as bits.
const maxListed = blockUsers/8/2 - 1

func (b *block) encode() []byte {
	if n := b.size(); n <= maxListed {
		list := make([]byte, 0, 2*n)
		for _, id := range b.ids(make([]uint64, 0, n), 0) {
			list = binary.BigEndian.AppendUint16(list, uint16(id)) //nolint:gosec // less than blockUsers
		}
		return list
	}
	all := make([]byte, 0, blockUsers/8)
	for _, word := range b {
		all = binary.BigEndian.AppendUint64(all, word)
	}
	return all
}

// decodeBlock reads what encode writes, and nothing else; ok says that it did.
func decodeBlock(value []byte) (b block, ok bool) {
	if len(value) == blockUsers/8 {
		for i := range b {
			b[i] = binary.BigEndian.Uint64(value[8*i:])
		}
		return b, b.size() > maxListed
	}
	if len(value) == 0 || len(value)%2 != 0 || len(value) > 2*maxListed {
		return b, false
	}
	last := -1
	for ; len(value) > 0; value = value[2:] {
		id := int(binary.BigEndian.Uint16(value))
		if id <= last || id >= blockUsers {
			return b, false
		}
		b.add(uint64(id))
		last = id
	}
	return b, true
}

// block reads the block of a group that a user is in.
func (t people) block(group, id uint64) (block, error) {
	k := key(group, id>>blockBits)
	value, found, err := t.members.get(k)
	if err != nil || !found {
		return block{}, err
	}
	return t.readBlock(k, value)
}

func (t people) readBlock(k, value []byte) (block, error) {
	b, ok := decodeBlock(value)
	if !ok || len(k) != 16 || number(k[8:]) > 1<<(64-blockBits)-1 {
		return block{}, damaged(t.members.name, "the record of %x is no list of members", k)
	}
	return b, nil
}

// membersOf reads the user ids of a group, in order.
func (t people) membersOf(group uint64) ([]uint64, error) {
	var ids []uint64
	prefix := key(group)
	cursor := t.members.bucket.Cursor()
	for k, v := cursor.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = cursor.Next() {
		value, err := t.members.checked(k, v)
		if err != nil {
			return nil, err
		}
		b, err := t.readBlock(k, value)
		if err != nil {
			return nil, err
		}
		ids = b.ids(ids, number(k[8:])<<blockBits)
	}
	return ids, nil
}

// join puts users into a group.
func (w *writer) join(g group, ids []uint64) error { return w.regroup(g, ids, (*block).add) }

// leave takes users out of a group.
func (w *writer) leave(g group, ids []uint64) error { return w.regroup(g, ids, (*block).remove) }

// regroup changes each block of a group once, and writes those that are other
// than they were.
func (w *writer) regroup(g group, ids []uint64, change func(*block, uint64)) error {
	ids = slices.Sorted(slices.Values(ids))
	for start := 0; start < len(ids); {
		first := ids[start]
		before, err := w.people.block(g.id, first)
		if err != nil {
			return err
		}
		after := before
		for ; start < len(ids) && ids[start]>>blockBits == first>>blockBits; start++ {
			change(&after, ids[start])
		}
		k := key(g.id, first>>blockBits)
		switch after {
		case before:
		case block{}:
			w.write(w.people.members.delete(k))
		default:
			w.write(w.people.members.put(k, after.encode()))
		}
	}
	return w.failed
}
