package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"go.etcd.io/bbolt"
)

func TestAFileWithoutItsLastByteInUseIsDamaged(t *testing.T) {
	t.Parallel()
	path := filled(t, 500, 500)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHeader(f)
	if err = errors.Join(err, f.Close(), os.Truncate(path, int64(h.pages*h.pageSize))); err != nil { //nolint:gosec // some pages
		t.Fatal(err)
	}
	db, err := Open(path, Options{}, nil)
	if err != nil {
		t.Fatalf("all pages in use are there: %v", err)
	}
	if err := errors.Join(db.Close(), os.Truncate(path, int64(h.pages*h.pageSize)-1)); err != nil { //nolint:gosec // some pages
		t.Fatal(err)
	}
	if _, err := Open(path, Options{}, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// When bbolt panics all the same, the lock of the file is not left behind with
// its mapping.
func TestAPanicWhileOpeningLeavesNoLock(t *testing.T) {
	t.Parallel()
	path := filled(t, 100, 10)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(whole)
	clear(bad[2*os.Getpagesize():])
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openOnce(path, Options{}, os.OpenFile); !errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v", err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// While one process writes, another that looks at the file finds it in use,
// and never damaged.
func TestAFileBeingWrittenIsNotTakenForDamaged(t *testing.T) {
	t.Parallel()
	path := filled(t, 200, 100)
	db, err := Open(path, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	db.NoSync = true // to write as often as can be
	done, written := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				written <- nil
				return
			default:
			}
			if err := db.Update(func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("records")).Put(fmt.Appendf(nil, "%08d", i%500), bytes.Repeat([]byte{1}, 100+i%3000))
			}); err != nil {
				written <- err
				return
			}
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if err := examine(f); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	if err := errors.Join(<-written, f.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// Who waits for a file that is replaced meanwhile gets the new one.
func TestAFileThatIsReplacedIsOpenedAnew(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows replaces no file that somebody has open")
	}
	path := filled(t, 100, 100)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if !isNamed(old, path) {
		t.Error("a file does not have its own name")
	}
	if _, _, err := Compact(path); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || os.SameFile(before, after) {
		t.Errorf("compacting put no other file in its place (%v)", err)
	}
	if isNamed(old, path) {
		t.Error("a file that was replaced is taken for the one in its place")
	}
	if err := errors.Join(old.Close(), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
}

// Compact holds the file's lock until the new one has its name, so that what
// somebody else writes is never lost with the old one.
func TestCompactLosesNothingThatOthersWrite(t *testing.T) {
	t.Parallel()
	path := filled(t, 2000, 10)
	compacted := make(chan error, 1)
	go func() {
		var err error
		for range 5 {
			if _, _, e := Compact(path); e != nil && !errors.Is(e, ErrLocked) {
				err = errors.Join(err, e)
			}
		}
		compacted <- err
	}()
	written := 0
	for i := range 30 {
		db, err := Open(path, Options{}, nil)
		if errors.Is(err, ErrLocked) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("records")).Put(fmt.Appendf(nil, "more %d", i), []byte("x"))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		written++
	}
	if err := <-compacted; err != nil {
		t.Fatal(err)
	}
	if n, _ := records(t, path); n != 10+written {
		t.Errorf("%d records, want %d", n, 10+written)
	}
}

// FuzzExamine: no header and no page makes the examination panic.
func FuzzExamine(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state.db")
	db, err := Open(path, Options{}, func(*bbolt.Tx) error { return nil })
	if err != nil {
		f.Fatal(err)
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	page := uint16(os.Getpagesize() / 16) //nolint:gosec // some thousands
	f.Add(whole[:200], uint64(4096), uint64(2), uint64(4))
	f.Add(whole[2*page*16:][:64], uint64(4096), uint64(0), uint64(1))
	f.Fuzz(func(_ *testing.T, raw []byte, pageSize, freeList, pages uint64) {
		r := bytes.NewReader(raw)
		if h, err := readHeader(r); err == nil {
			_ = soundFreeList(r, h)
		}
		if pageSize > 0 && pageSize <= maxPageSize {
			_ = soundFreeList(r, header{pageSize: pageSize, freeList: freeList, pages: pages})
		}
	})
}

// FuzzOpen: whatever stands in the pages that bbolt reads first, opening answers
// and keeps no lock.
func FuzzOpen(f *testing.F) {
	folder := f.TempDir()
	path := filepath.Join(folder, "state.db")
	db, err := Open(path, Options{}, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("records"))
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	if err := db.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	for at := 0; at < len(whole); at += os.Getpagesize() {
		f.Add(uint32(at), whole[at:][:48])                               //nolint:gosec // small
		f.Add(uint32(at+10), []byte{2, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 8}) //nolint:gosec // small
		f.Add(uint32(at+10), []byte{0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff}) //nolint:gosec // small
	}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		bad := bytes.Clone(whole)
		copy(bad[int(at)%len(bad):], patch)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, Options{}, nil)
		switch {
		case err == nil:
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		case !errors.Is(err, ErrDamaged):
			t.Fatal(err)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		if db, err = Open(path, Options{}, nil); err != nil {
			t.Fatalf("after it was put right: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
