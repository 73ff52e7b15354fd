package mirror

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// The file:
//
//	meta     schema, tenant, epoch, select list, head, feed floor
//	ids      object id -> number
//	people   number -> object id, profile
//	overlay  the same, of a large round whose changes are not yet in people
//	groups   object id -> group
//	streams  stream number -> delta link, groups followed (usersStream: people)
//	feed     revision -> people and groups that it changed
//	sets     gone, disabled, profiled
var (
	bucketMeta    = []byte("meta")
	bucketIDs     = []byte("ids")
	bucketPeople  = []byte("people")
	bucketOverlay = []byte("overlay")
	bucketGroups  = []byte("groups")
	bucketStreams = []byte("streams")
	bucketFeed    = []byte("feed")
	bucketSets    = []byte("sets")

	keySchema = []byte("schema")
	keyTenant = []byte("tenant")
	keyEpoch  = []byte("epoch")
	keySelect = []byte("select")
	keyHead   = []byte("head")
	keyFloor  = []byte("floor")

	keyGone     = []byte("gone")
	keyDisabled = []byte("disabled")
	keyProfiled = []byte("profiled")
)

// schema is the version of all of the above. A file of an older version is
// brought forward when it is opened; there is none older yet.
const schema = 1

// usersStream is the number of the stream of all users.
const usersStream = 0

// put writes one sealed record.
func put(tx *bolt.Tx, bucket, key, value []byte) error {
	return tx.Bucket(bucket).Put(key, boltfile.Seal(key, value))
}

// get reads one record; nil when there is none. The result is good for as
// long as the transaction.
func get(tx *bolt.Tx, bucket, key []byte) ([]byte, error) {
	b := tx.Bucket(bucket)
	if b == nil {
		return nil, damaged("bucket %s is missing", bucket)
	}
	sealed := b.Get(key)
	if sealed == nil {
		return nil, nil
	}
	return unseal(string(bucket), key, sealed)
}

// need is get for a record that must be there.
func need(tx *bolt.Tx, bucket, key []byte) ([]byte, error) {
	value, err := get(tx, bucket, key)
	if err == nil && value == nil {
		err = damaged("%s record %q is missing", bucket, key)
	}
	return value, err
}

// each walks a bucket in key order.
func each(tx *bolt.Tx, bucket []byte, f func(key, value []byte) error) error {
	b := tx.Bucket(bucket)
	if b == nil {
		return damaged("bucket %s is missing", bucket)
	}
	return b.ForEach(func(key, sealed []byte) error {
		value, err := unseal(string(bucket), key, sealed)
		if err != nil {
			return err
		}
		return f(key, value)
	})
}

// initialize writes an empty mirror.
func initialize(tx *bolt.Tx, tenant string, sel []string) error {
	for _, name := range [][]byte{bucketMeta, bucketIDs, bucketPeople, bucketGroups, bucketStreams, bucketFeed, bucketSets} {
		if _, err := tx.CreateBucket(name); err != nil {
			return fmt.Errorf("create bucket %s: %w", name, err)
		}
	}
	epoch := make([]byte, 8)
	if _, err := rand.Read(epoch); err != nil {
		return fmt.Errorf("draw the epoch: %w", err)
	}
	records := []struct{ key, value []byte }{
		{keySchema, binary.AppendUvarint(nil, schema)},
		{keyTenant, []byte(tenant)},
		{keyEpoch, epoch},
		{keySelect, encodeSelect(sel)},
		{keyHead, head{}.encode()},
		{keyFloor, revisionKey(0)},
	}
	for _, r := range records {
		if err := put(tx, bucketMeta, r.key, bytes.Clone(r.value)); err != nil {
			return fmt.Errorf("write %s: %w", r.key, err)
		}
	}
	for _, key := range [][]byte{keyGone, keyDisabled, keyProfiled} {
		if err := putSet(tx, key, roaring.New()); err != nil {
			return err
		}
	}
	return nil
}

func encodeSelect(sel []string) []byte {
	b := binary.AppendUvarint(nil, uint64(len(sel)))
	for _, name := range sel {
		b = appendString(b, name)
	}
	return b
}

func decodeSelect(value []byte) ([]string, error) {
	r := reader{b: value}
	var sel []string
	for range r.size() {
		sel = append(sel, r.string())
	}
	return sel, r.finish("meta", keySelect)
}

func putSet(tx *bolt.Tx, key []byte, set *roaring.Bitmap) error {
	raw, err := set.ToBytes()
	if err != nil {
		return fmt.Errorf("encode the set %s: %w", key, err)
	}
	return put(tx, bucketSets, key, raw)
}

func getSet(tx *bolt.Tx, key []byte) (*roaring.Bitmap, error) {
	value, err := need(tx, bucketSets, key)
	if err != nil {
		return nil, err
	}
	set := roaring.New()
	if err := set.UnmarshalBinary(value); err != nil {
		return nil, damaged("the set %s cannot be read: %v", key, err)
	}
	return set, nil
}

func getHead(tx *bolt.Tx) (head, error) {
	value, err := need(tx, bucketMeta, keyHead)
	if err != nil {
		return head{}, err
	}
	return decodeHead(value)
}

// index looks people up in one transaction. Of each bucket it keeps one cursor:
// to find the bucket anew takes as long as to find the record.
type index struct {
	tx                   *bolt.Tx
	ids, people, overlay *bolt.Cursor
}

// get is the function get by a cursor that is kept.
func (x *index) get(kept **bolt.Cursor, bucket, key []byte) ([]byte, error) {
	if *kept == nil {
		b := x.tx.Bucket(bucket)
		if b == nil {
			return nil, damaged("bucket %s is missing", bucket)
		}
		*kept = b.Cursor()
	}
	found, sealed := (*kept).Seek(key)
	if !bytes.Equal(found, key) || sealed == nil {
		return nil, nil
	}
	return unseal(string(bucket), key, sealed)
}

// number is the visible number of an id.
func (x *index) number(next uint32, id identity.ObjectID) (uint32, bool, error) {
	value, err := x.get(&x.ids, bucketIDs, id[:])
	if err != nil || value == nil {
		return 0, false, err
	}
	if len(value) != 4 {
		return 0, false, damaged("ids record %x has a wrong length", id[:])
	}
	n := binary.BigEndian.Uint32(value)
	return n, n < next, nil
}

// person is the record of a visible number: a number below next has one.
func (x *index) person(h head, n uint32) (person, bool, error) {
	if n >= h.next {
		return person{}, false, nil
	}
	key := numberKey(n)
	if h.overlay {
		value, err := x.get(&x.overlay, bucketOverlay, key)
		if err != nil {
			return person{}, false, err
		}
		if value != nil {
			p, err := decodePerson(key, value)
			return p, err == nil, err
		}
	}
	value, err := x.get(&x.people, bucketPeople, key)
	switch {
	case err != nil:
		return person{}, false, err
	case value == nil:
		return person{}, false, damaged("people record %q is missing", key)
	}
	p, err := decodePerson(key, value)
	return p, err == nil, err
}
