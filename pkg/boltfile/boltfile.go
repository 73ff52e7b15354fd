// Package boltfile opens bbolt files the one way that is safe for state: a new
// file appears whole or not at all, a damaged or empty one is an error and
// never "new", and one that another process holds is an error and not a wait.
package boltfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The kinds of failure that callers tell apart.
var (
	// ErrLocked means that another process holds the file.
	ErrLocked = errors.New("in use by another process")
	// ErrDamaged means that the file is not what was written.
	ErrDamaged = errors.New("damaged")
)

// Error is a state file that cannot be used.
type Error struct {
	Path string
	Kind error // ErrLocked or ErrDamaged
	Err  error // the cause, may be nil
}

// Error names the file and what is wrong with it.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s is %v", e.Path, e.Kind)
	}
	return fmt.Sprintf("%s is %v: %v", e.Path, e.Kind, e.Err)
}

// Unwrap gives kind and cause.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Hint says what to do.
func (e *Error) Hint() string {
	if errors.Is(e.Kind, ErrLocked) {
		return "another vaultsync works on this file and does not answer; stop it (vaultsync service stop), then try again"
	}
	return "nothing was changed; look at it with vaultsync state check, then restore a backup or use vaultsync state repair"
}

// lockTimeout is how long to wait for a file that another process holds: long
// enough for one that is just closing.
const lockTimeout = time.Second

// Open opens the file at path. If there is none, it is made by initialize
// under another name, synced and renamed, so that a crash leaves no half-made
// file. options may be nil; its Timeout is set here.
func Open(path string, options *bbolt.Options, initialize func(*bbolt.Tx) error) (*bbolt.DB, error) {
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := create(path, initialize); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := examine(path); err != nil {
		return nil, err
	}
	return open(path, options)
}

func open(path string, options *bbolt.Options) (db *bbolt.DB, err error) {
	o := bbolt.Options{FreelistType: bbolt.FreelistMapType}
	if options != nil {
		o = *options
	}
	o.Timeout = lockTimeout
	var file *os.File
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode) //nolint:gosec // the data directory of the configuration
		file = f
		return f, err //nolint:wrapcheck // told below
	}
	defer func() {
		// bbolt panics on a damaged page, and keeps the file and its lock.
		if r := recover(); r != nil {
			if file != nil {
				_ = file.Close() // the damage is what counts
			}
			db, err = nil, &Error{Path: path, Kind: ErrDamaged, Err: fmt.Errorf("%v", r)}
		}
	}()
	db, err = bbolt.Open(path, 0o600, &o)
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, &Error{Path: path, Kind: ErrLocked}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, &Error{Path: path, Kind: ErrDamaged, Err: err}
	default:
		return nil, fmt.Errorf("open state: %w", err)
	}
}

func create(path string, initialize func(*bbolt.Tx) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("create state: %w", err)
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create state: %w", err)
	}
	db, err := open(fresh, nil)
	if err != nil {
		return err
	}
	err = db.Update(initialize)
	if err = errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("create state: %w", err)
	}
	return syncDir(filepath.Dir(path))
}
