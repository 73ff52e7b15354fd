package embedded

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
	"github.com/vaultsync/vaultsync/pkg/vault"
)

// view runs fn in a read transaction. Keep it short: pages are not reused
// while one is open.
func (s *Server) view(ctx context.Context, fn func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read user store %s: %w", s.path, err)
	}
	tx, err := s.db.Begin(false)
	if err != nil {
		return s.broken(err)
	}
	err = s.guarded(func() error { return fn(tx) })
	if rollbackErr := s.guarded(tx.Rollback); rollbackErr != nil && err == nil {
		err = rollbackErr
	}
	return s.located(err)
}

// update runs fn in the one write transaction and commits it if fn says that
// it wrote something. On an error nothing was written, unless the error is
// vault.ErrUnknownOutcome.
func (s *Server) update(ctx context.Context, fn func(*bbolt.Tx) (wrote bool, err error)) error {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return fmt.Errorf("write user store %s: %w", s.path, ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write user store %s: %w", s.path, err)
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return s.broken(err)
	}
	wrote := false
	err = s.guarded(func() error {
		wrote, err = fn(tx)
		return err
	})
	if err != nil || !wrote {
		return s.located(errors.Join(err, s.guarded(tx.Rollback)))
	}
	id := tx.ID()
	err = s.guarded(tx.Commit)
	if err == nil {
		return nil
	}
	if rollbackErr := s.guarded(tx.Rollback); rollbackErr != nil && !errors.Is(rollbackErr, bolterrors.ErrTxClosed) {
		err = errors.Join(err, rollbackErr)
	}
	return s.afterFailedCommit(id, err)
}

// afterFailedCommit tells whether the transaction took place: its last step is
// to write the page that names it, and that write can reach the file and still
// fail. No other write transaction can have run since.
func (s *Server) afterFailedCommit(id int, cause error) error {
	seen := id
	err := s.guarded(func() error {
		tx, err := s.db.Begin(false)
		if err != nil {
			return err
		}
		seen = tx.ID()
		return tx.Rollback()
	})
	if err != nil || seen >= id {
		return &FileError{s.path, vault.ErrUnknownOutcome, errors.Join(cause, err)}
	}
	return s.broken(cause)
}

// broken is an error of bbolt, which changed nothing.
func (s *Server) broken(cause error) error {
	if _, ok := errors.AsType[*damage](cause); ok {
		return &FileError{s.path, ErrDamaged, cause}
	}
	return &FileError{s.path, vault.ErrUnreachable, cause}
}

// located names the file where a record is damaged and leaves other errors be.
func (s *Server) located(err error) error {
	var d *damage
	var known *FileError
	if errors.As(err, &d) && !errors.As(err, &known) {
		return &FileError{s.path, ErrDamaged, err}
	}
	return err
}

// guarded runs fn; what bbolt makes of a damaged page becomes damage.
func (s *Server) guarded(fn func() error) error {
	err := boltfile.Guard(s.path, fn)
	if e, ok := errors.AsType[*boltfile.Error](err); ok {
		return damaged("file structure", "%v", e.Err)
	}
	return err
}
