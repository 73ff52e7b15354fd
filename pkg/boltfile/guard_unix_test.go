//go:build !windows

package boltfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/boltfile"
)

func TestGuard(t *testing.T) {
	t.Parallel()

	t.Run("a panic is damage of the file", func(t *testing.T) {
		t.Parallel()
		err := boltfile.Guard("/state.db", func() error { panic("page 7: invalid page type") })
		var e *boltfile.Error
		if !errors.As(err, &e) || e.Path != "/state.db" || !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})

	t.Run("other errors come back as they are", func(t *testing.T) {
		t.Parallel()
		for _, want := range []error{nil, os.ErrClosed} {
			if err := boltfile.Guard("/state.db", func() error { return want }); err != want { //nolint:errorlint // the same one
				t.Errorf("got %v, want %v", err, want)
			}
		}
	})

	t.Run("a fault in mapped memory does not end the process", func(t *testing.T) {
		t.Parallel()
		f, err := os.Create(filepath.Join(t.TempDir(), "mapped"))
		if err != nil {
			t.Fatal(err)
		}
		defer shut(t, f)
		if err := f.Truncate(1 << 16); err != nil {
			t.Fatal(err)
		}
		mapped, err := syscall.Mmap(int(f.Fd()), 0, 1<<16, syscall.PROT_READ, syscall.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := syscall.Munmap(mapped); err != nil {
				t.Error(err)
			}
		}()
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		err = boltfile.Guard("/state.db", func() error {
			if mapped[1<<15] == 1 {
				return os.ErrExist
			}
			return nil
		})
		if !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
}
