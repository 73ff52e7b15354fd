package snapshot

import (
	"encoding/binary"
	"hash/fnv"
	"slices"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// The index of login names has four bytes of a hash in place of the name, and
// the object ids of all whose names share it: it is written in no order, and so
// all over, by every batch of a first import. Whose name it really is stands in
// the accounts.

func loginKey(folded string) []byte {
	h := fnv.New32a()
	_, _ = h.Write([]byte(folded))
	return binary.BigEndian.AppendUint32(nil, h.Sum32())
}

const idSize = len(identity.ObjectID{})

// LoginOwner says which person's account has a login name, compared as
// identity.Fold does.
func (t *Tx) LoginOwner(login string) (identity.ObjectID, bool, error) {
	folded := identity.Fold(login)
	ids, err := t.sharers(loginKey(folded))
	if err != nil {
		return identity.ObjectID{}, false, err
	}
	for _, id := range ids {
		if has, err := t.hasLogin(id, folded); err != nil || has {
			return id, has, err
		}
	}
	return identity.ObjectID{}, false, nil
}

// sharers are the people of one entry of the index.
func (t *Tx) sharers(key []byte) ([]identity.ObjectID, error) {
	b := t.get(&t.loginAt, bucketLogins, key)
	if len(b)%idSize != 0 {
		return nil, damaged("the entry %x of the login names has %d bytes", key, len(b))
	}
	ids := make([]identity.ObjectID, 0, len(b)/idSize)
	for one := range slices.Chunk(b, idSize) {
		ids = append(ids, identity.ObjectID(one))
	}
	return ids, nil
}

// hasLogin follows an entry of the index to the record that it stands for.
func (t *Tx) hasLogin(id identity.ObjectID, folded string) (bool, error) {
	a, ok, err := t.Account(id)
	if err == nil && !ok {
		err = damaged("the index of the login names has %s, of whom there is no record", id)
	}
	return err == nil && identity.Fold(a.Login()) == folded, err
}

// giveLogin makes a person the owner of a login name, in place of whoever was.
func (t *Tx) giveLogin(folded string, to identity.ObjectID) error {
	key := loginKey(folded)
	ids, err := t.sharers(key)
	if err != nil {
		return err
	}
	for i := 0; i < len(ids); i++ {
		same := ids[i] == to
		if !same {
			if same, err = t.hasLogin(ids[i], folded); err != nil {
				return err
			}
		}
		if same {
			ids = slices.Delete(ids, i, i+1)
			i--
		}
	}
	return t.putSharers(key, append(ids, to))
}

// freeLogin takes a person's login name out of the index. Another may have
// taken the name since; the index is theirs then.
func (t *Tx) freeLogin(folded string, of identity.ObjectID) error {
	key := loginKey(folded)
	ids, err := t.sharers(key)
	if err != nil {
		return err
	}
	at := slices.Index(ids, of)
	if at < 0 {
		return nil
	}
	return t.putSharers(key, slices.Delete(ids, at, at+1))
}

func (t *Tx) putSharers(key []byte, ids []identity.ObjectID) error {
	bucket := t.tx.Bucket(bucketLogins)
	if len(ids) == 0 {
		return bucket.Delete(key)
	}
	value := make([]byte, 0, len(ids)*idSize)
	for _, id := range ids {
		value = append(value, id[:]...)
	}
	return bucket.Put(key, value)
}

// checkLogins follows every entry of the index to its records.
func (t *Tx) checkLogins() error {
	c := t.tx.Bucket(bucketLogins).Cursor()
	for key, _ := c.First(); key != nil; key, _ = c.Next() {
		ids, err := t.sharers(key)
		if err != nil {
			return err
		}
		owners := map[string]bool{}
		for _, id := range ids {
			a, ok, err := t.Account(id)
			if err != nil {
				return err
			}
			folded := identity.Fold(a.Login())
			if !ok || owners[folded] || string(loginKey(folded)) != string(key) {
				return damaged("the index has %s for a login name that is another's", id)
			}
			owners[folded] = true
		}
	}
	return nil
}
