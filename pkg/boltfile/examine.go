package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// examine looks at a file before bbolt does: bbolt takes an empty file for a
// new one, and a lost state for a first run; of a file that was cut off it
// touches pages that are not there, which ends the process.
//
// A bbolt file begins with two meta pages; the valid one with the higher
// transaction number counts, and says how many pages the file has.
func examine(path string) error {
	f, err := os.Open(path) //nolint:gosec // the data directory of the configuration
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	defer f.Close() //nolint:errcheck // was only read
	head := make([]byte, 2*maxPageSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("open state: %w", err)
	}
	if n == 0 {
		return &Error{Path: path, Kind: ErrDamaged, Err: errors.New("the file is empty")}
	}
	head = head[:n]
	best, found := readMeta(head)
	for size := minPageSize; size < len(head); size *= 2 {
		if m, ok := readMeta(head[size:]); ok && m.pageSize == uint64(size) && (!found || m.txid > best.txid) {
			best, found = m, true
		}
	}
	if !found {
		return &Error{Path: path, Kind: ErrDamaged, Err: errors.New("it has no valid beginning")}
	}
	// The size is read after the meta pages: another process may be growing
	// the file.
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	if need := best.pages * best.pageSize; uint64(info.Size()) < need { //nolint:gosec // sizes are not negative
		return &Error{Path: path, Kind: ErrDamaged, Err: fmt.Errorf("it is cut off: %d bytes of at least %d", info.Size(), need)}
	}
	if !soundFreeList(f, best) {
		return &Error{Path: path, Kind: ErrDamaged, Err: errors.New("its list of free pages cannot be read")}
	}
	return nil
}

// soundFreeList looks at the page that bbolt would panic on while it opens the
// file, with the file mapped and so locked until the process ends. A page
// begins with its own number (8 bytes), kind and count (2 each), and how many
// pages follow that belong to it (4).
func soundFreeList(f io.ReaderAt, m metaPage) bool {
	const none, kind = ^uint64(0), 0x10
	if m.freeList == none {
		return true
	}
	if m.freeList >= m.pages {
		return false
	}
	b := make([]byte, pageHeaderSize+8)
	if _, err := f.ReadAt(b, int64(m.freeList*m.pageSize)); err != nil { //nolint:gosec // inside the file
		return false
	}
	order := binary.NativeEndian
	room := (uint64(order.Uint32(b[12:])) + 1) * m.pageSize
	count := uint64(order.Uint16(b[10:]))
	if count == 0xFFFF { // too many for the field: the first entry is the count
		count = order.Uint64(b[pageHeaderSize:])
	}
	return order.Uint64(b) == m.freeList && order.Uint16(b[8:]) == kind &&
		room <= m.pages*m.pageSize && count <= room/8
}

const (
	minPageSize    = 1 << 10
	maxPageSize    = 1 << 16
	pageHeaderSize = 16
	metaSize       = 64
	boltMagic      = 0xED0CDAED
)

type metaPage struct{ pageSize, freeList, pages, txid uint64 }

// readMeta reads the meta page at the start of b: behind the page's header
// magic, version, page size and flags (4 bytes each), root page and sequence,
// list of free pages, number of pages, transaction, and the FNV-1a checksum of
// all before it (8 bytes each).
func readMeta(b []byte) (metaPage, bool) {
	if len(b) < pageHeaderSize+metaSize {
		return metaPage{}, false
	}
	b = b[pageHeaderSize : pageHeaderSize+metaSize]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8]) //nolint:errcheck,revive // a hash does not fail
	order := binary.NativeEndian
	if order.Uint32(b) != boltMagic || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return metaPage{}, false
	}
	return metaPage{pageSize: uint64(order.Uint32(b[8:])), freeList: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:])}, true
}
