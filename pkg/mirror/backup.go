package mirror

import (
	"fmt"
	"io"

	bolt "go.etcd.io/bbolt"
)

// Backup writes a consistent copy of the file to w while the mirror goes on
// working. The copy has the same epoch: it is the same mirror at an earlier
// time. A vault's state that has seen more than it is evaluated in full.
func (m *Mirror) Backup(w io.Writer) error {
	err := guarded(m.path, func() error {
		return m.db.View(func(tx *bolt.Tx) error {
			_, err := tx.WriteTo(w)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("copy mirror %s: %w", m.path, err)
	}
	return nil
}
