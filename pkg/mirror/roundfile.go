package mirror

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// roundMemory is how much of a round is kept in memory before the round file
// is made: an ordinary round never makes one.
const roundMemory = 4 << 20

// roundFile holds the profiles that a round brings until every stream of it
// has its link. It is scratch: checksummed, never synced, removed at the end
// and at the next start. Offsets, not contents, stay in memory.
type roundFile struct {
	path    string
	file    *os.File
	tail    []byte // not yet written
	written int64
	limit   int
	buf     []byte // for read
}

func newRoundFile(path string) *roundFile { return &roundFile{path: path, limit: roundMemory} }

// append stores one payload and returns where it is.
func (f *roundFile) append(payload []byte) (int64, error) {
	at := f.written + int64(len(f.tail))
	start := len(f.tail)
	f.tail = binary.LittleEndian.AppendUint32(f.tail, uint32(len(payload)))
	f.tail = append(f.tail, payload...)
	f.tail = binary.LittleEndian.AppendUint32(f.tail, checksum(f.tail[start:]))
	if len(f.tail) < f.limit {
		return at, nil
	}
	return at, f.flush()
}

func (f *roundFile) flush() error {
	if f.file == nil {
		file, err := os.OpenFile(f.path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("make the round file: %w", err)
		}
		f.file = file
	}
	if _, err := f.file.Write(f.tail); err != nil {
		return fmt.Errorf("write the round file: %w", err)
	}
	f.written += int64(len(f.tail))
	f.tail = f.tail[:0]
	return nil
}

// read returns the payload at an offset, good until the next read.
func (f *roundFile) read(at int64) ([]byte, error) {
	if at >= f.written {
		return f.check(f.tail[at-f.written:])
	}
	if f.buf == nil {
		f.buf = make([]byte, 512)
	}
	n, err := f.file.ReadAt(f.buf, at)
	if n < 4 {
		return nil, fmt.Errorf("read the round file: %w", err)
	}
	if need := int(binary.LittleEndian.Uint32(f.buf)) + 8; need > n {
		if int64(need) > f.written-at {
			return nil, f.broken()
		}
		f.buf = make([]byte, need)
		if _, err := f.file.ReadAt(f.buf, at); err != nil {
			return nil, fmt.Errorf("read the round file: %w", err)
		}
		n = need
	}
	return f.check(f.buf[:n])
}

func (f *roundFile) check(record []byte) ([]byte, error) {
	size := int(binary.LittleEndian.Uint32(record))
	if size < 0 || size+8 > len(record) {
		return nil, f.broken()
	}
	if checksum(record[:size+4]) != binary.LittleEndian.Uint32(record[size+4:]) {
		return nil, f.broken()
	}
	return record[4 : size+4], nil
}

func (f *roundFile) broken() error {
	return fmt.Errorf("round file %s: what was written cannot be read back; the disk or another program changed it", f.path)
}

// remove ends the round file.
func (f *roundFile) remove() error {
	f.tail, f.buf = nil, nil
	if f.file == nil {
		return nil
	}
	err := errors.Join(f.file.Close(), os.Remove(f.path))
	f.file = nil
	return err
}

// offsets is a sparse list of places in the round file by person number.
type offsets struct{ chunks []*[chunk]int64 }

func (o *offsets) set(n uint32, at int64) {
	i := int(n / chunk)
	for len(o.chunks) <= i {
		o.chunks = append(o.chunks, nil)
	}
	if o.chunks[i] == nil {
		o.chunks[i] = new([chunk]int64)
	}
	o.chunks[i][n%chunk] = at
}

func (o *offsets) get(n uint32) int64 { return o.chunks[n/chunk][n%chunk] }
