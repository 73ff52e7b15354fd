//go:build !windows

package boltfile

import (
	"errors"
	"os"
	"syscall"

	"go.etcd.io/bbolt"
)

// letGo ends the lock of a file that bbolt failed to open, and closes it.
// Closing is not enough: as long as bbolt's mapping lasts, the file stays open
// and locked. bbolt may have done both already, which is no failure.
func letGo(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// replace puts draft in the place of the open file, and closes that. Its lock
// is held until then: who waits for it finds that the file was replaced.
func replace(db *bbolt.DB, draft string) error {
	return errors.Join(os.Rename(draft, db.Path()), db.Close())
}
