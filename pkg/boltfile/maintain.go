package boltfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
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

// reading runs fn in a read of a file that exists.
func reading(path string, fn func(*bbolt.Tx) error) error {
	db, err := openExisting(path, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	err = guarded(path, func() error { return db.View(fn) }) //nolint:wrapcheck // fn says where
	return errors.Join(err, db.Close())
}

// guarded makes an error of what bbolt makes of a damaged page: a panic.
func guarded(path string, fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Path: path, Kind: ErrDamaged, Err: fmt.Errorf("%v", r)}
		}
	}()
	return fn()
}

// openExisting is Open for a file that is not made if there is none.
func openExisting(path string, options *bbolt.Options) (*bbolt.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return Open(path, options, func(*bbolt.Tx) error { return fs.ErrNotExist })
}

// compactBatch bounds one transaction of Compact, in bytes.
const compactBatch = 16 << 20

// Compact writes a file that nobody has open anew, without the room that
// deleted records have left (bbolt never gives any back), and puts it in the
// old one's place. It answers with both sizes in bytes. Whatever it fails at,
// the old file stays as it was.
func Compact(path string) (before, after int64, err error) {
	fresh := path + ".compact"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, 0, fmt.Errorf("compact %s: %w", path, err)
	}
	before, after, err = compactTo(path, fresh)
	if err == nil {
		if err = os.Rename(fresh, path); err == nil {
			return before, after, syncDir(filepath.Dir(path))
		}
	}
	if removeErr := os.Remove(fresh); !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return before, before, fmt.Errorf("compact %s: %w", path, err)
}

// compactTo copies the records of path to a new file.
func compactTo(path, fresh string) (before, after int64, err error) {
	// Opened for writing, so that nobody else has it until the copy is made.
	source, err := openExisting(path, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := open(fresh, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoSync: true})
	if err != nil {
		return 0, 0, err
	}
	err = guarded(path, func() error { return bbolt.Compact(target, source, compactBatch) }) //nolint:wrapcheck // the caller says where
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return 0, 0, err
	}
	for file, size := range map[string]*int64{path: &before, fresh: &after} {
		info, err := os.Stat(file)
		if err != nil {
			return 0, 0, err //nolint:wrapcheck // the caller says where
		}
		*size = info.Size()
	}
	return before, after, nil
}
