package mirror

import (
	"errors"
	"fmt"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

// The kinds of failure of a mirror's file. Each is returned inside an *Error,
// which names the file and says what to do.
var (
	// ErrOtherTenant means that the file holds the copy of another tenant.
	ErrOtherTenant = errors.New("the mirror belongs to another tenant")
	// ErrLocked means that another process has the file open.
	ErrLocked = boltfile.ErrLocked
	// ErrDamaged means that the file, or a record in it, is not what was
	// written. Nothing may be concluded from what it seems to hold.
	ErrDamaged = boltfile.ErrDamaged
	// ErrNewer means that a newer version of the program wrote the file.
	ErrNewer = errors.New("the mirror was written by a newer version")
)

// Error is a failure of one mirror's file.
type Error struct {
	Path   string // the file
	Kind   error  // ErrOtherTenant, ErrLocked, ErrDamaged or ErrNewer
	Detail string // what was found, in words
	Err    error  // the cause, when there is one
}

// Error names the file, the kind and what was found.
func (e *Error) Error() string {
	text := fmt.Sprintf("mirror %s: %v", e.Path, e.Kind)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap makes the kind and the cause known to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Hint says what to do.
func (e *Error) Hint() string {
	switch {
	case errors.Is(e.Kind, ErrOtherTenant):
		return "correct the tenant in the configuration, or move " + e.Path + " away to begin anew with the tenant configured"
	case errors.Is(e.Kind, ErrLocked):
		return "the service holds this file while it runs: ask the service, or stop it first"
	case errors.Is(e.Kind, ErrDamaged):
		return "move " + e.Path + " away: it is read anew from the directory, and the vaults are evaluated in full against it"
	case errors.Is(e.Kind, ErrNewer):
		return "install the version that wrote it, or move " + e.Path + " away to read the directory anew"
	default:
		return ""
	}
}

// damaged is an ErrDamaged about one record; the path is added at the edge.
func damaged(format string, args ...any) error {
	return &Error{Kind: ErrDamaged, Detail: fmt.Sprintf(format, args...)}
}

// at puts the file's path into an *Error that was made without one.
func at(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = path
	}
	return err
}

// guarded runs f; what the storage library makes of a damaged page becomes
// ErrDamaged.
func guarded(path string, f func() error) error {
	return at(path, ofMirror(boltfile.Guard(path, f)))
}

// ofMirror is an error of the file as one of the mirror, with what to do.
func ofMirror(err error) error {
	if e, ok := errors.AsType[*boltfile.Error](err); ok {
		return &Error{Path: e.Path, Kind: e.Kind, Err: e.Err}
	}
	return err
}
