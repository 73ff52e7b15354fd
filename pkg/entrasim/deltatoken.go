package entrasim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// errMalformed is a token that the simulator never made.
var errMalformed = errors.New("malformed token")

// selection is what a delta query asked for. It travels inside the token
// [DOC: parameters are encoded in the token].
type selection struct {
	mask     uint64
	members  bool
	explicit bool // had a $select
}

// cursor is what a delta token stands for: a query, the span of the change log
// that the round covers, and how far the round has come.
type cursor struct {
	kind    Kind // User or Group: which collection
	delta   bool // a deltaLink's token; otherwise a nextLink's
	initial bool // the round began without a token
	sel     selection
	from    uint32 // log position that the client has
	replay  uint32 // how many changes before from are said again
	to      uint32 // log position that the round leads to
	objects uint32 // size of the table when the round began
	offset  uint32
	serial  uint64 // makes every link different
	issued  time.Time
	filter  []ID
	shape   shape

	incarnation uint64
	epoch       uint32
}

// shape is the part of the rules that a round is planned by. It is fixed when
// the round begins.
type shape struct {
	part       uint32 // members in one appearance of a group
	interleave bool
	former     bool
}

func (r Rules) shape() shape {
	return shape{uint32(min(r.MembersPerItem, r.MembersPerPage)), r.Interleave, r.RemovedInInitial}
}

const macSize = 16

// encode is the opaque text of the cursor.
func (t *Tenant) encode(c cursor) string {
	var flags byte
	for i, set := range []bool{c.delta, c.initial, c.sel.members, c.sel.explicit, c.shape.interleave, c.shape.former} {
		if set {
			flags |= 1 << i
		}
	}
	b := []byte{1, byte(c.kind), flags}
	b = binary.BigEndian.AppendUint64(b, c.incarnation)
	for _, n := range []uint32{c.epoch, c.from, c.to, c.objects, c.offset, c.shape.part, c.replay} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = binary.BigEndian.AppendUint64(b, c.sel.mask)
	b = binary.BigEndian.AppendUint64(b, uint64(c.issued.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, c.serial)
	for _, id := range c.filter {
		b = append(b, id[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(append(b, t.mac(b)...))
}

func (t *Tenant) mac(b []byte) []byte {
	h := hmac.New(sha256.New, t.id[:])
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

const cursorSize = 3 + 8 + 7*4 + 3*8

// decode reads what encode wrote.
func (t *Tenant) decode(text string) (cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < cursorSize+macSize {
		return cursor{}, errMalformed
	}
	b, mac := b[:len(b)-macSize], b[len(b)-macSize:]
	if !hmac.Equal(mac, t.mac(b)) || b[0] != 1 || (len(b)-cursorSize)%16 != 0 {
		return cursor{}, errMalformed
	}
	c := cursor{
		kind:        Kind(b[1]),
		delta:       b[2]&1 != 0,
		initial:     b[2]&2 != 0,
		sel:         selection{members: b[2]&4 != 0, explicit: b[2]&8 != 0},
		incarnation: binary.BigEndian.Uint64(b[3:]),
	}
	for i, n := range []*uint32{&c.epoch, &c.from, &c.to, &c.objects, &c.offset, &c.shape.part, &c.replay} {
		*n = binary.BigEndian.Uint32(b[11+4*i:])
	}
	c.shape.interleave, c.shape.former = b[2]&16 != 0, b[2]&32 != 0
	c.sel.mask = binary.BigEndian.Uint64(b[39:])
	c.issued = time.UnixMilli(int64(binary.BigEndian.Uint64(b[47:])))
	c.serial = binary.BigEndian.Uint64(b[55:])
	for rest := b[cursorSize:]; len(rest) > 0; rest = rest[16:] {
		c.filter = append(c.filter, ID(rest[:16]))
	}
	return c, nil
}

// roundKey names the round that a cursor belongs to, whatever page of it the
// cursor is at.
func (c cursor) roundKey() string {
	b := make([]byte, 0, 64+16*len(c.filter))
	b = append(b, byte(c.kind))
	for _, set := range []bool{c.initial, c.sel.members, c.shape.interleave, c.shape.former} {
		if set {
			b = append(b, 1)
		} else {
			b = append(b, 0)
		}
	}
	for _, n := range []uint32{c.from, c.to, c.objects, c.shape.part, c.replay} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = binary.BigEndian.AppendUint64(b, c.sel.mask)
	for _, id := range c.filter {
		b = append(b, id[:]...)
	}
	return string(b)
}
