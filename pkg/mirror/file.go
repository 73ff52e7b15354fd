package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// newSuffix and a random number name a file that is being made.
const newSuffix = ".new-"

// lockPatience is how long an open waits for another process to let go.
const lockPatience = time.Second

// openFile opens a mirror's file that exists. Three hazards of the library
// are met here: it takes an empty file for a new database, it panics on a
// damaged one (and would keep the lock of it), and it dies of a fault, which
// nothing can catch, when a file is shorter than it says.
func openFile(path string, readOnly bool, maxSize int) (*bolt.DB, error) {
	for range 3 {
		db, file, err := openOnce(path, readOnly, maxSize)
		if err != nil {
			return nil, err
		}
		// Whoever waited for the lock may hold a file that was replaced
		// in the meantime.
		named, err := os.Stat(path)
		if err == nil {
			if held, heldErr := file.Stat(); heldErr == nil && os.SameFile(named, held) {
				return db, nil
			}
		}
		if err := db.Close(); err != nil {
			return nil, fmt.Errorf("close a replaced mirror: %w", err)
		}
	}
	return nil, &Error{Path: path, Kind: ErrLocked, Detail: "the file is being replaced"}
}

func openOnce(path string, readOnly bool, maxSize int) (db *bolt.DB, file *os.File, err error) {
	if err := soundFile(path); err != nil {
		return nil, nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Path: path, Kind: ErrDamaged, Detail: fmt.Sprint(r)}
		}
		if err != nil && file != nil {
			// A second close of a file is harmless; a leaked one keeps the lock.
			_ = file.Close()
		}
	}()
	options := &bolt.Options{
		Timeout:  lockPatience,
		ReadOnly: readOnly,
		MaxSize:  maxSize,
		// The list of free pages is stored, although it is written whole
		// with every commit: without it an open walks all pages in a
		// goroutine of the library, where a damaged one ends the process.
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flags int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flags&^os.O_CREATE, mode)
			file = f
			return f, err
		},
	}
	if !readOnly && maxSize == 0 && runtime.GOOS != "windows" && bits.UintSize == 64 {
		// Address space alone: a file that outgrows its mapping would wait
		// for every reader before it could be mapped anew. On Windows the
		// file itself would become this large.
		options.InitialMmapSize = 4 << 30
	}
	db, err = bolt.Open(path, 0o600, options)
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, file, &Error{Path: path, Kind: ErrLocked}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, file, &Error{Path: path, Kind: ErrDamaged, Err: err}
	case err != nil:
		return nil, file, fmt.Errorf("open mirror %s: %w", path, err)
	}
	return db, file, nil
}

// soundFile refuses a file that is empty, shorter than its own header says, or
// no database at all.
func soundFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open mirror: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open mirror: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open mirror %s: it is not a regular file", path)
	}
	if info.Size() == 0 {
		return &Error{Path: path, Kind: ErrDamaged, Detail: "the file is empty"}
	}
	first := readMeta(f, 0)
	best := first
	if first.valid {
		if second := readMeta(f, int64(first.pageSize)); second.valid && second.txid > best.txid {
			best = second
		}
	} else {
		// The first header is the one being written half of the time: look
		// for the second behind each possible page size.
		for size := int64(1024); size <= 1<<16 && !best.valid; size <<= 1 {
			best = readMeta(f, size)
		}
	}
	if !best.valid {
		return &Error{Path: path, Kind: ErrDamaged, Detail: "the file has no valid header"}
	}
	if want := best.pages * uint64(best.pageSize); uint64(info.Size()) < want {
		return &Error{Path: path, Kind: ErrDamaged, Detail: fmt.Sprintf("the file is cut off: %d bytes of %d", info.Size(), want)}
	}
	if !soundFreeList(f, best) {
		return &Error{Path: path, Kind: ErrDamaged, Detail: "its list of free pages cannot be read"}
	}
	return nil
}

// soundFreeList looks at the page that the library would panic on, keeping
// the lock of the file for as long as the process lives: a page begins with its
// own number (8 bytes), kind and count (2 each), and how many follow it (4).
func soundFreeList(r io.ReaderAt, h header) bool {
	const none, kind = ^uint64(0), 0x10
	if h.freeList == none {
		return true
	}
	b := make([]byte, 24)
	if _, err := r.ReadAt(b, int64(h.freeList*uint64(h.pageSize))); err != nil {
		return false
	}
	room := (uint64(binary.NativeEndian.Uint32(b[12:])) + 1) * uint64(h.pageSize)
	count := uint64(binary.NativeEndian.Uint16(b[10:]))
	if count == 0xFFFF { // too many for the field: the first entry is the count
		count = binary.NativeEndian.Uint64(b[16:])
	}
	return binary.NativeEndian.Uint64(b) == h.freeList && binary.NativeEndian.Uint16(b[8:]) == kind &&
		h.freeList < h.pages && room <= h.pages*uint64(h.pageSize) && count <= room/8
}

// header is the part of a bbolt meta page that says how long the file is.
type header struct {
	valid    bool
	pageSize uint32
	freeList uint64
	pages    uint64
	txid     uint64
}

// readMeta reads the meta page at an offset: a page header of 16 bytes, then
// magic, version, page size, flags (4 bytes each), root page and sequence,
// free list page, page count, transaction, FNV-1a of all before it (8 each).
func readMeta(r io.ReaderAt, at int64) header {
	const magic, size = 0xED0CDAED, 64
	b := make([]byte, size)
	if _, err := r.ReadAt(b, at+16); err != nil {
		return header{}
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:size-8])
	h := header{
		pageSize: binary.NativeEndian.Uint32(b[8:]),
		freeList: binary.NativeEndian.Uint64(b[32:]),
		pages:    binary.NativeEndian.Uint64(b[40:]),
		txid:     binary.NativeEndian.Uint64(b[48:]),
	}
	h.valid = binary.NativeEndian.Uint32(b) == magic && sum.Sum64() == binary.NativeEndian.Uint64(b[56:]) &&
		h.pageSize >= 512 && h.pageSize <= 1<<16
	return h
}

// createFile makes an empty mirror under another name and renames it, because
// a power failure during the very first writes could leave half a file.
func createFile(path, tenant string, sel []string) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newSuffix+"*")
	if err != nil {
		return fmt.Errorf("create mirror: %w", err)
	}
	name := temp.Name()
	defer os.Remove(name) // fails, as it should, once renamed
	if err := temp.Close(); err != nil {
		return fmt.Errorf("create mirror: %w", err)
	}
	db, err := bolt.Open(name, 0o600, &bolt.Options{Timeout: lockPatience, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("create mirror %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return initialize(tx, tenant, sel) })
	if err = errors.Join(err, db.Sync(), db.Close()); err != nil {
		return fmt.Errorf("create mirror %s: %w", path, err)
	}
	if err := os.Rename(name, path); err != nil {
		return fmt.Errorf("create mirror: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename last; Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// removeLeftovers removes what a crash left beside the file. The caller holds
// the file's lock.
func removeLeftovers(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return fmt.Errorf("look for leftover files: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base+newSuffix) && e.Name() != filepath.Base(roundPath(path)) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove a leftover file: %w", err)
		}
	}
	return nil
}

func roundPath(path string) string { return path + ".round" }
