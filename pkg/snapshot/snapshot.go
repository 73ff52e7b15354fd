// Package snapshot is what was last applied to one vault: accounts, groups,
// tombstones, waiting people, open intents and what a guard holds, in one
// bbolt file a vault. It knows no driver and no directory.
package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/identity"
)

// schema is raised with every change that another version could not read.
const schema = 2

var (
	bucketMeta     = []byte("meta")
	bucketAccounts = []byte("accounts") // object id → account
	bucketLogins   = []byte("logins")   // hash of folded login name → object ids of who has such
	bucketGroups   = []byte("groups")   // object id → group
	bucketIntents  = []byte("intents")  // object id → its last change has an unknown outcome
	bucketBatch    = []byte("batch")    // what is just being done
	bucketSets     = []byte("sets")     // state → numbers of the people in it

	buckets = [][]byte{bucketMeta, bucketAccounts, bucketLogins, bucketGroups, bucketIntents, bucketBatch, bucketSets}

	keyMeta  = []byte("meta")
	keyShown = []byte("shown")
)

// Meta is what is remembered of the vault as a whole.
type Meta struct {
	Schema int    `json:"schema"`
	Vault  string `json:"vault"`
	// Tenant and Store pin the file: state of another tenant or of a copied
	// store is refused.
	Tenant string `json:"tenant"`
	Store  string `json:"store"`
	// Epoch is the mirror's epoch that the people's numbers belong to, Cursor
	// the revision of it that has been applied.
	Epoch  string `json:"epoch"`
	Cursor uint64 `json:"cursor"`
	// Rules is the digest of the configuration that was applied; another one
	// causes a full evaluation.
	Rules string `json:"rules"`
	// Imported says that the first import has ended.
	Imported    bool      `json:"imported"`
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	// Applying says that a run began to change the vault. When it is still set
	// at the next one, that run did not come to its end: what it made may be
	// undone in the directory by now, and only the vault itself knows of it.
	Applying bool      `json:"applying,omitempty"`
	LastFull time.Time `json:"lastFull,omitzero"`
	// LastRun is the report of the last run.
	LastRun json.RawMessage `json:"lastRun,omitempty"`
	// Held is what a guard holds, nil when nothing is held.
	Held *Held `json:"held,omitempty"`
	// Pinned are the keys of changes that came too late for an approval and
	// wait for one of their own, whatever the guards say.
	Pinned []string `json:"pinned,omitempty"`
	// Approved are the keys of changes that an administrator has released and
	// that have not been made yet.
	Approved []string `json:"approved,omitempty"`
	// Drift counts differences that hands made and that are only reported.
	Drift int `json:"drift,omitempty"`
	// Attention is what waits, in words, and Waiting how many people.
	Waiting int `json:"waiting,omitempty"`
}

// Held is a set of changes that guards hold.
type Held struct {
	Digest string    `json:"digest"`
	Since  time.Time `json:"since"`
	Guards []string  `json:"guards"`
	// Compared says that some of it is found only by comparing the whole vault.
	Compared bool         `json:"compared,omitempty"`
	Changes  []HeldChange `json:"changes"`
}

// HeldChange is one of them as it is shown.
type HeldChange struct {
	Key    string            `json:"key"`
	Kind   string            `json:"kind"`
	Person identity.ObjectID `json:"person,omitzero"`
	Login  string            `json:"login,omitempty"`
	Group  string            `json:"group,omitempty"`
	Why    string            `json:"why"`
	Guard  string            `json:"guard"`
}

// ErrOtherTenant and ErrOtherStore mean that the state was made for something
// else, ErrNewer and ErrOlder that it was written by a program whose records
// this one does not read.
var (
	ErrOtherTenant = errors.New("the vault's state belongs to another tenant")
	ErrOtherStore  = errors.New("the vault's state belongs to another user store")
	ErrNewer       = errors.New("the vault's state was written by a newer vaultsync")
	ErrOlder       = errors.New("the vault's state was written by an older vaultsync")
)

// Snapshot is an open file.
type Snapshot struct {
	db   *bbolt.DB
	path string
	// unended says that there may be a batch whose outcomes were not written.
	unended atomic.Bool
}

// Open opens the file at path or makes it, for vault and tenant.
func Open(path, vault, tenant string) (*Snapshot, error) {
	db, err := boltfile.Open(path, boltfile.Options{}, func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return fmt.Errorf("create bucket %s: %w", name, err)
			}
		}
		return putMeta(tx, Meta{Schema: schema, Vault: vault, Tenant: tenant})
	})
	if err != nil {
		return nil, fmt.Errorf("vault %s: %w", vault, err)
	}
	s := &Snapshot{db: db, path: path}
	err = s.admit(vault, tenant)
	if err == nil {
		s.unended.Store(true)
		err = s.recover()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// empty says that nothing was ever applied.
func (s *Snapshot) empty() bool {
	empty := false
	err := s.Read(func(tx *Tx) error {
		accounts, _ := tx.tx.Bucket(bucketAccounts).Cursor().First()
		groups, _ := tx.tx.Bucket(bucketGroups).Cursor().First()
		intents, _ := tx.tx.Bucket(bucketIntents).Cursor().First()
		batch, _ := tx.tx.Bucket(bucketBatch).Cursor().First()
		empty = accounts == nil && groups == nil && intents == nil && batch == nil
		return nil
	})
	return err == nil && empty
}

// admit refuses a file that was made for something else.
func (s *Snapshot) admit(vault, tenant string) error {
	var meta Meta
	err := s.Read(func(tx *Tx) (err error) {
		if tx.tx.Bucket(bucketMeta) == nil {
			return damaged("it is not a vault's state")
		}
		if meta, err = tx.Meta(); err != nil || meta.Schema != schema {
			return err
		}
		for _, name := range buckets {
			if tx.tx.Bucket(name) == nil {
				return damaged("it is not a vault's state")
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("vault %s: %w", vault, err)
	case meta.Schema > schema:
		return fmt.Errorf("vault %s: %w: %s has schema %d, this program knows %d", vault, ErrNewer, s.path, meta.Schema, schema)
	case meta.Schema < schema:
		return fmt.Errorf("vault %s: %w: %s has schema %d, this program reads %d; make it anew from the vault: vaultsync state repair %[1]s --rebuild", vault, ErrOlder, s.path, meta.Schema, schema)
	case meta.Tenant != tenant && meta.Vault == vault && !meta.Imported && s.empty():
		// A tenant id that was mistyped and put right before anything was done.
		meta.Tenant, meta.Epoch, meta.Cursor = tenant, "", 0
		return s.Write(func(tx *Tx) error { return tx.PutMeta(meta) })
	case meta.Tenant != tenant:
		return fmt.Errorf("vault %s: %w: %s was made for tenant %s, the configuration names %s", vault, ErrOtherTenant, s.path, meta.Tenant, tenant)
	case meta.Vault != vault:
		return fmt.Errorf("vault %s: %w: %s was made for vault %s", vault, ErrOtherStore, s.path, meta.Vault)
	}
	return nil
}

// Close closes the file.
func (s *Snapshot) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close %s: %w", s.path, err)
	}
	return nil
}

// Path is the file's.
func (s *Snapshot) Path() string { return s.path }

// Size is the file's size in bytes and the number of accounts in it.
func (s *Snapshot) Size() (bytes int64, accounts int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		bytes, accounts = tx.Size(), tx.Bucket(bucketAccounts).Stats().KeyN
		return nil
	})
	return bytes, accounts, err
}

// Backup writes a consistent copy of the file to path, whole or not at all. A
// file that is there is an error: a backup never replaces anything.
func (s *Snapshot) Backup(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the administrator names it
	if err != nil {
		return fmt.Errorf("back up %s: %w", s.path, err)
	}
	err = s.guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			_, err := tx.WriteTo(f)
			return err
		})
	})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("back up %s: %w", s.path, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// Meta reads the vault's own record.
func (s *Snapshot) Meta() (meta Meta, err error) {
	err = s.Read(func(tx *Tx) error {
		meta, err = tx.Meta()
		return err
	})
	return meta, err
}

// Read runs fn in a consistent read of the file.
func (s *Snapshot) Read(fn func(*Tx) error) error {
	if err := s.recover(); err != nil {
		return err
	}
	return s.guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error { return fn(newTx(tx)) })
	})
}

// guarded runs fn; what bbolt makes of a damaged page becomes ErrDamaged.
func (s *Snapshot) guarded(fn func() error) error {
	err := boltfile.Guard(s.path, fn)
	if e, ok := errors.AsType[*boltfile.Error](err); ok && e.Path == "" {
		e.Path = s.path
	}
	return err
}

// Write runs fn in one transaction: all of it becomes durable, or nothing.
func (s *Snapshot) Write(fn func(*Tx) error) error {
	if err := s.recover(); err != nil {
		return err
	}
	if err := s.update(fn); err != nil {
		s.unended.Store(true)
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return nil
}

func (s *Snapshot) update(fn func(*Tx) error) error {
	return s.guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			t := newTx(tx)
			if err := fn(t); err != nil {
				return err
			}
			return t.flush()
		})
	})
}

func putMeta(tx *bbolt.Tx, meta Meta) error {
	b, err := json.Marshal(meta)
	if err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	return tx.Bucket(bucketMeta).Put(keyMeta, boltfile.Seal(keyMeta, b))
}
