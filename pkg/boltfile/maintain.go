package boltfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

// Check verifies the pages of a file that nobody has open; what is in the
// records is for their owners to check. It can end the process on a badly
// damaged file, so run it in a child process.
func Check(path string) error {
	return reading(path, func(tx *bbolt.Tx) error {
		var faults []error
		for fault := range tx.Check() {
			faults = append(faults, fault)
		}
		if len(faults) == 0 {
			return nil
		}
		return &Error{Path: path, Kind: ErrDamaged, Err: errors.Join(faults...)}
	})
}

// Copy writes a consistent copy of a file that nobody has open to w.
func Copy(path string, w io.Writer) error {
	return reading(path, func(tx *bbolt.Tx) error {
		if _, err := tx.WriteTo(w); err != nil {
			return fmt.Errorf("copy %s: %w", path, err)
		}
		return nil
	})
}

// InUse says whether another process, or another part of this one, has the
// file open. A file that is not there, or damaged, is in nobody's use.
func InUse(path string) bool {
	db, err := Open(path, Options{}, nil)
	if err == nil {
		err = db.Close()
	}
	return errors.Is(err, ErrLocked)
}

// reading runs fn in a read of a file that exists.
func reading(path string, fn func(*bbolt.Tx) error) error {
	db, err := Open(path, Options{ReadOnly: true}, nil)
	if err != nil {
		return err
	}
	err = Guard(path, func() error { return db.View(fn) })
	return errors.Join(err, db.Close())
}

// compactBatch bounds one transaction of Compact, in bytes.
const compactBatch = 16 << 20

// Compact writes a file that nobody has open anew, without the room that
// deleted records have left (bbolt never gives any back), and puts it in the
// old one's place. It answers with both sizes in bytes. Whatever it fails at,
// the old file stays as it was.
func Compact(path string) (before, after int64, err error) {
	draft := draftOf(path)
	defer os.Remove(draft) //nolint:errcheck // gone already, or cleared when the file is next opened
	// Opened for writing, so that nobody else has it until the copy is made.
	source, err := Open(path, Options{}, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("compact: %w", err)
	}
	if before, after, err = compactTo(source, draft); err != nil {
		return 0, 0, fmt.Errorf("compact %s: %w", path, errors.Join(err, source.Close()))
	}
	if err := replace(source, draft); err != nil {
		return 0, 0, fmt.Errorf("compact %s: %w", path, err)
	}
	return before, after, wholefile.SyncDir(filepath.Dir(path))
}

// compactTo copies the records of source to a new file.
func compactTo(source *bbolt.DB, draft string) (before, after int64, err error) {
	target, _, err := openOnce(draft, Options{}, openNew)
	if err != nil {
		return 0, 0, err
	}
	target.NoSync = true // once, at the end
	err = Guard(source.Path(), func() error { return bbolt.Compact(target, source, compactBatch) })
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return 0, 0, err
	}
	for file, size := range map[string]*int64{source.Path(): &before, draft: &after} {
		info, err := os.Stat(file)
		if err != nil {
			return 0, 0, err
		}
		*size = info.Size()
	}
	return before, after, nil
}
