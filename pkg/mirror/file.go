package mirror

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// addresses is how much address space to map at once: the file grows while
// views are open, and outgrowing its mapping would wait for all of them.
const addresses = 4 << 30

// openFile opens a mirror's file, or makes one when there is none.
func openFile(path, tenant string, sel []string, maxSize int) (*bolt.DB, error) {
	db, err := boltfile.Open(path, boltfile.Options{MaxSize: maxSize, Reserve: addresses}, func(tx *bolt.Tx) error {
		return initialize(tx, tenant, sel)
	})
	return db, ofMirror(err)
}

// removeRound removes the round file that a crash left. The caller holds the
// mirror's lock.
func removeRound(path string) error {
	if err := os.Remove(roundPath(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a leftover file: %w", err)
	}
	return nil
}

func roundPath(path string) string { return path + ".round" }
