package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// filled makes a file of n records and deletes all but the first keep.
func filled(t *testing.T, n, keep int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := Open(path, Options{}, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("records"))
		if err != nil {
			return err
		}
		return b.SetSequence(41)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("records"))
		for i := range n {
			if err := b.Put(fmt.Appendf(nil, "%08d", i), bytes.Repeat([]byte{byte(i)}, 500)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error {
			for i := keep; i < n; i++ {
				if err := tx.Bucket([]byte("records")).Delete(fmt.Appendf(nil, "%08d", i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// records counts what a file holds.
func records(t *testing.T, path string) (n int, sequence uint64) {
	t.Helper()
	err := reading(path, func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("records"))
		n, sequence = b.Stats().KeyN, b.Sequence()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n, sequence
}

func TestCompact(t *testing.T) {
	t.Parallel()
	t.Run("a file shrinks and keeps its records and its count", func(t *testing.T) {
		t.Parallel()
		path := filled(t, 5000, 10)
		before, after, err := Compact(path)
		if err != nil || after >= before/10 {
			t.Fatalf("%v: %d bytes before, %d after", err, before, after)
		}
		if n, sequence := records(t, path); n != 10 || sequence != 41 {
			t.Errorf("%d records, sequence %d", n, sequence)
		}
		if err := Check(path); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a file in use is left alone", func(t *testing.T) {
		t.Parallel()
		path := filled(t, 10, 10)
		db, err := Open(path, Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close() //nolint:errcheck // a test
		if _, _, err := Compact(path); !errors.Is(err, ErrLocked) {
			t.Errorf("got %v", err)
		}
		if !InUse(path) || InUse(path+".other") {
			t.Error("who has it open is not known")
		}
	})
	t.Run("a damaged file is left as it was", func(t *testing.T) {
		t.Parallel()
		path := filled(t, 5000, 5000)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 4 * os.Getpagesize(); i < len(whole)/2; i++ {
			whole[i] = 0
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Compact(path); err == nil {
			t.Error("compacted a damaged file")
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("the file was changed: %v", err)
		}
	})
	t.Run("a file that is not there is not made", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "none.db")
		_, _, compactErr := Compact(path)
		for what, err := range map[string]error{"compact": compactErr, "check": Check(path), "copy": Copy(path, &bytes.Buffer{})} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("it was made")
		}
	})
}

func TestCopy(t *testing.T) {
	t.Parallel()
	path := filled(t, 100, 50)
	var copied bytes.Buffer
	if err := Copy(path, &copied); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(other, copied.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, _ := records(t, other); n != 50 {
		t.Errorf("%d records", n)
	}
}

func TestCheckFindsWhatOpeningDoesNot(t *testing.T) {
	t.Parallel()
	path := filled(t, 5000, 5000)
	if err := Check(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// The kind of every page after the first four, as a torn write leaves it.
	for at := 4 * os.Getpagesize(); at < len(whole); at += os.Getpagesize() {
		whole[at+8], whole[at+9] = 0, 0
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(path); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
