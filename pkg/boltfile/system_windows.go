package boltfile

import (
	"os"

	"go.etcd.io/bbolt"
)

// letGo closes a file that bbolt failed to open; its lock goes with the handle.
func letGo(f *os.File) { _ = f.Close() }

// replace closes the open file and puts draft in its place: an open file cannot
// be replaced.
func replace(db *bbolt.DB, draft string) error {
	path := db.Path()
	if err := db.Close(); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
