package embedded

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// schemaVersion is raised with every change that an older version could not
// read.
const schemaVersion = 2

// The layout of the file. Numbers in keys are 8 bytes, big-endian, so that
// they sort; in values they are as short as they can be. External ids that are
// object ids are 16 bytes behind a zero.
//
//	meta             schema, identity
//	accounts         account id            → account
//	accountLogins    folded login name     → account id
//	accountExternals external id           → account id
//	accountEmails    folded mail, 0, id    → nothing (mail is not unique), unless
//	                 it is the login name too
//	licenses         licence type          → number in use
//	vaults/NAME      identity              → text
//	vaults/NAME/users          user id     → user
//	vaults/NAME/userAccounts   account id  → user id
//	vaults/NAME/userExternals  external id → user id
//	vaults/NAME/groups         group id    → group
//	vaults/NAME/groupNames     folded name → group id
//	vaults/NAME/groupExternals external id → group id
//	vaults/NAME/members        group id, block of user ids → block
//
// Ids are the sequences of accounts, users and groups, which never go back.
var (
	bucketMeta             = []byte("meta")
	bucketAccounts         = []byte("accounts")
	bucketAccountLogins    = []byte("accountLogins")
	bucketAccountExternals = []byte("accountExternals")
	bucketAccountEmails    = []byte("accountEmails")
	bucketLicenses         = []byte("licenses")
	bucketVaults           = []byte("vaults")

	bucketUsers          = []byte("users")
	bucketUserAccounts   = []byte("userAccounts")
	bucketUserExternals  = []byte("userExternals")
	bucketGroups         = []byte("groups")
	bucketGroupNames     = []byte("groupNames")
	bucketGroupExternals = []byte("groupExternals")
	bucketMembers        = []byte("members")

	rootBuckets  = [...][]byte{bucketMeta, bucketAccounts, bucketAccountLogins, bucketAccountExternals, bucketAccountEmails, bucketLicenses, bucketVaults}
	vaultBuckets = [...][]byte{bucketUsers, bucketUserAccounts, bucketUserExternals, bucketGroups, bucketGroupNames, bucketGroupExternals, bucketMembers}

	keySchema   = []byte("schema")
	keyIdentity = []byte("identity")
)

// table is a bucket whose values are sealed (boltfile.Seal). The bucket is nil in a vault that was never written to.
type table struct {
	bucket *bbolt.Bucket
	cursor *bbolt.Cursor // for look-ups alone
	name   string
}

func openTable(bucket *bbolt.Bucket, name string) table {
	t := table{bucket: bucket, name: name}
	if bucket != nil {
		t.cursor = bucket.Cursor()
	}
	return t
}

// get reads a value, which is valid until the transaction ends.
func (t table) get(key []byte) (value []byte, found bool, err error) {
	if t.bucket == nil || len(key) == 0 {
		return nil, false, nil
	}
	k, stored := t.cursor.Seek(key)
	if !bytes.Equal(k, key) || stored == nil {
		return nil, false, nil
	}
	value, err = t.checked(key, stored)
	return value, err == nil, err
}

// has answers whether there is a record, without reading it.
func (t table) has(key []byte) bool {
	k, stored := t.cursor.Seek(key)
	return bytes.Equal(k, key) && stored != nil
}

func (t table) checked(key, stored []byte) ([]byte, error) {
	value, ok := boltfile.Unseal(key, stored)
	if !ok {
		return nil, damaged(t.name, "the record of %q does not match its checksum", key)
	}
	return value, nil
}

func (t table) put(key, value []byte) error {
	if err := t.bucket.Put(key, boltfile.Seal(key, value)); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}

func (t table) delete(key []byte) error {
	if err := t.bucket.Delete(key); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}

// getID reads an index entry.
func (t table) getID(key []byte) (id uint64, found bool, err error) {
	value, found, err := t.get(key)
	if err != nil || !found {
		return 0, false, err
	}
	id, n := binary.Uvarint(value)
	if n <= 0 || n != len(value) {
		return 0, false, damaged(t.name, "the entry %q is not an id", key)
	}
	return id, true, nil
}

// putID writes an index entry.
func (t table) putID(key []byte, id uint64) error {
	return t.put(key, binary.AppendUvarint(nil, id))
}

// extend fills the pages of the table that next comes after; the others keep
// room for what comes between.
func (t table) extend(next []byte) {
	if last, _ := t.cursor.Last(); bytes.Compare(last, next) < 0 {
		t.bucket.FillPercent = filled
	}
}

// filled is how full a page becomes that is only added to at the end.
const filled = 0.95

// next is an id that was never given out.
func (t table) next() (uint64, error) {
	id, err := t.bucket.NextSequence()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.name, err)
	}
	return id, nil
}

// key is the 8 bytes of each number.
func key(numbers ...uint64) []byte {
	b := make([]byte, 0, 16)
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// foldedKey is the key of a name that is compared folded.
func foldedKey(name string) []byte { return []byte(identity.Fold(name)) }

// externalKey is the key, and the stored form, of an external id. Nothing else
// begins with a zero: external ids have no control characters.
func externalKey(external string) []byte {
	if external == "" {
		return nil
	}
	if id, err := identity.ParseObjectID(external); err == nil {
		var buffer [36]byte
		if text, err := id.AppendText(buffer[:0]); err == nil && string(text) == external {
			return append(make([]byte, 1, 1+len(id)), id[:]...)
		}
	}
	return []byte(external)
}

// external reads what externalKey makes.
func external(stored []byte) string {
	if len(stored) == 1+len(identity.ObjectID{}) && stored[0] == 0 {
		return identity.ObjectID(stored[1:]).String()
	}
	return string(stored)
}

func number(b []byte) uint64 { return binary.BigEndian.Uint64(b) }
