package embedded

import (
	"errors"
	"fmt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// The kinds of failure of the file itself, beside those of package vault.
var (
	// ErrDamaged means that the file, or a record in it, is not what was
	// written. Nothing is concluded from what can still be read.
	ErrDamaged = boltfile.ErrDamaged
	// ErrLocked means that another process has the file open.
	ErrLocked = boltfile.ErrLocked
	// ErrNewer means that a later version of the program wrote the file.
	ErrNewer = errors.New("the user store was written by a later version")
	// ErrOlder means that a version wrote the file whose records this one does
	// not read.
	ErrOlder = errors.New("the user store was written by an earlier version, which kept its records in another form")
)

// FileError says what is wrong with the file. It wraps one of ErrDamaged,
// ErrLocked, ErrNewer, ErrOlder, vault.ErrUnreachable and vault.ErrUnknownOutcome, and
// the cause if there is one.
type FileError struct {
	Path  string
	Kind  error
	Cause error
}

// Error names the file, the kind and the cause.
func (e *FileError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("user store %s: %v", e.Path, e.Kind)
	}
	return fmt.Sprintf("user store %s: %v: %v", e.Path, e.Kind, e.Cause)
}

// Unwrap gives the kind and the cause.
func (e *FileError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Hint says what an operator can do.
func (e *FileError) Hint() string {
	switch {
	case errors.Is(e.Kind, ErrDamaged):
		return "restore " + e.Path + " from a backup (vaultsync state restore); only if its accounts may be lost, move the file away and a new store is made"
	case errors.Is(e.Kind, ErrLocked):
		return "stop the other vaultsync process, or let the running service do the work"
	case errors.Is(e.Kind, ErrOlder):
		return "run the version of vaultsync that wrote " + e.Path + "; only if its accounts may be lost, move the file away and a new store is made"
	case errors.Is(e.Kind, ErrNewer):
		return "run the version of vaultsync that wrote " + e.Path + ", or a later one"
	default:
		return "see to the disk that holds " + e.Path + " (space, permissions, health); nothing has to be repaired by hand"
	}
}

// damage is what a record's reader finds; the transaction adds the file.
type damage struct{ where, what string }

func (d *damage) Error() string { return d.where + ": " + d.what }

func damaged(where, format string, args ...any) error {
	return &damage{where, fmt.Sprintf(format, args...)}
}
