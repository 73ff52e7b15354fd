package mirror

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/directory"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// checksum is the CRC-32C of what is not in the file: see boltfile.Seal.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// unseal checks and takes off the checksum that every record of the file has.
// The result is part of sealed.
func unseal(what string, key, sealed []byte) ([]byte, error) {
	value, ok := boltfile.Unseal(key, sealed)
	if !ok {
		return nil, damaged("%s record %x does not match its checksum", what, key)
	}
	return value, nil
}

// reader decodes a record; the first fault sticks.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	part := r.b[:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if r.bad || size <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

// size reads a length that cannot be more than what is left.
func (r *reader) size() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) string() string { return string(r.take(r.size())) }

func (r *reader) id() identity.ObjectID {
	var id identity.ObjectID
	copy(id[:], r.take(len(id)))
	return id
}

func (r *reader) ids() []identity.ObjectID {
	n := r.size()
	if n*len(identity.ObjectID{}) > len(r.b) {
		r.bad = true
		return nil
	}
	var ids []identity.ObjectID
	for range n {
		ids = append(ids, r.id())
	}
	return ids
}

func (r *reader) time() time.Time { return fromUnix(int64(r.uint())) }

func (r *reader) bitmap() *roaring.Bitmap {
	set := roaring.New()
	raw := r.take(r.size())
	if r.bad {
		return set
	}
	if err := set.UnmarshalBinary(raw); err != nil {
		r.bad = true
	}
	return set
}

func (r *reader) finish(what string, key []byte) error {
	if r.bad || len(r.b) != 0 {
		return damaged("%s record %x cannot be read", what, key)
	}
	return nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendIDs(b []byte, ids []identity.ObjectID) []byte {
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(b, uint64(toUnix(t)))
}

func appendBitmap(b []byte, set *roaring.Bitmap) ([]byte, error) {
	raw, err := set.ToBytes()
	if err != nil {
		return nil, err
	}
	return append(binary.AppendUvarint(b, uint64(len(raw))), raw...), nil
}

// toUnix is milliseconds since 1970; the zero time is 0.
func toUnix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromUnix(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// head is the record that decides what of the file is visible.
type head struct {
	commit   uint64 // grows with every write of this record
	revision uint64 // grows when people or groups changed
	next     uint32 // the next person's number; records at or above it are not visible
	pulledAt time.Time
	fullAt   time.Time
	mode     profileMode
	staging  bool // records of an unfinished large round may lie about
	overlay  bool // changed people are in the overlay bucket first
}

func (h head) encode() []byte {
	b := binary.AppendUvarint(nil, h.commit)
	b = binary.AppendUvarint(b, h.revision)
	b = binary.AppendUvarint(b, uint64(h.next))
	b = appendTime(b, h.pulledAt)
	b = appendTime(b, h.fullAt)
	return append(b, byte(h.mode), flag(h.staging), flag(h.overlay))
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func decodeHead(value []byte) (head, error) {
	r := reader{b: value}
	h := head{commit: r.uint(), revision: r.uint(), next: uint32(r.uint()), pulledAt: r.time(), fullAt: r.time()}
	h.mode = profileMode(r.byte())
	h.staging, h.overlay = r.byte() == 1, r.byte() == 1
	return h, r.finish("meta", keyHead)
}

// group is a followed group with what only the mirror itself needs.
type group struct {
	Group
	read bool // the membership was read in full at least once
	// others holds a hash of the id of each member that is neither a person
	// nor a group, so that counting them is immune to replays.
	others *roaring.Bitmap
}

func (g *group) equal(o *group) bool {
	return g.Name == o.Name && g.State == o.State && g.Why == o.Why && g.read == o.read &&
		slices.Equal(g.Children, o.Children) && g.Members.Equals(o.Members) && g.others.Equals(o.others)
}

func (g *group) encode() ([]byte, error) {
	b := []byte{byte(g.State), flag(g.read)}
	b = appendString(b, g.Name)
	b = appendString(b, g.Why)
	b = appendIDs(b, g.Children)
	b, err := appendBitmap(b, g.Members)
	if err != nil {
		return nil, err
	}
	return appendBitmap(b, g.others)
}

func decodeGroup(key, value []byte) (*group, error) {
	r := reader{b: value}
	g := &group{}
	if copy(g.ID[:], key) != len(key) {
		return nil, damaged("group record %x has a wrong key", key)
	}
	g.State = directory.GroupState(r.byte())
	g.read = r.byte() == 1
	g.Name, g.Why = r.string(), r.string()
	g.Children = r.ids()
	g.Members, g.others = r.bitmap(), r.bitmap()
	g.Skipped = int(g.others.GetCardinality())
	return g, r.finish("group", key)
}

// stream is one stored delta link and what it follows.
type stream struct {
	link string
	// groups are those of the stream that still count, sorted. The link may
	// follow more: what it says of others is read past.
	groups []identity.ObjectID
}

func (s stream) encode() []byte { return appendIDs(appendString(nil, s.link), s.groups) }

func decodeStream(key, value []byte) (stream, error) {
	r := reader{b: value}
	s := stream{link: r.string(), groups: r.ids()}
	return s, r.finish("stream", key)
}

// feedEntry is what one revision changed.
type feedEntry struct {
	at     time.Time
	people *roaring.Bitmap
	groups []identity.ObjectID
}

func (f feedEntry) encode() ([]byte, error) {
	b := appendTime(nil, f.at)
	b = appendIDs(b, f.groups)
	return appendBitmap(b, f.people)
}

func decodeFeed(key, value []byte) (feedEntry, error) {
	r := reader{b: value}
	f := feedEntry{at: r.time(), groups: r.ids(), people: r.bitmap()}
	return f, r.finish("feed", key)
}

func numberKey(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func revisionKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
