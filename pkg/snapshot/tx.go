package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Tx is one consistent read, or one write, of a snapshot. It ends with the
// function it was given to.
type Tx struct {
	tx   *bbolt.Tx
	sets map[State]*roaring.Bitmap
	// changed are the sets that flush writes.
	changed map[State]bool
	growing growth // of the accounts
	// accountAt and loginAt look single records up: to find the bucket anew takes
	// as long as to find the record.
	accountAt, loginAt *bbolt.Cursor
}

// get reads one record by a cursor that is kept; nil when there is none.
func (t *Tx) get(kept **bbolt.Cursor, bucket, key []byte) []byte {
	if *kept == nil {
		*kept = t.tx.Bucket(bucket).Cursor()
	}
	if found, value := (*kept).Seek(key); bytes.Equal(found, key) {
		return value
	}
	return nil
}

func newTx(tx *bbolt.Tx) *Tx {
	return &Tx{tx: tx, sets: map[State]*roaring.Bitmap{}, changed: map[State]bool{}}
}

// Meta reads the vault's own record.
func (t *Tx) Meta() (Meta, error) {
	var meta Meta
	body, err := unseal(keyMeta, t.tx.Bucket(bucketMeta).Get(keyMeta))
	if err != nil {
		return Meta{}, err
	}
	if err := json.Unmarshal(body, &meta); err != nil {
		return Meta{}, damaged("%w", err)
	}
	return meta, nil
}

// PutMeta writes it.
func (t *Tx) PutMeta(meta Meta) error { return putMeta(t.tx, meta) }

// Account reads one person's record.
func (t *Tx) Account(id identity.ObjectID) (Account, bool, error) {
	b := t.get(&t.accountAt, bucketAccounts, id[:])
	if b == nil {
		return Account{}, false, nil
	}
	a, err := decodeAccount(id, b)
	return a, err == nil, err
}

// Accounts yields all records in the order of the object ids.
func (t *Tx) Accounts() iter.Seq2[Account, error] {
	return func(yield func(Account, error) bool) {
		c := t.tx.Bucket(bucketAccounts).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			id, err := objectID(k)
			if err != nil {
				yield(Account{}, err)
				return
			}
			if !yield(decodeAccount(id, v)) {
				return
			}
		}
	}
}

// objectID reads a key.
func objectID(key []byte) (identity.ObjectID, error) {
	if len(key) != len(identity.ObjectID{}) {
		return identity.ObjectID{}, damaged("a key of %d bytes", len(key))
	}
	return identity.ObjectID(key), nil
}

// PutAccount writes one person's record and keeps the sets and the index of
// login names in step with it.
func (t *Tx) PutAccount(a Account) error {
	before, had, err := t.Account(a.Person)
	if err != nil {
		return err
	}
	if had {
		if err := t.forget(before); err != nil {
			return err
		}
	}
	if err := t.mark(a, (*roaring.Bitmap).Add); err != nil {
		return err
	}
	if login := identity.Fold(a.Login()); a.UserID != "" && a.State != Tombstone && login != "" {
		if err := t.giveLogin(login, a.Person); err != nil {
			return err
		}
	}
	return t.accounts(a.Person).Put(a.Person[:], encodeAccount(a))
}

// accounts is the bucket of the accounts, to put one into. A first import
// writes them in the order of their ids: pages that are only ever added to at
// the end are filled, others keep room.
func (t *Tx) accounts(next identity.ObjectID) *bbolt.Bucket {
	bucket := t.tx.Bucket(bucketAccounts)
	if t.growing == unknown {
		t.growing = scattered
		if last, _ := bucket.Cursor().Last(); bytes.Compare(last, next[:]) < 0 {
			t.growing = appended
		}
	}
	if t.growing == appended {
		bucket.FillPercent = filled
	}
	return bucket
}

// filled is how full a page becomes that is only added to at the end.
const filled = 0.95

// growth is how the records of a transaction extend those that there are.
type growth uint8

const (
	unknown growth = iota
	appended
	scattered
)

// mark puts a person into, or takes them out of, the sets that the record says.
func (t *Tx) mark(a Account, change func(*roaring.Bitmap, uint32)) error {
	states := [...]State{a.State, Again}
	n := 1
	if a.Problem != "" || a.Tries > 0 {
		n = 2
	}
	for _, state := range states[:n] {
		set, err := t.set(state)
		if err != nil {
			return err
		}
		change(set, a.Number)
		t.changed[state] = true
	}
	return nil
}

// ClearPeople forgets all people, before they are written anew under other
// numbers in the same transaction.
func (t *Tx) ClearPeople() error {
	for _, name := range [][]byte{bucketAccounts, bucketLogins, bucketSets} {
		if err := t.tx.DeleteBucket(name); err != nil {
			return err
		}
		if _, err := t.tx.CreateBucket(name); err != nil {
			return err
		}
	}
	clear(t.sets)
	clear(t.changed)
	t.accountAt, t.loginAt = nil, nil
	return nil
}

// DeleteAccount forgets one person.
func (t *Tx) DeleteAccount(id identity.ObjectID) error {
	before, had, err := t.Account(id)
	if err != nil || !had {
		return err
	}
	if err := t.forget(before); err != nil {
		return err
	}
	return t.tx.Bucket(bucketAccounts).Delete(id[:])
}

func (t *Tx) forget(a Account) error {
	if err := t.mark(a, (*roaring.Bitmap).Remove); err != nil {
		return err
	}
	return t.freeLogin(identity.Fold(a.Login()), a.Person)
}

// People are the numbers of the people in any of the states; the set is the
// caller's own.
func (t *Tx) People(states ...State) (*roaring.Bitmap, error) {
	all := roaring.New()
	for _, s := range states {
		set, err := t.set(s)
		if err != nil {
			return nil, err
		}
		all.Or(set)
	}
	return all, nil
}

func (t *Tx) set(s State) (*roaring.Bitmap, error) {
	if set, ok := t.sets[s]; ok {
		return set, nil
	}
	set, err := t.namedSet([]byte{byte(s)})
	if err != nil {
		return nil, err
	}
	t.sets[s] = set
	return set, nil
}

func (t *Tx) namedSet(key []byte) (*roaring.Bitmap, error) {
	b := t.tx.Bucket(bucketSets).Get(key)
	if b == nil {
		return roaring.New(), nil
	}
	body, err := unseal(key, b)
	if err != nil {
		return nil, err
	}
	return decodeSet(body)
}

func (t *Tx) putSet(key []byte, set *roaring.Bitmap) error {
	b, err := set.ToBytes()
	if err != nil {
		return fmt.Errorf("write a set of people: %w", err)
	}
	return t.tx.Bucket(bucketSets).Put(key, boltfile.Seal(key, b))
}

func (t *Tx) flush() error {
	for s := range t.changed {
		if err := t.putSet([]byte{byte(s)}, t.sets[s]); err != nil {
			return err
		}
	}
	return nil
}

var keyOutOfScope = []byte("outOfScope")

// OutOfScope are the numbers of the people whom the scope expression leaves
// out; the set is the caller's own.
func (t *Tx) OutOfScope() (*roaring.Bitmap, error) { return t.namedSet(keyOutOfScope) }

// PutOutOfScope writes that set.
func (t *Tx) PutOutOfScope(set *roaring.Bitmap) error { return t.putSet(keyOutOfScope, set) }

// Group reads one group's record.
func (t *Tx) Group(id identity.ObjectID) (Group, bool, error) {
	b := t.tx.Bucket(bucketGroups).Get(id[:])
	if b == nil {
		return Group{}, false, nil
	}
	g, err := decodeGroup(id, b)
	return g, err == nil, err
}

// Groups reads all groups in the order of their ids.
func (t *Tx) Groups() ([]Group, error) {
	var all []Group
	c := t.tx.Bucket(bucketGroups).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		id, err := objectID(k)
		if err != nil {
			return nil, err
		}
		g, err := decodeGroup(id, v)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// PutGroup writes one group's record.
func (t *Tx) PutGroup(g Group) error {
	b, err := encodeGroup(g)
	if err != nil {
		return err
	}
	if bytes.Equal(t.tx.Bucket(bucketGroups).Get(g.ID[:]), b) {
		return nil // most groups are the same after most runs
	}
	return t.tx.Bucket(bucketGroups).Put(g.ID[:], b)
}

// DeleteGroup forgets one group.
func (t *Tx) DeleteGroup(id identity.ObjectID) error {
	return t.tx.Bucket(bucketGroups).Delete(id[:])
}

// shownAtMost is how many sets of held changes are remembered by digest: an
// administrator approves what was shown, which may no longer be the newest.
const shownAtMost = 16

type shown struct {
	Digest string   `json:"digest"`
	Keys   []string `json:"keys"`
}

// PutShown remembers which changes were shown under a digest.
func (t *Tx) PutShown(digest string, keys []string) error {
	if digest == "" {
		return nil
	}
	all, err := t.shown()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(s shown) bool { return s.Digest == digest })
	all = append(all, shown{Digest: digest, Keys: keys})
	b, err := json.Marshal(all[max(0, len(all)-shownAtMost):])
	if err != nil {
		return fmt.Errorf("write what was shown: %w", err)
	}
	return t.tx.Bucket(bucketMeta).Put(keyShown, boltfile.Seal(keyShown, b))
}

// Shown are the keys of the changes that were shown under a digest.
func (t *Tx) Shown(digest string) (keys []string, ok bool, err error) {
	all, err := t.shown()
	if err != nil {
		return nil, false, err
	}
	for _, s := range all {
		if s.Digest == digest {
			return s.Keys, true, nil
		}
	}
	return nil, false, nil
}

func (t *Tx) shown() ([]shown, error) {
	b := t.tx.Bucket(bucketMeta).Get(keyShown)
	if b == nil {
		return nil, nil
	}
	body, err := unseal(keyShown, b)
	if err != nil {
		return nil, err
	}
	var all []shown
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, damaged("%w", err)
	}
	return all, nil
}
