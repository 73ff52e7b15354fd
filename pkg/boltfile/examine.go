package boltfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// damage is what is wrong with a file.
type damage string

func (d damage) Error() string { return string(d) }

// rereads is how often a file that changes under the reader is looked at again.
const rereads = 10

// examine looks at a file before bbolt does: bbolt takes an empty file for a
// new one, and a lost state for a first run; of a file that was cut off it
// touches pages that are not there, and on a list of free pages that is none it
// panics with the file mapped.
//
// Another process may be writing: pages that an older header leads to can be
// used again as soon as there are newer headers.
func examine(f *os.File) error {
	for range rereads {
		h, err := readHeader(f)
		if err != nil {
			return err
		}
		err = examinePages(f, h)
		if _, bad := errors.AsType[damage](err); !bad {
			return err
		}
		if again, againErr := readHeader(f); againErr != nil || again == h {
			return err
		}
	}
	return errors.New("it changes faster than it can be examined")
}

// examinePages looks at what a header says of the rest of the file.
func examinePages(f *os.File, h header) error {
	// The size is read after the header: the file may be growing.
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if pages := uint64(info.Size()) / h.pageSize; pages < h.pages { //nolint:gosec // sizes are not negative
		return damage(fmt.Sprintf("it is cut off: %d pages of at least %d", pages, h.pages))
	}
	if !soundFreeList(f, h) {
		return damage("its list of free pages cannot be read")
	}
	return nil
}

// soundFreeList looks at the page that bbolt reads while it opens the file: one
// that is no such list makes it panic, one that names pages in use would have
// them written over. A page begins with its own number (8 bytes), kind and count
// (2 each), and how many pages follow that belong to it (4); here the numbers of
// pages follow, in order.
func soundFreeList(f io.ReaderAt, h header) bool {
	const none, kind, entry = ^uint64(0), 0x10, 8
	if h.freeList == none {
		return true
	}
	if h.freeList >= h.pages {
		return false
	}
	start := int64(h.freeList * h.pageSize) //nolint:gosec // inside the file
	b := make([]byte, pageHeaderSize+entry)
	if _, err := f.ReadAt(b, start); err != nil {
		return false
	}
	order := binary.NativeEndian
	more := uint64(order.Uint32(b[12:]))
	if order.Uint64(b) != h.freeList || order.Uint16(b[8:]) != kind || more >= h.pages-h.freeList {
		return false
	}
	start += pageHeaderSize
	room, count := ((more+1)*h.pageSize-pageHeaderSize)/entry, uint64(order.Uint16(b[10:]))
	if count == 0xFFFF { // too many for the field: the first entry is the count
		start += entry
		room, count = room-1, order.Uint64(b[pageHeaderSize:])
	}
	if count > room {
		return false
	}
	list := bufio.NewReader(io.NewSectionReader(f, start, int64(count*entry))) //nolint:gosec // inside the file
	for last := uint64(1); count > 0; count-- {                                // pages 0 and 1 are the headers
		if _, err := io.ReadFull(list, b[:entry]); err != nil {
			return false
		}
		page := order.Uint64(b)
		if page <= last || page >= h.pages {
			return false
		}
		last = page
	}
	return true
}

const (
	minPageSize    = 1 << 10
	maxPageSize    = 1 << 16
	pageHeaderSize = 16
	metaSize       = 64
	boltMagic      = 0xED0CDAED
)

// header is the part of a meta page that says how long the file is, and where
// its list of free pages is.
type header struct{ pageSize, freeList, pages, txid uint64 }

// readHeader reads the header that counts. A file begins with two meta pages
// that are written in turn; the valid one with the higher transaction number
// counts.
func readHeader(f io.ReaderAt) (header, error) {
	head := make([]byte, maxPageSize+pageHeaderSize+metaSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return header{}, err
	}
	if n == 0 {
		return header{}, damage("the file is empty")
	}
	head = head[:n]
	best, found := readMeta(head)
	for size := minPageSize; size < n; size *= 2 {
		// The first may be the one that was being written: look for the second
		// behind each possible size of a page.
		if m, ok := readMeta(head[size:]); ok && m.pageSize == uint64(size) && (!found || m.txid > best.txid) { //nolint:gosec // not negative
			best, found = m, true
		}
	}
	if !found {
		return header{}, damage("it has no valid header")
	}
	return best, nil
}

// readMeta reads the meta page at the start of b: behind the page's header
// magic, version, page size and flags (4 bytes each), root page and sequence,
// list of free pages, number of pages, transaction, and the FNV-1a checksum of
// all before it (8 bytes each).
func readMeta(b []byte) (header, bool) {
	if len(b) < pageHeaderSize+metaSize {
		return header{}, false
	}
	b = b[pageHeaderSize : pageHeaderSize+metaSize]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	order := binary.NativeEndian
	if order.Uint32(b) != boltMagic || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return header{}, false
	}
	h := header{pageSize: uint64(order.Uint32(b[8:])), freeList: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:])}
	return h, h.pageSize >= minPageSize && h.pageSize <= maxPageSize && h.pageSize&(h.pageSize-1) == 0
}
