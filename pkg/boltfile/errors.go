package boltfile

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// The kinds of failure that callers tell apart.
var (
	// ErrLocked means that another process holds the file.
	ErrLocked = errors.New("in use by another process")
	// ErrDamaged means that the file, or a record in it, is not what was
	// written. Nothing may be concluded from what it seems to hold.
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

// Unwrap gives the kind, and the cause if there is one.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to do.
func (e *Error) Hint() string {
	if errors.Is(e.Kind, ErrLocked) {
		return "another vaultsync works on this file and does not answer; stop it (vaultsync service stop), then try again"
	}
	return "nothing was changed; look at it with vaultsync state check, then restore a backup or use vaultsync state repair"
}

// Guard runs fn, which works on the open file at path. A panic or a memory
// fault, which is how bbolt meets a damaged page, becomes an *Error with
// ErrDamaged; any other error of fn comes back as it is. Only the goroutine of
// fn is guarded: Tx.Check has its own, and can end the process.
func Guard(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Path: path, Kind: ErrDamaged, Err: fmt.Errorf("%v", r)}
		}
	}()
	return fn()
}
