package snapshot

import (
	"errors"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// Peek reads what is remembered of a vault as a whole, whichever vault it is,
// from a file that nobody has open. Nothing is written.
func Peek(path string) (meta Meta, err error) {
	db, err := boltfile.Open(path, boltfile.Options{ReadOnly: true}, nil)
	if err != nil {
		return Meta{}, err
	}
	s := &Snapshot{db: db, path: path}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Meta()
}
