package snapshot

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Before changes are made it is noted that they are about to be: one record for
// all of a batch, which goes with the outcomes. What it finds left of a batch
// whose outcomes were never written, the next to read the file turns into open
// intents and waiting people.

// Intent is a change that is about to be made and that could not be told
// afterwards from what somebody else did.
type Intent struct {
	Person identity.ObjectID
	// Account is the record of a person whose account is to be made or taken
	// over, as it will be; nil for another change.
	Account *Account
}

var keyBatch = []byte("batch")

// Begin notes what is about to be done.
func (t *Tx) Begin(batch []Intent) error {
	if err := t.recover(); err != nil {
		return err
	}
	b := []byte{recordVersion}
	var account []byte
	for _, intent := range batch {
		b = append(b, intent.Person[:]...)
		account = account[:0]
		if intent.Account != nil {
			account = appendAccount(account, *intent.Account)
		}
		b = append(binary.AppendUvarint(b, uint64(len(account))), account...)
	}
	return t.tx.Bucket(bucketBatch).Put(keyBatch, boltfile.Seal(keyBatch, b))
}

// End says that the outcomes of all that Begin noted are written, in this
// transaction.
func (t *Tx) End() error {
	return t.tx.Bucket(bucketBatch).Delete(keyBatch)
}

// batch is what was noted and has not ended.
func (t *Tx) batch() ([]Intent, error) {
	b := t.tx.Bucket(bucketBatch).Get(keyBatch)
	if b == nil {
		return nil, nil
	}
	body, err := unseal(keyBatch, b)
	if err != nil {
		return nil, err
	}
	r := reader{b: body}
	if v := r.byte(); v != recordVersion {
		return nil, damaged("a record of version %d", v)
	}
	var all []Intent
	for len(r.b) > 0 {
		intent := Intent{Person: r.id()}
		if account := r.bytes(r.uvarint()); len(account) > 0 {
			a, err := readAccount(intent.Person, account)
			if err != nil {
				return nil, err
			}
			intent.Account = &a
		}
		all = append(all, intent)
	}
	return all, r.end()
}

// recover makes an open intent of each change of a batch whose outcomes were
// not written, and a waiting person of each account that was to be made.
func (t *Tx) recover() error {
	batch, err := t.batch()
	if err != nil || batch == nil {
		return err
	}
	for _, intent := range batch {
		if err := t.Intend(intent); err != nil {
			return err
		}
	}
	return t.End()
}

// Intend notes one change whose outcome is not known, so that the next run
// looks before it writes. Whoever was to get an account waits.
func (t *Tx) Intend(intent Intent) error {
	if err := t.tx.Bucket(bucketIntents).Put(intent.Person[:], []byte{1}); err != nil {
		return err
	}
	if intent.Account == nil {
		return nil
	}
	return t.Await(*intent.Account)
}

// Await remembers somebody whose account could not be made, or perhaps could,
// as waiting. What stood in the way before still does.
func (t *Tx) Await(a Account) error {
	a.State, a.UserID = Waiting, ""
	before, ok, err := t.Account(a.Person)
	if err != nil {
		return err
	}
	if ok {
		a.Problem, a.Tries, a.Retry = before.Problem, before.Tries, before.Retry
	}
	return t.PutAccount(a)
}

// Settle ends the intents of these people.
func (t *Tx) Settle(people []identity.ObjectID) error {
	bucket := t.tx.Bucket(bucketIntents)
	for _, id := range people {
		if err := bucket.Delete(id[:]); err != nil {
			return err
		}
	}
	return nil
}

// Intents are the people whose last change has an unknown outcome.
func (t *Tx) Intents() []identity.ObjectID {
	var all []identity.ObjectID
	c := t.tx.Bucket(bucketIntents).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if id, err := objectID(k); err == nil {
			all = append(all, id)
		}
	}
	return all
}

// recover is Tx.recover, when there may be something to recover from.
func (s *Snapshot) recover() error {
	if !s.unended.Load() {
		return nil
	}
	open := false
	err := s.guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			open = tx.Bucket(bucketBatch).Get(keyBatch) != nil
			return nil
		})
	})
	if err == nil && open {
		err = s.update((*Tx).recover)
	}
	if err != nil {
		return fmt.Errorf("write %s: note what a run that broke off may have done: %w", s.path, err)
	}
	s.unended.Store(false)
	return nil
}
