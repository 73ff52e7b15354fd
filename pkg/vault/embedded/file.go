package embedded

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/vaultsync/vaultsync/pkg/vault"
)

const (
	lockTimeout = time.Second
	newSuffix   = ".new-" // followed by something random: a store that is being made
)

func openFile(path string, o Options) (*bbolt.DB, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := createFile(path, o); err != nil {
			return nil, &FileError{path, vault.ErrUnreachable, fmt.Errorf("make it: %w", err)}
		}
		o.Logger.Info("made a new user store", "file", path)
	}
	if err := examine(path); err != nil {
		return nil, err
	}
	db, err := openBolt(path, o)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, &FileError{Path: path, Kind: ErrLocked}
	case errors.Is(err, fs.ErrPermission):
		return nil, &FileError{path, vault.ErrUnreachable, err}
	case err != nil:
		return nil, &FileError{path, ErrDamaged, err}
	}
	clearLeftovers(path, o)
	return db, nil
}

// openBolt turns a panic of bbolt over a damaged file into an error. The lock
// on such a file stays taken until the process ends.
func openBolt(path string, o Options) (db *bbolt.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("open: %v", r)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockTimeout,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		MaxSize:      o.maxSize,
	})
}

// createFile makes a whole store under another name and then gives it its
// own, so that a crash leaves either no store or a whole one. A store that
// another process made meanwhile is kept.
func createFile(path string, o Options) error {
	draft := path + newSuffix + rand.Text()
	defer func() { _ = os.Remove(draft) }() // gone already unless something failed
	db, err := openBolt(draft, o)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range rootBuckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := table{tx.Bucket(bucketMeta), "meta"}
		return errors.Join(
			meta.put(keySchema, []byte{schemaVersion}),
			meta.put(keyIdentity, []byte(rand.Text())),
		)
	})
	if err := errors.Join(err, db.Sync(), db.Close()); err != nil {
		return err
	}
	// Linking, unlike renaming, never replaces a file; where the file system
	// has no links, renaming must do.
	if err := os.Link(draft, path); err != nil {
		if _, statErr := os.Stat(path); statErr == nil {
			return nil
		}
		if err := os.Rename(draft, path); err != nil {
			return err
		}
	}
	return syncFolder(filepath.Dir(path))
}

// clearLeftovers removes drafts of processes that died. Whoever still works on
// one finds that the store is there.
func clearLeftovers(path string, o Options) {
	drafts, err := filepath.Glob(escapeGlob(path) + newSuffix + "*")
	if err != nil {
		return // a name that no pattern can say; drafts do no harm
	}
	for _, draft := range drafts {
		if err := os.Remove(draft); err == nil {
			o.Logger.Info("removed a half-made user store", "file", draft)
		}
	}
}

func escapeGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path // patterns have no escape there
	}
	var b []byte
	for i := range len(path) {
		switch path[i] {
		case '*', '?', '[', '\\':
			b = append(b, '\\')
		}
		b = append(b, path[i])
	}
	return string(b)
}

// examine looks at the file before bbolt does: bbolt takes an empty file for a
// new one and panics over a truncated one, keeping its lock.
//
// A bbolt file begins with two meta pages; the valid one with the higher
// transaction id counts and says how many pages the file has.
func examine(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return &FileError{path, vault.ErrUnreachable, err}
	}
	defer func() { _ = f.Close() }() // was only read
	head := make([]byte, 2*maxPageSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return &FileError{path, vault.ErrUnreachable, err}
	}
	head = head[:n]
	// The size is read after the meta pages, for another process may be
	// growing the file.
	info, err := f.Stat()
	if err != nil {
		return &FileError{path, vault.ErrUnreachable, err}
	}
	best, found := readMeta(head), false
	if best.pageSize != 0 {
		found = true
	}
	for size := minPageSize; size < len(head); size *= 2 {
		if m := readMeta(head[size:]); m.pageSize == uint64(size) && (!found || m.txid > best.txid) {
			best, found = m, true
		}
	}
	if !found {
		return &FileError{path, ErrDamaged, fmt.Errorf("%d bytes without a valid beginning", info.Size())}
	}
	if need := best.pages * best.pageSize; uint64(info.Size()) < need {
		return &FileError{path, ErrDamaged, fmt.Errorf("truncated: %d bytes of at least %d", info.Size(), need)}
	}
	return nil
}

const (
	minPageSize    = 1 << 10
	maxPageSize    = 1 << 16
	pageHeaderSize = 16
	metaSize       = 64
	boltMagic      = 0xED0CDAED
)

type metaPage struct{ pageSize, pages, txid uint64 }

// readMeta reads the meta page at the start of b; the zero value if it is not
// a valid one.
func readMeta(b []byte) metaPage {
	if len(b) < pageHeaderSize+metaSize {
		return metaPage{}
	}
	b = b[pageHeaderSize : pageHeaderSize+metaSize]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8]) // a hash does not fail
	order := binary.NativeEndian
	if order.Uint32(b) != boltMagic || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return metaPage{}
	}
	return metaPage{pageSize: uint64(order.Uint32(b[8:])), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:])}
}
