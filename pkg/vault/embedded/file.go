package embedded

import (
	"crypto/rand"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// openFile opens the store's file, or makes an empty store if there is none.
func openFile(path string, o Options) (*bbolt.DB, error) {
	made := false
	db, err := boltfile.Open(path, boltfile.Options{MaxSize: o.maxSize}, func(tx *bbolt.Tx) error {
		made = true
		return initialize(tx)
	})
	if e, ok := errors.AsType[*boltfile.Error](err); ok {
		return nil, &FileError{e.Path, e.Kind, e.Err}
	}
	if err != nil {
		return nil, &FileError{path, vault.ErrUnreachable, err}
	}
	if made {
		o.Logger.Info("made a new user store", "file", path)
	}
	return db, nil
}

// initialize writes an empty store.
func initialize(tx *bbolt.Tx) error {
	for _, name := range rootBuckets {
		if _, err := tx.CreateBucket(name); err != nil {
			return fmt.Errorf("make the table %s: %w", name, err)
		}
	}
	meta := openTable(tx.Bucket(bucketMeta), "meta")
	return errors.Join(
		meta.put(keySchema, []byte{schemaVersion}),
		meta.put(keyIdentity, []byte(rand.Text())),
	)
}
