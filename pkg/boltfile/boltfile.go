// Package boltfile makes, opens and reads bbolt files the one way that is safe
// for state: a new file appears whole or not at all, a damaged or empty one is
// an error and never "new", one that another process holds is an error and not
// a wait, and a damaged page met later is an error and not the end of the
// process. What is in a file is its owner's.
package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Options say how a file is opened; the zero value is for reading and writing
// without limit.
type Options struct {
	// ReadOnly opens the file for reading, beside others that do the same.
	ReadOnly bool
	// MaxSize limits the file, in bytes; 0 is no limit. A transaction that
	// needs more fails.
	MaxSize int
	// Reserve is how much address space to map at once, in bytes: a file that
	// outgrows its mapping waits for every reader before it is mapped anew.
	// Where mapping would take more than addresses it has no effect.
	Reserve int64
}

// lockTimeout is how long to wait for a file that another process holds: long
// enough for one that is just closing.
const lockTimeout = time.Second

// replacements is how often a file may be replaced while it is being opened.
const replacements = 3

// Open opens the file at path. If there is none, it is made under another name
// with what initialize writes, and then named; with a nil initialize that there
// is none is an error, which wraps fs.ErrNotExist. The folder must be there: a
// missing one is more likely a disk that is not mounted than a first start.
//
// An error about the file itself is an *Error with ErrLocked or ErrDamaged.
func Open(path string, o Options, initialize func(*bbolt.Tx) error) (*bbolt.DB, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && initialize != nil:
		if err := create(path, initialize); err != nil {
			return nil, fmt.Errorf("create %s: %w", path, err)
		}
	case err != nil:
		return nil, fmt.Errorf("open state: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open %s: it is not a regular file", path)
	}
	for range replacements {
		db, file, err := openOnce(path, o, openSound)
		if err != nil {
			return nil, err
		}
		if isNamed(file, path) {
			if !o.ReadOnly {
				clearDrafts(path)
			}
			return db, nil
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("close %s, which was replaced: %w", path, err)
		}
	}
	return nil, &Error{Path: path, Kind: ErrLocked, Err: errors.New("it is being replaced")}
}

// isNamed says whether path still leads to file: who waited for the lock may
// have got that of a file that was replaced in the meantime.
func isNamed(file *os.File, path string) bool {
	named, err := os.Stat(path)
	if err != nil {
		return false
	}
	held, err := file.Stat()
	return err == nil && os.SameFile(named, held)
}

// opener opens a file for bbolt.
type opener func(path string, flag int, mode os.FileMode) (*os.File, error)

// openSound opens a file that exists, and examines it.
func openSound(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag&^os.O_CREATE, mode) //nolint:gosec // the data directory of the configuration
	if err != nil {
		return nil, err
	}
	if err := examine(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openOnce has bbolt open a file; file is what it works on.
func openOnce(path string, o Options, with opener) (db *bbolt.DB, file *os.File, err error) {
	var held *os.File
	defer func() {
		// bbolt panics on a damaged page, and keeps the file and its lock.
		if r := recover(); r != nil {
			err = &Error{Path: path, Kind: ErrDamaged, Err: fmt.Errorf("%v", r)}
		}
		if err != nil && held != nil {
			letGo(held)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:  lockTimeout,
		ReadOnly: o.ReadOnly,
		MaxSize:  o.MaxSize,
		// The list of free pages is stored, although it is written whole with
		// every commit: without it an open walks all pages in a goroutine of
		// bbolt, where a damaged one ends the process.
		FreelistType:    bbolt.FreelistMapType,
		NoStatistics:    true,
		InitialMmapSize: o.mapping(),
		OpenFile: func(path string, flag int, mode os.FileMode) (*os.File, error) {
			if held != nil { // the open file is being copied
				return os.OpenFile(path, flag, mode) //nolint:gosec // the same file
			}
			f, err := with(path, flag, mode)
			held = f
			return f, err
		},
	})
	if err != nil {
		return nil, nil, explained(path, err)
	}
	return db, held, nil
}

// mapping is the address space to map at once.
func (o Options) mapping() int {
	// On Windows the file itself would grow to the size of its mapping.
	if o.ReadOnly || o.MaxSize > 0 || runtime.GOOS == "windows" || bits.UintSize < 64 {
		return 0
	}
	return int(o.Reserve)
}

// explained is an error of opening, with its kind.
func explained(path string, err error) error {
	_, damaged := errors.AsType[damage](err)
	_, located := errors.AsType[*fs.PathError](err)
	switch {
	case damaged:
		return &Error{Path: path, Kind: ErrDamaged, Err: err}
	case errors.Is(err, berrors.ErrTimeout):
		return &Error{Path: path, Kind: ErrLocked}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return &Error{Path: path, Kind: ErrDamaged, Err: err}
	case located:
		return fmt.Errorf("open state: %w", err)
	default:
		return fmt.Errorf("open %s: %w", path, err)
	}
}
