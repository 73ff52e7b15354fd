package mirror

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/identity"
)

// Pin remembers which group a name of the configuration was resolved to. The
// group stays the one that was meant when it is renamed, and another group
// that takes the name stays another.
func (m *Mirror) Pin(name string, id identity.ObjectID) error {
	err := m.step("pin a group", func(tx *bolt.Tx) error { return put(tx, bucketMeta, pinKey(name), id[:]) })
	if err == nil {
		m.pins.Store(identity.Fold(name), id)
	}
	return err
}

// Pinned is the group that a name was resolved to.
func (m *Mirror) Pinned(name string) (identity.ObjectID, bool, error) {
	known, _ := m.pins.Load(identity.Fold(name))
	if id, ok := known.(identity.ObjectID); ok {
		return id, true, nil
	}
	var id identity.ObjectID
	found := false
	err := guarded(m.path, func() error {
		return m.db.View(func(tx *bolt.Tx) error {
			value, err := get(tx, bucketMeta, pinKey(name))
			if err != nil || value == nil {
				return err
			}
			if len(value) != len(id) {
				return damaged("the pin of %q has %d bytes", name, len(value))
			}
			copy(id[:], value)
			found = true
			return nil
		})
	})
	if err != nil {
		return identity.ObjectID{}, false, fmt.Errorf("mirror %s: read the pin of %q: %w", m.path, name, err)
	}
	if found {
		m.pins.Store(identity.Fold(name), id)
	}
	return id, found, nil
}

func pinKey(name string) []byte { return []byte("pin/" + identity.Fold(name)) }
