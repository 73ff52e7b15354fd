package wholefile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/vaultsync/vaultsync/pkg/wholefile"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, path, want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
		if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
			t.Errorf("beside it: %v, %v", entries, err)
		}
	}

	t.Run("a file is made, for its owner alone, and replaced", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "guard.json")
		for _, text := range []string{"a long one, the first", "short"} {
			if err := wholefile.WriteBytes(path, []byte(text)); err != nil {
				t.Fatal(err)
			}
			check(t, path, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	})

	t.Run("a writing that fails leaves the old file and nothing beside it", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "guard.json")
		if err := wholefile.WriteBytes(path, []byte("old")); err != nil {
			t.Fatal(err)
		}
		full := errors.New("the disk is full")
		err := wholefile.Write(path, func(f *os.File) error {
			_, err := f.WriteString("half a fi")
			return errors.Join(err, full)
		})
		if !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		check(t, path, "old")
	})

	t.Run("the old file is there until all of the new one is written", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "guard.json")
		if err := wholefile.WriteBytes(path, []byte("old")); err != nil {
			t.Fatal(err)
		}
		err := wholefile.Write(path, func(f *os.File) error {
			if _, err := f.WriteString("new"); err != nil {
				return err
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
				t.Errorf("meanwhile %q, %v", got, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		check(t, path, "new")
	})

	t.Run("a folder that is not there is an error that names it", func(t *testing.T) {
		t.Parallel()
		err := wholefile.WriteBytes(filepath.Join(t.TempDir(), "none", "guard.json"), nil)
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
}
